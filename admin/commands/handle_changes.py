"""The commands of `hnode handle` that change records: create, delete, set-value, rm-value. Each is one transaction."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from admin.context import CommandContext
from admin.errors import ExitCode, Failure
from admin.output import output_option

if TYPE_CHECKING:
    from admin.importing.rows import RowLimits
    from storage.base import Record

_FORMATS: Final = ("string", "base64", "hex", "admin", "vlist", "site", "key")
_EXISTING: Final = ("fail", "replace", "keep")


@click.command(name="create", epilog="Example:  hnode handle create 88.100/A1 URL=https://example.com/ 5:DESC=wrench")
@click.argument("handle")
@click.argument("texts", metavar="[TYPE=DATA | INDEX:TYPE=DATA]…", nargs=-1)
@click.option("--values", "file", type=click.Path(path_type=Path), help="A JSON file with values in the API's form.")
@click.option("--no-admin", is_flag=True, help="Add no HS_ADMIN value: only server administrators can change it then.")
@click.option("--if-exists", type=click.Choice(_EXISTING), default="fail", show_default=True, help="Where it stands.")
@output_option
@click.pass_obj
def create(
    context: CommandContext, handle: str, texts: tuple[str, ...], file: Path | None, no_admin: bool, if_exists: str
) -> int:
    """Make HANDLE with these values, and the administrator of its prefix at 100. Exit code 7 where it exists."""
    from admin.handle_values import file_to_json, new_record, texts_to_json
    from admin.local_store import applied, expect_served, named_handle, opened_store, who
    from admin.record_output import print_change
    from protocol.errors import HandleExists
    from storage.base import IfExists, PutRecord

    name = named_handle(handle)
    described = file_to_json(file) if file else []
    described += texts_to_json(texts, reserved=described)
    row = new_record(name, described, _limits(context), now_s=int(time.time()), with_admin=not no_admin)
    with opened_store(context) as store:
        with store.view() as view:
            expect_served(view, name)
        try:
            outcome = applied(store, PutRecord(row.handle, row.values, IfExists(if_exists), who()))
        except HandleExists as error:
            then = f"hnode handle get {handle}, or --if-exists replace"
            raise Failure(f"{handle} exists already", "", then, code=ExitCode.CONFLICT) from error
    told = "created"
    if outcome.existed:
        told = "kept" if if_exists == IfExists.KEEP.value else "replaced" if outcome.number else "unchanged"
    print_change(context, told, name, values=_told_values(row.values))
    return ExitCode.OK


@click.command(name="delete", epilog="Example:  hnode handle delete 88.100/A1")
@click.argument("handle")
@output_option
@click.pass_obj
def delete(context: CommandContext, handle: str) -> int:
    """Delete HANDLE and all of its values. Exit code 3 where it does not exist."""
    from protocol.errors import HandleNotFound

    def decide(record: "Record | None") -> None:
        if record is None:
            raise HandleNotFound("the handle does not exist")

    return _changed(context, handle, decide, told="deleted")


@click.command(name="set-value", epilog="Example:  hnode handle set-value 88.100/A1 1 URL https://example.com/new")
@click.argument("handle")
@click.argument("index", type=click.IntRange(1, 0x7FFFFFFF))
@click.argument("name", metavar="TYPE")
@click.argument("data")
@click.option("--ttl", help="Seconds, or the time it ends as ISO 8601.  [default: as it was, else 86400]")
@click.option("--permissions", metavar="1110", help="Admin read and write, public read and write.")
@click.option("--format", "data_format", type=click.Choice(_FORMATS), default="string", show_default=True)
@output_option
@click.pass_obj
def set_value(
    context: CommandContext,
    handle: str,
    index: int,
    name: str,
    data: str,
    ttl: str | None,
    permissions: str | None,
    data_format: str,
) -> int:
    """Put one value into HANDLE, in place of the one at INDEX. DATA is text; for admin, vlist, site and key JSON."""
    from admin.handle_values import one_value, with_value

    value = one_value(
        index, name, data, data_format=data_format, ttl=ttl, permissions=permissions, now_s=int(time.time())
    )
    limits = _limits(context)
    if len(value.data) > limits.value_size:
        why = f"{len(value.data):,} octets, at most {limits.value_size:,} are allowed"
        raise Failure("the value is too long", why, "[limits] value_bytes", code=ExitCode.USAGE)

    def decide(record: "Record | None") -> "Record":
        return with_value(record, value, limits, keep_ttl=ttl is None, keep_permissions=permissions is None)

    return _changed(context, handle, decide, told="set", value=f"{index} {name}")


@click.command(name="rm-value", epilog="Example:  hnode handle rm-value 88.100/A1 5 6")
@click.argument("handle")
@click.argument("indexes", metavar="INDEX…", type=int, nargs=-1, required=True)
@output_option
@click.pass_obj
def rm_value(context: CommandContext, handle: str, indexes: tuple[int, ...]) -> int:
    """Remove the values at these indexes from HANDLE: all of them, or (exit code 3) none where one is missing."""
    from admin.handle_values import without_values

    def decide(record: "Record | None") -> "Record":
        return without_values(record, indexes)

    return _changed(context, handle, decide, told="removed", values=", ".join(map(str, indexes)))


COMMANDS: Final = (create, delete, set_value, rm_value)


def _limits(context: CommandContext) -> "RowLimits":
    from admin.importing.rows import RowLimits

    limits = context.load().limits
    return RowLimits(value_size=limits.value_bytes, value_count=limits.values_per_handle)


def _changed(context: CommandContext, handle: str, decide: Any, *, told: str, **facts: object) -> int:
    """Change one record and say so; what is missing ends with exit code 3."""
    from admin.local_store import applied, named_handle, opened_store, who
    from admin.record_output import print_change, print_missing
    from protocol.errors import HandleNotFound, ValuesNotFound
    from storage.base import UpdateRecord

    name = named_handle(handle)
    try:
        with opened_store(context) as store:
            outcome = applied(store, UpdateRecord(name, decide, who()))
    except (HandleNotFound, ValuesNotFound) as error:
        print_missing(context, handle, error.code)
        return ExitCode.NOT_FOUND
    print_change(context, told if outcome.number else "unchanged", name, **facts)
    return ExitCode.OK


def _told_values(octets: bytes) -> str:
    from protocol.value import read_values
    from protocol.wire import Reader

    values = read_values(Reader(octets))
    shown = ", ".join(f"{value.index} {value.type.decode(errors='replace')}" for value in values[:8])
    return f"{len(values)} values: {shown}" + (", …" if len(values) > 8 else "")
