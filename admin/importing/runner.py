"""Rows of a file into a store, in batches, each one durable transaction. Prints nothing.

The whole file is read, checked and sorted by storage key before the first row is written. With `stop` all sorted rows
are held against the store, too, and the first broken one ends the run with nothing written. With `skip` broken rows are
reported and the good ones written.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from admin.importing.homing import Homing
from admin.importing.progress import Progress, Report, silent
from admin.importing.rows import Row, RowError, RowFault, RowLimits, refused
from admin.importing.runs import Entry
from admin.importing.sinks import BulkStore, DrySink, Sink, StoreSink
from admin.importing.sorting import SortedRows
from admin.importing.source import AUTO, Source
from admin.importing.summary import ERRORS_SHOWN_MAX, Summary, Tally
from storage.base import IfExists, StoreError

BATCH_ROWS: Final = 5_000  # Rows of a transaction: its sync costs about as much as writing a few hundred of them.
BATCH_OCTETS: Final = 8 * 1024 * 1024  # Where rows are large, a transaction holds fewer of them.

SKIP: Final = "skip"
STOP: Final = "stop"

READ: Final = "read"
CHECK: Final = "check"
IMPORT: Final = "import"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """How a file is imported. `who` stands in the journal rows; `template` is a template file."""

    file_format: str = AUTO
    dry_run: bool = False
    on_error: str = SKIP
    home_prefixes: bool = False
    if_exists: IfExists = IfExists.REPLACE
    template: Path | None = None
    limits: RowLimits = field(default_factory=RowLimits)
    who: str = "import"
    batch_rows: int = BATCH_ROWS


def ignored(_: RowError) -> None:
    """Hears of broken rows and does nothing."""


def never() -> bool:
    """Whether to end early: no."""
    return False


@dataclass(frozen=True, slots=True)
class _Hearers:
    report: Report
    on_row_error: Callable[[RowError], None]
    is_stopped: Callable[[], bool]


def import_file(
    store: BulkStore,
    path: Path,
    options: ImportOptions,
    *,
    homed: frozenset[bytes] | None = None,
    report: Report = silent,
    on_row_error: Callable[[RowError], None] = ignored,
    is_stopped: Callable[[], bool] = never,
) -> Summary:
    """Import a file; `FileRefused` where nothing of it can be taken, else what came of its rows.

    `homed` are the folded prefix handles served here (default: those of the store). `report` hears of each batch,
    `on_row_error` of each broken row: first of those that are broken by themselves, in the order of their lines, then
    of equal handles and what the store refuses, batch by batch. `is_stopped` is asked after each batch: when it says
    yes, the run ends and keeps what it wrote, which is nothing while it reads. A refusal of the store ends the run, too
    (`Summary.fault`): what is counted was written before.
    """
    started = time.monotonic()
    source = Source.of(
        path,
        file_format=options.file_format,
        template=options.template,
        limits=options.limits,
        timestamp=int(time.time()),
    )
    if homed is None:
        with store.view() as view:
            homed = view.homed()
    hearers = _Hearers(report, on_row_error, is_stopped)
    run = _Import(source, options, Homing(homed, home_prefixes=options.home_prefixes), hearers)
    run.run(store)
    return run.summary(time.monotonic() - started)


class _Import:
    """One run: the file's rows are read and sorted, then looked at or written in the order of their keys."""

    def __init__(self, source: Source, options: ImportOptions, homing: Homing, hearers: _Hearers) -> None:
        self._source = source
        self._options = options
        self._homing = homing
        self._hearers = hearers
        self._tally = Tally()
        self._phase = READ
        self._phase_started = 0.0
        self._errors: list[RowError] = []
        self._stopped = False
        self._interrupted = False
        self._fault = ""

    def run(self, store: BulkStore) -> None:
        """All phases, up to what ends the run early."""
        options = self._options
        try:
            with SortedRows(case_sensitive=store.case_sensitive) as ordered:
                self._read(ordered)
                if (options.dry_run or options.on_error == STOP) and not self._has_ended:
                    self._give(ordered, CHECK, DrySink(store, options.if_exists, self._tally))
                    if options.dry_run or self._has_ended:
                        return
                    self._forget_counts()
                if not self._has_ended:
                    self._give(ordered, IMPORT, StoreSink(store, options.if_exists, options.who, self._tally))
        except StoreError as error:
            self._fault = str(error)

    @property
    def _has_ended(self) -> bool:
        return self._stopped or self._interrupted

    def _forget_counts(self) -> None:
        self._tally = Tally(rows=self._tally.rows, failed=self._tally.failed)

    def _read(self, ordered: SortedRows) -> None:
        """Read and check the file to its end, or to what ends the run early."""
        self._begin(READ)
        with self._source.open() as file:
            for rows, errors in self._read_batches(file):
                self._tally.rows += len(rows) + len(errors)
                self._refuse(errors)
                ordered.add(rows)
                self._tell(self._tally.rows, file.tell(), self._source.size)
                if self._has_ended:
                    return
        for _ in ordered.finished():
            self._ask()
            if self._has_ended:
                return

    def _read_batches(self, file: BinaryIO) -> Iterator[tuple[list[Row], list[RowError]]]:
        rows: list[Row] = []
        errors: list[RowError] = []
        octets = 0
        admit, count_max = self._homing.admit, self._options.batch_rows
        for row in self._source.rows(file):
            if type(row) is Row:
                try:
                    admit(row.handle)
                    rows.append(row)
                    octets += len(row.values)
                except RowFault as fault:
                    errors.append(refused(row.line, fault, row.handle.decode()))
            else:
                errors.append(RowError(*row))
            if len(rows) + len(errors) >= count_max or octets >= BATCH_OCTETS:
                yield rows, errors
                rows, errors, octets = [], [], 0
        yield rows, errors

    def _give(self, ordered: SortedRows, phase: str, sink: Sink) -> None:
        """Give all sorted rows to a sink, or those before what ends the run early."""
        self._begin(phase)
        homes, size = self._homing.new, self._options.batch_rows
        for start in range(0, len(homes), size):
            sink.home(homes[start : start + size])
        done = 0
        for rows, errors in _distinct(ordered.pieces(), size):
            if not (errors and self._options.on_error == STOP):
                errors += sink.take(rows)
            done += len(rows) + len(errors)
            self._refuse(errors)
            self._tell(done, done, ordered.count)
            if self._has_ended:
                return

    def _begin(self, phase: str) -> None:
        self._phase, self._phase_started = phase, time.monotonic()

    def _refuse(self, errors: list[RowError]) -> None:
        """Tell of rows that are not taken; with `stop` the first ends the run, and nothing is said of others."""
        if not errors:
            return
        errors.sort()
        if self._options.on_error == STOP:
            self._stopped = True
            del errors[1:]
        self._tally.failed += len(errors)
        self._errors = sorted(self._errors + errors)[:ERRORS_SHOWN_MAX]
        for error in errors:
            self._hearers.on_row_error(error)

    def _tell(self, rows: int, done: int, total: int) -> None:
        self._hearers.report(
            Progress(
                phase=self._phase,
                rows=rows,
                failed=self._tally.failed,
                done=done,
                total=total,
                seconds=time.monotonic() - self._phase_started,
            )
        )
        self._ask()

    def _ask(self) -> None:
        if not self._stopped and self._hearers.is_stopped():
            self._interrupted = True

    def summary(self, seconds: float) -> Summary:
        """What came of it. A check that ended early counts what was read, and nothing as written."""
        if self._phase == CHECK and (self._has_ended or self._fault):
            self._forget_counts()
        tally = self._tally
        return Summary(
            rows=tally.rows,
            created=tally.created,
            replaced=tally.replaced,
            unchanged=tally.unchanged,
            kept=tally.kept,
            failed=tally.failed,
            homed=tally.homed,
            seconds=seconds,
            file_format=self._source.file_format,
            encoding=self._source.encoding,
            dry_run=self._options.dry_run,
            stopped=self._stopped,
            interrupted=self._interrupted,
            fault=self._fault,
            errors=tuple(self._errors),
        )


def _distinct(pieces: Iterator[list[Entry]], count_max: int) -> Iterator[tuple[list[Row], list[RowError]]]:
    """Batches of rows, and an error for each row whose handle stood before it. Equal keys are neighbours."""
    rows: list[Row] = []
    errors: list[RowError] = []
    octets = 0
    last_key, first_line = b"", 0
    for piece in pieces:
        for key, row in piece:
            if key != last_key:
                rows.append(row)
                octets += len(row.values)
                last_key, first_line = key, row.line
            else:
                reason = f"the same handle stands in line {first_line}"
                errors.append(RowError(row.line, "handle", row.handle.decode(), reason))
            if len(rows) + len(errors) >= count_max or octets >= BATCH_OCTETS:
                yield rows, errors
                rows, errors, octets = [], [], 0
    if rows or errors:
        yield rows, errors
