"""`hnode prefix delegations` and `undelegate`: which prefixes others keep, and taking one back."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from admin.context import CommandContext
from admin.errors import ExitCode, Failure
from admin.output import note, output_option, print_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from protocol.value import HandleValue
    from storage.base import StoreView

_PAGE: Final = 1_000
"""Prefix records that are looked through at a time: a root has millions."""


@click.command(name="delegations", epilog="Example:  hnode prefix delegations -o jsonl")
@output_option
@click.pass_obj
def delegations(context: CommandContext) -> None:
    """List the prefixes that this node's records leave to other nodes: where those are, and for how long it is kept."""
    from admin.local_store import opened_store

    with opened_store(context, read_only=True) as store, store.view() as view:
        rows = [_row(context, handle, values) for handle, values in _delegated(view)]
    columns = ["prefix", "at", "derived", "ttl"]
    print_rows(context, columns, rows)
    if not rows:
        note(context, "no prefix is delegated here: hnode prefix delegate PREFIX --site siteinfo.json")


def _delegated(view: "StoreView") -> "Iterator[tuple[bytes, tuple[HandleValue, ...]]]":
    """Prefix handles that are not homed here, each with the values that delegate it."""
    from admin.delegating import delegating
    from protocol.identifier import PREFIX_HANDLES
    from protocol.value import read_values
    from protocol.wire import Reader

    homed, after = view.homed(), None
    while page := view.handles(PREFIX_HANDLES, after=after, limit=_PAGE):
        after = page[-1]
        for handle in page:
            record = view.get(handle)
            values = () if record is None or handle in homed else delegating(read_values(Reader(record.values)))
            if values:
                yield handle, values


def _row(context: CommandContext, handle: bytes, values: "Sequence[HandleValue]") -> list[object]:
    """Prefix, places each once, whether derived prefixes are delegated with it, and the longest TTL in seconds."""
    from admin.delegating import PREFIX_SITE, site_of_value
    from admin.site_records import places_of

    sites = [(value, site_of_value(value)) for value in values]
    places = list(dict.fromkeys(_service(value) if site is None else places_of(site) for value, site in sites))
    is_derived = any(value.type in (PREFIX_SITE, b"HS_SERV.PREFIX") for value in values)
    name, ttl = handle.partition(b"/")[2].decode(errors="replace"), max(value.ttl for value in values)
    if context.is_table:
        return [name, "; ".join(places), "yes" if is_derived else "no", ttl]
    return [name, places, is_derived, ttl]


def _service(value: "HandleValue") -> str:
    """What a value leads to that is no site: a service handle, or a site that nobody can read."""
    kind = value.type.decode(errors="replace")
    return f"{kind} that cannot be read" if kind.startswith("HS_SITE") else value.data.decode(errors="replace")


@click.command(name="undelegate", epilog="Example:  hnode prefix undelegate 88.100.7")
@click.argument("prefix")
@click.option("--write-at", metavar="HOST:PORT", help="Do it at that server, instead of this node's own store.")
@click.option("--auth", metavar="INDEX:HANDLE", help="Who you are there.")
@click.option("--auth-key", type=click.Path(path_type=Path), metavar="FILE", help="Your private key there.")
@output_option
@click.pass_obj
def undelegate(
    context: CommandContext, prefix: str, write_at: str | None, auth: str | None, auth_key: Path | None
) -> int:
    """Refer nobody for PREFIX any longer. Exit code 3 where it is not delegated here.

    Its record goes where nothing is left in it but its administrator; clients remember the old one for its TTL.
    """
    from admin.commands.prefix_delegating import expect_server, named_prefix
    from admin.record_output import print_change

    expect_server(write_at, auth, auth_key)
    handle = named_prefix(prefix)
    if write_at is None:
        values = _undelegated_here(context, handle)
        print_change(context, "undelegated", handle)
    else:
        from admin.delegation_remote import remove_delegation
        from admin.remote import Remote

        values = remove_delegation(Remote(at=write_at, auth=auth, key=auth_key), handle)
        print_change(context, "undelegated", handle, at=write_at)
    note(context, f"clients may remember the old delegation for up to {max(value.ttl for value in values)} s")
    return ExitCode.OK


def _undelegated_here(context: CommandContext, handle: bytes) -> "Sequence[HandleValue]":
    from admin.delegating import delegating, undelegated
    from admin.local_store import applied, opened_store, who
    from protocol.value import read_values
    from protocol.wire import Reader
    from storage.base import UpdateRecord

    name = handle.decode()
    prefix = name.partition("/")[2]
    with opened_store(context) as store:
        with store.view() as view:
            record = view.get(handle)
            is_homed = handle in view.homed()
        values = () if record is None else delegating(read_values(Reader(record.values)))
        if not values:
            why = f"there is no record {name} here that names a site"
            raise Failure(f"{prefix} is not delegated here", why, "hnode prefix delegations", code=ExitCode.NOT_FOUND)
        if is_homed:
            why = "it is homed here, and its record says so to clients"
            raise Failure(f"{prefix} is not delegated to another node", why, f"hnode prefix unhome {prefix}")
        applied(store, UpdateRecord(handle, undelegated, who()))
    return values
