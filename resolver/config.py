"""The configuration as one frozen, validated value: sections, keys, defaults and what each key means.

Attribute names are the keys of the file. Durations are seconds, sizes octets, rates a number a second; relative paths
were joined to the configuration's folder (`resolver.config_loading`). `Config()` is a node with every default.
"""

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import PlainSerializer, PlainValidator

from protocol.limits import MESSAGE_SIZE_FLOOR, MESSAGE_SIZE_MAX, VALUE_COUNT_MAX
from resolver import config_units as units
from resolver.config_hierarchy import BY_ROLE, CacheSection, RecursionSection, Role, UpstreamSection, recursion_of
from resolver.config_keys import (
    AS_DURATION,
    AS_SIZE,
    KIB,
    MIB,
    TIB,
    Endpoints,
    NeededPath,
    Networks,
    References,
    Section,
    ServerPlace,
    SomePath,
    octets,
    seconds,
    setting,
    within,
)
from resolver.config_units import Network

_WORKERS_MAX: Final = 64
_NAME_LENGTH_MAX: Final = 255


def _workers(value: object) -> int | Literal["auto"]:
    if value == "auto":
        return "auto"
    text = str(value)
    if isinstance(value, (str, int)) and not isinstance(value, bool) and text.isascii() and text.isdecimal():
        number = int(text[:4])
        if 1 <= number <= _WORKERS_MAX:
            return number
    raise ValueError(f'{value!r} is neither "auto" nor a number from 1 to {_WORKERS_MAX}')


def _name(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _NAME_LENGTH_MAX or not value.isprintable():
        raise ValueError(f"a name has 1 to {_NAME_LENGTH_MAX} printable signs")
    return value


def _delimiter(value: object) -> str:
    if not isinstance(value, str) or len(value) > 16 or not value.isprintable():
        raise ValueError("a delimiter has at most 16 printable signs")
    return value


EVERYWHERE: Final = ("0.0.0.0:2641", "[::]:2641")
"""Where a node listens for the Handle protocol unless told otherwise."""


class NodeSection(Section):
    """Who the node is and where it keeps its things."""

    name: Annotated[str, PlainValidator(_name)] = setting("hnode", description="what the site record calls this node")
    role: Role = setting(
        "secondary", description="root, national, secondary, enterprise or recursive: sets defaults and nothing else"
    )
    server_key: NeededPath = setting(
        "keys/server.pem", description="the node's private key, PEM; for the node's user alone (mode 0600)"
    )
    data_dir: NeededPath = setting("store", description="the folder of the store")
    workers: Annotated[int | Literal["auto"], PlainValidator(_workers)] = setting(
        "auto", description='processes that answer: "auto" for one a core, or 1 to 64'
    )
    lang: Literal["en", "zh"] = setting("en", description="language of what the node prints: en or zh")
    address: Annotated[str, PlainValidator(units.address)] = setting(
        "", description="address that clients are told; empty: the first listener's, else this machine's own"
    )


class UdpSection(Section):
    """The Handle protocol over UDP."""

    listen: Endpoints = setting(EVERYWHERE, description="addresses and ports; empty for none")
    recv_buffer: Annotated[int, octets(4 * KIB, 1024 * MIB), AS_SIZE] = setting(
        "4MiB", description="receive buffer of a socket; the kernel's net.core.rmem_max caps it"
    )
    admin: bool = setting(False, description="allow administration over UDP, and say so in the site record")


class TcpSection(Section):
    """The Handle protocol over TCP."""

    listen: Endpoints = setting(EVERYWHERE, description="addresses and ports; empty for none")
    max_connections: int = setting(1000, ge=1, le=1_000_000, description="open connections, for each worker")
    max_connections_per_source: int = setting(100, ge=1, le=1_000_000, description="of these, from one address")
    idle_timeout: Annotated[float, seconds(1, 86_400), AS_DURATION] = setting(
        "60s", description="a kept connection that asks nothing is closed after this time"
    )
    message_timeout: Annotated[float, seconds(0.1, 3_600), AS_DURATION] = setting(
        "10s", description="from the first octet of a message to its last, and for a client to take its answer"
    )
    max_message: Annotated[int, octets(MESSAGE_SIZE_FLOOR, MESSAGE_SIZE_MAX), AS_SIZE] = setting(
        "256KiB", description="longer messages are refused, 4KiB to 256KiB"
    )


class TlsSection(Section):
    """The Handle protocol over TCP inside TLS, on ports of its own; the limits are those of [tcp]."""

    listen: Endpoints = setting((), description="addresses and ports; empty for none, and the site record names none")
    cert: SomePath = setting(
        "", description="certificate and what vouches for it, PEM; empty: made of the server key, which clients know"
    )
    key: SomePath = setting(
        "", description="the certificate's private key, PEM without a passphrase, mode 0600 or 0640"
    )
    min_version: Literal["1.2", "1.3"] = setting("1.2", description="the oldest TLS that is spoken: 1.2 or 1.3")


class HttpSection(Section):
    """The public JSON API."""

    listen: Endpoints = setting((), description="addresses and ports; checked now, served by a later version")


class AdminSection(Section):
    """The operators' API and console."""

    listen: Endpoints = setting(
        (), description="loopback or private addresses and ports; checked now, served by a later version"
    )


class StoreSection(Section):
    """The LMDB store."""

    map_size: Annotated[int, octets(MIB, 64 * TIB), AS_SIZE] = setting(
        "1GiB", description="address space of the store at first; it grows by itself and takes disk only as it fills"
    )
    map_size_max: Annotated[int, octets(MIB, 64 * TIB), AS_SIZE] = setting(
        "1TiB", description="where growth ends: a write beyond is refused, reading goes on"
    )
    case_sensitive: bool = setting(
        False, description="whether suffixes that differ in ASCII case alone are two handles"
    )
    max_readers: int = setting(
        126, ge=16, le=65_536, description="read transactions at a time: two a worker, and every command that reads"
    )


class AuthSection(Section):
    """Who may administer."""

    server_admins: References = setting((), description='keys with rights on every handle here, "index:handle"')
    server_admin_full_access: bool = setting(
        True, description="false limits server_admins to homing, replication and status"
    )
    challenge_ttl: Annotated[float, seconds(1, 3_600), AS_DURATION] = setting(
        "60s", description="how long a challenge waits for its answer"
    )


class LimitsSection(Section):
    """What one source or one record may use."""

    udp_per_source: Annotated[
        float, within(units.rate, units.rate_text, 1.0, 1e9), PlainSerializer(units.rate_text)
    ] = setting(
        "5000/s", description="UDP answers larger than their question, to one source network (IPv4 /24, IPv6 /56)"
    )
    udp_burst: int = setting(
        10_000, ge=1, le=1_000_000_000, description="of these, how many at once after a quiet time"
    )
    udp_exempt: Networks = setting(
        ("127.0.0.0/8", "::1/128"), description="networks without that limit; nobody outside can forge loopback"
    )
    sources_max: int = setting(65_536, ge=256, le=16_777_216, description="source networks that are remembered")
    values_per_handle: int = setting(VALUE_COUNT_MAX, ge=1, le=VALUE_COUNT_MAX, description="values of one record")
    value_bytes: Annotated[int, octets(1, MESSAGE_SIZE_MAX), AS_SIZE] = setting(
        "64KiB", description="data of one value"
    )


class ResolutionSection(Section):
    """How handles that are not stored may be computed."""

    template_delimiter: Annotated[str, PlainValidator(_delimiter)] = setting(
        "", description="cuts a handle into base and extension where no namespace names a delimiter; empty for none"
    )
    namespace: SomePath = setting(
        "", description="file with the HS_NAMESPACE XML that all prefixes inherit; empty for none"
    )


class ReplicationSection(Section):
    """Copies of the store: who may take one from here, or whose copy this node is."""

    role: Literal["primary", "mirror"] = setting(
        "primary", description="mirror: this node copies another one, and takes no changes from clients"
    )
    admins: References = setting((), description='keys of mirrors that may copy this node, "index:handle"')
    journal_age: Annotated[float, seconds(0, 100 * 365 * 86_400), AS_DURATION] = setting(
        "0s", description="changes older than this are forgotten, unless a mirror still needs them; 0s keeps them all"
    )
    mirror_grace: Annotated[float, seconds(60, 100 * 365 * 86_400), AS_DURATION] = setting(
        "30d", description="changes are kept for a mirror until nothing was heard of it for this time"
    )
    source: ServerPlace = setting("", description="host:port of the node that a mirror copies")
    source_site: SomePath = setting(
        "", description="file with its site record, binary or JSON (siteinfo.bin, siteinfo.json)"
    )
    source_key: SomePath = setting(
        "", description="file with its public key, PEM or pubkey.bin, where there is no site record"
    )
    key: SomePath = setting("", description="the mirror's private key, PEM; for the node's user alone (mode 0600)")
    identity: References = setting((), description='what the source knows that key as, one "index:handle"')
    interval: Annotated[float, seconds(0.1, 86_400), AS_DURATION] = setting(
        "30s", description="how often a mirror asks for changes"
    )


class LogSection(Section):
    """What the node tells."""

    level: Literal["debug", "info", "warning", "error"] = setting("info", description="debug, info, warning or error")
    format: Literal["auto", "json", "text"] = setting("auto", description="json or text; auto: text on a terminal")


class Config(Section):
    """All sections."""

    node: NodeSection = NodeSection()
    udp: UdpSection = UdpSection()
    tcp: TcpSection = TcpSection()
    tls: TlsSection = TlsSection()
    http: HttpSection = HttpSection()
    admin: AdminSection = AdminSection()
    store: StoreSection = StoreSection()
    auth: AuthSection = AuthSection()
    limits: LimitsSection = LimitsSection()
    resolution: ResolutionSection = ResolutionSection()
    upstream: UpstreamSection = UpstreamSection()
    recursion: RecursionSection = RecursionSection()
    cache: CacheSection = CacheSection()
    replication: ReplicationSection = ReplicationSection()
    log: LogSection = LogSection()

    def worker_count(self) -> int:
        """Processes to run: the configured number, or one for each core that this process may use."""
        wanted = self.node.workers
        return wanted if isinstance(wanted, int) else min(len(os.sched_getaffinity(0)), _WORKERS_MAX)

    def recursion_networks(self) -> tuple[Network, ...]:
        """The networks that may ask this node for anything: as configured, else by its role."""
        allow = self.recursion.allow
        return recursion_of(self.node.role) if allow == BY_ROLE else allow

    def namespace_xml(self) -> bytes | None:
        """The octets of the namespace that all prefixes inherit, read now; None where none is configured."""
        return self.resolution.namespace.read_bytes() if self.resolution.namespace else None


SECTIONS: Final[Mapping[str, type[Section]]] = MappingProxyType(
    {
        "node": NodeSection,
        "udp": UdpSection,
        "tcp": TcpSection,
        "tls": TlsSection,
        "http": HttpSection,
        "admin": AdminSection,
        "store": StoreSection,
        "auth": AuthSection,
        "limits": LimitsSection,
        "resolution": ResolutionSection,
        "upstream": UpstreamSection,
        "recursion": RecursionSection,
        "cache": CacheSection,
        "replication": ReplicationSection,
        "log": LogSection,
    }
)
"""Every section by its name, in the order of the file."""

assert tuple(SECTIONS) == tuple(Config.model_fields), "a section stands in one list only"


def as_texts(section: Section) -> dict[str, Any]:
    """A section's values as the file would write them: `60.0` seconds as `60s`, an endpoint as text."""
    return section.model_dump(mode="json")
