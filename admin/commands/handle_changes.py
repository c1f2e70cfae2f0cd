"""The commands of `hnode handle` that change records, here or at another server (`--at`). Each is one transaction."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from admin.context import CommandContext
from admin.errors import ExitCode, Failure
from admin.output import output_option
from admin.remote import Remote, remote_options

if TYPE_CHECKING:
    from admin.importing.rows import RowLimits
    from protocol.value import HandleValue
    from storage.base import Record

_FORMATS: Final = ("string", "base64", "hex", "admin", "vlist", "site", "key")
_EXISTING: Final = ("fail", "replace", "keep")
_INDEXES: Final = click.IntRange(-(2**31), 2**31 - 1)


@click.command(name="create", epilog="Example:  hnode handle create 88.100/A1 URL=https://example.com/ 5:DESC=wrench")
@click.argument("handle")
@click.argument("texts", metavar="[TYPE=DATA | INDEX:TYPE=DATA]…", nargs=-1)
@click.option("--values", "file", type=click.Path(path_type=Path), help="A JSON file with values in the API's form.")
@click.option("--no-admin", is_flag=True, help="Add no HS_ADMIN value: only server administrators can change it then.")
@click.option("--if-exists", type=click.Choice(_EXISTING), default="fail", show_default=True, help="Where it stands.")
@click.option("--mint", is_flag=True, help="With --at: the server appends a suffix of its own to HANDLE.")
@remote_options
@output_option
@click.pass_obj
def create(
    context: CommandContext,
    handle: str,
    texts: tuple[str, ...],
    file: Path | None,
    no_admin: bool,
    if_exists: str,
    mint: bool,
    remote: Remote,
) -> int:
    """Make HANDLE with these values, and the administrator of its prefix at 100. Exit code 7 where it exists."""
    from admin import handle_remote
    from admin.handle_values import file_to_json, new_record, texts_to_json
    from admin.local_store import applied, expect_served, named_handle, opened_store, who
    from admin.record_output import print_change
    from protocol.errors import HandleExists
    from protocol.value import read_values
    from protocol.wire import Reader
    from storage.base import IfExists, PutRecord

    name = named_handle(handle)
    described = file_to_json(file) if file else []
    described += texts_to_json(texts, reserved=described)
    limits = limits_of(context, remote)
    row = new_record(name, described, limits, now_s=int(time.time()), with_admin=not no_admin)
    facts = _told_values(row.values)
    if remote.is_given:
        values = read_values(Reader(row.values))
        return handle_remote.create(context, remote, name, values, if_exists=if_exists, mint=mint, facts=facts)
    if mint:
        raise Failure("a suffix is minted by a server", "none is named", "--at HOST:PORT", code=ExitCode.USAGE)
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
    print_change(context, told, name, values=facts)
    return ExitCode.OK


@click.command(name="delete", epilog="Example:  hnode handle delete 88.100/A1")
@click.argument("handle")
@remote_options
@output_option
@click.pass_obj
def delete(context: CommandContext, handle: str, remote: Remote) -> int:
    """Delete HANDLE and all of its values. Exit code 3 where it does not exist."""
    from admin import handle_remote
    from admin.local_store import named_handle
    from protocol.errors import HandleNotFound

    name = named_handle(handle)
    if remote.is_given:
        return handle_remote.changed(context, remote, name, lambda client: client.delete(name), told="deleted")

    def decide(record: "Record | None") -> None:
        if record is None:
            raise HandleNotFound("the handle does not exist")

    return changed(context, handle, decide, told="deleted")


@click.command(name="set-value", epilog="Example:  hnode handle set-value 88.100/A1 1 URL https://example.com/new")
@click.argument("handle")
@click.argument("index", type=click.IntRange(1, 0x7FFFFFFF))
@click.argument("name", metavar="TYPE")
@click.argument("data")
@click.option("--ttl", help="Seconds, or the time it ends as ISO 8601.  [default: as it was, else 86400]")
@click.option("--permissions", metavar="1110", help="Admin read and write, public read and write.")
@click.option("--format", "data_format", type=click.Choice(_FORMATS), default="string", show_default=True)
@remote_options
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
    remote: Remote,
) -> int:
    """Put one value into HANDLE, in place of the one at INDEX. DATA is text; for admin, vlist, site and key JSON."""
    from admin import handle_remote
    from admin.handle_values import one_value, with_value
    from admin.local_store import named_handle

    value = one_value(
        index, name, data, data_format=data_format, ttl=ttl, permissions=permissions, now_s=int(time.time())
    )
    limits = limits_of(context, remote)
    kept = {"keep_ttl": ttl is None, "keep_permissions": permissions is None}
    if len(value.data) > limits.value_size:
        why = f"{len(value.data):,} octets, at most {limits.value_size:,} are allowed"
        raise Failure("the value is too long", why, "[limits] value_bytes", code=ExitCode.USAGE)

    if remote.is_given:
        return handle_remote.set_value(context, remote, named_handle(handle), value, **kept)

    def decide(record: "Record | None") -> "Record":
        return with_value(record, value, limits, **kept)

    return changed(context, handle, decide, told="set", value=f"{index} {name}")


@click.command(name="rm-value", epilog="Example:  hnode handle rm-value 88.100/A1 5 6")
@click.argument("handle")
@click.argument("indexes", metavar="INDEX…", type=_INDEXES, nargs=-1, required=True)
@remote_options
@output_option
@click.pass_obj
def rm_value(context: CommandContext, handle: str, indexes: tuple[int, ...], remote: Remote) -> int:
    """Remove the values at these indexes from HANDLE: all of them, or (exit code 3) none where one is missing."""
    from admin import handle_remote
    from admin.handle_values import without_values
    from admin.local_store import named_handle

    told = ", ".join(map(str, indexes))
    if remote.is_given:
        name = named_handle(handle)
        work = lambda client: client.remove(name, indexes)  # noqa: E731
        return handle_remote.changed(context, remote, name, work, told="removed", values=told)

    def decide(record: "Record | None") -> "Record":
        return without_values(record, indexes)

    return changed(context, handle, decide, told="removed", values=told)


COMMANDS: Final = (create, delete, set_value, rm_value)


def limits_of(context: CommandContext, remote: Remote) -> "RowLimits":
    """What a record may hold: here what the configuration says, elsewhere what a message can carry."""
    from admin.importing.rows import RowLimits

    if remote.is_given:
        return RowLimits()
    limits = context.load().limits
    return RowLimits(value_size=limits.value_bytes, value_count=limits.values_per_handle)


def changed(context: CommandContext, handle: str, decide: Any, *, told: str, **facts: object) -> int:
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

    return shown(read_values(Reader(octets)))


def shown(values: "tuple[HandleValue, ...]") -> str:
    """Number, indexes and types of values for the sentence that tells a change."""
    listed = ", ".join(f"{value.index} {value.type.decode(errors='replace')}" for value in values[:8])
    return f"{len(values)} values: {listed}" + (", …" if len(values) > 8 else "")
