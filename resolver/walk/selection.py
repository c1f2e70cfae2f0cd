"""Which servers may be asked a question, and in which order. Asks nobody.

Sources: spec, resolution: sections 3.2 and 4; records: sections 5.3 and 5.5; protocol: section 8.5.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final, NamedTuple

from protocol import identifier
from protocol.identifier import server_of
from protocol.operations import OPERATIONS
from protocol.operations import Interface as Kind
from protocol.site import ADMIN_SERVICE, QUERY_SERVICE, Server, Site, Transport, address_text
from resolver.walk.events import Surroundings
from resolver.walk.question import Candidate, Question
from resolver.walk.records import domain_of, keys_of

_KEYWORDS: Final = b"site_filter_keywords"
_SPREAD_MS: Final = 256  # Random times of −128…127 ms: every site gets some traffic (resolution, 3.2).
_PORT_MAX: Final = 65_535
_ADDRESSES_REMEMBERED_MAX: Final = 4_096  # As many as round trips are.

_SERVERS_REMEMBERED_MAX: Final = 1_024  # As many as records are remembered: they keep these sites anyway.

_Reached = tuple[str | None, int, int]
_remembered: dict[tuple[int, int, tuple[int, ...]], tuple[Site, _Reached]] = {}

_SERVICES: Final = {
    Kind.QUERY: (QUERY_SERVICE,),
    Kind.ADMIN: (ADMIN_SERVICE,),
    Kind.EITHER: (QUERY_SERVICE, ADMIN_SERVICE),
}


class Selection(NamedTuple):
    """The servers to ask, best first. `why_none`: why there is none. `is_ours`: this node is among those named."""

    candidates: tuple[Candidate, ...]
    why_none: str = ""
    is_ours: bool = False


def selected(question: Question, around: Surroundings, *, count_max: int) -> Selection:
    """One server of each site, in the order in which they are to be asked; at most `count_max`."""
    sites: Iterable[Site] = question.sites
    if not question.sites:
        return Selection((), "no site is known")
    if question.is_primary_only:
        sites = [site for site in question.sites if site.is_primary]
        if not sites:
            return Selection((), "none of the sites is a primary, which changes and their proofs are for")
    found = list(_candidates(_preferred(sites, around.world.keywords), question, around))
    if not found:
        return Selection((), "no server holds the handle at an address that can be asked")
    return _narrowed(found, question, around, count_max)


def _narrowed(found: list[Candidate], question: Question, around: Surroundings, count_max: int) -> Selection:
    ours, fresh = around.world.ours, found
    if ours:
        fresh = [one for one in found if (one.host, one.udp) not in ours and (one.host, one.tcp) not in ours]
        if not fresh:
            return Selection((), "the only server that is named is this node itself", is_ours=True)
    is_ours = len(fresh) < len(found)
    if question.avoid:
        fresh = [one for one in fresh if one.where not in question.avoid]
        if not fresh:
            return Selection((), "the referral leads back to a server that has been asked already", is_ours)
    if question.is_certified:
        fresh = [one for one in fresh if one.keys]
        if not fresh:
            return Selection((), "no key is known that would prove the answer of any server", is_ours)
    if len(fresh) > 1 and not question.is_primary_only:
        fresh = _ordered(fresh, around)
    return Selection(tuple(fresh[:count_max]), "", is_ours)


def _ordered(found: Sequence[Candidate], around: Surroundings) -> list[Candidate]:
    """The quickest first, as measured, with some chance; primaries stay in the order of their record."""
    half = _SPREAD_MS // 2
    times = [around.round_trips.of_ms(one.host) + around.chance.below(_SPREAD_MS) - half for one in found]
    return [found[position] for position in sorted(range(len(found)), key=times.__getitem__)]


def _preferred(sites: Iterable[Site], keywords: frozenset[bytes]) -> Iterable[Site]:
    """The sites that share a keyword; all where none does."""
    if not keywords:
        return sites
    listed = list(sites)
    words = [b" ".join([value for name, value in site.attributes if name == _KEYWORDS]).split() for site in listed]
    return [site for site, of_site in zip(listed, words, strict=True) if keywords.intersection(of_site)] or listed


def _candidates(sites: Iterable[Site], question: Question, around: Surroundings) -> Iterator[Candidate]:
    row = OPERATIONS.get(question.opcode)
    kinds = _SERVICES[Kind.EITHER if row is None else row.interface]
    if row is not None and row.needs_connection and not row.mutates:
        kinds = (*kinds, QUERY_SERVICE)  # Lists are asked there, too (protocol, 8.5).
    inside = around.world.inside
    for site in sites:
        if not site.servers:
            continue
        count = len(site.servers)
        number = server_of(question.handle, site.hash_option, count) if count > 1 else 0
        host, udp, tcp = _reached(site, number, kinds)
        if host is None or not (udp or tcp):
            continue
        keys = keys_of(site.servers[number].public_key) if question.is_certified else ()
        yield Candidate(site, inside.get(host, host), udp, tcp, keys)


def _reached(site: Site, number: int, kinds: tuple[int, ...]) -> _Reached:
    """Host and ports of a server, 0 for none. Remembered by the site itself, which records keep as one object."""
    key = id(site), number, kinds
    found = _remembered.get(key)
    if found is not None and found[0] is site:
        return found[1]
    server = site.servers[number]
    host = usable_host(server.address) or domain_of(site, number)
    reached = host, _port(server, Transport.UDP, kinds), _port(server, Transport.TCP, kinds)
    if len(_remembered) >= _SERVERS_REMEMBERED_MAX:
        _remembered.clear()
    _remembered[key] = site, reached
    return reached


def _port(server: Server, transport: Transport, kinds: Sequence[int]) -> int:
    """The port for such requests over this transport, 0 where there is none."""
    for kind in kinds:
        for interface in server.interfaces:
            if interface.transport == transport and interface.services & kind and 0 < interface.port <= _PORT_MAX:
                return interface.port
    return 0


@lru_cache(_ADDRESSES_REMEMBERED_MAX)
def usable_host(address: bytes) -> str | None:
    """The address in text; None for one that is nobody's or everybody's. Mapped IPv4 is told as the IPv4 it is."""
    found = ip_address(address_text(address))
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    is_nobody = found.is_unspecified or found.is_multicast or str(found) == "255.255.255.255"
    return None if is_nobody else str(found)


def is_global(handle: bytes) -> bool:
    """Whether the handle is asked for at the root: prefix handles, and all that stands under `0.` or `0/`."""
    return handle[:2] in (b"0.", b"0/") or identifier.is_prefix_handle(handle)
