"""`hnode prefix …`: which prefixes this node serves, told to its store while it serves; with `--at` another server."""

import shlex
from typing import TYPE_CHECKING, Any, TypeVar

import click

from admin.commands.prefix_delegating import delegate
from admin.commands.prefix_undelegating import delegations, undelegate
from admin.context import CommandContext
from admin.errors import ExitCode, Failure
from admin.output import note, output_option, print_rows
from admin.remote import Remote, remote_options

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from resolver.client_admin import Client

_Told = TypeVar("_Told")

COUNT_MAX = 10_000
"""Identifiers of a prefix that `prefix list` counts; beyond, it says that there are more."""


@click.group(name="prefix")
def command() -> None:
    """List, home, unhome and delegate prefixes. Homing alone lets a node answer; it makes no record of the prefix."""


command.add_command(delegate)
command.add_command(undelegate)
command.add_command(delegations)


@command.command(name="list", epilog="Example:  hnode prefix list -o json")
@remote_options
@output_option
@click.pass_obj
def list_(context: CommandContext, remote: Remote) -> None:
    """List the homed prefixes, how many identifiers stand under each, and whether its record `0.NA/…` is here.

    Another server (--at) tells the prefixes alone.
    """
    from admin.local_store import opened_store

    if remote.is_given:
        print_rows(context, ["prefix"], [[handle.partition("/")[2]] for handle in _homed_there(remote)])
        return
    rows = []
    with opened_store(context, read_only=True) as store, store.view() as view:
        for handle in sorted(view.homed()):
            prefix = handle.partition(b"/")[2]
            found = len(view.handles(prefix + b"/", limit=COUNT_MAX + 1))
            counted = min(found, COUNT_MAX)
            shown: int | str = f"over {COUNT_MAX:,}" if found > COUNT_MAX and context.is_table else counted
            record = view.get(handle) is not None
            name = prefix.decode(errors="replace")
            rows.append(
                [name, shown, "yes" if record else "no"]
                if context.is_table
                else [name, shown, found > COUNT_MAX, record]
            )
    columns = ["prefix", "identifiers", "record"]
    print_rows(context, columns if context.is_table else ["prefix", "identifiers", "more", "record"], rows)
    if not rows:
        note(context, "no prefix is homed: hnode prefix home PREFIX")


@command.command(name="home", epilog="Example:  hnode prefix home 88.100")
@click.argument("prefix")
@remote_options
@output_option
@click.pass_obj
def home(context: CommandContext, prefix: str, remote: Remote) -> None:
    """Serve PREFIX (88.100, or 0.NA/88.100) from now on. Homing twice changes nothing."""
    from admin.local_store import applied, opened_store, who
    from admin.record_output import print_change
    from storage.base import HomePrefix

    handle = _named(prefix)
    if remote.is_given:
        _asked(remote, lambda client: client.home(handle))
        print_change(context, "homed", handle)
        return
    with opened_store(context) as store:
        outcome = applied(store, HomePrefix(handle, who()))
        with store.view() as view:
            has_record = view.get(handle) is not None
    print_change(context, "already homed" if outcome.existed else "homed", handle)
    if not has_record:
        name, folder = handle.decode(), shlex.quote(str(context.found_config().parent))
        note(context, f"there is no record {name} here: clients find this node by the one that the parent keeps.")
        note(context, f"Make one: hnode init {folder} --prefix {name.partition('/')[2]}")


@command.command(name="unhome", epilog="Example:  hnode prefix unhome 88.100")
@click.argument("prefix")
@remote_options
@output_option
@click.pass_obj
def unhome(context: CommandContext, prefix: str, remote: Remote) -> int:
    """Serve PREFIX no longer; its records stay in the store. Exit code 3 where it is not homed."""
    from admin.local_store import applied, opened_store, who
    from admin.record_output import print_change
    from storage.base import UnhomePrefix

    handle = _named(prefix)
    if remote.is_given:
        _asked(remote, lambda client: client.unhome(handle))
        print_change(context, "unhomed", handle)
        return ExitCode.OK
    with opened_store(context) as store:
        outcome = applied(store, UnhomePrefix(handle, who()))
        with store.view() as view:
            remain = bool(view.handles(handle.partition(b"/")[2] + b"/", limit=1))
    if not outcome.existed:
        why = "nothing changed"
        raise Failure(f"{handle.decode()} is not homed", why, "hnode prefix list", code=ExitCode.NOT_FOUND)
    print_change(context, "unhomed", handle)
    if remain:
        note(context, f"its records stay in the store: hnode handle list {handle.decode().partition('/')[2]}")
    return ExitCode.OK


def _asked(remote: Remote, work: "Callable[[Client], Coroutine[Any, Any, _Told]]") -> "_Told":
    """What the work at another server gives; every refusal of it as a `Failure`."""
    from admin.remote import asked, refused
    from resolver.client_errors import Refused

    try:
        return asked(remote, work)
    except Refused as error:
        raise refused(remote, error) from error


def _homed_there(remote: Remote) -> list[str]:
    async def work(client: "Client") -> list[str]:
        return sorted([handle.decode(errors="replace") async for handle in client.list_homed()])

    return _asked(remote, work)


def _named(prefix: str) -> bytes:
    """The folded prefix handle that was named: with or without `0.NA/`, or a marker `0.NA/0.NA/88.100`."""
    from admin.prefixes import checked_prefix
    from protocol.identifier import PREFIX_HANDLES, folded

    name = prefix[5:] if prefix[:5].upper() == "0.NA/" else prefix
    marked = name[:5].upper() == "0.NA/"
    checked_prefix(name[5:] if marked else name)
    return folded(PREFIX_HANDLES + name.encode())
