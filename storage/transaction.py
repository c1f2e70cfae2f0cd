"""One write transaction: changes and their journal rows together. Knows no engine, only what a transaction offers."""

from typing import Any

from storage.base import (
    Action,
    Change,
    HomePrefix,
    Outcome,
    PutRecord,
    SetMeta,
    UnhomePrefix,
    UpdateRecord,
)
from storage.changes import decided, homed_key
from storage.journal import row_key, row_octets
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
from storage.records import read_stored, stored


class WriteTransaction:
    """Applies changes through an open transaction of the engine, which is committed or aborted by who opened it."""

    def __init__(self, transaction: Any, databases: dict[bytes, Any], *, case_sensitive: bool) -> None:
        self.transaction = transaction
        self.databases = databases
        self.case_sensitive = case_sensitive
        meta = databases[META]
        self.last_number = read_number(transaction.get(LAST_NUMBER, db=meta))
        self.last_date_ms = read_number(transaction.get(LAST_DATE, db=meta))

    def apply(self, change: Change, now_ms: int) -> Outcome:
        """Make one change; a `HandleError` refuses it and leaves the others alone."""
        if isinstance(change, SetMeta):
            self.transaction.put(FACT + change.name, change.octets, db=self.databases[META])
            return Outcome()
        if isinstance(change, HomePrefix | UnhomePrefix):
            return self._home(change, now_ms)
        return self._write(change, now_ms)

    def _home(self, change: HomePrefix | UnhomePrefix, now_ms: int) -> Outcome:
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
        return Outcome(self._noted(action, key, now_ms, change.who), existed)

    def _write(self, change: PutRecord | UpdateRecord, now_ms: int) -> Outcome:
        key, handles = writable_key(change.handle, case_sensitive=self.case_sensitive), self.databases[HANDLES]
        octets = self.transaction.get(key, db=handles)
        kept = None if octets is None else read_stored(key, octets)
        decision = decided(change, kept)
        if decision.action is None:
            return Outcome(existed=kept is not None)
        if decision.record is None:
            self.transaction.delete(key, db=handles)
        else:
            self.transaction.put(key, stored(decision.record, key), db=handles)
        return Outcome(self._noted(decision.action, change.handle, now_ms, change.who), kept is not None)

    def _noted(self, action: Action, handle: bytes, now_ms: int, who: str) -> int:
        """Write the journal row of a change, and its number and date as the last."""
        number = self.last_number + 1
        date_ms = max(now_ms, self.last_date_ms)
        row = row_octets(action, handle, date_ms, who)
        self.transaction.put(row_key(number), row, db=self.databases[JOURNAL], append=True)
        self.note_last(number, date_ms)
        return number

    def note_last(self, number: int, date_ms: int) -> None:
        """Remember the last number and date: they never fall, even when old rows are pruned."""
        self.last_number, self.last_date_ms = number, date_ms
        meta = self.databases[META]
        self.transaction.put(LAST_NUMBER, number_octets(number), db=meta)
        self.transaction.put(LAST_DATE, number_octets(date_ms), db=meta)
