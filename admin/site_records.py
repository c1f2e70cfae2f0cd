"""Another node's site record: from a file, or from the node, whose key somebody must vouch for. Prints nothing."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from admin.errors import ExitCode, Failure
from admin.remote import Remote, asked, place
from protocol.codes import DEFAULT_REQUEST_FLAGS, RECURSIVE, ResponseCode
from protocol.errors import HandleError, InvalidValue, Malformed
from protocol.json_form.sites import site_from_json
from protocol.site import Server, Site, Transport
from protocol.trust.keys import PublicKey, fingerprint
from resolver.client import NoAnswer, ask, resolution
from resolver.client import Transport as Way
from resolver.client_errors import Refused
from resolver.client_proof import keys_of

if TYPE_CHECKING:
    from resolver.client_admin import Client

_SIZE_MAX: Final = 1 << 20  # Octets of a site record: real ones have some hundred.
_NOWHERE: Final = ("0.0.0.0", "::")  # noqa: S104 - compared

Vouch = Callable[[Site, str], bool]
"""Asked whether the key of a site (its fingerprint) is believed that only the node itself told."""


@dataclass(frozen=True, slots=True)
class Found:
    """A site record, and where it came from in words; `keys` are those of its servers that can be read."""

    site: Site
    source: str
    keys: tuple[PublicKey, ...]


def site_in(path: Path) -> Site:
    """The site record in a file, binary or JSON; a `Failure` where it is none."""
    with path.open("rb") as file:
        octets = file.read(_SIZE_MAX + 1)
    try:
        if len(octets) > _SIZE_MAX:
            raise Malformed(f"it has more than {_SIZE_MAX:,} octets")
        if octets and octets[:1] not in b"\0 \t\r\n{":
            # The format's number is small: its first octet is 0.
            raise Malformed("it is neither JSON nor the octets of one")
        if octets.lstrip()[:1] == b"{":
            return site_from_json(json.loads(octets))
        return Site.from_bytes(octets)
    except (ValueError, RecursionError, Malformed, InvalidValue) as error:
        then = "take siteinfo.json of that node; on that node: hnode upstream enrol --out DIR writes it"
        raise Failure(f"{path} holds no site record", str(error), then, code=ExitCode.USAGE) from error


def site_from(path: Path) -> Found:
    """A site record from a file, whose keys its sender vouches for."""
    site = site_in(path)
    return Found(_checked(site, str(path)), str(path), keys_of(site))


def site_at(at: str, known: tuple[PublicKey, ...], vouch: Vouch) -> Found:
    """The site record that a node tells of itself, in an answer that it signed with one of the keys.

    `known` are its keys as they came by another way; without them `vouch` decides over the one that it tells.
    """

    async def work(client: "Client") -> Site:
        if known:
            client.calls.asking.keys = known
            return await client.site_info(certified=True)
        told = await client.site_info()
        client.calls.asking.keys = keys_of(told)
        return await client.site_info(certified=True)

    place(at)
    remote = Remote(at=at)
    try:
        site = asked(remote, work)
    except Failure as error:
        if error.code is ExitCode.DENIED and known:
            then = "--key FILE: siteinfo.bin or the public key of that very node"
            raise Failure(error.what, error.why, then, code=error.code) from error
        raise
    except Refused as error:
        raise Failure(f"{at} does not tell its site record", str(error)) from error
    keys = keys_of(site)
    if known and not set(known) & set(keys):
        why = "its site record tells other keys than the one that was given"
        then = "--key FILE: siteinfo.bin or the public key of that very node"
        raise Failure(f"{at} is not the node that was meant", why, then, code=ExitCode.DENIED)
    if not known and not vouch(site, fingerprint_of(site)):
        why = "only the node itself told its key: whoever answers there could have"
        then = "--key FILE (its public key, come by another way), or --yes"
        raise Failure(f"nobody vouches for {at}", why, then, code=ExitCode.DENIED)
    return Found(_checked(site, at), at, keys)


def is_homed_at(at: str, handle: bytes) -> bool:
    """Whether a node answers for what is under a prefix, as far as it says: only its plain refusal is a no.

    It is asked of itself alone: one that recurses for us would find whoever the prefix is delegated to.
    """
    name = handle.partition(b"/")[2] + b"/0"
    message = resolution(name, flags=DEFAULT_REQUEST_FLAGS & ~RECURSIVE, now_s=int(time.time()))
    host, port = place(at)
    try:
        code = asyncio.run(ask(message, host, port, transport=Way.TCP)).message.header.code
    except (NoAnswer, HandleError, OSError):
        return True
    return code not in (ResponseCode.SERVER_NOT_RESP, ResponseCode.SERVICE_REFERRAL, ResponseCode.PREFIX_REFERRAL)


def _checked(site: Site, source: str) -> Site:
    """The site, if a client could use it."""
    why = ""
    if not site.servers:
        why = "it names no server"
    elif any(server.address_text in _NOWHERE for server in site.servers):
        why = "it names no address: set [node] address on that node"
    elif not any(interface.is_query for server in site.servers for interface in server.interfaces):
        why = "none of its servers takes questions"
    elif len(keys_of(site)) < len(site.servers):
        why = "a server's public key is missing, or of a kind that signs nothing"
    if why:
        raise Failure(f"the site record of {source} is of no use", why, code=ExitCode.USAGE)
    return site


def fingerprint_of(site: Site) -> str:
    """The fingerprints of the servers' keys, as people compare them."""
    return ", ".join(fingerprint(key) for key in keys_of(site)) or "no key"


def place_of(server: Server) -> str:
    """`192.0.2.1 udp 2641 tcp 2641`: where a server listens, for people."""
    ports = [f"{_transport(found.transport)} {found.port}" for found in server.interfaces]
    return " ".join([server.address_text, *ports])


def places_of(site: Site) -> str:
    """The places of all servers of a site, for people."""
    return ", ".join(place_of(server) for server in site.servers) or "no server"


def _transport(number: int) -> str:
    return Transport(number).name.lower() if number in list(Transport) else f"transport {number}"


def described(site: Site) -> list[str]:
    """A site in a few lines for people: kind and serial, where its servers are, and their keys."""
    kind = "primary" if site.is_primary else "mirror"
    names = [value.decode(errors="replace") for name, value in site.attributes if name == b"desc"]
    head = f"{kind}, serial {site.serial}" + (f", {names[0]!r}" if names else "")
    return [head, *(place_of(server) for server in site.servers), fingerprint_of(site)]
