"""What this node asks of its parent: its site record and keys as files, or written there. Prints nothing."""

import json
import shlex
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from admin.context import CommandContext
from admin.delegating import delegation_sites, delegation_values, enrolled, is_near, site_of_value
from admin.delegation_remote import Standing, Written, write_delegation
from admin.errors import ExitCode, Failure
from admin.files import PUBLIC, make_folder, write_whole
from admin.local_store import opened_store
from admin.remote import Remote
from admin.site_records import fingerprint_of, places_of
from protocol.errors import HandleError, Malformed
from protocol.identifier import ROOT_PREFIX_HANDLE, parent_prefix_handle
from protocol.json_form.sites import site_to_json
from protocol.site import Site
from protocol.trust.keys import public_key_octets, public_pem, read_public_key
from protocol.value import HandleValue, read_values
from protocol.wire import Reader
from resolver.identity import read_identity, site_of

if TYPE_CHECKING:
    from resolver.config import Config

_KEY_TYPE: Final = b"HS_PUBKEY"
_NO_PARENT: Final = (ROOT_PREFIX_HANDLE, b"0.NA/0.0")
"""What a root homes for itself: nobody is above."""


@dataclass(frozen=True, slots=True)
class Here:
    """This node: its site record, and the prefixes that it homes with what their records say of administrators.

    `configured` is the site that the node will tell once it is started anew: with the same serial where nothing
    changed. None where the server key, which is part of it, cannot be read.
    """

    site: Site
    handles: tuple[bytes, ...]
    own: dict[bytes, tuple[HandleValue, ...]]
    configured: Site | None

    @property
    def is_outdated(self) -> bool:
        """Whether the configuration describes another site than clients are told."""
        return self.configured not in (None, self.site)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What became of one prefix at the parent; places of other sites that it goes on to tell, or tells no longer."""

    handle: bytes
    became: Written
    kept: tuple[str, ...]
    gone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ForTheParent:
    """Files that were made, the fingerprint of this node's key, and what the parent's administrator types."""

    files: tuple[Path, ...]
    fingerprint: str
    commands: tuple[str, ...]


def here(context: CommandContext, prefixes: Sequence[str]) -> Here:
    """This node and the prefixes named, or all that somebody above delegates; a `Failure` where there is none."""
    from admin.commands.prefix_delegating import named_prefix

    wished = [named_prefix(prefix) for prefix in prefixes]
    with opened_store(context, read_only=True) as store, store.view() as view:
        identity, homed = read_identity(view), view.homed()
        found = wished or [handle for handle in sorted(homed) if _has_parent(handle, homed)]
        for handle in found:
            if handle not in homed:
                prefix = handle.decode().partition("/")[2]
                then = f"hnode prefix home {prefix}"
                raise Failure(f"{prefix} is not kept here", "it is not homed", then, code=ExitCode.NOT_FOUND)
        if identity is None or not found:
            why = "no prefix is homed here that a node above could delegate"
            raise Failure("there is nothing to delegate", why, "hnode prefix home PREFIX", code=ExitCode.NOT_FOUND)
        own = {}
        for handle in found:
            record = view.get(handle)
            own[handle] = () if record is None else read_values(Reader(record.values))
    site = Site.from_bytes(identity.site)
    return Here(site, tuple(found), own, _configured(context.load(), site.serial))


def _configured(config: "Config", serial: int) -> Site | None:
    from admin.setup.initialise import public_half

    try:
        key = public_key_octets(public_half(config.node.server_key))
    except (Failure, HandleError, OSError):  # What ails the key is for `hnode doctor` to say.
        return None
    return site_of(config, key, serial=serial)


def _has_parent(handle: bytes, homed: Collection[bytes]) -> bool:
    """Whether somebody above delegates it: not where this node itself keeps a prefix that it derives from."""
    if handle in _NO_PARENT or handle.startswith(ROOT_PREFIX_HANDLE + b"/"):
        return False
    ancestor = parent_prefix_handle(handle)
    while ancestor is not None:
        if ancestor in homed:
            return False
        ancestor = parent_prefix_handle(ancestor)
    return True


def parent_of(config: "Config", at: str | None, remote: Remote, *, needs_identity: bool) -> Remote:
    """The parent and who we are there: as the options say, else as [upstream] does."""
    upstream = config.upstream
    place = at or upstream.parent
    if not place:
        why = "neither --at nor [upstream] parent names it"
        raise Failure("no parent is known", why, "--at HOST:PORT", code=ExitCode.USAGE)
    found = Remote(
        at=place,
        auth=remote.auth,
        key=remote.key,
        secret_file=remote.secret_file,
        passphrase_file=remote.passphrase_file,
        server_key=remote.server_key or (None if at else upstream.parent_site),
        tls=remote.tls,
        ca=remote.ca,
        insecure=remote.insecure,
        session=remote.session,
    )
    if not needs_identity or found.auth is not None:
        return found
    if not upstream.identity or upstream.key is None:
        why = "neither --auth nor [upstream] identity and key say who this node is there"
        then = "--out DIR makes the files for its administrator"
        raise Failure("the delegation cannot be written at the parent", why, then, code=ExitCode.USAGE)
    named = upstream.identity[0]
    return Remote(
        at=place,
        auth=f"{named.index}:{named.handle.decode()}",
        key=upstream.key,
        server_key=found.server_key,
        tls=remote.tls,
        ca=remote.ca,
        insecure=remote.insecure,
        session=remote.session,
    )


def files_for(node: Here, folder: Path) -> ForTheParent:
    """Site record and administrators' public keys in a folder, written anew, and the commands that take them."""
    make_folder(folder)
    site = folder / "siteinfo.json"
    write_whole(site, (json.dumps(site_to_json(node.site), indent=2) + "\n").encode(), mode=PUBLIC, replace=True)
    binary = folder / "siteinfo.bin"
    write_whole(binary, node.site.to_bytes(), mode=PUBLIC, replace=True)
    files, commands = [site, binary], []
    for handle in node.handles:
        prefix = handle.decode().partition("/")[2]
        words = ["hnode", "prefix", "delegate", prefix, "--site", site.name]
        pem = _key_pem(node.own[handle])
        if pem is not None:
            path = folder / f"{prefix}.admin.pub.pem"
            write_whole(path, pem, mode=PUBLIC, replace=True)
            files.append(path)
            words += ["--admin-key", path.name]
        commands.append(shlex.join(words))
    return ForTheParent(tuple(files), fingerprint_of(node.site), tuple(commands))


def _key_pem(values: Sequence[HandleValue]) -> bytes | None:
    """The first public key of a prefix's record as PEM, or None where there is none that PEM can hold."""
    for value in sorted(values, key=lambda value: value.index):
        if value.type == _KEY_TYPE:
            try:
                return public_pem(read_public_key(value.data))
            except (Malformed, ValueError):
                continue
    return None


def written_at(parent: Remote, node: Here) -> Iterator[Enrolled]:
    """Write each prefix's delegation at the parent, beside what the parent tells of other sites."""
    sites = delegation_sites(node.site, ())
    for handle in node.handles:
        values = delegation_values(handle, sites, own=node.own[handle], now_s=int(time.time()))

        def joined(standing: Standing, fresh: Sequence[HandleValue]) -> Standing:
            return enrolled(standing, fresh, node.site)

        became, before, after = write_delegation(parent, handle, values, joined)
        told = _others(after, node.site)
        gone = [place for place in _others(before, node.site) if place not in told]
        yield Enrolled(handle, became, tuple(told), tuple(gone))


def _others(values: Sequence[HandleValue], mine: Site) -> list[str]:
    """The places of sites that are not this node's, each once."""
    sites = [site for site in map(site_of_value, values) if site is not None and not is_near(site, mine)]
    return list(dict.fromkeys(places_of(site) for site in sites))
