"""`hnode handle …`: records of the local store, read and changed while the node serves."""

import click

from admin.commands import handle_changes
from admin.context import CommandContext
from admin.errors import ExitCode
from admin.output import note, output_option, print_line, printable

LIMIT = 1_000


@click.group(name="handle")
def command() -> None:
    """Create, read, change and delete records in this node's store. A node that serves from it answers so at once."""


for change in handle_changes.COMMANDS:
    command.add_command(change)


@command.command(name="get", epilog="Example:  hnode handle get 88.100/A1 --type URL -o json")
@click.argument("handle")
@click.option("--index", "indexes", type=int, multiple=True, help="Only the values at these indexes.")
@click.option("--type", "types", multiple=True, help="Only values of these types; one ending in a dot takes subtypes.")
@output_option
@click.pass_obj
def get(context: CommandContext, handle: str, indexes: tuple[int, ...], types: tuple[str, ...]) -> int:
    """Show the values of HANDLE, those that the public may not read included. Exit code 3 where there are none."""
    from admin.local_store import named_handle, opened_store
    from admin.record_output import print_missing, print_record
    from protocol import value_list
    from protocol.codes import ResponseCode
    from protocol.value import read_values
    from protocol.wire import Reader

    name = named_handle(handle)
    with opened_store(context, read_only=True) as store, store.view() as view:
        record = view.get(name)
    if record is None:
        print_missing(context, handle, ResponseCode.HANDLE_NOT_FOUND)
        return ExitCode.NOT_FOUND
    wanted = [item.encode(errors="surrogateescape") for item in types]
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
@output_option
@click.pass_obj
def list_(context: CommandContext, prefix: str, after: str | None, limit: int) -> int:
    """List the handles under PREFIX, or those that begin with it where it has a slash. Exit code 3 where none does."""
    from admin.local_store import named_handle, opened_store
    from admin.record_output import print_told
    from protocol.codes import ResponseCode
    from protocol.identifier import folded

    start = named_handle(prefix if "/" in prefix else f"{prefix}/")
    behind = named_handle(after) if after else None
    with opened_store(context, read_only=True) as store, store.view() as view:
        found = view.handles(folded(start), after=behind, limit=limit + 1)
        is_homed = folded(b"0.NA/" + start.partition(b"/")[0]) in view.homed()
    shown = [handle.decode(errors="replace") for handle in found[:limit]]
    more = len(found) > limit
    if context.output == "json":
        told = {"responseCode": int(ResponseCode.SUCCESS), "prefix": prefix, "handles": shown}
        print_told(context, told | ({"after": shown[-1]} if more else {}))
    else:
        for name in shown:
            print_line({"handle": name}) if context.output == "jsonl" else click.echo(printable(name))
        if more:
            note(context, f"more follow: --after '{printable(shown[-1])}'")
    return ExitCode.OK if shown or is_homed else ExitCode.NOT_FOUND
