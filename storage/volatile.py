"""What every worker must see and no restart needs: challenges, sessions, who failed. An LMDB environment without sync.

A note is octets under a number that is hard to guess, with an end. Notes of one kind are bounded in number and octets,
in all and a source; behind the bounds of all the oldest go. Each call is one transaction: of two workers
that take a note at the same moment, one gets it. Knows nothing of what the octets say.
"""

import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from struct import Struct
from typing import Any, Final, Self

import lmdb

from storage.base import StoreError

ID_MAX: Final = 0x7FFFFFFF  # Deployed clients read the number as a signed one.
MAP_SIZE: Final = 1 << 30
"""Address space: three times what the bounds of all kinds allow, since long notes take whole pages that lie together.

The file is sparse, and gone at the next start.
"""

_READERS_MAX: Final = 256  # A worker each, twice.
_TRIES: Final = 64  # For a free number: with a million taken, one try of two thousand meets one.
_KINDS_MAX: Final = 8  # Kinds of notes, which share their numbers.
_SWEEP: Final = 16  # Ended notes that one new note takes away: more than come.
_KEY: Final = Struct(">BQI")  # kind, end in ms, number
_NOTE: Final = Struct(">BQB")  # kind, end in ms, size of the source
_NUMBER: Final = Struct(">BI")  # kind, number
_TALLY: Final = Struct(">IQ")  # notes, octets
_FAILURES: Final = Struct(">IQ")  # failures, when in ms

_NOTES: Final = b"notes"
_ENDS: Final = b"ends"
_TALLIES: Final = b"tallies"
_FAILED: Final = b"failed"
_SOURCE_SIZE_MAX: Final = 64  # An IPv6 network as text is shorter.


class TooMany(StoreError):
    """A source has as many notes of a kind as it may have."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of notes and its bounds. `number` tells kinds apart, 1 to 8."""

    number: int
    notes_max: int
    notes_a_source_max: int
    octets_max: int
    octets_a_source_max: int


FAILED_MAX: Final = 65_536
"""Sources whose failures are remembered; behind it, those that failed longest ago are forgotten."""


class Volatile:
    """The notes of one node, seen by all its processes. Times are milliseconds of one clock of the machine."""

    def __init__(self, path: Path) -> None:
        try:
            self._environment: Any = lmdb.open(
                str(path), max_dbs=4, map_size=MAP_SIZE, max_readers=_READERS_MAX, sync=False, metasync=False,
                lib_version=0, mode=0o600, readahead=False,
            )  # fmt: skip
            with self._environment.begin(write=True) as transaction:
                self._notes, self._ends, self._tallies, self._failed = (
                    self._environment.open_db(name, transaction) for name in (_NOTES, _ENDS, _TALLIES, _FAILED)
                )
        except lmdb.Error as error:
            raise StoreError(f"{path} cannot be used for challenges and sessions: {error}") from error

    @classmethod
    def create(cls, path: Path) -> Self:
        """Begin anew in a folder: what a node of before left there is gone."""
        try:
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True, mode=0o700)
        except OSError as error:
            raise StoreError(f"{path} cannot be made: {error.strerror}") from error
        return cls(path)

    def _changing(self) -> "_Changing":
        return _Changing(self._environment)

    def add(
        self, kind: Kind, source: str, octets: bytes, *, now_ms: int, end_ms: int, number: int | None = None
    ) -> int:
        """Keep octets under a number, which is given, 1 to `ID_MAX`; `TooMany` where the source has its share already.

        Without a wish the number is a new one, that no note of any kind has; a wished one may stand: it is replaced.
        """
        who = source.encode()[:_SOURCE_SIZE_MAX] or b"-"  # No source is the name of all together.
        with self._changing() as transaction:
            self._sweep(transaction, now_ms)
            if number is not None:
                standing = transaction.get(_NUMBER.pack(kind.number, number), db=self._notes)
                if standing is not None:
                    self._drop(transaction, number, standing)
            notes, size = self._tally(transaction, kind.number, who)
            if notes >= kind.notes_a_source_max or size + len(octets) > kind.octets_a_source_max:
                raise TooMany(f"{source} has {notes} notes of {size} octets")
            while self._is_full(transaction, kind, len(octets)) and self._drop_oldest(transaction, kind.number):
                pass
            if number is None:
                number = self._free_number(transaction)
            self._put(transaction, number, kind.number, who, octets, end_ms)
            self._count(transaction, kind.number, who, 1, len(octets))
        return number

    def get(self, kind: Kind, number: int, *, now_ms: int) -> bytes | None:
        """The octets under a number, or None where there is no such note, or its end has come."""
        try:
            with self._environment.begin(self._notes) as transaction:
                found = self._read(transaction.get(_NUMBER.pack(kind.number, number)), kind, now_ms)
        except lmdb.Error as error:
            raise StoreError(f"challenges and sessions cannot be read: {error}") from error
        return None if found is None else found[1]

    def take(self, kind: Kind, number: int, *, now_ms: int) -> bytes | None:
        """As `get`, and the note is gone: nobody gets it a second time."""
        with self._changing() as transaction:
            octets = transaction.get(_NUMBER.pack(kind.number, number), db=self._notes)
            found = self._read(octets, kind, now_ms)
            if found is None:
                return None
            self._drop(transaction, number, octets)
        return found[1]

    def change(
        self, kind: Kind, number: int, decide: Callable[[bytes], tuple[bytes, int] | None], *, now_ms: int
    ) -> bool:
        """Replace the octets and the end of a note by what `decide` makes of its octets, None to drop it.

        Whether there was such a note. What `decide` raises leaves all as it was.
        """
        with self._changing() as transaction:
            octets = transaction.get(_NUMBER.pack(kind.number, number), db=self._notes)
            found = self._read(octets, kind, now_ms)
            if found is None:
                return False
            decided = decide(found[1])
            if decided is None:
                self._drop(transaction, number, octets)
                return True
            source, (kept, end_ms) = found[0], decided
            _, old_end_ms, _ = _NOTE.unpack_from(octets)
            if old_end_ms != end_ms:
                transaction.delete(_KEY.pack(kind.number, old_end_ms, number), db=self._ends)
            self._put(transaction, number, kind.number, source, kept, end_ms, is_end_new=old_end_ms != end_ms)
            if len(kept) != len(found[1]):
                self._count(transaction, kind.number, source, 0, len(kept) - len(found[1]))
        return True

    def count(self, kind: Kind, source: str = "") -> int:
        """Notes of a kind, in all or of one source."""
        with self._environment.begin() as transaction:
            return self._tally(transaction, kind.number, source.encode()[:_SOURCE_SIZE_MAX])[0]

    # Failures

    def failures(self, who: str, *, now_ms: int, half_life_ms: int) -> int:
        """How often somebody failed, halved each half-life since the last time."""
        with self._environment.begin(self._failed) as transaction:
            return _faded(transaction.get(_failed_key(who)), now_ms, half_life_ms)

    def failed(self, who: str, *, now_ms: int, half_life_ms: int) -> int:
        """Count a failure; how many that makes."""
        key = _failed_key(who)
        with self._changing() as transaction:
            count = _faded(transaction.get(key, db=self._failed), now_ms, half_life_ms) + 1
            if count == 1 and transaction.stat(self._failed)["entries"] >= FAILED_MAX:
                cursor = transaction.cursor(self._failed)
                cursor.first()
                cursor.delete()  # Keys are digests: it hits anybody, and nobody can choose whom.
            transaction.put(key, _FAILURES.pack(count, now_ms), db=self._failed)
        return count

    # Within a transaction

    def _read(self, octets: bytes | None, kind: Kind, now_ms: int) -> tuple[bytes, bytes] | None:
        if octets is None:
            return None
        number, end_ms, source_size = _NOTE.unpack_from(octets)
        if number != kind.number or end_ms <= now_ms:
            return None
        start = _NOTE.size + source_size
        return octets[_NOTE.size : start], octets[start:]

    def _put(
        self, transaction: Any, number: int, kind: int, source: bytes, octets: bytes, end_ms: int,
        *, is_end_new: bool = True,
    ) -> None:  # fmt: skip
        note = _NOTE.pack(kind, end_ms, len(source)) + source + octets
        transaction.put(_NUMBER.pack(kind, number), note, db=self._notes)
        if is_end_new:
            transaction.put(_KEY.pack(kind, end_ms, number), b"", db=self._ends)

    def _drop(self, transaction: Any, number: int, octets: bytes) -> None:
        kind, end_ms, source_size = _NOTE.unpack_from(octets)
        start = _NOTE.size + source_size
        transaction.delete(_NUMBER.pack(kind, number), db=self._notes)
        transaction.delete(_KEY.pack(kind, end_ms, number), db=self._ends)
        self._count(transaction, kind, octets[_NOTE.size : start], -1, start - len(octets))

    def _is_full(self, transaction: Any, kind: Kind, more: int) -> bool:
        """Whether a note of so many octets more passes the bounds of all sources together."""
        notes, size = self._tally(transaction, kind.number, b"")
        return notes >= kind.notes_max or size + more > kind.octets_max

    def _drop_oldest(self, transaction: Any, kind: int) -> bool:
        """Take away the note of a kind that ends first; whether there was one."""
        cursor = transaction.cursor(self._ends)
        if not cursor.set_range(_KEY.pack(kind, 0, 0)):
            return False
        found, _, number = _KEY.unpack(cursor.key())
        if found == kind:
            self._drop(transaction, number, transaction.get(_NUMBER.pack(kind, number), db=self._notes))
        return bool(found == kind)

    def _sweep(self, transaction: Any, now_ms: int) -> None:
        """Take away some notes, of each kind, whose end has come."""
        cursor = transaction.cursor(self._ends)
        ended: list[tuple[int, int]] = []
        kind = 0
        while len(ended) < _SWEEP and cursor.set_range(_KEY.pack(kind, 0, 0)):
            kind, end_ms, number = _KEY.unpack(cursor.key())
            while len(ended) < _SWEEP and end_ms <= now_ms:
                ended.append((kind, number))
                if not cursor.next():
                    break
                found, end_ms, number = _KEY.unpack(cursor.key())
                if found != kind:
                    break
            kind += 1
        for kind, number in ended:
            self._drop(transaction, number, transaction.get(_NUMBER.pack(kind, number), db=self._notes))

    def _free_number(self, transaction: Any) -> int:
        for _ in range(_TRIES):
            number = secrets.randbits(31)
            keys = [_NUMBER.pack(kind, number) for kind in range(1, _KINDS_MAX + 1)]
            if number and all(transaction.get(key, db=self._notes) is None for key in keys):
                return number
        raise StoreError("no free number was found for a challenge or session")

    def _tally(self, transaction: Any, kind: int, source: bytes) -> tuple[int, int]:
        octets = transaction.get(bytes((kind,)) + source, db=self._tallies)
        if octets is None:
            return 0, 0
        notes, size = _TALLY.unpack(octets)
        return notes, size

    def _count(self, transaction: Any, kind: int, source: bytes, notes: int, octets: int) -> None:
        for name in (source, b""):
            count, size = self._tally(transaction, kind, name)
            key = bytes((kind,)) + name
            if count + notes:
                transaction.put(key, _TALLY.pack(count + notes, size + octets), db=self._tallies)
            else:
                transaction.delete(key, db=self._tallies)

    def close(self) -> None:
        """Give back files and memory."""
        self._environment.close()


class _Changing:
    """A transaction of one call; in a class of its own, as a generator would cost more than what is done in it."""

    __slots__ = ("_environment", "_transaction")

    def __init__(self, environment: Any) -> None:
        self._environment = environment

    def __enter__(self) -> Any:
        try:
            self._transaction = self._environment.begin(write=True)
        except lmdb.Error as error:
            raise _not_kept(error) from error
        return self._transaction

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                self._transaction.commit()
            else:
                self._transaction.abort()
        except lmdb.Error as failure:
            raise _not_kept(failure) from failure
        if isinstance(error, lmdb.Error):
            raise _not_kept(error) from error


def _not_kept(error: Exception) -> StoreError:
    return StoreError(f"challenges and sessions cannot be kept: {error}")


def _failed_key(who: str) -> bytes:
    return sha256(who.encode(errors="surrogateescape")).digest()


def _faded(octets: bytes | None, now_ms: int, half_life_ms: int) -> int:
    if octets is None:
        return 0
    count, when_ms = _FAILURES.unpack(octets)
    halvings = max(0, now_ms - when_ms) // half_life_ms
    found: int = count >> min(halvings, 32)
    return found
