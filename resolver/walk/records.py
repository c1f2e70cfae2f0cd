"""What values say of services: sites, service handles, aliases, namespaces; and which values a question asked for.

Types of service values compare exactly. Sources: spec, records: sections 2.2, 5 and 7; resolution: sections 3.1 and 5.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

from protocol import identifier
from protocol.computed.namespace import HS_NAMESPACE
from protocol.errors import Malformed
from protocol.limits import HANDLE_SIZE_MAX
from protocol.site import Server, Site, address_octets
from protocol.trust.keys import PublicKey, UnknownPublicKey, read_public_key
from protocol.value import HandleValue

SITE: Final = b"HS_SITE"
SITE_6: Final = b"HS_SITE.6"
SERVICE: Final = b"HS_SERV"
PREFIX_SITE: Final = b"HS_SITE.PREFIX"
DELEGATE: Final = b"HS_NA_DELEGATE"
PREFIX_SERVICE: Final = b"HS_SERV.PREFIX"
ALIAS: Final = b"HS_ALIAS"

SITES: Final = (SITE, SITE_6)
PREFIX_SITES: Final = (PREFIX_SITE, DELEGATE)
SERVICE_TYPES: Final = (SITE, SITE_6, SERVICE)
"""What a service handle is asked for."""

PREFIX_TYPES: Final = (SITE, SITE_6, SERVICE, HS_NAMESPACE)
"""What a prefix handle is asked for."""

DELEGATION_TYPES: Final = (PREFIX_SITE, DELEGATE, PREFIX_SERVICE)
"""Who keeps derived prefixes: what a service handle is asked for that a prefix referral named."""

_DOMAIN: Final = re.compile(rb"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_REMEMBERED_MAX: Final = 1_024  # Read records: a node's neighbours and the services in daily use.
_REMEMBERED_SIZE_MAX: Final = 4_096  # Longer ones are read each time, or strangers could fill the memory.


def sites_of(values: Sequence[HandleValue], types: Sequence[bytes], *, count_max: int) -> tuple[Site, ...]:
    """The sites in the values of these types, with those of `alt_addr`; data that is no site is passed over."""
    found: list[Site] = []
    for value in [value for value in values if value.type in types][:count_max]:
        data = value.data
        found.extend(_remembered_sites(data) if len(data) <= _REMEMBERED_SIZE_MAX else _sites(data))
    return tuple(found[:count_max])


def _sites(data: bytes) -> tuple[Site, ...]:
    try:
        site = Site.from_bytes(data)
    except Malformed:
        return ()
    return (site, *_alternatives(site))


_remembered_sites = lru_cache(_REMEMBERED_MAX)(_sites)


def _alternatives(site: Site) -> Iterator[Site]:
    """One more site where attributes give second addresses to its servers: by their ids, or of the only one."""
    others = {name[9:]: value for name, value in site.attributes if name.startswith(b"alt_addr.")}
    if len(site.servers) == 1:
        plain = dict(site.attributes).get(b"alt_addr")
        others |= {} if plain is None else {b"%d" % site.servers[0].id: plain}
    servers = tuple([_moved(server, others.get(b"%d" % server.id)) for server in site.servers])
    if servers != site.servers:
        yield replace(site, servers=servers)


def _moved(server: Server, text: bytes | None) -> Server:
    if text is None:
        return server
    try:
        return replace(server, address=address_octets(text.decode("ascii").strip()))
    except ValueError:  # No address, or not ASCII: the server stays where it is.
        return server


def domain_of(site: Site, number: int) -> str | None:
    """The DNS name of the server at a position where the site gives one (records, 5.3); None for what is no name."""
    attributes = dict(site.attributes)
    name = attributes.get(b"domain.%d" % number, attributes.get(b"domain", b""))
    return name.decode() if _DOMAIN.fullmatch(name) else None


def keys_of(octets: bytes) -> tuple[PublicKey, ...]:
    """The key of a server as its site tells it; nothing where it cannot be read, or checks no signature."""
    return _remembered_keys(octets) if len(octets) <= _REMEMBERED_SIZE_MAX else _keys(octets)


def _keys(octets: bytes) -> tuple[PublicKey, ...]:
    try:
        key = read_public_key(octets)
    except Malformed:
        return ()
    return () if isinstance(key, UnknownPublicKey) else (key,)


_remembered_keys = lru_cache(_REMEMBERED_MAX)(_keys)


def handles_in(values: Sequence[HandleValue], type_: bytes, *, count_max: int) -> list[bytes]:
    """The handles that values of this very type name; data that can name none is passed over."""
    found = [value.data.strip() for value in values if value.type == type_]
    return [identifier.full(name) for name in found[:count_max] if names_a_handle(name)]


def names_a_handle(octets: bytes) -> bool:
    """Whether the octets can be the handle of a question."""
    return 0 < len(octets) <= HANDLE_SIZE_MAX and identifier.is_utf8(octets)


def alias_in(values: Sequence[HandleValue]) -> bytes | None:
    """The handle to be resolved instead: that of the first HS_ALIAS, or of a subtype (http-api, 7.4)."""
    for value in values:
        type_ = value.type.upper()
        if type_ == ALIAS or type_.startswith(b"HS_ALIAS."):
            name = value.data.strip()
            return identifier.full(name) if names_a_handle(name) else None
    return None


def asks_for_aliases(types: Sequence[bytes]) -> bool:
    """Whether aliases themselves are wanted, which then are no way to somewhere else."""
    return any(name.upper().startswith(ALIAS) for name in types)


def namespaces_in(values: Sequence[HandleValue]) -> tuple[bytes, ...]:
    """HS_NAMESPACE data, lowest index first: the first that can be read counts."""
    found = [value for value in values if value.type.upper() == HS_NAMESPACE]
    return tuple([value.data for value in sorted(found, key=lambda value: value.index)])


def wanted(values: tuple[HandleValue, ...], indexes: Sequence[int], types: Sequence[bytes]) -> tuple[HandleValue, ...]:
    """The values that such a question asks for, by the rule of servers (behaviours 9); the others are nobody's."""
    if not indexes and not types:
        return values
    numbers, names = frozenset(indexes) - {0}, frozenset([name.upper() for name in types])
    dotted = tuple([name for name in names if name.endswith(b".")])

    def is_wanted(value: HandleValue) -> bool:
        type_ = value.type.upper()
        return value.index in numbers or type_ in names or (bool(dotted) and (type_ + b".").startswith(dotted))

    kept = [value for value in values if is_wanted(value)]
    return values if len(kept) == len(values) else tuple(kept)
