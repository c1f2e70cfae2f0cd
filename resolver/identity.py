"""Who this node is: an id, a public key and a site record, kept in the store and told to clients. Holds no private key.

The site record stands in two places that must agree: in the identity, from which the node answers, and as HS_SITE in
the records of the homed prefixes, from which clients find the node.
"""

import ipaddress
import socket
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import msgpack

from protocol.codes import SITE_SERIAL_UNKNOWN
from protocol.site import (
    ADMIN_SERVICE,
    PRIMARY,
    QUERY_SERVICE,
    Interface,
    Server,
    Site,
    Transport,
    address_octets,
)
from protocol.value import HandleValue, read_values, value_list
from protocol.wire import Reader
from resolver.config import Config
from resolver.config_units import Endpoint
from storage.base import Change, HandleStore, Record, SetMeta, StoreCorrupt, StoreView, UpdateRecord

META_NAME: Final = b"identity"
"""Where the store keeps the identity."""

SITE_TYPE: Final = b"HS_SITE"
WHO: Final = "node"
"""The author of journal rows that bring records up to date with the configuration."""

SERVER_ID: Final = 1
_BOTH: Final = ADMIN_SERVICE | QUERY_SERVICE
# Addresses for documentation (RFC 5737, RFC 3849): a socket that is connected to one tells the source address that
# this machine would use, and connecting a UDP socket sends nothing.
_ELSEWHERE: Final = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
_ANY_PORT: Final = 9


@dataclass(frozen=True, slots=True)
class Identity:
    """`node_id` in hex, `site` the octets of the HS_SITE record, `public_key` in wire form, `created_s` since 1970."""

    node_id: str
    site: bytes
    public_key: bytes
    created_s: int


def read_identity(view: StoreView) -> Identity | None:
    """The identity that the store keeps, or None where the store is fresh; `StoreCorrupt` where it cannot be read."""
    octets = view.meta(META_NAME)
    if octets is None:
        return None
    try:
        found = msgpack.unpackb(octets)
        return Identity(found["node_id"], found["site"], found["public_key"], found["created_s"])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreCorrupt(f"the store's identity cannot be read ({error}): restore a backup of the store") from error


def identity_change(identity: Identity) -> SetMeta:
    """The change that keeps an identity."""
    kept = {
        "node_id": identity.node_id,
        "site": identity.site,
        "public_key": identity.public_key,
        "created_s": identity.created_s,
    }
    return SetMeta(META_NAME, msgpack.packb(kept))


def new_identity(config: Config, public_key: bytes, *, now_s: int) -> Identity:
    """A fresh identity with a random id and the first serial."""
    return Identity(uuid.uuid4().hex, site_of(config, public_key, serial=1).to_bytes(), public_key, now_s)


def site_of(config: Config, public_key: bytes, *, serial: int) -> Site:
    """The site record that the configuration describes: one primary server with the listeners that exist."""
    interfaces = []
    if config.tcp.listen:
        interfaces.append(Interface(_BOTH, Transport.TCP, config.tcp.listen[0].port))
    if config.udp.listen:
        services = _BOTH if config.udp.admin else QUERY_SERVICE
        interfaces.append(Interface(services, Transport.UDP, config.udp.listen[0].port))
    server = Server(
        id=SERVER_ID,
        address=address_octets(published_address(config)),
        public_key=public_key,
        interfaces=tuple(interfaces),
    )
    flags = PRIMARY if config.replication.role == "primary" else 0
    return Site(serial=serial, flags=flags, attributes=((b"desc", config.node.name.encode()),), servers=(server,))


def published_address(config: Config) -> str:
    """The address that clients are told: the configured one, the first listener's if it is one, else this machine's."""
    if config.node.address:
        return config.node.address
    listeners = config.tcp.listen or config.udp.listen
    return own_address(listeners[0]) if listeners[0].is_wildcard else listeners[0].host.partition("%")[0]


def own_address(listener: Endpoint) -> str:
    """This machine's address, of the listener's family first, found without sending a packet; else 127.0.0.1."""
    wanted = socket.AF_INET6 if listener.is_ipv6 else socket.AF_INET
    for family, elsewhere in sorted(_ELSEWHERE, key=lambda pair: pair[0] != wanted):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((elsewhere, _ANY_PORT))
                found = str(probe.getsockname()[0]).partition("%")[0]
        except OSError:  # No route, or no such family on this machine.
            continue
        if not ipaddress.ip_address(found).is_unspecified:
            return found
    return "127.0.0.1"


def refreshed(store: HandleStore, config: Config, public_key: bytes, *, now_s: int) -> Identity:
    """The identity, brought up to date with the configuration; called once at each start of the node.

    Where the site record changed, its serial rises by one, and with the identity, in one transaction, change those
    HS_SITE values of the homed prefixes' records that were equal to the old site.
    """
    with store.view() as view:
        kept, homed = read_identity(view), sorted(view.homed())
    if kept is None:
        fresh = new_identity(config, public_key, now_s=now_s)
        store.apply([identity_change(fresh)], now_ms=now_s * 1000)
        return fresh
    old = Site.from_bytes(kept.site)
    if site_of(config, public_key, serial=old.serial) == old and kept.public_key == public_key:
        return kept
    site = site_of(config, public_key, serial=serial_after(old.serial)).to_bytes()
    now = replace(kept, site=site, public_key=public_key)
    changes: list[Change] = [identity_change(now)]
    if config.replication.role == "mirror":
        homed = []  # A mirror's records are its source's.
    for handle in homed:
        changes.append(UpdateRecord(handle, _with_site(kept.site, site, now_s), WHO))
    store.apply(changes, now_ms=now_s * 1000)
    return now


def serial_after(serial: int) -> int:
    """The next serial number: never the one that stands for an unknown serial, and 1 after the last."""
    return serial + 1 if serial + 1 < SITE_SERIAL_UNKNOWN else 1


def _with_site(old: bytes, new: bytes, now_s: int) -> Callable[[Record | None], Record | None]:
    """A decision for one record: its HS_SITE values that say `old` shall say `new`."""

    def renewed(value: HandleValue) -> HandleValue:
        if value.type.upper() == SITE_TYPE and value.data == old:
            return replace(value, data=new, timestamp=now_s)
        return value

    def decide(record: Record | None) -> Record | None:
        if record is None:
            return None
        values = read_values(Reader(record.values))
        changed = tuple(renewed(value) for value in values)
        return record if changed == values else Record(record.handle, value_list(changed))

    return decide
