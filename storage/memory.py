"""The store as dicts: the model that LMDB must agree with. Nothing of it outlives the process."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from protocol.errors import HandleError
from protocol.identifier import folded, prefix_folded
from storage.base import (
    Action,
    Change,
    CopyRecord,
    HomePrefix,
    JournalRow,
    NoteMirror,
    Outcome,
    PruneJournal,
    PutRecord,
    Record,
    SetMeta,
    StoreFacts,
    UnhomePrefix,
    UpdateRecord,
)
from storage.changes import decided, homed_key, in_key_order
from storage.keys import scan_start, storage_key, writable_key
from storage.mirrors import MIRRORS, noted, prunable
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
        self._number_before = 0  # The last number when the transaction began.

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
        start, fold = scan_start(prefix), prefix_folded if self.case_sensitive else folded
        place = bisect_left(self._keys, start)
        if after is not None:
            place = max(place, bisect_right(self._keys, storage_key(after, case_sensitive=self.case_sensitive)))
        found: list[bytes] = []
        while len(found) < limit and place < len(self._keys) and self._keys[place].startswith(start):
            handle = read_stored(self._keys[place], self._records[self._keys[place]]).handle
            if fold(handle).startswith(prefix):
                found.append(handle)
            place += 1
        return found

    def records(self, *, after: bytes | None = None, limit: int, size_max: int) -> list[Record]:
        """Records in key order behind a handle."""
        place = 0 if after is None else bisect_right(self._keys, storage_key(after, case_sensitive=self.case_sensitive))
        found: list[Record] = []
        size = 0
        while len(found) < limit and place < len(self._keys) and (not found or size < size_max):
            key = self._keys[place]
            found.append(read_stored(key, self._records[key]))
            size += len(self._records[key])
            place += 1
        return found

    def journal(self, *, after: int = 0, limit: int) -> list[JournalRow]:
        """Rows behind a number."""
        start = max(after + 1 - self._journal[0].number, 0) if self._journal else 0
        return self._journal[start : start + max(limit, 0)]

    def last_number(self) -> int:
        """The number of the last change."""
        return self._journal[-1].number if self._journal else 0

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
            last_number=self.last_number(),
            map_size=0,
            used_size=size,
            file_size=0,
        )

    def apply(self, changes: Sequence[Change], *, now_ms: int) -> list[Outcome]:
        """Make the changes, in order; none of them where a `decide` raises what is no refusal."""
        before = self._kept() if any(isinstance(change, UpdateRecord) for change in changes) else None
        try:
            return self._applied(changes, now_ms)
        except BaseException:
            if before is not None:
                self._records, self._keys, self._journal, self._homed, self._meta = before
            raise

    def _kept(self) -> tuple[dict[bytes, bytes], list[bytes], list[JournalRow], frozenset[bytes], dict[bytes, bytes]]:
        return dict(self._records), list(self._keys), list(self._journal), self._homed, dict(self._meta)

    def _applied(self, changes: Sequence[Change], now_ms: int) -> list[Outcome]:
        outcomes: list[Outcome] = []
        self._number_before = self.last_number()
        for change in changes:
            try:
                outcomes.append(self._apply(change, now_ms))
            except HandleError as error:
                outcomes.append(Outcome(error=error))
        return outcomes

    def replace_all(self, puts: Sequence[PutRecord], *, now_ms: int) -> list[Outcome]:
        """As `apply` in the order of keys: there is nothing to gain in memory."""
        outcomes: list[Outcome] = [Outcome()] * len(puts)
        places, again = in_key_order(puts, outcomes, case_sensitive=self.case_sensitive)
        for place in (*places.values(), *again):
            (outcomes[place],) = self.apply([puts[place]], now_ms=now_ms)
        return outcomes

    def _apply(self, change: Change, now_ms: int) -> Outcome:
        if isinstance(change, SetMeta):
            self._meta[change.name] = change.octets
            return Outcome()
        if isinstance(change, HomePrefix | UnhomePrefix):
            return self._home(change, now_ms)
        if isinstance(change, NoteMirror):
            self._meta[MIRRORS] = noted(self._meta.get(MIRRORS), change, now_ms=now_ms)
            return Outcome()
        if isinstance(change, PruneJournal):
            return self._prune(change)
        return self._write(change, now_ms)

    def _home(self, change: HomePrefix | UnhomePrefix, now_ms: int) -> Outcome:
        key = homed_key(change.handle)
        existed = key in self._homed
        if existed == isinstance(change, HomePrefix):
            return Outcome(existed=existed)
        self._homed ^= {key}
        action = Action.HOME if isinstance(change, HomePrefix) else Action.UNHOME
        return Outcome(self._noted(action, key, now_ms, change.who) if change.has_row else 0, existed)

    def _prune(self, change: PruneJournal) -> Outcome:
        through = prunable(
            self._meta.get(MIRRORS), last_number=self._number_before, heard_since_ms=change.heard_since_ms
        )
        going = 0
        for row in self._journal[: max(change.rows_max, 0)]:
            if row.number > through or row.date_ms >= change.before_ms:
                break
            going += 1
        del self._journal[:going]
        return Outcome(existed=going > 0)

    def _write(self, change: PutRecord | UpdateRecord | CopyRecord, now_ms: int) -> Outcome:
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
        number = last.number + 1 if last else 1
        self._journal.append(JournalRow(number, action, handle, max(now_ms, last.date_ms if last else 0), who))
        return number
