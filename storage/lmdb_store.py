"""The store in LMDB: environment, transactions, map growth, error translation. The only importer of lmdb.

Every change is one durable transaction with its journal row. Readers never wait for writers; other processes may read
and write the same store at the same time, and LMDB lets one of them write at a time.
"""

import errno
import os
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import lmdb

from protocol.errors import HandleError
from storage.base import Change, Outcome, PutRecord, StoreCorrupt, StoreError, StoreFull, StoreMissing, StoreTooNew
from storage.bulk import replaced
from storage.files import extended, prepared, synced
from storage.layout import CASE_SENSITIVE, DATABASES, FORMAT, FORMAT_VERSION, HANDLES, META, number_octets, read_number
from storage.locking import Gate
from storage.packing import Packing
from storage.transaction import WriteTransaction
from storage.view import Sizes, View

MAP_SIZE: Final = 1 << 30
MAP_SIZE_MAX: Final = 1 << 40
MAP_SIZE_FLOOR: Final = 1 << 16  # The least that holds empty databases.
READERS_MAX: Final = 126
DATA_FILE: Final = "data.mdb"
FILE_MODE: Final = 0o600
_FULL: Final = frozenset((errno.ENOSPC, errno.EFBIG, errno.EDQUOT))
_MEND_ROUNDS_MAX: Final = 48  # Doublings from a page to more than any disk.
_DAMAGED: Final = (
    lmdb.CorruptedError,
    lmdb.IncompatibleError,
    lmdb.InvalidError,
    lmdb.PageNotFoundError,
    lmdb.VersionMismatchError,
)

_Result = TypeVar("_Result")


@contextmanager
def told_as_store_error(path: Path) -> Generator[None]:
    """Errors of the engine and of the disk become `StoreError`, with a sentence that says what to do."""
    try:
        yield
    except lmdb.Error as error:
        raise _store_error(path, error) from error
    except OSError as error:
        raise _system_error(path, error.errno or 0) from error


def _store_error(path: Path, error: lmdb.Error) -> StoreError:
    if isinstance(error, lmdb.MapFullError):
        return StoreFull(f"{path}: the map is full: this change was not written. Raise [store] map_size")
    if isinstance(error, lmdb.ReadersFullError):
        said = "too many processes read it at a time: stop some, or raise [store] max_readers"
        return StoreError(f"{path} cannot be read: {said}")
    if isinstance(error, _DAMAGED):
        said = f"holds no store of ours, or a damaged one ({error}). Restore a backup, or choose another folder"
        return StoreCorrupt(f"{path} {said}")
    if "already open" in str(error):
        return StoreError(f"{path} is open in this process already: one store serves all threads of a process")
    return _system_error(path, error.code) if error.code > 0 else StoreError(f"{path}: {error}")


def _system_error(path: Path, number: int) -> StoreError:
    why = os.strerror(number)
    if number in _FULL:
        return StoreFull(f"{path}: {why}: this change was not written. Make room, then try again")
    if number == errno.EIO:  # What the engine says of a write that the disk took in part.
        said = "the disk took only a part of a write, it is full or it fails: this change was not written"
        return StoreFull(f"{path}: {said}. Make room, or look at the disk")
    if number == errno.ENOMEM:
        return StoreError(f"{path}: no address space for the map: lower [store] map_size, or raise `ulimit -v`")
    return StoreError(f"{path}: {why}. Choose another [node] data_dir, or mend this one")


class LmdbStore:
    """A store in a folder. `view` and `apply` may be used from any thread; a thread has one view open at a time.

    A thread that has a view open does not write: where the map must grow, it would wait for itself.
    """

    def __init__(self, path: Path, *, map_size: int, map_size_max: int, max_readers: int, read_only: bool) -> None:
        self.path = path
        self.case_sensitive = False
        self._map_size_max = map_size_max
        self._options: dict[str, Any] = {
            "map_size": max(map_size, MAP_SIZE_FLOOR),
            "max_readers": max_readers,
            "readonly": read_only,
        }
        self._gate = Gate(path)
        self._writing = threading.Lock()
        self._writer = 0  # The thread that holds it.
        self._is_closed = False
        self._databases: dict[bytes, Any] = {}
        self._records: Any = None
        self._view = View(self._begin_reading, self._end_reading, self._sizes)
        self._environment: Any = self._opened()
        self._packing = Packing(self._environment.stat()["psize"])

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        case_sensitive: bool = False,
        map_size: int = MAP_SIZE,
        map_size_max: int = MAP_SIZE_MAX,
        max_readers: int = READERS_MAX,
    ) -> Self:
        """Make a store in a folder that has none, or open the one that stands there, finished or not."""
        with told_as_store_error(path):
            prepared(path, DATA_FILE, readers_max=max_readers)
        store = cls(path, map_size=map_size, map_size_max=map_size_max, max_readers=max_readers, read_only=False)
        store._prepared(case_sensitive)
        with told_as_store_error(path):
            synced(path)
        return store

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        map_size: int = MAP_SIZE,
        map_size_max: int = MAP_SIZE_MAX,
        max_readers: int = READERS_MAX,
        read_only: bool = False,
    ) -> Self:
        """Open the store in a folder; `StoreMissing` where there is none, `StoreTooNew` for one of a newer program."""
        try:
            size = (path / DATA_FILE).stat().st_size
        except FileNotFoundError:
            raise StoreMissing(f"there is no store in {path}") from None
        except OSError as error:
            said = "A store needs a folder: choose another [node] data_dir"
            raise StoreError(f"{path}: {error.strerror}. {said}") from error
        if not size:
            raise StoreMissing(f"there is no finished store in {path}")
        store = cls(path, map_size=map_size, map_size_max=map_size_max, max_readers=max_readers, read_only=read_only)
        return store._prepared(None)

    def _opened(self) -> Any:
        with told_as_store_error(self.path):
            environment = lmdb.open(
                str(self.path),
                max_dbs=len(DATABASES),
                readahead=False,  # Records are small and far apart: what lies beside one is not asked for next.
                lib_version=0,  # The file format of LMDB 0.9, whatever the environment variable of the library says.
                mode=FILE_MODE,
                **self._options,
            )
            try:
                environment.reader_check()  # What a killed reader held is given back.
                pages = environment.info()["last_pgno"] + 1
                extended(self.path / DATA_FILE, pages * environment.stat()["psize"])
            except BaseException:
                environment.close()
                raise
            return environment

    def _prepared(self, case_sensitive: bool | None) -> Self:
        """Learn what the store is; where it is new (`case_sensitive` given), say so in it. Closed if that fails."""
        try:
            with told_as_store_error(self.path):
                self._prepare(case_sensitive)
        except BaseException:
            self.close()
            raise
        return self

    def _prepare(self, case_sensitive: bool | None) -> None:
        if case_sensitive is not None:
            self._make(case_sensitive)
        (meta,) = self._found(META)
        with self._environment.begin(meta) as transaction:
            found = read_number(transaction.get(FORMAT))
            self.case_sensitive = transaction.get(CASE_SENSITIVE) == b"\1"
        if found > FORMAT_VERSION:  # Said before anything else of an unknown layout is looked at.
            said = f"has format {found}, this program knows formats up to {FORMAT_VERSION}"
            raise StoreTooNew(f"the store in {self.path} {said}: use the newer hnode that wrote it")
        self._databases = dict(zip(DATABASES, self._found(*DATABASES), strict=True))
        self._records = self._databases[HANDLES]
        self._view.prepare(self._databases, case_sensitive=self.case_sensitive)

    def _make(self, case_sensitive: bool) -> None:
        """Where nothing is yet, make all in one transaction: a store is there as a whole, or not at all."""
        with self._environment.begin(write=True) as transaction:
            if transaction.stat()["entries"]:
                return
            made = {name: self._environment.open_db(name, transaction) for name in DATABASES}
            transaction.put(CASE_SENSITIVE, bytes((int(case_sensitive),)), db=made[META])
            transaction.put(FORMAT, number_octets(FORMAT_VERSION), db=made[META])

    def _found(self, *names: bytes) -> list[Any]:
        """Databases that are there; `StoreMissing` where nothing is, `StoreCorrupt` where it is another's."""
        try:
            if self._options["readonly"]:  # Then a database is kept only if it is opened outside of a transaction.
                return [self._environment.open_db(name, create=False) for name in names]
            with self._environment.begin(write=True) as transaction:
                return [self._environment.open_db(name, transaction, create=False) for name in names]
        except lmdb.NotFoundError as error:
            if self._environment.stat()["entries"]:
                said = "was made by another program, or has lost a part. Restore a backup, or choose another folder"
                raise StoreCorrupt(f"what is kept in {self.path} {said}") from error
            raise StoreMissing(f"there is no finished store in {self.path}") from error

    def view(self) -> View:
        """One moment of the store, for reading: `with store.view() as view`. A second one in a thread is refused."""
        return self._view

    def _begin_reading(self) -> Any:
        gate = self._gate
        if not gate.take(False):
            gate.wait()
        gate.inside = threading.get_ident()
        try:
            return self._environment.begin(self._records)
        except BaseException as error:
            self._end_reading(None)
            if isinstance(error, lmdb.Error):
                return self._begun_again(error)
            raise

    def _end_reading(self, error: BaseException | None) -> None:
        self._gate.inside = 0
        self._gate.give()
        if isinstance(error, lmdb.Error):
            raise _store_error(self.path, error) from error

    def _begun_again(self, error: lmdb.Error) -> Any:
        """Further tries after what can be mended, while nobody in this process writes."""
        for _ in range(_MEND_ROUNDS_MAX):
            with self._as_writer(), told_as_store_error(self.path):
                self._mend(error)
            self._gate.wait()
            self._gate.inside = threading.get_ident()
            try:
                return self._environment.begin(self._records)
            except lmdb.Error as again:
                self._end_reading(None)
                error = again
        raise _store_error(self.path, error) from error

    @contextmanager
    def _as_writer(self) -> Generator[None]:
        """Be the one who writes in this process, or changes what writers stand on."""
        thread = threading.get_ident()
        if self._writer == thread:
            raise StoreError(f"{self.path}: this thread is within a change already: a change makes no other")
        with self._writing:
            self._writer = thread
            try:
                yield
            finally:
                self._writer = 0

    def _mend(self, error: lmdb.Error) -> None:
        """Do what lets another try succeed, or raise."""
        if self._is_closed:
            raise StoreError(f"the store in {self.path} has been closed") from error
        if isinstance(error, lmdb.MapResizedError):  # Another process grew the map.
            with self._gate.alone():
                self._resize(0)
        elif isinstance(error, lmdb.MapFullError):
            if not self._environment.reader_check():  # What a killed reader held may be room enough.
                self._grow()
        elif isinstance(error, lmdb.PanicError) or not self._databases:
            with self._gate.alone():
                self._open_anew()
        elif not isinstance(error, lmdb.ReadersFullError) or not self._environment.reader_check():
            raise error

    def _grow(self) -> None:
        """Double the map, up to its greatest size; `StoreFull` where it has that already."""
        with self._gate.alone():
            size = self._environment.info()["map_size"]
            if size >= self._map_size_max:
                raise StoreFull(
                    f"{self.path}: the map has its greatest size, {size >> 10} KiB: this change was not written. "
                    "Raise [store] map_size_max"
                )
            self._resize(min(2 * size, self._map_size_max))

    def _resize(self, size: int) -> None:
        """Move the map, alone in the gate. `StoreFull` where there is no address space for it: it stays as it was."""
        try:
            self._environment.set_mapsize(size)
        except lmdb.Error as error:
            self._open_anew()
            said = "no address space for a larger map: this change was not written. Raise `ulimit -v`"
            raise StoreFull(f"{self.path}: {said}") from error

    def _open_anew(self) -> None:
        """Open the store again, alone in the gate.

        Behind a meta page that the disk did not take the engine refuses all work, reading, too, until this is done.
        """
        self._environment.close()
        self._databases = {}  # Should this fail, the next try begins here.
        self._environment = self._opened()
        try:
            self._prepare(None)
        except BaseException:
            self._environment.close()
            raise

    def _sizes(self) -> Sizes:
        info, page_size = self._environment.info(), self._environment.stat()["psize"]
        with told_as_store_error(self.path):
            file_size = (self.path / DATA_FILE).stat().st_size
        return Sizes(
            map_size=info["map_size"],
            used_size=(info["last_pgno"] + 1) * page_size,
            file_size=file_size,
            readers=info["num_readers"],
            readers_max=info["max_readers"],
        )

    def apply(self, changes: Sequence[Change], *, now_ms: int) -> list[Outcome]:
        """Make the changes in one durable transaction; see `storage.base`.

        Where the map must grow, the whole batch is made again from the start, and `decide` functions are called again.
        """

        def work(transaction: WriteTransaction) -> list[Outcome]:
            outcomes: list[Outcome] = []
            for change in changes:
                try:
                    outcomes.append(transaction.apply(change))
                except HandleError as error:
                    outcomes.append(Outcome(error=error))
            return outcomes

        return self._written(work, now_ms)

    def replace_all(self, puts: Sequence[PutRecord], *, now_ms: int) -> list[Outcome]:
        """As `apply` for puts, made for hundreds of thousands: sorted by key, read and written in bulk."""
        return self._written(lambda transaction: replaced(transaction, puts), now_ms)

    def _written(self, work: Callable[[WriteTransaction], _Result], now_ms: int) -> _Result:
        self._gate.expect_outside()
        with self._as_writer(), told_as_store_error(self.path):
            for _ in range(_MEND_ROUNDS_MAX):
                try:
                    return self._tried(work, now_ms)
                except lmdb.Error as error:
                    self._packing.forget()
                    self._mend(error)
        raise StoreFull(f"{self.path}: the map does not grow any more: this change was not written")

    def _tried(self, work: Callable[[WriteTransaction], _Result], now_ms: int) -> _Result:
        # A reader that was killed in its view would keep all that is freed from here on from being used again.
        self._environment.reader_check()
        transaction = self._environment.begin(write=True)
        try:
            through = WriteTransaction(
                transaction, self._databases, self._packing, case_sensitive=self.case_sensitive, now_ms=now_ms
            )
            result = work(through)
            through.finish()
        except BaseException:
            transaction.abort()
            raise
        transaction.commit()  # Returns when the disk has it; a failure leaves the store as it was.
        return result

    def verify(self) -> list[str]:
        """What is wrong with the store, as sentences; empty where all is well."""
        with self.view() as view:
            return view.problems()

    def close(self) -> None:
        """Give back files and memory."""
        self._is_closed = True
        self._environment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
