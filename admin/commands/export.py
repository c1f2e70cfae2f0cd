"""`hnode export`: the local store's records to a file or standard output, as they are at one moment."""

import io
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from admin.context import CommandContext
from admin.errors import ExitCode, Failure
from admin.output import note, printable

if TYPE_CHECKING:
    from admin.exporting import Exported


@click.command(name="export", epilog="Example:  hnode export --prefix 88.100 --out parts.jsonl")
@click.option("--prefix", default="", help="Only the handles under this prefix.")
@click.option("--format", "file_format", type=click.Choice(("jsonl", "csv")), default="jsonl", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="The file to write.  [default: standard output]")
@click.pass_obj
def command(context: CommandContext, prefix: str, file_format: str, out: Path | None) -> int:
    """Write records as JSON lines, which import makes again octet for octet, or as CSV.

    CSV has a column `name:index` for each value of text; times to live and timestamps stay behind. Values that are no
    text, or not with the usual permissions, are left out and told. Exit code 6 where others than HS_… are left out.
    """
    from admin.exporting import NotExportedError, export_csv, export_jsonl
    from admin.local_store import opened_store

    write = export_csv if file_format == "csv" else export_jsonl
    prefix = prefix.removesuffix("/")
    try:
        with opened_store(context, read_only=True) as store, _opened(out) as file, store.view() as view:
            done = write(view, file, prefix=prefix)
    except NotExportedError as error:
        raise Failure("the records cannot be exported", str(error), "--format jsonl") from error
    return _told(context, done)


@contextmanager
def _opened(out: Path | None) -> Generator[TextIO]:
    """Standard output; or a file that appears whole or not at all. What is no regular file is written as it is."""
    if out is None:
        with _standard_output() as file:
            yield file
        return
    is_special = out.exists() and not out.is_file()
    beside = out if is_special else out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        with beside.open("w", encoding="utf-8", newline="") as file:
            yield file
            if not is_special:
                file.flush()
                os.fsync(file.fileno())
        if not is_special:
            beside.replace(out)
    except BaseException:
        if not is_special:
            beside.unlink(missing_ok=True)
        raise


@contextmanager
def _standard_output() -> Generator[TextIO]:
    """Standard output in UTF-8, whatever the locale says: an export is the same everywhere."""
    octets = getattr(sys.stdout, "buffer", None)
    if octets is None:  # Somebody put a text stream in its place.
        yield sys.stdout
        return
    sys.stdout.flush()
    file = io.TextIOWrapper(octets, encoding="utf-8", newline="")
    try:
        yield file
    finally:
        file.detach()


def _told(context: CommandContext, done: "Exported") -> int:
    note(context, f"exported {done.records:,} records, {done.values:,} values")
    code = ExitCode.OK
    if done.left_out:
        kinds = ", ".join(f"{printable(name)} {count:,}" for name, count in done.left_out.most_common(10))
        note(context, f"left out, for CSV cannot hold them: {kinds}. Everything: --format jsonl")
        if any(not name.startswith("HS_") for name in done.left_out):
            code = ExitCode.PARTLY
    if done.unnamed:
        note(context, f"left out {done.unnamed:,} records: their handles are no text that the format can hold")
        code = ExitCode.PARTLY
    return code
