"""`hnode batch FILE`: the batch files of the Handle software in service, run against a server."""

import asyncio
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from admin.context import JSONL, CommandContext
from admin.errors import ExitCode, Failure
from admin.output import has_color, note, output_option, print_line, print_object, printable
from admin.remote import Remote, remote_options

if TYPE_CHECKING:
    from admin.batch.commands import Command
    from admin.batch.events import Event, Totals
    from admin.importing.progress import Report

_PATH = click.Path(path_type=Path)


@click.command(
    name="batch",
    epilog="Example:  hnode batch parts.txt --at 127.0.0.1:2641 --log parts.log   "
    "Exit code 6 where some commands failed, 1 where all did.",
)
@click.argument("file", type=_PATH)
@click.option("--log", "log", type=_PATH, metavar="FILE", help="Write what became of each command there.")
@click.option(
    "--parallel",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Commands under way at a time; those of one handle keep their order.",
)
@click.option("--dry-run", is_flag=True, help="Only read the file, and tell what in it is no command.")
@remote_options
@output_option
@click.pass_obj
def command(context: CommandContext, file: Path, log: Path | None, parallel: int, dry_run: bool, remote: Remote) -> int:
    """Run FILE, the text form of hdl-genericbatch: AUTHENTICATE, SESSIONSETUP, CREATE, ADD, MODIFY, REMOVE, DELETE,
    HOME and UNHOME, in UTF-8 or GB18030.

    --at names the server that is responsible for the handles; HOME and UNHOME name theirs in the file. Who asks is
    said by AUTHENTICATE in the file, until then by --auth.
    """
    from admin.batch.runner import Runner
    from resolver.client_session import Mode

    if log is not None and log.exists() and file.exists() and log.samefile(file):
        raise Failure(f"{log} is the file to run", "the log would overwrite it", code=ExitCode.USAGE)
    with _commands(file) as (commands, position), _told_to(context, log, file, position) as told:
        if dry_run:
            totals = _read_only(commands, told)
            note(context, "only read: no server was asked")
        else:
            mode = Mode.DH if remote.session else None
            server = remote.server() if remote.is_given else None
            keys = remote.server_keys()
            runner = Runner(server, told.event, identity=remote.identity(), mode=mode, keys=keys, parallel=parallel)
            totals = _run(runner, commands)
        told.end(totals)
    return _ended(context, totals)


@contextmanager
def _commands(file: Path) -> "Generator[tuple[Iterator[Command], Callable[[], int]]]":
    """The commands of a file as it is read, and how many of its octets were."""
    from admin.batch.reader import LINE_SIZE_MAX, BatchReader
    from admin.importing.lines import bounded_lines, encoding_of, opened
    from admin.importing.rows import FileRefused

    try:
        encoding = encoding_of(file, size_max=LINE_SIZE_MAX)
        opening = opened(file)
    except FileRefused as error:
        raise Failure(str(error)) from error
    with opening as lines:
        numbered = bounded_lines(lines, size_max=LINE_SIZE_MAX)
        yield BatchReader(numbered, encoding=encoding, now_s=lambda: int(time.time())).commands(), lines.tell


class _Telling:
    """Where events go: lines of a log, lines for a person, or lines of JSON."""

    def __init__(
        self,
        context: CommandContext,
        write: Callable[[str], Any] | None = None,
        report: "Callable[[Event], None] | None" = None,
    ) -> None:
        self._context = context
        self._write = write
        self._report = report

    def event(self, event: "Event") -> None:
        """One command's end."""
        if self._write is not None:
            self._write(event.text().replace("\n", " ") + "\n")
        elif self._context.output == JSONL:
            print_line(event.members())
        elif self._context.is_table and not self._context.is_quiet:
            click.echo(printable(event.text()))
        if self._report is not None:
            self._report(event)

    def end(self, totals: "Totals") -> None:
        """The end of the log."""
        if self._write is not None:
            for line in totals.lines():
                self._write(line + "\n")


@contextmanager
def _told_to(context: CommandContext, log: Path | None, file: Path, position: Callable[[], int]) -> Generator[_Telling]:
    """Events to the person; or to the log, and to the person how far the file is."""
    from admin.importing.progress import report_to

    if log is None:
        yield _Telling(context)
        return
    with (
        log.open("w", encoding="utf-8", errors="backslashreplace") as written,
        report_to(sys.stderr, color=has_color(context, sys.stderr), quiet=context.is_quiet) as report,
    ):
        yield _Telling(context, written.write, _counting(report, position, file.stat().st_size))


def _counting(report: "Report", position: Callable[[], int], size: int) -> "Callable[[Event], None]":
    from admin.batch.events import Outcome
    from admin.importing.progress import Progress

    started, rows, failed = time.monotonic(), 0, 0

    def count(event: "Event") -> None:
        nonlocal rows, failed
        rows += 1
        failed += event.outcome is not Outcome.SUCCESS
        seconds = time.monotonic() - started
        report(Progress(phase="batch", rows=rows, failed=failed, done=position(), total=size, seconds=seconds))

    return count


def _run(runner: Any, commands: "Iterator[Command]") -> "Totals":
    try:
        found: Totals = asyncio.run(runner.run(commands))
    except KeyboardInterrupt:
        runner.totals.stopped = "interrupted"
        found = runner.totals
    return found


def _read_only(commands: "Iterator[Command]", told: _Telling) -> "Totals":
    from admin.batch.commands import Homing, Invalid, Operation
    from admin.batch.events import Event, Outcome, Totals

    totals = Totals()
    for found in commands:
        if isinstance(found, Invalid):
            event = Event(Outcome.INVALID, found.line, reason=found.reason)
            told.event(event)
            totals.count(event)
        elif isinstance(found, Operation | Homing):
            totals.succeeded[found.word] += 1
    return totals


def _ended(context: CommandContext, totals: "Totals") -> int:
    """Print the totals, and the exit code that they mean."""
    facts: dict[str, object] = {"succeeded": totals.success_count, "failed": totals.failed.total()}
    facts |= {"invalid": totals.invalid, "stopped": totals.stopped}
    if context.is_table:
        for line in totals.lines():
            click.echo(line)
    else:
        words = sorted({*totals.succeeded, *totals.failed})
        facts["operations"] = {
            word: {"succeeded": totals.succeeded[word], "failed": totals.failed[word]} for word in words
        }
        print_object(context, facts)
    if totals.stopped == "interrupted":
        return ExitCode.INTERRUPTED
    if totals.stopped:
        note(context, "the rest of the file was not run")
        return ExitCode.UNREACHABLE
    if totals.failure_count:
        return ExitCode.PARTLY if totals.success_count else ExitCode.FAILED
    return ExitCode.OK
