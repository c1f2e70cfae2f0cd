"""Rows of a file into a store, in batches, each one durable transaction. Prints nothing.

With `stop` the file is read twice: first every row is checked, and the first broken one ends the run with nothing
written. With `skip` it is read once: broken rows are reported and the good ones written.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from admin.importing.homing import Homing
from admin.importing.progress import Progress, Report, silent
from admin.importing.rows import Row, RowError, RowFault, RowLimits, refused
from admin.importing.sinks import BulkStore, DrySink, Repeats, Sink, StoreSink
from admin.importing.source import AUTO, Source
from admin.importing.summary import ERRORS_SHOWN_MAX, Summary, Tally
from storage.base import IfExists, StoreError

BATCH_ROWS: Final = 5_000  # Rows of a transaction: its sync costs about as much as writing a few hundred of them.
BATCH_OCTETS: Final = 8 * 1024 * 1024  # Where rows are large, a transaction holds fewer of them.

SKIP: Final = "skip"
STOP: Final = "stop"

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
    `on_row_error` of each broken row, in the order of their lines within a batch. `is_stopped` is asked after each
    batch: when it says yes, the run ends and keeps what it wrote. A refusal of the store ends the run, too
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
    if options.dry_run or options.on_error == STOP:
        check = _Pass(CHECK, source, options, Homing(homed, home_prefixes=options.home_prefixes), hearers)
        check.run(DrySink(store, options.if_exists, check.tally), case_sensitive=store.case_sensitive)
        if options.dry_run or check.has_ended:
            return check.summary(time.monotonic() - started)
    write = _Pass(IMPORT, source, options, Homing(homed, home_prefixes=options.home_prefixes), hearers)
    write.run(StoreSink(store, options.if_exists, options.who, write.tally), case_sensitive=store.case_sensitive)
    return write.summary(time.monotonic() - started)


class _Pass:
    """One reading of the file, its rows given to a sink."""

    def __init__(self, phase: str, source: Source, options: ImportOptions, homing: Homing, hearers: _Hearers) -> None:
        self.tally = Tally()
        self._phase = phase
        self._source = source
        self._options = options
        self._homing = homing
        self._hearers = hearers
        self._started = time.monotonic()
        self._errors: list[RowError] = []
        self._stopped = False
        self._interrupted = False
        self._fault = ""

    @property
    def has_ended(self) -> bool:
        """Whether the pass ended before the end of the file."""
        return self._stopped or self._interrupted or bool(self._fault)

    def run(self, sink: Sink, *, case_sensitive: bool) -> None:
        """Read the file to its end, or to what ends the pass early."""
        try:
            with self._source.open() as file, Repeats(case_sensitive=case_sensitive) as repeats:
                for rows, errors in self._batches(file):
                    self._take(sink, repeats, rows, errors)
                    self._tell(file)
                    if self._hearers.is_stopped() and not self.has_ended:
                        self._interrupted = True
                    if self.has_ended:
                        return
        except StoreError as error:
            self._fault = str(error)

    def _batches(self, file: BinaryIO) -> Iterator[tuple[list[Row], list[RowError]]]:
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

    def _take(self, sink: Sink, repeats: Repeats, rows: list[Row], errors: list[RowError]) -> None:
        self.tally.rows += len(rows) + len(errors)
        rows, repeated = repeats.sifted(rows)
        errors += repeated
        is_stop = self._options.on_error == STOP
        if not (is_stop and errors):
            errors += sink.take(rows, self._homing.take_new())
        if errors:
            errors.sort()
            if is_stop:
                self._stopped = True
                del errors[1:]  # The first ends the run: of what comes behind it nothing is said.
            self.tally.failed += len(errors)
            self._errors += errors[: ERRORS_SHOWN_MAX - len(self._errors)]
            for error in errors:
                self._hearers.on_row_error(error)

    def _tell(self, file: BinaryIO) -> None:
        self._hearers.report(
            Progress(
                phase=self._phase,
                rows=self.tally.rows,
                failed=self.tally.failed,
                octets=file.tell(),
                octets_total=self._source.size,
                seconds=time.monotonic() - self._started,
            )
        )

    def summary(self, seconds: float) -> Summary:
        """What came of it. A check that ended early counts what it read, and nothing as written."""
        tally = self.tally
        if self._phase == CHECK and self.has_ended:
            tally = Tally(rows=tally.rows, failed=tally.failed)
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
