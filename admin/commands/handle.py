"""`hnode handle …`: records of the local store, beside the node that serves; with `--at` those of another server."""

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

import click

from admin.commands import handle_changes, handle_values
from admin.context import CommandContext
from admin.errors import ExitCode, Failure
from admin.output import note, output_option, print_line, printable
from admin.remote import Remote, remote_options

LIMIT = 1_000


@click.group(name="handle")
def command() -> None:
    """Create, read, change and delete records in this node's store. A node that serves from it answers so at once.

    With --at HOST:PORT they are another server's, asked over the Handle protocol.
    """


for change in (*handle_changes.COMMANDS, *handle_values.COMMANDS):
    command.add_command(change)
command.add_command(handle_changes.rm_value, "remove")  # As the protocol calls it.


@command.command(name="get", epilog="Example:  hnode handle get 88.100/A1 --type URL -o json")
@click.argument("handle")
@click.option("--index", "indexes", type=int, multiple=True, help="Only the values at these indexes.")
@click.option("--type", "types", multiple=True, help="Only values of these types; one ending in a dot takes subtypes.")
@remote_options
@output_option
@click.pass_obj
def get(context: CommandContext, handle: str, indexes: tuple[int, ...], types: tuple[str, ...], remote: Remote) -> int:
    """Show the values of HANDLE, those that the public may not read included. Exit code 3 where there are none.

    At another server (--at) without --auth only those that everybody may read.
    """
    from admin import handle_remote
    from admin.local_store import named_handle, opened_store
    from admin.record_output import print_missing, print_record
    from protocol import value_list
    from protocol.codes import ResponseCode
    from protocol.value import read_values
    from protocol.wire import Reader

    name = named_handle(handle)
    wanted = [item.encode(errors="surrogateescape") for item in types]
    if remote.is_given:
        return handle_remote.get(context, remote, name, indexes=indexes, types=wanted)
    with opened_store(context, read_only=True) as store, store.view() as view:
        record = view.get(name)
    if record is None:
        print_missing(context, handle, ResponseCode.HANDLE_NOT_FOUND)
        return ExitCode.NOT_FOUND
    spans = value_list.spans(record.values)
    is_wanted = value_list.matcher(indexes, wanted)
    kept = [span for span in spans if is_wanted(span)]
    if not kept:
        print_missing(context, handle, ResponseCode.VALUES_NOT_FOUND)
        return ExitCode.NOT_FOUND
    print_record(context, record.handle, read_values(Reader(value_list.joined(record.values, kept))))
    return ExitCode.OK


@command.command(name="list", epilog="Example:  hnode handle list 88.100 --limit 20")
@click.argument("prefix")
@click.option("--after", metavar="HANDLE", help="Begin behind this handle: the last one of the page before.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=LIMIT, show_default=True, help="Handles to print.")
@remote_options
@output_option
@click.pass_obj
def list_(context: CommandContext, prefix: str, after: str | None, limit: int, remote: Remote) -> int:
    """List the handles under PREFIX, or those that begin with it where it has a slash. Exit code 3 where none does."""
    from admin import handle_remote
    from admin.local_store import named_handle, opened_store
    from protocol.identifier import folded

    start = named_handle(prefix if "/" in prefix else f"{prefix}/")
    behind = named_handle(after) if after else None
    if remote.is_given:
        if after:
            why = "another server always lists from the first one on"
            raise Failure("--after works on this node's own store", why, "--limit", code=ExitCode.USAGE)
        found = handle_remote.listed(remote, start, limit)
        _print_handles(context, prefix, found, limit, "--limit {limit}0")
        return ExitCode.OK
    with opened_store(context, read_only=True) as store, store.view() as view:
        found = view.handles(folded(start), after=behind, limit=limit + 1)
        is_homed = folded(b"0.NA/" + start.partition(b"/")[0]) in view.homed()
    _print_handles(context, prefix, found, limit, "--after '{last}'")
    return ExitCode.OK if found or is_homed else ExitCode.NOT_FOUND


def _print_handles(context: CommandContext, prefix: str, found: Sequence[bytes], limit: int, then: str) -> None:
    """Up to `limit` handles; where there are more, `then` says how to see them."""
    from admin.record_output import print_told
    from protocol.codes import ResponseCode

    shown = [handle.decode(errors="replace") for handle in found[:limit]]
    more = len(found) > limit
    if context.output == "json":
        told = {"responseCode": int(ResponseCode.SUCCESS), "prefix": prefix, "handles": shown}
        print_told(context, told | ({"after": shown[-1]} if more and "{last}" in then else {}))
        return
    for name in shown:
        print_line({"handle": name}) if context.output == "jsonl" else click.echo(printable(name))
    if more:
        note(context, "more follow: " + then.format(limit=limit, last=printable(shown[-1])))


if find_spec("admin.commands.handle_signatures"):
    for signing in import_module("admin.commands.handle_signatures").COMMANDS:
        command.add_command(signing)
