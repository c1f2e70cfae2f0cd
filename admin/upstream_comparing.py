"""A parent's delegation held against what a node is: address, ports, key, serial. Values in, sentences out.

Source: spec, resolution: section 4.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from admin.delegating import PREFIX_SITE, is_near, site_of_value
from admin.site_records import place_of, places_of
from protocol.errors import Malformed
from protocol.site import Server, Site
from protocol.trust.keys import fingerprint, read_public_key
from protocol.value import HandleValue

_Attributes = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that the parent tells otherwise than it is: `there` at the parent, `here` at this node.

    `of` is the type of the value that tells it where that is not HS_SITE.
    """

    what: str
    there: str
    here: str
    of: str = ""

    @property
    def name(self) -> str:
        """What differs, with the type of the value that tells it where that must be said."""
        return f"{self.of} {self.what}".lstrip()


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
    ours = ours or next((found for found in told if is_near(found[1], mine)), None)
    if ours is None:
        there = "; ".join(dict.fromkeys(places_of(site) for _, site, _ in told)) or "no site"
        return Compared(handle, 0, (Difference("site", there, places_of(mine)),))
    index, site, kind = ours
    found = list(differences(site, mine, of=PREFIX_SITE.decode() if kind == PREFIX_SITE else ""))
    derived = [other for _, other, kind in told if kind == PREFIX_SITE and is_near(other, mine)]
    if kind != PREFIX_SITE and derived and mine not in derived and site not in derived:
        found += differences(derived[0], mine, of=PREFIX_SITE.decode())
    others = dict.fromkeys(places_of(other) for _, other, _ in told if not is_near(other, mine))
    return Compared(handle, index, tuple(found), tuple(others))


def _sites(values: Iterable[HandleValue]) -> Iterable[tuple[int, Site, bytes]]:
    for value in sorted(values, key=lambda value: (value.type == PREFIX_SITE, value.index)):
        site = site_of_value(value)
        if site is not None:  # Another leads nobody here.
            yield value.index, site, value.type


def differences(site: Site, mine: Site, *, of: str = "") -> tuple[Difference, ...]:
    """All that a site record tells otherwise than another; empty where they are the same."""
    found = []
    if len(site.servers) != len(mine.servers):
        found.append(("servers", str(len(site.servers)), str(len(mine.servers))))
    for there, here in zip(site.servers, mine.servers, strict=False):
        found += _server_differences(there, here)
    if site.serial != mine.serial:
        found.append(("serial", str(site.serial), str(mine.serial)))
    if site.is_primary != mine.is_primary:
        words = {True: "a primary", False: "a mirror"}
        found.append(("kind", words[site.is_primary], words[mine.is_primary]))
    if site.attributes != mine.attributes:
        found += _attribute_differences(site.attributes, mine.attributes)
    if not found and site != mine:
        found.append(("site", "another record", "this node's record in address, ports, key and serial"))
    return tuple([Difference(what, there, here, of) for what, there, here in found])


def _server_differences(there: Server, here: Server) -> list[tuple[str, str, str]]:
    found = []
    if there.address != here.address:
        found.append(("address", there.address_text, here.address_text))
    if set(there.interfaces) != set(here.interfaces):
        found.append(("ports", _ports(there), _ports(here)))
    if there.public_key != here.public_key:
        found.append(("key", _fingerprint(there.public_key), _fingerprint(here.public_key)))
    return found


def _attribute_differences(there: _Attributes, here: _Attributes) -> list[tuple[str, str, str]]:
    """Names and values that differ; `desc` is the node's name."""
    old, new = dict(there), dict(here)
    names = [name for name in dict.fromkeys((*old, *new)) if old.get(name) != new.get(name)]
    return [(name.decode(errors="replace"), _quoted(old.get(name)), _quoted(new.get(name))) for name in names]


def _quoted(octets: bytes | None) -> str:
    return "nothing" if octets is None else repr(octets.decode(errors="replace"))


def _ports(server: Server) -> str:
    return place_of(server).partition(" ")[2] or "none"


def _fingerprint(octets: bytes) -> str:
    try:
        return fingerprint(read_public_key(octets))
    except Malformed:
        return "none that can be read"
