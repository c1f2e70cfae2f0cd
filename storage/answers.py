"""Answers of other nodes that all processes of a node share, and that outlive them. An LMDB environment without sync.

It stands behind the tables of the workers: what one worker learnt the others need not ask for, and a node that starts
again goes on with what it knew, also while nobody can be asked. Nothing here must last: after the machine itself went
down, the files may be half written, and are made anew. Knows nothing of what the octets say.

Bounded in octets: behind the bound the answers that were written longest ago go. Those that people ask for are written
again and again, as they are asked for before they expire, so that no read has to write.
"""

import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from struct import Struct
from typing import Any, Final, Self

import lmdb

from storage.base import StoreError

MAP_ROOM: Final = 3
"""Address space for each octet of the bound: pages are half full as a rule, and larger values begin a page."""

MAP_LEAST: Final = 16 << 20
"""Address space that even an empty environment gets: its trees, and two transactions' worth of free pages."""

OCTETS_EACH: Final = 96
"""What an answer takes beside its octets: its name twice, its number twice, and the nodes of two trees."""

ORDERS_MAX: Final = 1_024
"""Orders to forget that wait for workers: a worker that missed more than these forgets everything."""

_READERS_MAX: Final = 256  # A worker each, twice, and commands.
_KEY_SIZE_MAX: Final = 400  # A longer name is its own digest with a head: LMDB takes 511 octets.
_NUMBER: Final = Struct(">Q")
_SIZE: Final = b"size"
_WRITTEN: Final = b"written"
_BOOT: Final = b"boot"
_FORMAT: Final = b"2 "  # Raised whenever what nodes of before wrote must not be read, or not be believed any more.
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_EVERYTHING: Final = b""


@dataclass(frozen=True, slots=True)
class AnswersFacts:
    """Handles that are remembered, and octets: taken by them, and at most."""

    handles: int
    size: int
    size_max: int


class Answers:
    """Names → octets, at most `size_max` octets of them, and the orders to forget that workers follow."""

    def __init__(self, path: Path, size_max: int) -> None:
        self._size_max = size_max
        try:
            self._environment: Any = lmdb.open(
                str(path), max_dbs=4, map_size=MAP_LEAST + MAP_ROOM * size_max, max_readers=_READERS_MAX, sync=False,
                metasync=False, lib_version=0, mode=0o600, readahead=False,
            )  # fmt: skip
            with self._environment.begin(write=True) as transaction:
                self._answers, self._written, self._facts, self._orders = (
                    self._environment.open_db(name, transaction)
                    for name in (b"answers", b"order", b"facts", b"forgotten")
                )
        except lmdb.Error as error:
            raise StoreError(f"{path} cannot be used for remembered answers: {error}") from error

    @classmethod
    def prepare(cls, path: Path, size_max: int, *, boot: bytes | None = None) -> Self:
        """Open what a node of before left, or begin anew: where there is nothing, the machine went down since, or
        they were written in another format.

        `boot` stands for this run of the machine, which the system tells.
        """
        boot = _this_boot() if boot is None else boot
        stamp = _FORMAT + boot
        try:
            path.mkdir(parents=True, mode=0o700, exist_ok=True)
            found = cls(path, size_max)
            if boot and found._fact(_BOOT) == stamp:
                found.put([])
                return found
            found.close()
        except (StoreError, OSError):  # Damaged: it is begun anew all the same.
            pass
        try:
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True, mode=0o700)
        except OSError as error:
            raise StoreError(f"{path} cannot be made: {error.strerror}") from error
        fresh = cls(path, size_max)
        with fresh._changing() as transaction:
            transaction.put(_BOOT, stamp, db=fresh._facts)
        return fresh

    @contextmanager
    def _changing(self) -> Generator[Any]:
        try:
            with self._environment.begin(write=True) as transaction:
                yield transaction
        except lmdb.Error as error:
            raise StoreError(f"answers cannot be remembered: {error}") from error

    def _fact(self, name: bytes) -> bytes | None:
        try:
            with self._environment.begin(self._facts) as transaction:
                found: bytes | None = transaction.get(name)
        except lmdb.Error as error:
            raise StoreError(f"remembered answers cannot be read: {error}") from error
        return found

    def get(self, name: bytes) -> bytes | None:
        """The octets that were written under a name last, or None."""
        try:
            with self._environment.begin(self._answers) as transaction:
                octets: bytes | None = transaction.get(_key(name))
        except lmdb.Error as error:
            raise StoreError(f"remembered answers cannot be read: {error}") from error
        return None if octets is None else octets[_NUMBER.size :]

    def put(self, items: Sequence[tuple[bytes, bytes]]) -> None:
        """Write octets under names, in one transaction, and let go of the oldest behind the bound.

        Where even so there is no room on the disk or in the map, everything is let go of.
        """
        try:
            self._put(items)
        except lmdb.MapFullError:
            self.forget(None)
        except lmdb.Error as error:
            raise StoreError(f"answers cannot be remembered: {error}") from error

    def _put(self, items: Sequence[tuple[bytes, bytes]]) -> None:
        with self._environment.begin(write=True) as transaction:
            number, size = self._number(transaction, _WRITTEN), self._number(transaction, _SIZE)
            for name, octets in items:
                key = _key(name)
                size -= self._drop(transaction, key)
                if len(octets) + len(key) + OCTETS_EACH > self._size_max:
                    continue
                number += 1
                transaction.put(key, _NUMBER.pack(number) + octets, db=self._answers)
                transaction.put(_NUMBER.pack(number), key, db=self._written, append=True)
                size += len(octets) + len(key) + OCTETS_EACH
            size -= self._make_room(transaction, size)
            transaction.put(_WRITTEN, _NUMBER.pack(number), db=self._facts)
            transaction.put(_SIZE, _NUMBER.pack(size), db=self._facts)

    def _make_room(self, transaction: Any, size: int) -> int:
        """Let go of the oldest until all is within the bound; the octets that were freed."""
        freed = 0
        cursor = transaction.cursor(self._written)
        while size - freed > self._size_max and cursor.first():
            freed += self._drop(transaction, cursor.value())
        return freed

    def _drop(self, transaction: Any, key: bytes) -> int:
        octets = transaction.get(key, db=self._answers)
        if octets is None:
            return 0
        transaction.delete(octets[: _NUMBER.size], db=self._written)
        transaction.delete(key, db=self._answers)
        return len(octets) - _NUMBER.size + len(key) + OCTETS_EACH

    def _number(self, transaction: Any, name: bytes) -> int:
        octets = transaction.get(name, db=self._facts)
        return 0 if octets is None else int(_NUMBER.unpack(octets)[0])

    # Orders to forget

    def forget(self, name: bytes | None) -> int:
        """Forget one name, None for all, here and by an order to the workers; how many handles were forgotten here."""
        with self._changing() as transaction:
            count = int(transaction.stat(self._answers)["entries"])
            if name is None:
                transaction.drop(self._answers, delete=False)
                transaction.drop(self._written, delete=False)
                transaction.put(_SIZE, _NUMBER.pack(0), db=self._facts)
            else:
                size = self._number(transaction, _SIZE) - self._drop(transaction, _key(name))
                transaction.put(_SIZE, _NUMBER.pack(size), db=self._facts)
                count -= int(transaction.stat(self._answers)["entries"])
            last = self._last_order(transaction)
            order = _EVERYTHING if name is None else name
            transaction.put(_NUMBER.pack(last + 1), order, db=self._orders, append=True)
            transaction.delete(_NUMBER.pack(max(0, last + 1 - ORDERS_MAX)), db=self._orders)
        return count

    def _last_order(self, transaction: Any) -> int:
        cursor = transaction.cursor(self._orders)
        return int(_NUMBER.unpack(cursor.key())[0]) if cursor.last() else 0

    def last_order(self) -> int:
        """The number of the last order, 0 where there was none."""
        try:
            with self._environment.begin() as transaction:
                return self._last_order(transaction)
        except lmdb.Error as error:
            raise StoreError(f"remembered answers cannot be read: {error}") from error

    def orders(self, after: int) -> tuple[int, list[bytes] | None]:
        """The number of the last order, and the names to forget behind one; None for everything."""
        try:
            with self._environment.begin() as transaction:
                last = self._last_order(transaction)
                if last <= after:
                    return last, []
                names: list[bytes] = [
                    name
                    for number in range(max(after + 1, last - ORDERS_MAX + 1), last + 1)
                    if (name := transaction.get(_NUMBER.pack(number), db=self._orders)) is not None
                ]
        except lmdb.Error as error:
            raise StoreError(f"remembered answers cannot be read: {error}") from error
        is_all = len(names) < last - after or _EVERYTHING in names
        return last, None if is_all else names

    def facts(self) -> AnswersFacts:
        """Counts and sizes."""
        try:
            with self._environment.begin() as transaction:
                handles = int(transaction.stat(self._answers)["entries"])
                return AnswersFacts(handles, self._number(transaction, _SIZE), self._size_max)
        except lmdb.Error as error:
            raise StoreError(f"remembered answers cannot be read: {error}") from error

    def close(self) -> None:
        """Give back files and memory."""
        self._environment.close()


def _key(name: bytes) -> bytes:
    return name if len(name) <= _KEY_SIZE_MAX else name[:_KEY_SIZE_MAX] + sha256(name).digest()


def _this_boot() -> bytes:
    try:
        return _BOOT_ID.read_bytes().strip()
    except OSError:  # A system that does not tell: no answer outlives a node there.
        return b""
