"""HS_SITE: the servers that hold a service's handles, as values and octets. Chooses no server and opens no connection.

Sources: RFC 3651, section 3.2.2; spec, records: section 5.
"""

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv6Address, ip_address
from typing import Final, Self

from protocol.errors import Malformed
from protocol.identifier import HASH_BY_HANDLE
from protocol.limits import (
    SITE_ATTRIBUTE_COUNT_MAX,
    SITE_INTERFACE_COUNT_MAX,
    SITE_SERVER_COUNT_MAX,
    STRING_SIZE_MAX,
)
from protocol.version import NEWEST, Version
from protocol.wire import Reader, Writer

FORMAT_VERSION: Final = 1
"""The only version of the record there has been."""

PRIMARY: Final = 0x80
MULTI_PRIMARY: Final = 0x40

ADMIN_SERVICE: Final = 0x01
QUERY_SERVICE: Final = 0x02

ADDRESS_SIZE: Final = 16
_V4_FRONT: Final = bytes(12)
_V6_LOOPBACK: Final = bytes(15) + b"\x01"
_ATTRIBUTE_SIZE_MIN: Final = 8
_SERVER_SIZE_MIN: Final = 28
_INTERFACE_SIZE: Final = 6


class Transport(IntEnum):
    """How an interface is spoken to. A record may carry other numbers: they stay plain `int`."""

    UDP = 0
    TCP = 1
    HTTP = 2
    HTTPS = 3


def address_text(octets: bytes) -> str:
    """The 16 octets as people write them. Twelve zero octets in front mean IPv4, except for `::1`.

    Only 0.0.0.1, which is nobody's address, gives way to the IPv6 loopback.
    """
    if octets[:12] == _V4_FRONT and octets != _V6_LOOPBACK:
        return str(ip_address(octets[12:]))
    return str(ip_address(octets))


def address_octets(text: str) -> bytes:
    """The 16 octets of an address in text, IPv4 behind twelve zero octets; `ValueError` where it is none."""
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise ValueError("an address with a zone holds on one machine only")
        return address.packed
    return _V4_FRONT + address.packed


@dataclass(frozen=True, slots=True)
class Interface:
    """One way to reach a server: `services` are the bits admin and query, `transport` a number of `Transport`."""

    services: int
    transport: int
    port: int

    @property
    def is_admin(self) -> bool:
        """Whether requests that change data are taken here."""
        return bool(self.services & ADMIN_SERVICE)

    @property
    def is_query(self) -> bool:
        """Whether resolutions are taken here."""
        return bool(self.services & QUERY_SERVICE)

    @classmethod
    def read(cls, octets: Reader) -> Self:
        """INT1 services, INT1 transport, INT4 port."""
        return cls(octets.u8(), octets.u8(), octets.i32())

    def write(self, octets: Writer) -> None:
        """INT1 services, INT1 transport, INT4 port."""
        octets.u8(self.services)
        octets.u8(self.transport)
        octets.i32(self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One server of a site. `id` is unique in the site; `public_key` is an encoded key, kept octet for octet."""

    id: int
    address: bytes
    public_key: bytes = b""
    interfaces: tuple[Interface, ...] = ()

    def __post_init__(self) -> None:
        if len(self.address) != ADDRESS_SIZE:
            raise Malformed(f"an address of {len(self.address)} octets")

    @property
    def address_text(self) -> str:
        """The address as people write it."""
        return address_text(self.address)

    @classmethod
    def read(cls, octets: Reader) -> Self:
        """INT4 id, 16 octets of address, BYTES public key, INT4 count, then the interfaces."""
        number, address = octets.i32(), octets.octets(ADDRESS_SIZE)
        public_key = octets.counted(size_max=STRING_SIZE_MAX)
        count = octets.count(count_max=SITE_INTERFACE_COUNT_MAX, item_size_min=_INTERFACE_SIZE)
        interfaces = tuple([Interface.read(octets) for _ in range(count)])
        return cls(id=number, address=address, public_key=public_key, interfaces=interfaces)

    def write(self, octets: Writer) -> None:
        """INT4 id, 16 octets of address, BYTES public key, INT4 count, then the interfaces."""
        octets.i32(self.id)
        octets.octets(self.address)
        octets.counted(self.public_key)
        octets.u32(len(self.interfaces))
        for interface in self.interfaces:
            interface.write(octets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One site: a set of servers that together hold all handles of a service.

    `protocol` is the version its servers speak, `serial` rises with each change, `flags` keeps all eight bits,
    `attributes` are pairs of name and value. Which server holds a handle says `identifier.server_of`.
    """

    format_version: int = FORMAT_VERSION
    protocol: Version = NEWEST
    serial: int = 0
    flags: int = 0
    hash_option: int = HASH_BY_HANDLE
    hash_filter: bytes = b""
    attributes: tuple[tuple[bytes, bytes], ...] = ()
    servers: tuple[Server, ...] = ()

    @property
    def is_primary(self) -> bool:
        """Whether changes are taken at this site."""
        return bool(self.flags & PRIMARY)

    @property
    def is_multi_primary(self) -> bool:
        """Whether other sites of the service take changes as well."""
        return bool(self.flags & MULTI_PRIMARY)

    @classmethod
    def read(cls, octets: Reader) -> Self:
        """The record at the reader's position; what follows it is left."""
        format_version, protocol = octets.u16(), Version(octets.u8(), octets.u8())
        serial, flags, hash_option = octets.u16(), octets.u8(), octets.u8()
        hash_filter = octets.counted(size_max=STRING_SIZE_MAX)
        attributes = octets.count(count_max=SITE_ATTRIBUTE_COUNT_MAX, item_size_min=_ATTRIBUTE_SIZE_MIN)
        pairs = tuple([_read_attribute(octets) for _ in range(attributes)])
        servers = octets.count(count_max=SITE_SERVER_COUNT_MAX, item_size_min=_SERVER_SIZE_MIN)
        return cls(
            format_version=format_version,
            protocol=protocol,
            serial=serial,
            flags=flags,
            hash_option=hash_option,
            hash_filter=hash_filter,
            attributes=pairs,
            servers=tuple([Server.read(octets) for _ in range(servers)]),
        )

    @classmethod
    def from_bytes(cls, octets: bytes) -> Self:
        """All of a value's data or of a `siteinfo.bin`; `Malformed` where octets follow the last interface."""
        reader = Reader(octets)
        site = cls.read(reader)
        reader.expect_end("a site")
        return site

    def write(self, octets: Writer) -> None:
        """The record."""
        octets.u16(self.format_version)
        octets.u8(self.protocol.major)
        octets.u8(self.protocol.minor)
        octets.u16(self.serial)
        octets.u8(self.flags)
        octets.u8(self.hash_option)
        octets.counted(self.hash_filter)
        octets.u32(len(self.attributes))
        for name, value in self.attributes:
            octets.counted(name)
            octets.counted(value)
        octets.u32(len(self.servers))
        for server in self.servers:
            server.write(octets)

    def to_bytes(self) -> bytes:
        """The record's octets: the data of an HS_SITE value, the body of a site answer, a `siteinfo.bin`."""
        octets = Writer()
        self.write(octets)
        return octets.to_bytes()


def _read_attribute(octets: Reader) -> tuple[bytes, bytes]:
    return octets.counted(size_max=STRING_SIZE_MAX), octets.counted(size_max=STRING_SIZE_MAX)
