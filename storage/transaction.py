"""One write transaction: changes and their journal rows together. Knows no engine, only what a transaction offers."""

from typing import Any, Final

from storage.base import (
    Action,
    Change,
    CopyRecord,
    HomePrefix,
    NoteMirror,
    Outcome,
    PruneJournal,
    PutRecord,
    SetMeta,
    UnhomePrefix,
    UpdateRecord,
)
from storage.changes import decided, homed_key
from storage.journal import groups
from storage.keys import writable_key
from storage.layout import (
    FACT,
    GENERATION,
    HANDLES,
    HOMED,
    JOURNAL,
    LAST_DATE,
    LAST_NUMBER,
    META,
    number_octets,
    read_number,
)
from storage.mirrors import MIRRORS, noted, prunable
from storage.packing import Packing
from storage.pruning import prune
from storage.records import read_stored, stored

MIRRORS_KEY: Final = FACT + MIRRORS


class WriteTransaction:
    """Applies changes through an open transaction of the engine, which is committed or aborted by who opened it.

    Whoever opened it calls `finish` before the commit.
    """

    def __init__(
        self, transaction: Any, databases: dict[bytes, Any], packing: Packing, *, case_sensitive: bool, now_ms: int
    ) -> None:
        self.transaction = transaction
        self.databases = databases
        self.packing = packing
        packing.begin(transaction.stat(databases[HANDLES])["entries"])
        self.case_sensitive = case_sensitive
        meta = databases[META]
        self._last_number = read_number(transaction.get(LAST_NUMBER, db=meta))
        self._now_ms = now_ms
        self._date_ms = max(now_ms, read_number(transaction.get(LAST_DATE, db=meta)))
        self._rows: list[tuple[Action, bytes, str]] = []

    def apply(self, change: Change) -> Outcome:
        """Make one change; a `HandleError` refuses it and leaves the others alone."""
        if isinstance(change, SetMeta):
            self.transaction.put(FACT + change.name, change.octets, db=self.databases[META])
            return Outcome()
        if isinstance(change, HomePrefix | UnhomePrefix):
            return self._home(change)
        if isinstance(change, NoteMirror):
            self._note_mirror(change)
            return Outcome()
        if isinstance(change, PruneJournal):
            return self._prune(change)
        return self._write(change)

    def _home(self, change: HomePrefix | UnhomePrefix) -> Outcome:
        key, homed, meta = homed_key(change.handle), self.databases[HOMED], self.databases[META]
        existed = self.transaction.get(key, db=homed) is not None
        if existed == isinstance(change, HomePrefix):
            return Outcome(existed=existed)
        if existed:
            self.transaction.delete(key, db=homed)
        else:
            self.transaction.put(key, b"", db=homed)
        generation = read_number(self.transaction.get(GENERATION, db=meta)) + 1
        self.transaction.put(GENERATION, number_octets(generation), db=meta)
        action = Action.UNHOME if existed else Action.HOME
        return Outcome(self.note(action, key, change.who) if change.has_row else 0, existed)

    def _note_mirror(self, change: NoteMirror) -> None:
        meta = self.databases[META]
        octets = noted(self.transaction.get(MIRRORS_KEY, db=meta), change, now_ms=self._now_ms)
        self.transaction.put(MIRRORS_KEY, octets, db=meta)

    def _prune(self, change: PruneJournal) -> Outcome:
        mirrors = self.transaction.get(MIRRORS_KEY, db=self.databases[META])
        through = prunable(mirrors, last_number=self._last_number, heard_since_ms=change.heard_since_ms)
        cursor = self.transaction.cursor(self.databases[JOURNAL])
        return Outcome(existed=prune(cursor, through=through, before_ms=change.before_ms, rows_max=change.rows_max))

    def _write(self, change: PutRecord | UpdateRecord | CopyRecord) -> Outcome:
        key, handles = writable_key(change.handle, case_sensitive=self.case_sensitive), self.databases[HANDLES]
        octets = self.transaction.get(key, db=handles)
        kept = None if octets is None else read_stored(key, octets)
        decision = decided(change, kept)
        if decision.action is None:
            return Outcome(existed=kept is not None)
        if decision.record is None:
            self.transaction.delete(key, db=handles)
        else:
            self._put(key, stored(decision.record, key), is_new=kept is None)
        return Outcome(self.note(decision.action, change.handle, change.who), kept is not None)

    def _put(self, key: bytes, octets: bytes, *, is_new: bool) -> None:
        handles = self.databases[HANDLES]
        if is_new:
            self.packing.insert(self.transaction.cursor(handles), [(key, octets)])
        else:
            self.transaction.put(key, octets, db=handles)

    def note(self, action: Action, handle: bytes, who: str) -> int:
        """The number of the journal row that tells of a change."""
        self._rows.append((action, handle, who))
        return self._last_number + len(self._rows)

    def finish(self) -> None:
        """Write what was noted, and its last number and date: they never fall, even when old rows are pruned."""
        if not self._rows:
            return
        made = list(groups(self._last_number + 1, self._rows, date_ms=self._date_ms))
        self.transaction.cursor(self.databases[JOURNAL]).putmulti(made, dupdata=False, append=True)
        meta = self.databases[META]
        self.transaction.put(LAST_NUMBER, number_octets(self._last_number + len(self._rows)), db=meta)
        self.transaction.put(LAST_DATE, number_octets(self._date_ms), db=meta)
