"""Where checked rows go: into the store, or only past it. And what finds a handle that stands twice in a file."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from admin.importing.rows import Row, RowError
from admin.importing.summary import Tally
from protocol.errors import HandleError, HandleExists
from protocol.value_list import without_timestamps
from storage.base import HandleStore, HomePrefix, IfExists, Outcome, PutRecord
from storage.keys import storage_key
from storage.lmdb_store import ScratchKeys


class BulkStore(HandleStore, Protocol):
    """A store that takes puts by the thousand. `case_sensitive` says whether suffixes differ by ASCII case alone."""

    case_sensitive: bool

    def replace_all(self, puts: Sequence[PutRecord], *, now_ms: int) -> list[Outcome]:
        """As `apply`, for puts alone, made for many."""
        ...


class Sink(Protocol):
    """Takes the rows of a batch, and the prefix handles to home before them; gives back those that it refuses."""

    def take(self, rows: Sequence[Row], homes: Sequence[bytes]) -> list[RowError]:
        """One batch. `StoreError` where nothing more can be taken."""
        ...


class StoreSink:
    """Writes each batch in one durable transaction (and a home in one before it)."""

    def __init__(self, store: BulkStore, if_exists: IfExists, who: str, tally: Tally) -> None:
        self._store = store
        self._if_exists = if_exists
        self._who = who
        self._tally = tally

    def take(self, rows: Sequence[Row], homes: Sequence[bytes]) -> list[RowError]:
        """Write the batch."""
        now_ms = time.time_ns() // 1_000_000
        if homes:
            homed = self._store.apply([HomePrefix(handle, self._who) for handle in homes], now_ms=now_ms)
            self._tally.homed += sum(bool(outcome.number) for outcome in homed)
        puts = [PutRecord(row.handle, row.values, self._if_exists, self._who) for row in rows]
        outcomes = self._store.replace_all(puts, now_ms=now_ms) if puts else []
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

    def take(self, rows: Sequence[Row], homes: Sequence[bytes]) -> list[RowError]:
        """Compare the batch with what stands."""
        self._tally.homed += len(homes)
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


class Repeats:
    """Remembers the handles of one reading of a file, on disk: finds the second of two, with flat memory."""

    def __init__(self, *, case_sensitive: bool) -> None:
        self._case_sensitive = case_sensitive
        self._folder = tempfile.TemporaryDirectory(prefix="hnode-import-", ignore_cleanup_errors=True)
        try:
            self._keys = ScratchKeys(Path(self._folder.name) / "keys")
        except BaseException:
            self._folder.cleanup()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._keys.__exit__(kind, error, trace)
        self._folder.cleanup()

    def sifted(self, rows: list[Row]) -> tuple[list[Row], list[RowError]]:
        """The rows whose handle is new, and an error for each other one that names the line where it stood first."""
        keys = [storage_key(row.handle, case_sensitive=self._case_sensitive) for row in rows]
        lines = [row.line for row in rows]
        first_lines = self._keys.add_all(list(zip(keys, lines, strict=True)))
        if not first_lines:
            return rows, []
        kept: list[Row] = []
        repeated: list[RowError] = []
        for key, row in zip(keys, rows, strict=True):
            first = first_lines.get(key, row.line)
            if first == row.line:
                kept.append(row)
            else:
                reason = f"the same handle stands in line {first}"
                repeated.append(RowError(row.line, "handle", row.handle.decode(), reason))
        return kept, repeated
