"""The record of a delegated prefix: who keeps it, and who may change that. Values and decisions; opens no store.

A client that looks for `88.100.7/A` asks for `0.NA/88.100.7` and takes its HS_SITE values; one that looks for what is
derived from it is referred by its HS_SITE.PREFIX values, with code 303. So a delegation has both.
Sources: spec, resolution: sections 3.1 and 6.2; spec, records: section 5.1.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from admin.errors import ExitCode, Failure
from admin.prefixes import ADMIN_INDEX, KEY_INDEX
from protocol.administrator import ALL_PERMISSIONS, Administrator
from protocol.codes import DEFAULT_TTL_S
from protocol.errors import Malformed
from protocol.identifier import parent_prefix_handle
from protocol.site import MULTI_PRIMARY, PRIMARY, Site
from protocol.trust.keys import PublicKey, public_key_octets
from protocol.value import HandleValue, read_values, value_list
from protocol.wire import Reader
from storage.base import Record

SITE: Final = b"HS_SITE"
PREFIX_SITE: Final = b"HS_SITE.PREFIX"
DELEGATING: Final = frozenset((SITE, b"HS_SITE.6", PREFIX_SITE, b"HS_NA_DELEGATE", b"HS_SERV", b"HS_SERV.PREFIX"))
"""Types that say who keeps a prefix or what is derived from it."""

SITE_TYPES: Final = frozenset((SITE, b"HS_SITE.6", PREFIX_SITE))
"""Those of them whose data is a site record."""

_ABOUT_ITSELF: Final = frozenset((b"HS_ADMIN", b"HS_PUBKEY", b"HS_SIGNATURE", b"HS_CERT"))
_FIRST_SITE: Final = 1
_FIRST_PREFIX_SITE: Final = 11
SITES_MAX: Final = 10
"""Sites of one delegation: its primary and its mirrors. So HS_SITE and HS_SITE.PREFIX have indexes of their own."""

TTL_S: Final = 3_600
"""How long clients remember a delegation unless told otherwise: a node that moves is found within an hour."""

assert _FIRST_SITE + SITES_MAX <= _FIRST_PREFIX_SITE
assert _FIRST_PREFIX_SITE + SITES_MAX <= ADMIN_INDEX
assert TTL_S <= DEFAULT_TTL_S


def delegation_sites(primary: Site, mirrors: Sequence[Site]) -> tuple[Site, ...]:
    """The sites to write; a `Failure` where clients would not know whom to write to.

    A mirror is asked where the primary does not answer: so a hosted copy takes its place.
    """
    if not primary.is_primary:
        why = "its site record says that it is a mirror: nobody could write to the prefix"
        raise Failure("that node keeps no prefix", why, "delegate to its source", code=ExitCode.USAGE)
    for mirror in mirrors:
        if mirror.flags & (PRIMARY | MULTI_PRIMARY):
            why = "its site record says that it takes changes: clients would write to either"
            then = '[replication] role = "mirror" on that node'
            raise Failure("a hosted copy must be a mirror", why, then, code=ExitCode.USAGE)
    found = (primary, *mirrors)
    if len(found) > SITES_MAX:
        raise Failure(f"{len(found)} sites", f"a delegation has at most {SITES_MAX}", code=ExitCode.USAGE)
    return found


def delegation_values(
    handle: bytes,
    sites: Sequence[Site],
    *,
    own: Sequence[HandleValue] = (),
    key: PublicKey | None = None,
    with_derived: bool = True,
    ttl_s: int = TTL_S,
    now_s: int,
) -> tuple[HandleValue, ...]:
    """All values of the prefix record of a fresh delegation.

    `own` are the values by which the delegate's own record says who administers the prefix (HS_ADMIN, HS_PUBKEY);
    `key` stands for them. Without both, whoever administers the parent prefix does.
    """
    rows = [(_FIRST_SITE + at, SITE, site.to_bytes()) for at, site in enumerate(sites)]
    if with_derived:
        rows += [(_FIRST_PREFIX_SITE + at, PREFIX_SITE, site.to_bytes()) for at, site in enumerate(sites)]
    taken = [value for value in own if value.type in (b"HS_ADMIN", b"HS_PUBKEY") and value.is_public]
    if key is not None:
        admin = Administrator(ALL_PERMISSIONS, handle, KEY_INDEX).to_bytes()
        rows += [(ADMIN_INDEX, b"HS_ADMIN", admin), (KEY_INDEX, b"HS_PUBKEY", public_key_octets(key))]
    elif not any(value.type == b"HS_ADMIN" for value in taken):
        parent = parent_prefix_handle(handle) or handle
        rows.append((ADMIN_INDEX, b"HS_ADMIN", Administrator(ALL_PERMISSIONS, parent, KEY_INDEX).to_bytes()))
        taken = [value for value in taken if value.index != ADMIN_INDEX]
    made = [HandleValue(index=i, type=kind, data=data, ttl=ttl_s, timestamp=now_s) for i, kind, data in rows]
    indexes = {value.index for value in made}
    if key is None:
        made += [replace(value, ttl=ttl_s, timestamp=now_s) for value in taken if value.index not in indexes]
    return tuple(made)


def delegated(values: Sequence[HandleValue]) -> Callable[[Record | None], Record | None]:
    """A decision: the record with these values in place of all that delegated before.

    What else stands there stays, administrators and keys among it: a delegation that moves changes no owner. A record
    that says so already is left alone.
    """

    def decide(record: Record | None) -> Record | None:
        if record is None:
            return Record(b"", value_list(values))
        standing = read_values(Reader(record.values))
        wanted = merged(standing, values)
        return record if is_same(standing, wanted) else Record(record.handle, value_list(wanted))

    return decide


def is_same(standing: Iterable[HandleValue], wanted: Iterable[HandleValue]) -> bool:
    """Whether two records say the same, whenever it was written."""

    def facts(values: Iterable[HandleValue]) -> dict[int, HandleValue]:
        return {value.index: replace(value, timestamp=0) for value in values}

    return facts(standing) == facts(wanted)


def merged(standing: Iterable[HandleValue], values: Sequence[HandleValue]) -> tuple[HandleValue, ...]:
    """What stands but for what delegates, and the new values; those that do not delegate only where none stands."""
    return _joined([value for value in standing if value.type not in DELEGATING], (), values)


def enrolled(standing: Sequence[HandleValue], values: Sequence[HandleValue], mine: Site) -> tuple[HandleValue, ...]:
    """What stands with a node's own sites brought up to date: each in the place, and with the TTL, of its old one.

    What others wrote stays: mirrors, services, sites that cannot be read. Another primary goes where this node is one,
    unless it says that several sites take changes: clients would write to either.
    """
    old = [value for value in standing if _gives_way(value, mine)]
    return _joined([value for value in standing if value not in old], old, values)


def _joined(
    kept: Sequence[HandleValue], old: Sequence[HandleValue], values: Sequence[HandleValue]
) -> tuple[HandleValue, ...]:
    taken, free = {value.index for value in kept}, list(old)
    fresh = []
    for value in values:
        if value.type in DELEGATING:
            place = next((one for one in free if one.type == value.type), None)
            if place is not None:
                free.remove(place)
                fresh.append(replace(place, data=value.data, timestamp=value.timestamp))
                taken.add(place.index)
                continue
            index = value.index
            while index in taken or any(one.index == index for one in free):
                index += 1
            taken.add(index)
            fresh.append(replace(value, index=index))
        elif value.index not in taken and not any(one.type == value.type for one in kept):
            fresh.append(value)
    return (*fresh, *kept)


def _gives_way(value: HandleValue, mine: Site) -> bool:
    site = site_of_value(value)
    if site is None:
        return False
    return is_near(site, mine) or (mine.is_primary and site.is_primary and not site.is_multi_primary)


def site_of_value(value: HandleValue) -> Site | None:
    """The site that a value names, for handles or for derived prefixes; None where it names none that can be read."""
    if value.type not in SITE_TYPES:
        return None
    try:
        return Site.from_bytes(value.data)
    except Malformed:
        return None


def is_near(site: Site, mine: Site) -> bool:
    """Whether a site means this node: the same key, or the same address and a port of it."""
    keys = {server.public_key for server in mine.servers if server.public_key}
    if keys & {server.public_key for server in site.servers}:
        return True
    return bool(_doors(site) & _doors(mine))


def _doors(site: Site) -> set[tuple[bytes, int]]:
    return {(server.address, interface.port) for server in site.servers for interface in server.interfaces}


def undelegated(record: Record | None) -> Record | None:
    """A decision: the record without what delegates; none where only administrators, keys and signatures are left."""
    if record is None:
        return None
    values = read_values(Reader(record.values))
    kept = [value for value in values if value.type not in DELEGATING]
    if is_about_itself(kept):
        return None
    return record if len(kept) == len(values) else Record(record.handle, value_list(kept))


def is_about_itself(values: Iterable[HandleValue]) -> bool:
    """Whether a prefix record says nothing but who administers it: with no delegation in it, nobody needs it."""
    return all(value.type in _ABOUT_ITSELF for value in values)


def delegating(values: Iterable[HandleValue]) -> tuple[HandleValue, ...]:
    """The values that say who keeps a prefix, or what is derived from it."""
    return tuple([value for value in values if value.type in DELEGATING])
