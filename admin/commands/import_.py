"""`hnode import`: a file of identifiers into the local store, with progress, a summary and a file of what failed."""

import json
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from admin.context import CommandContext
from admin.errors import ExitCode, Failure
from admin.output import has_color, note, output_option, print_object, printable

if TYPE_CHECKING:
    from admin.importing.rows import RowError
    from admin.importing.summary import Summary


@click.command(
    name="import",
    epilog="Example:  hnode import parts.csv --dry-run   Exit code 6 where some rows failed, 1 where all did.",
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", "file_format", type=click.Choice(("auto", "jsonl", "csv")), default="auto")
@click.option("--dry-run", is_flag=True, help="Check every row, and write nothing.")
@click.option(
    "--on-error",
    type=click.Choice(("skip", "stop")),
    default="skip",
    show_default=True,
    help="A broken row is left out; or ends the run before anything is written.",
)
@click.option("--errors", "errors", type=click.Path(path_type=Path), help="Write each broken row there as a JSON line.")
@click.option("--home-prefixes", is_flag=True, help="Home the prefixes that the file names.")
@click.option(
    "--if-exists",
    type=click.Choice(("replace", "keep", "fail")),
    default="replace",
    show_default=True,
    help="What becomes of a record that stands already; fail makes its row an error.",
)
@click.option("--template", type=click.Path(path_type=Path), help="A template file, which says the fields' indexes.")
@output_option
@click.pass_obj
def command(
    context: CommandContext,
    file: Path,
    file_format: str,
    dry_run: bool,
    on_error: str,
    errors: Path | None,
    home_prefixes: bool,
    if_exists: str,
    template: Path | None,
) -> int:
    """Import FILE: JSON lines, or CSV whose first column is `handle`. Importing a file twice changes nothing.

    The whole file is read and checked before its first row is written: Ctrl-C until then writes nothing. Rows then go
    into the store in batches of 5,000, each written whole or not at all; Ctrl-C keeps those that are written.
    """
    from admin.importing.progress import report_to
    from admin.importing.rows import FileRefused, RowLimits
    from admin.importing.runner import ImportOptions, import_file
    from admin.local_store import opened_store, who
    from storage.base import IfExists

    limits = context.load().limits
    options = ImportOptions(
        file_format=file_format,
        dry_run=dry_run,
        on_error=on_error,
        home_prefixes=home_prefixes,
        if_exists=IfExists(if_exists),
        template=template,
        limits=RowLimits(value_size=limits.value_bytes, value_count=limits.values_per_handle),
        who=who(),
    )
    if errors is not None and errors.exists() and file.exists() and errors.samefile(file):
        raise Failure(f"{errors} is the file to import", "the errors would overwrite it", code=ExitCode.USAGE)
    try:
        with (
            opened_store(context) as store,
            _error_file(errors) as on_row_error,
            _interruption() as is_stopped,
            report_to(sys.stderr, color=has_color(context, sys.stderr), quiet=context.is_quiet) as report,
        ):
            summary = import_file(store, file, options, report=report, on_row_error=on_row_error, is_stopped=is_stopped)
    except FileRefused as error:
        raise Failure(str(error)) from error
    _print_summary(context, summary, errors)
    return _exit_code(summary)


@contextmanager
def _error_file(path: Path | None) -> "Generator[Callable[[RowError], None]]":
    """Where broken rows go: a file of JSON lines, new even where there will be none; or nowhere."""
    from admin.importing.runner import ignored

    if path is None:
        yield ignored
        return
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:

        def write(error: "RowError") -> None:
            file.write(json.dumps(error._asdict(), ensure_ascii=False) + "\n")

        yield write


@contextmanager
def _interruption() -> Generator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed in the block. The first press only says so; a second one ends the program at once."""
    pressed = False

    def press(_: int, __: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


def _exit_code(summary: "Summary") -> ExitCode:
    if summary.fault or summary.stopped:
        return ExitCode.FAILED
    if summary.interrupted:
        return ExitCode.INTERRUPTED
    if summary.failed:
        return ExitCode.FAILED if summary.failed == summary.rows else ExitCode.PARTLY
    return ExitCode.OK


def _print_summary(context: CommandContext, summary: "Summary", errors: Path | None) -> None:
    facts: dict[str, Any] = {
        "rows": summary.rows,
        "created": summary.created,
        "replaced": summary.replaced,
        "unchanged": summary.unchanged,
        "kept": summary.kept,
        "failed": summary.failed,
        "homed": summary.homed,
        "seconds": round(summary.seconds, 3),
        "rate": round(summary.rate),
        "format": summary.file_format,
        "encoding": summary.encoding,
    }
    facts |= {name: True for name in ("dry_run", "stopped", "interrupted") if getattr(summary, name)}
    if summary.fault:
        facts["fault"] = summary.fault
    if context.is_table:
        _note_errors(context, summary, errors)
    else:
        facts["errors"] = [error._asdict() for error in summary.errors]
    print_object(context, facts)


def _note_errors(context: CommandContext, summary: "Summary", errors: Path | None) -> None:
    for error in summary.errors:
        column = f", {printable(error.column)}" if error.column else ""
        handle = f" ({printable(error.handle)})" if error.handle else ""
        click.echo(f"line {error.line}{column}{handle}: {context.to_type(printable(error.reason))}", err=True)
    more = summary.failed - len(summary.errors)
    if more:
        where = f"see {errors}" if errors else "--errors FILE keeps them all"
        click.echo(f"and {more:,} more: {where}", err=True)
    if summary.stopped:
        note(context, "stopped at the first broken row: nothing was written" if not summary.wrote else "stopped")
    if summary.interrupted:
        note(context, "interrupted: what is counted as created or replaced was written")
    if summary.fault:
        click.echo(f"the store refused to go on: {summary.fault}", err=True)
