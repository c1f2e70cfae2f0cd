"""How far an import is: a bar on a terminal, a line of JSON every five seconds elsewhere. Imports nothing."""

import json
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TextIO

LINE_EVERY_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One moment of a phase of a run: `read`, `check` or `import`. `seconds` are those since the phase began.

    `done` of `total` is the phase's work: octets of the file that were read, or rows that were looked at or written.
    """

    phase: str
    rows: int
    failed: int
    done: int
    total: int
    seconds: float

    @property
    def rate(self) -> float:
        """Rows a second, since the phase began."""
        return self.rows / self.seconds if self.seconds else 0.0

    @property
    def remaining_s(self) -> float | None:
        """Seconds that the rest of the phase will take at the same speed, or None while nothing was done."""
        left = max(0, self.total - self.done)
        return left * self.seconds / self.done if self.done else None


Report = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Reports to nobody."""


def lines_to(stream: TextIO, *, now: Callable[[], float] = time.monotonic) -> Report:
    """A report that writes one JSON object a line, at most one in five seconds."""
    next_at = now() + LINE_EVERY_S

    def report(progress: Progress) -> None:
        nonlocal next_at
        if now() < next_at:
            return
        next_at = now() + LINE_EVERY_S
        remaining_s = progress.remaining_s
        line = {
            "phase": progress.phase,
            "rows": progress.rows,
            "failed": progress.failed,
            "percent": round(100 * progress.done / max(1, progress.total), 1),
            "rate": round(progress.rate),
            "seconds": round(progress.seconds, 1),
            "remaining_s": None if remaining_s is None else round(remaining_s, 1),
        }
        stream.write(json.dumps(line) + "\n")
        stream.flush()

    return report


@contextmanager
def bar_on(stream: TextIO, *, color: bool) -> Generator[Report]:
    """A report that draws a bar with rate and remaining time on a terminal, and takes it away at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[rows]:,} rows"),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}"),
    )
    with Bar(*columns, console=Console(file=stream, no_color=not color), transient=True) as bar:
        task = bar.add_task("", total=None, rows=0, rate=0.0, failed="")

        def report(progress: Progress) -> None:
            bar.update(
                task,
                description=progress.phase,
                completed=progress.done,
                total=max(1, progress.total),
                rows=progress.rows,
                rate=progress.rate,
                failed=f"{progress.failed:,} failed" if progress.failed else "",
            )

        yield report


@contextmanager
def report_to(stream: TextIO, *, color: bool, quiet: bool = False) -> Generator[Report]:
    """The bar where a person watches the stream, JSON lines where a program reads it; nothing where `quiet`."""
    if quiet:
        yield silent
    elif stream.isatty():
        with bar_on(stream, color=color) as report:
            yield report
    else:
        yield lines_to(stream)
