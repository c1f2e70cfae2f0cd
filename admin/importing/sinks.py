"""Where checked rows go: into the store, or only past it."""

import time
from collections.abc import Sequence
from typing import Protocol

from admin.importing.rows import Row, RowError
from admin.importing.summary import Tally
from protocol.errors import HandleError, HandleExists
from protocol.value_list import without_timestamps
from storage.base import HandleStore, HomePrefix, IfExists, Outcome, PutRecord


class BulkStore(HandleStore, Protocol):
    """A store that takes puts by the thousand. `case_sensitive` says whether suffixes differ by ASCII case alone."""

    case_sensitive: bool

    def replace_all(self, puts: Sequence[PutRecord], *, now_ms: int) -> list[Outcome]:
        """As `apply`, for puts alone, made for many."""
        ...


class Sink(Protocol):
    """Takes prefix handles to home and, behind them, batches of rows. `StoreError` where nothing more can be taken."""

    def home(self, handles: Sequence[bytes]) -> None:
        """Home prefixes."""
        ...

    def take(self, rows: Sequence[Row]) -> list[RowError]:
        """Take a batch; give back the rows that are refused."""
        ...


class StoreSink:
    """Writes each batch in one durable transaction."""

    def __init__(self, store: BulkStore, if_exists: IfExists, who: str, tally: Tally) -> None:
        self._store = store
        self._if_exists = if_exists
        self._who = who
        self._tally = tally

    def home(self, handles: Sequence[bytes]) -> None:
        """Home those that are not yet."""
        homed = self._store.apply([HomePrefix(handle, self._who) for handle in handles], now_ms=_now_ms())
        self._tally.homed += sum(bool(outcome.number) for outcome in homed)

    def take(self, rows: Sequence[Row]) -> list[RowError]:
        """Write the batch."""
        puts = [PutRecord(row.handle, row.values, self._if_exists, self._who) for row in rows]
        outcomes = self._store.replace_all(puts, now_ms=_now_ms())
        refused: list[RowError] = []
        created = replaced = same = 0
        for row, outcome in zip(rows, outcomes, strict=True):
            if outcome.error is not None:
                refused.append(_refused(row, outcome.error))
            elif not outcome.existed:
                created += 1
            elif outcome.number:
                replaced += 1
            else:
                same += 1
        self._tally.created += created
        self._tally.replaced += replaced
        _count_same(self._tally, same, self._if_exists)
        return refused


class DrySink:
    """Looks at the store and says what writing would come to. Writes nothing."""

    def __init__(self, store: BulkStore, if_exists: IfExists, tally: Tally) -> None:
        self._store = store
        self._if_exists = if_exists
        self._tally = tally

    def home(self, handles: Sequence[bytes]) -> None:
        """Count them."""
        self._tally.homed += len(handles)

    def take(self, rows: Sequence[Row]) -> list[RowError]:
        """Compare the batch with what stands."""
        refused: list[RowError] = []
        with self._store.view() as view:
            for row in rows:
                standing = view.get(row.handle)
                if standing is None:
                    self._tally.created += 1
                elif self._if_exists is IfExists.FAIL:
                    refused.append(_refused(row, HandleExists()))
                elif self._if_exists is IfExists.KEEP or _are_equal(standing.values, row.values):
                    _count_same(self._tally, 1, self._if_exists)
                else:
                    self._tally.replaced += 1
        return refused


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _count_same(tally: Tally, count: int, if_exists: IfExists) -> None:
    if if_exists is IfExists.KEEP:
        tally.kept += count
    else:
        tally.unchanged += count


def _are_equal(standing: bytes, values: bytes) -> bool:
    return standing == values or without_timestamps(standing) == without_timestamps(values)


def _refused(row: Row, error: HandleError) -> RowError:
    reason = "the handle exists already" if isinstance(error, HandleExists) else str(error)
    return RowError(row.line, "handle", row.handle.decode(), reason)
