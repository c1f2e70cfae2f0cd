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
from storage.base import (
    Change,
    Outcome,
    PutRecord,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreMissing,
    StoreTooNew,
)
from storage.bulk import replaced
from storage.layout import CASE_SENSITIVE, DATABASES, FORMAT, FORMAT_VERSION, HANDLES, META, number_octets, read_number
from storage.transaction import WriteTransaction
from storage.view import Sizes, View

MAP_SIZE: Final = 1 << 30
MAP_SIZE_MAX: Final = 1 << 40
MAP_SIZE_FLOOR: Final = 1 << 16  # The least that holds empty databases.
READERS_MAX: Final = 126
DATA_FILE: Final = "data.mdb"
FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
_FULL: Final = frozenset((errno.ENOSPC, errno.EFBIG, errno.EDQUOT))
_GROW_ROUNDS_MAX: Final = 48  # Doublings from a page to more than any disk.
_DAMAGED: Final = (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError, lmdb.VersionMismatchError)

_Result = TypeVar("_Result")


@contextmanager
def told_as_store_error(path: Path) -> Generator[None]:
    """Errors of the engine and of the disk become `StoreError`, with a sentence that says what to do."""
    try:
        yield
    except lmdb.Error as error:
        number = next((n for n in _FULL if os.strerror(n) in str(error)), None)
        if number is not None:
            raise StoreFull(f"{path}: {os.strerror(number)}: nothing was written. Make room, then try again") from error
        if os.strerror(errno.EIO) in str(error):  # What the engine says of a write that the disk took in part.
            said = f"{path}: the disk took only a part of a write, it is full or it fails: nothing was written"
            raise StoreFull(f"{said}. Make room, or look at the disk") from error
        if isinstance(error, lmdb.ReadersFullError):
            said = "too many processes read it at a time: stop some, or raise [store] max_readers"
            raise StoreError(f"{path} cannot be read: {said}") from error
        if isinstance(error, _DAMAGED):
            said = (
                f"{path} holds no store of ours, or a damaged one ({error}). Restore a backup, or choose another folder"
            )
            raise StoreCorrupt(said) from error
        raise StoreError(f"{path}: {error}") from error
    except OSError as error:
        if error.errno in _FULL:
            raise StoreFull(f"{path}: {error.strerror}: nothing was written. Make room, then try again") from error
        raise StoreError(f"{path}: {error.strerror}. Choose another [node] data_dir, or mend this one") from error


class LmdbStore:
    """A store in a folder. `view` and `apply` may be used from any thread; a thread has one view open at a time."""

    def __init__(self, path: Path, *, map_size: int, map_size_max: int, max_readers: int, read_only: bool) -> None:
        self.path = path
        self.case_sensitive = False
        self._options: dict[str, Any] = {
            "map_size": max(map_size, MAP_SIZE_FLOOR),
            "max_readers": max_readers,
            "readonly": read_only,
        }
        self._environment = self._opened()
        self._map_size_max = map_size_max
        # The map may move only while this process has no transaction open: readers hold the gate, growth takes it.
        self._gate = threading.Lock()
        self._reader = 0  # The thread that holds the gate for reading.
        self._writing = threading.Lock()
        self._databases: dict[bytes, Any] = {}
        self._records: Any = None
        self._view = View(self._begin_reading, self._end_reading, self._sizes)

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
            path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        store = cls(path, map_size=map_size, map_size_max=map_size_max, max_readers=max_readers, read_only=False)
        return store._prepared(case_sensitive)

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
            (path / DATA_FILE).stat()
        except FileNotFoundError:
            raise StoreMissing(f"there is no store in {path}") from None
        except OSError as error:
            raise StoreError(
                f"{path}: {error.strerror}. A store needs a folder: choose another [node] data_dir"
            ) from error
        store = cls(path, map_size=map_size, map_size_max=map_size_max, max_readers=max_readers, read_only=read_only)
        return store._prepared(None)

    def _prepared(self, case_sensitive: bool | None) -> Self:
        """Learn what the store is; where it is new (`case_sensitive` given), say so in it. Closed if that fails."""
        try:
            with told_as_store_error(self.path):
                try:
                    self._prepare(case_sensitive)
                except lmdb.NotFoundError:
                    raise StoreMissing(f"there is no finished store in {self.path}") from None
        except BaseException:
            self.close()
            raise
        return self

    def _prepare(self, case_sensitive: bool | None) -> None:
        self._expect_known_format()
        make = case_sensitive is not None
        self._databases = {name: self._environment.open_db(name, create=make) for name in DATABASES}
        self._records, meta = self._databases[HANDLES], self._databases[META]
        with self._environment.begin() as transaction:
            is_finished = transaction.get(FORMAT, db=meta) is not None
        if not is_finished:
            if case_sensitive is None:
                raise StoreMissing(f"there is no finished store in {self.path}")
            with self._environment.begin(write=True) as transaction:
                transaction.put(CASE_SENSITIVE, bytes((int(case_sensitive),)), db=meta)
                transaction.put(FORMAT, number_octets(FORMAT_VERSION), db=meta)
        with self._environment.begin() as transaction:
            self.case_sensitive = bool(transaction.get(CASE_SENSITIVE, db=meta)[0])
        self._view.prepare(self._databases, case_sensitive=self.case_sensitive)

    def _opened(self) -> Any:
        with told_as_store_error(self.path):
            return lmdb.open(
                str(self.path),
                max_dbs=len(DATABASES),
                readahead=False,  # Records are small and far apart: what lies beside one is not asked for next.
                lib_version=0,  # The file format of LMDB 0.9, whatever the environment variable of the library says.
                mode=FILE_MODE,
                **self._options,
            )

    def _open_anew(self) -> None:
        """Behind a meta page that the disk did not take the engine refuses all work, reading, too, until it is opened.

        The gate is held: no transaction is open in this process.
        """
        self._environment.close()
        self._environment = self._opened()
        self._prepare(None)

    def _expect_known_format(self) -> None:
        """`StoreTooNew` before any other database of an unknown layout is looked at."""
        try:
            meta = self._environment.open_db(META, create=False)
        except lmdb.NotFoundError:
            return
        with self._environment.begin() as transaction:
            found = read_number(transaction.get(FORMAT, db=meta))
        if found > FORMAT_VERSION:
            raise StoreTooNew(
                f"the store in {self.path} has format {found}, this program knows formats up to {FORMAT_VERSION}: "
                "use the newer hnode that wrote it"
            )

    def view(self) -> View:
        """One moment of the store, for reading: `with store.view() as view`. A second one in a thread is refused."""
        return self._view

    def _begin_reading(self) -> Any:
        thread = threading.get_ident()
        if not self._gate.acquire(blocking=False):
            self._expect_not_reading(thread)
            self._gate.acquire()
        self._reader = thread
        try:
            return self._environment.begin(self._records)
        except lmdb.Error as error:
            try:
                return self._begun_again(error)
            except BaseException:
                self._end_reading()
                raise

    def _begun_again(self, error: lmdb.Error) -> Any:
        """A second try after what can be mended: a map that another process grew, places of dead readers."""
        with told_as_store_error(self.path):
            if isinstance(error, lmdb.MapResizedError):
                self._environment.set_mapsize(0)
            elif isinstance(error, lmdb.ReadersFullError):
                self._environment.reader_check()
            elif isinstance(error, lmdb.PanicError):
                self._open_anew()
            return self._environment.begin(self._records)

    def _end_reading(self) -> None:
        self._reader = 0
        self._gate.release()

    def _expect_not_reading(self, thread: int) -> None:
        """A thread that waited for a gate which it holds would wait for ever: our own mistake is told instead."""
        if self._reader == thread:
            raise StoreError(f"{self.path}: a view is open in this thread: close it first")

    def _sizes(self) -> Sizes:
        info, page_size = self._environment.info(), self._environment.stat()["psize"]
        return Sizes(
            map_size=info["map_size"],
            used_size=(info["last_pgno"] + 1) * page_size,
            file_size=(self.path / DATA_FILE).stat().st_size,
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
                    outcomes.append(transaction.apply(change, now_ms))
                except HandleError as error:
                    outcomes.append(Outcome(error=error))
            return outcomes

        return self._written(work)

    def replace_all(self, puts: Sequence[PutRecord], *, now_ms: int) -> list[Outcome]:
        """As `apply` for puts, made for hundreds of thousands: sorted, read and written in bulk."""
        return self._written(lambda transaction: replaced(transaction, puts, now_ms))

    def _written(self, work: Callable[[WriteTransaction], _Result]) -> _Result:
        self._expect_not_reading(threading.get_ident())
        with self._writing, told_as_store_error(self.path):
            for _ in range(_GROW_ROUNDS_MAX):
                try:
                    return self._tried(work)
                except lmdb.MapFullError:
                    self._grow()
                except lmdb.MapResizedError:
                    with self._gate:
                        self._environment.set_mapsize(0)
                except lmdb.PanicError:
                    with self._gate:
                        self._open_anew()
        raise StoreFull(f"{self.path}: the map does not grow any more: nothing was written")

    def _tried(self, work: Callable[[WriteTransaction], _Result]) -> _Result:
        transaction = self._environment.begin(write=True)
        try:
            result = work(WriteTransaction(transaction, self._databases, case_sensitive=self.case_sensitive))
        except BaseException:
            transaction.abort()
            raise
        transaction.commit()  # Returns when the disk has it; a failure leaves the store as it was.
        return result

    def _grow(self) -> None:
        """Double the map, up to its greatest size; `StoreFull` where it has that already."""
        with self._gate:
            size = self._environment.info()["map_size"]
            if size >= self._map_size_max:
                raise StoreFull(
                    f"{self.path}: the map has its greatest size, {size >> 10} KiB: nothing was written. "
                    "Raise [store] map_size_max"
                )
            self._environment.set_mapsize(min(2 * size, self._map_size_max))

    def verify(self) -> list[str]:
        """What is wrong with the store, as sentences; empty where all is well."""
        with told_as_store_error(self.path), self.view() as view:
            return view.problems()

    def close(self) -> None:
        """Give back files and memory."""
        self._environment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
