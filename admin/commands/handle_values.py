"""The commands of `hnode handle` that add and replace several values at once, as the protocol's operations do."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from admin.commands.handle_changes import changed, limits_of, shown
from admin.context import CommandContext
from admin.errors import ExitCode, Failure
from admin.output import output_option
from admin.remote import Remote, remote_options

if TYPE_CHECKING:
    from admin.importing.rows import RowLimits
    from protocol.value import HandleValue
    from storage.base import Record

_VALUES: Final = (
    click.argument("handle"),
    click.argument("texts", metavar="[TYPE=DATA | INDEX:TYPE=DATA]…", nargs=-1),
    click.option(
        "--values", "file", type=click.Path(path_type=Path), help="A JSON file with values in the API's form."
    ),
)


def _values_options(command: Any) -> Any:
    for option in reversed(_VALUES):
        command = option(command)
    return command


@click.command(name="add", epilog="Example:  hnode handle add 88.100/A1 5:DESC=wrench 6:EMAIL=a@example.org")
@_values_options
@click.option("--overwrite", is_flag=True, help="Replace values that stand at these indexes.")
@remote_options
@output_option
@click.pass_obj
def add(
    context: CommandContext, handle: str, texts: tuple[str, ...], file: Path | None, overwrite: bool, remote: Remote
) -> int:
    """Add values to HANDLE, each at an index of its own. Exit code 7 where a value stands there, 3 without HANDLE."""
    from admin import handle_remote
    from admin.local_store import named_handle
    from admin.value_changes import added

    name, limits = named_handle(handle), limits_of(context, remote)
    values = _described(name, texts, file, limits)
    facts = {"values": shown(values)}
    if remote.is_given:
        work = lambda client: client.add(name, values, overwrite=overwrite)  # noqa: E731
        return handle_remote.changed(context, remote, name, work, told="added", **facts)

    def decide(record: "Record | None") -> "Record":
        return added(record, values, overwrite=overwrite, value_count=limits.value_count)

    return changed(context, handle, decide, told="added", **facts)


@click.command(name="modify", epilog="Example:  hnode handle modify 88.100/A1 1:URL=https://example.com/new")
@_values_options
@remote_options
@output_option
@click.pass_obj
def modify(context: CommandContext, handle: str, texts: tuple[str, ...], file: Path | None, remote: Remote) -> int:
    """Replace the values of HANDLE at these indexes. Exit code 3 where one of them, or HANDLE, is missing."""
    from admin import handle_remote
    from admin.local_store import named_handle
    from admin.value_changes import modified

    name = named_handle(handle)
    values = _described(name, texts, file, limits_of(context, remote))
    facts = {"values": shown(values)}
    if remote.is_given:
        work = lambda client: client.modify(name, values)  # noqa: E731
        return handle_remote.changed(context, remote, name, work, told="modified", **facts)
    return changed(context, handle, lambda record: modified(record, values), told="modified", **facts)


COMMANDS: Final = (add, modify)


def _described(
    name: bytes, texts: tuple[str, ...], file: Path | None, limits: "RowLimits"
) -> "tuple[HandleValue, ...]":
    """The values of a command line, each of which names its index."""
    from admin.handle_values import file_to_json, new_record, texts_to_json
    from protocol.value import read_values
    from protocol.wire import Reader

    unnumbered = [text for text in texts if not text.partition(":")[0].isdecimal()]
    if unnumbered:
        why = "the record has values already: say at which index"
        raise Failure(f"{unnumbered[0]!r} names no index", why, f"5:{unnumbered[0]}", code=ExitCode.USAGE)
    described = file_to_json(file) if file else []
    described += texts_to_json(texts, reserved=described)
    row = new_record(name, described, limits, now_s=int(time.time()), with_admin=False)
    return read_values(Reader(row.values))
