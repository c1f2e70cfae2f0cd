"""The store as dicts: the model that LMDB must agree with. Nothing of it outlives the process."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from protocol.errors import HandleError
from storage.base import (
    Action,
    Change,
    HomePrefix,
    JournalRow,
    Outcome,
    PutRecord,
    Record,
    SetMeta,
    StoreFacts,
    UnhomePrefix,
    UpdateRecord,
)
from storage.changes import decided, homed_key
from storage.keys import scan_start, storage_key, writable_key
from storage.records import read_stored, stored


class MemoryStore:
    """Records by key, the journal as a list. One thread at a time."""

    def __init__(self, *, case_sensitive: bool = False) -> None:
        self.case_sensitive = case_sensitive
        self._records: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []
        self._journal: list[JournalRow] = []
        self._homed: frozenset[bytes] = frozenset()
        self._meta: dict[bytes, bytes] = {}

    @contextmanager
    def view(self) -> Iterator["MemoryStore"]:
        """The store itself: nobody changes it meanwhile."""
        yield self

    def close(self) -> None:
        """Nothing to give back."""

    def get(self, handle: bytes) -> Record | None:
        """The record, or None."""
        key = storage_key(handle, case_sensitive=self.case_sensitive)
        octets = self._records.get(key)
        return None if octets is None else read_stored(key, octets)

    def stored(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Stored octets by key; missing ones are left out."""
        return {key: self._records[key] for key in keys if key in self._records}

    def lookup(self) -> Callable[[bytes], bytes | None]:
        """Stored octets by key, or None."""
        return self._records.get

    def homed(self) -> frozenset[bytes]:
        """The homed prefix handles."""
        return self._homed

    def handles(self, prefix: bytes, *, after: bytes | None = None, limit: int) -> list[bytes]:
        """Handles under a folded prefix, in key order, behind `after`."""
        start = bisect_left(self._keys, scan_start(prefix))
        if after is not None:
            start = max(start, bisect_right(self._keys, storage_key(after, case_sensitive=self.case_sensitive)))
        found: list[bytes] = []
        for key in self._keys[start:]:
            if not key.startswith(scan_start(prefix)) or len(found) >= limit:
                break
            handle = read_stored(key, self._records[key]).handle
            if handle.upper().startswith(prefix) if not self.case_sensitive else handle_begins(handle, prefix):
                found.append(handle)
        return found

    def journal(self, *, after: int = 0, limit: int) -> list[JournalRow]:
        """Rows behind a number."""
        return self._journal[after : after + limit]

    def adopt_journal(self, rows: Sequence[JournalRow]) -> None:
        """Take the order of another store's journal for ours: a bulk of puts numbers them in an order of its own."""
        if sorted(map(_told, rows)) != sorted(map(_told, self._journal)):
            raise ValueError("the journals tell of different changes")
        self._journal = list(rows)

    def meta(self, name: bytes) -> bytes | None:
        """A named fact."""
        return self._meta.get(name)

    def facts(self) -> StoreFacts:
        """Counts; sizes are those of the octets held."""
        size = sum(len(key) + len(octets) for key, octets in self._records.items())
        rows = len(self._journal)
        return StoreFacts(
            records=len(self._records),
            journal_rows=rows,
            homed=len(self._homed),
            last_number=rows,
            map_size=0,
            used_size=size,
            file_size=0,
        )

    def apply(self, changes: Sequence[Change], *, now_ms: int) -> list[Outcome]:
        """Make the changes, in order."""
        outcomes: list[Outcome] = []
        for change in changes:
            try:
                outcomes.append(self._apply(change, now_ms))
            except HandleError as error:
                outcomes.append(Outcome(error=error))
        return outcomes

    def replace_all(self, puts: Sequence[PutRecord], *, now_ms: int) -> list[Outcome]:
        """As `apply`: there is nothing to gain in memory."""
        return self.apply(puts, now_ms=now_ms)

    def _apply(self, change: Change, now_ms: int) -> Outcome:
        if isinstance(change, SetMeta):
            self._meta[change.name] = change.octets
            return Outcome()
        if isinstance(change, HomePrefix | UnhomePrefix):
            return self._home(change, now_ms)
        return self._write(change, now_ms)

    def _home(self, change: HomePrefix | UnhomePrefix, now_ms: int) -> Outcome:
        key = homed_key(change.handle)
        existed = key in self._homed
        if existed == isinstance(change, HomePrefix):
            return Outcome(existed=existed)
        self._homed ^= {key}
        action = Action.HOME if isinstance(change, HomePrefix) else Action.UNHOME
        return Outcome(self._noted(action, key, now_ms, change.who), existed)

    def _write(self, change: PutRecord | UpdateRecord, now_ms: int) -> Outcome:
        key = writable_key(change.handle, case_sensitive=self.case_sensitive)
        octets = self._records.get(key)
        kept = None if octets is None else read_stored(key, octets)
        decision = decided(change, kept)
        if decision.action is None:
            return Outcome(existed=kept is not None)
        if decision.record is None:
            del self._records[key]
            self._keys.remove(key)
        else:
            self._records[key] = stored(decision.record, key)
            if kept is None:
                insort(self._keys, key)
        return Outcome(self._noted(decision.action, change.handle, now_ms, change.who), kept is not None)

    def _noted(self, action: Action, handle: bytes, now_ms: int, who: str) -> int:
        last = self._journal[-1] if self._journal else None
        number = len(self._journal) + 1
        self._journal.append(JournalRow(number, action, handle, max(now_ms, last.date_ms if last else 0), who))
        return number


def handle_begins(handle: bytes, prefix: bytes) -> bool:
    """Whether a handle begins so where suffixes are told apart by case."""
    from protocol.identifier import prefix_folded

    return prefix_folded(handle).startswith(prefix)


def _told(row: JournalRow) -> tuple[int, bytes, int, str]:
    return row.action.value, row.handle, row.date_ms, row.who
