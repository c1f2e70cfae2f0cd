"""A parent's delegation held against what a node is: address, ports, key, serial. Values in, sentences out.

Source: spec, resolution: section 4.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from admin.delegating import PREFIX_SITE, SITE
from admin.site_records import place_of
from protocol.errors import Malformed
from protocol.site import Server, Site
from protocol.trust.keys import fingerprint, read_public_key
from protocol.value import HandleValue

_SITE_TYPES: Final = frozenset((SITE, b"HS_SITE.6"))


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that the parent tells otherwise than it is: `there` at the parent, `here` at this node."""

    what: str
    there: str
    here: str

    def __str__(self) -> str:
        return f"{self.what}: the parent tells {self.there}, this node is {self.here}"


@dataclass(frozen=True, slots=True)
class Compared:
    """A delegation of one prefix. `index` is that of the site that is this node's, 0 where none is.

    `others`: places of further sites that are told (mirrors, or a primary that is somebody else).
    """

    handle: bytes
    index: int
    differences: tuple[Difference, ...]
    others: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether clients that follow the parent find this node."""
        return bool(self.index) and not self.differences


def compared(handle: bytes, values: Iterable[HandleValue], mine: Site) -> Compared:
    """The parent's record of a prefix against this node's site record."""
    told = list(_sites(values))
    ours = next((found for found in told if found[1] == mine), None)
    ours = ours or next((found for found in told if _is_near(found[1], mine)), None)
    if ours is None:
        here = place_of(mine.servers[0])
        there = "; ".join(_places(site) for _, site, _ in told) or "no site"
        return Compared(handle, 0, (Difference("site", there, here),))
    index, site, _ = ours
    found = _differences(site, mine)
    derived = [other for _, other, kind in told if kind == PREFIX_SITE and _is_near(other, mine)]
    if any(other != site for other in derived):
        found += (Difference("HS_SITE.PREFIX", "another site record than in HS_SITE", "one"),)
    others = [_places(other) for _, other, kind in told if kind != PREFIX_SITE and not _is_near(other, mine)]
    return Compared(handle, index, found, tuple(others))


def _sites(values: Iterable[HandleValue]) -> Iterable[tuple[int, Site, bytes]]:
    for value in sorted(values, key=lambda value: (value.type == PREFIX_SITE, value.index)):
        if value.type in _SITE_TYPES or value.type == PREFIX_SITE:
            try:
                yield value.index, Site.from_bytes(value.data), value.type
            except Malformed:
                continue  # A site that nobody can read leads nobody here.


def _is_near(site: Site, mine: Site) -> bool:
    """Whether a site means this node: the same key, or the same address and a port of it."""
    keys = {server.public_key for server in mine.servers if server.public_key}
    if keys & {server.public_key for server in site.servers}:
        return True
    return bool(_doors(site) & _doors(mine))


def _doors(site: Site) -> set[tuple[bytes, int]]:
    return {(server.address, interface.port) for server in site.servers for interface in server.interfaces}


def _differences(site: Site, mine: Site) -> tuple[Difference, ...]:
    found = []
    if len(site.servers) != len(mine.servers):
        found.append(Difference("servers", str(len(site.servers)), str(len(mine.servers))))
    for there, here in zip(site.servers, mine.servers, strict=False):
        found += _server_differences(there, here)
    if site.serial != mine.serial:
        found.append(Difference("serial", str(site.serial), str(mine.serial)))
    if site.is_primary != mine.is_primary:
        words = {True: "a primary", False: "a mirror"}
        found.append(Difference("kind", words[site.is_primary], words[mine.is_primary]))
    if not found and site != mine:
        found.append(Difference("site", "another record", "this node's record in address, ports, key and serial"))
    return tuple(found)


def _server_differences(there: Server, here: Server) -> list[Difference]:
    found = []
    if there.address != here.address:
        found.append(Difference("address", there.address_text, here.address_text))
    if set(there.interfaces) != set(here.interfaces):
        found.append(Difference("ports", _ports(there), _ports(here)))
    if there.public_key != here.public_key:
        found.append(Difference("key", _fingerprint(there.public_key), _fingerprint(here.public_key)))
    return found


def _ports(server: Server) -> str:
    return place_of(server).partition(" ")[2] or "none"


def _places(site: Site) -> str:
    return ", ".join(place_of(server) for server in site.servers)


def _fingerprint(octets: bytes) -> str:
    try:
        return fingerprint(read_public_key(octets))
    except Malformed:
        return "none that can be read"


def summary(found: Sequence[Compared]) -> str:
    """`2 prefixes: 1 delegated as it is, 1 otherwise`."""
    good = sum(one.is_good for one in found)
    noun = "prefix" if len(found) == 1 else "prefixes"
    return f"{len(found)} {noun}: {good} delegated as this node is" + (
        f", {len(found) - good} not" * (good < len(found))
    )
