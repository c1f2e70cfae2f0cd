"""`hnode prefix delegate`: let another node keep a derived prefix."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from admin.context import CommandContext
from admin.errors import ExitCode, Failure
from admin.output import note, output_option, printable, say
from admin.texts import text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from admin.site_records import Found
    from protocol.site import Site
    from protocol.trust.keys import PublicKey
    from protocol.value import HandleValue
    from storage.base import StoreView

_PATH = click.Path(path_type=Path)


@click.command(name="delegate", epilog="Example:  hnode prefix delegate 88.100.7 --site siteinfo.json")
@click.argument("prefix")
@click.option("--site", "site_file", type=_PATH, metavar="FILE", help="The site record of the node that shall keep it.")
@click.option("--at", metavar="HOST:PORT", help="That node itself, which is asked for its site record.")
@click.option("--key", type=_PATH, metavar="FILE", help="Its public key (or siteinfo.bin), come by another way.")
@click.option("--yes", is_flag=True, help="Believe the key that the node itself tells.")
@click.option("--fallback", multiple=True, metavar="FILE|HOST:PORT", help="A mirror of it, asked where it is silent.")
@click.option("--admin-key", type=_PATH, metavar="FILE", help="The public key of the prefix's administrator.")
@click.option("--only-handles", is_flag=True, help="Prefixes derived from PREFIX are not delegated with it.")
@click.option("--ttl", type=click.IntRange(1, 86_400), default=3_600, show_default=True, help="Seconds it is kept.")
@click.option("--write-at", metavar="HOST:PORT", help="Write it at that server, instead of this node's own store.")
@click.option("--auth", metavar="INDEX:HANDLE", help="Who you are there.")
@click.option("--auth-key", type=_PATH, metavar="FILE", help="Your private key there.")
@output_option
@click.pass_obj
def delegate(
    context: CommandContext,
    prefix: str,
    site_file: Path | None,
    at: str | None,
    key: Path | None,
    yes: bool,
    fallback: tuple[str, ...],
    admin_key: Path | None,
    only_handles: bool,
    ttl: int,
    write_at: str | None,
    auth: str | None,
    auth_key: Path | None,
) -> None:
    """Let another node keep PREFIX, which is derived from one kept here: clients are referred to it.

    The record `0.NA/PREFIX` tells its site, and those of its mirrors. Written again it moves a delegation.
    """
    from admin.delegating import delegation_sites, delegation_values
    from admin.identities import public_keys_in
    from admin.site_records import is_homed_at

    expect_server(write_at, auth, auth_key)
    handle = named_prefix(prefix)
    found = _delegate(site_file, at, key, yes)
    mirrors = [_mirror(place, yes) for place in fallback]
    owner = None if admin_key is None else public_keys_in(admin_key)[0]
    own = () if at is None or owner is not None else _own_values(handle, at, found.keys)
    values = delegation_values(
        handle,
        delegation_sites(found.site, mirrors),
        own=own,
        key=owner,
        with_derived=not only_handles,
        ttl_s=ttl,
        now_s=int(time.time()),
    )
    if write_at is None:
        is_new = _written_here(context, handle, values)
    else:
        is_new = _written_there(write_at, auth, auth_key, handle, values)
    _tell(context, handle, found, mirrors, values, is_new)
    if not is_new and write_at is not None:
        note(context, text("upstream.untried", context.lang))
    if at is not None and not is_homed_at(at, handle):
        prefix_there = handle.decode().partition("/")[2]
        note(context, text("delegate.unhomed", context.lang, at=at, prefix=prefix_there))


def named_prefix(prefix: str) -> bytes:
    """The folded prefix handle of a prefix, with or without `0.NA/`; a usage `Failure` where it is none."""
    from admin.prefixes import checked_prefix
    from protocol.identifier import PREFIX_HANDLES, folded

    name = prefix[5:] if prefix[:5].upper() == "0.NA/" else prefix
    return folded(PREFIX_HANDLES + checked_prefix(name).encode())


def expect_server(write_at: str | None, auth: str | None, key: Path | None) -> None:
    """A usage `Failure` where it is said who somebody is, but not at which server."""
    if write_at is None and (auth or key):
        why = "without --write-at this node's own store is written, and nobody is asked who you are"
        raise Failure("no server is named", why, "--write-at HOST:PORT", code=ExitCode.USAGE)


def _delegate(site_file: Path | None, at: str | None, key: Path | None, yes: bool) -> "Found":
    from admin.site_records import site_from

    if (site_file is None) == (at is None):
        what = "no node is named" if at is None else "the node is named twice"
        why = "one of --site and --at says which node shall keep it"
        then = "--site siteinfo.json, or --at HOST:PORT" if at is None else "name the node once: --site or --at"
        raise Failure(what, why, then, code=ExitCode.USAGE)
    if site_file is not None:
        if key is not None:
            why = "the site record tells the key already: --key belongs to --at"
            raise Failure("--key is not needed", why, "leave --key out", code=ExitCode.USAGE)
        return site_from(site_file)
    return _asked_site(at or "", key, yes)


def _asked_site(at: str, key: Path | None, yes: bool) -> "Found":
    from admin.identities import public_keys_in
    from admin.site_records import described, site_at

    def vouched(site: "Site", fingerprint: str) -> bool:
        if yes:
            return True
        if not sys.stdin.isatty():
            return False
        for line in described(site):
            click.echo(f"  {printable(line)}", err=True)
        return click.confirm(f"Is {printable(fingerprint)} the key of {at}?", err=True)

    return site_at(at, () if key is None else public_keys_in(key), vouched)


def _mirror(place: str, yes: bool) -> "Site":
    from admin.site_records import site_in

    if Path(place).is_file():
        return site_in(Path(place))
    return _asked_site(place, None, yes).site


def _own_values(handle: bytes, at: str, keys: "Sequence[PublicKey]") -> "tuple[HandleValue, ...]":
    """What the node itself says of the prefix's administrator, in an answer that it signed; else nothing."""
    from admin.remote import Remote, asked
    from resolver.client_errors import Refused

    async def work(client: Any) -> "tuple[HandleValue, ...]":
        client.calls.asking.keys = tuple(keys)
        found = await client.resolve(handle, types=[b"HS_ADMIN", b"HS_PUBKEY"], certified=True)
        values: tuple[HandleValue, ...] = found.values
        return values

    try:
        return asked(Remote(at=at), work)
    except Refused:
        return ()


def _written_here(context: CommandContext, handle: bytes, values: "Sequence[HandleValue]") -> bool:
    """Write the delegation into this node's own store; whether that changed anything."""
    from admin.delegating import delegated
    from admin.local_store import applied, opened_store, who
    from protocol.identifier import parent_prefix_handle
    from storage.base import UpdateRecord

    with opened_store(context) as store:
        with store.view() as view:
            if handle in view.homed():
                why = "it is homed here: who asks this node would still hear what is kept here"
                then = f"hnode prefix unhome {handle.decode().partition('/')[2]}"
                raise Failure(f"{handle.decode()} cannot be delegated", why, then, code=ExitCode.CONFLICT)
            _expect_ours(view, handle)
        outcome = applied(store, UpdateRecord(handle, delegated(values), who()))
    if parent_prefix_handle(handle) is None:
        note(context, f"{handle.decode()} is derived from no other prefix: only a root delegates it")
    return bool(outcome.number)


def _expect_ours(view: "StoreView", handle: bytes) -> None:
    """A `Failure` where this node keeps nothing that the prefix is derived from: what it wrote nobody would find."""
    from protocol.identifier import parent_prefix_handle
    from resolver.authority import is_served

    if is_served(handle, view.homed()):
        return
    parent = parent_prefix_handle(handle)
    above = "the root" if parent is None else parent.decode().partition("/")[2]
    why = f"it is for the node that keeps {above} to delegate it"
    then = "--write-at HOST:PORT --auth INDEX:HANDLE --auth-key FILE writes it at that node"
    raise Failure(f"{handle.decode()} is not kept here", why, then, code=ExitCode.NOT_FOUND)


def _written_there(
    place: str, auth: str | None, key: Path | None, handle: bytes, values: "Sequence[HandleValue]"
) -> bool:
    """Write the delegation at a server; whether that changed anything."""
    from admin.delegation_remote import Written, write_delegation
    from admin.remote import Remote

    became, _, _ = write_delegation(Remote(at=place, auth=auth, key=key), handle, values)
    return became is not Written.ALREADY


def _tell(
    context: CommandContext,
    handle: bytes,
    found: "Found",
    mirrors: "Sequence[Site]",
    values: "Sequence[HandleValue]",
    is_new: bool,
) -> None:
    from admin.record_output import print_told
    from admin.site_records import described
    from protocol.codes import ResponseCode
    from protocol.json_form.sites import site_to_json

    name = handle.decode()
    if not context.is_table:
        sites = [site_to_json(site) for site in (found.site, *mirrors)]
        indexes = sorted(value.index for value in values)
        told = {
            "responseCode": int(ResponseCode.SUCCESS),
            "handle": name,
            "result": "delegated" if is_new else "already so",
        }
        print_told(context, told | {"sites": sites, "indexes": indexes})
        return
    key = "delegate.done" if is_new else "delegate.already"
    say(context, text(key, context.lang, name=name, source=printable(found.source)))
    for site in (found.site, *mirrors):
        for line in described(site):
            say(context, f"  {printable(line)}")
