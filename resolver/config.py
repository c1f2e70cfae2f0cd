"""The configuration as one frozen, validated value: sections, keys, defaults and what each key means.

Attribute names are the keys of the file. Durations are seconds, sizes octets, rates a number a second; relative paths
were joined to the configuration's folder (`resolver.config_loading`). `Config()` is a node with every default.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, PlainValidator, ValidationInfo

from protocol.limits import MESSAGE_SIZE_FLOOR, MESSAGE_SIZE_MAX, VALUE_COUNT_MAX
from protocol.value import Reference
from resolver import config_units as units
from resolver.config_units import Endpoint, Network

_WORKERS_MAX: Final = 64
_NAME_LENGTH_MAX: Final = 255
_KIB: Final = 1 << 10
_MIB: Final = 1 << 20
_TIB: Final = 1 << 40
_Number = TypeVar("_Number", int, float)


def _key(default: object, *, description: str, **bounds: int) -> Any:
    """A key with its default as the file would write it, and the line that explains it."""
    return Field(default, description=description, **bounds)  # type: ignore[call-overload]


def _within(
    read: Callable[[object], _Number], show: Callable[[_Number], str], low: _Number, high: _Number
) -> PlainValidator:
    """A validator that reads a quantity and refuses one outside of `low` and `high`, both allowed."""

    def checked(value: object) -> _Number:
        found = read(value)
        if not low <= found <= high:
            raise ValueError(f"{show(found)} is not between {show(low)} and {show(high)}")
        return found

    return PlainValidator(checked)


def _listed(value: object) -> object:
    """A text as a list: what an environment variable or a secret's file can say."""
    if isinstance(value, str):
        return [part.strip() for part in value.replace("\n", ",").split(",") if part.strip()]
    return value


def _path(value: object, info: ValidationInfo) -> Path | None:
    if not isinstance(value, (str, Path)):
        raise ValueError(f"{value!r} is no path as text")
    if "\0" in str(value):
        raise ValueError("a path with a NUL")
    folder: Path = (info.context or {}).get("folder", Path())
    return folder / value if str(value) else None


def _needed_path(value: object, info: ValidationInfo) -> Path:
    found = _path(value, info)
    if found is None:
        raise ValueError("an empty path")
    return found


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


def _place(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text like 192.0.2.1:2641")
    return "{}:{}".format(*units.place(value)) if value else ""


def _octets(low: int, high: int) -> PlainValidator:
    return _within(units.size, units.size_text, low, high)


def _seconds(low: float, high: float) -> PlainValidator:
    return _within(units.duration, units.duration_text, low, high)


_AS_DURATION: Final = PlainSerializer(units.duration_text)
_AS_SIZE: Final = PlainSerializer(units.size_text)
_AS_TEXT: Final = PlainSerializer(str)
_AS_PATH: Final = PlainSerializer(units.path_text)

Endpoints = Annotated[tuple[Annotated[Endpoint, PlainValidator(Endpoint.of), _AS_TEXT], ...], BeforeValidator(_listed)]
Networks = Annotated[tuple[Annotated[Network, PlainValidator(units.network), _AS_TEXT], ...], BeforeValidator(_listed)]
References = Annotated[
    tuple[Annotated[Reference, PlainValidator(units.admin_reference), PlainSerializer(units.reference_text)], ...],
    BeforeValidator(_listed),
]

EVERYWHERE: Final = ("0.0.0.0:2641", "[::]:2641")
"""Where a node listens for the Handle protocol unless told otherwise."""


class Section(BaseModel):
    """What all sections share: frozen, no unknown key, defaults read like values."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class NodeSection(Section):
    """Who the node is and where it keeps its things."""

    name: Annotated[str, PlainValidator(_name)] = _key("hnode", description="what the site record calls this node")
    server_key: Annotated[Path, PlainValidator(_needed_path), _AS_PATH] = _key(
        "keys/server.pem", description="the node's private key, PEM; for the node's user alone (mode 0600)"
    )
    data_dir: Annotated[Path, PlainValidator(_needed_path), _AS_PATH] = _key(
        "store", description="the folder of the store"
    )
    workers: Annotated[int | Literal["auto"], PlainValidator(_workers)] = _key(
        "auto", description='processes that answer: "auto" for one a core, or 1 to 64'
    )
    lang: Literal["en", "zh"] = _key("en", description="language of what the node prints: en or zh")
    address: Annotated[str, PlainValidator(units.address)] = _key(
        "", description="address that clients are told; empty: the first listener's, else this machine's own"
    )


class UdpSection(Section):
    """The Handle protocol over UDP."""

    listen: Endpoints = _key(EVERYWHERE, description="addresses and ports; empty for none")
    recv_buffer: Annotated[int, _octets(4 * _KIB, 1024 * _MIB), _AS_SIZE] = _key(
        "4MiB", description="receive buffer of a socket; the kernel's net.core.rmem_max caps it"
    )
    admin: bool = _key(False, description="allow administration over UDP, and say so in the site record")


class TcpSection(Section):
    """The Handle protocol over TCP."""

    listen: Endpoints = _key(EVERYWHERE, description="addresses and ports; empty for none")
    max_connections: int = _key(1000, ge=1, le=1_000_000, description="open connections, for each worker")
    max_connections_per_source: int = _key(100, ge=1, le=1_000_000, description="of these, from one address")
    idle_timeout: Annotated[float, _seconds(1, 86_400), _AS_DURATION] = _key(
        "60s", description="a kept connection that asks nothing is closed after this time"
    )
    message_timeout: Annotated[float, _seconds(0.1, 3_600), _AS_DURATION] = _key(
        "10s", description="from the first octet of a message to its last, and for a client to take its answer"
    )
    max_message: Annotated[int, _octets(MESSAGE_SIZE_FLOOR, MESSAGE_SIZE_MAX), _AS_SIZE] = _key(
        "256KiB", description="longer messages are refused, 4KiB to 256KiB"
    )


class TlsSection(Section):
    """The Handle protocol over TCP inside TLS, on ports of its own; the limits are those of [tcp]."""

    listen: Endpoints = _key((), description="addresses and ports; empty for none, and the site record names none")
    cert: Annotated[Path | None, PlainValidator(_path), _AS_PATH] = _key(
        "", description="certificate and what vouches for it, PEM; empty: made of the server key, which clients know"
    )
    key: Annotated[Path | None, PlainValidator(_path), _AS_PATH] = _key(
        "", description="the certificate's private key, PEM without a passphrase, mode 0600 or 0640"
    )
    min_version: Literal["1.2", "1.3"] = _key("1.2", description="the oldest TLS that is spoken: 1.2 or 1.3")


class HttpSection(Section):
    """The public JSON API."""

    listen: Endpoints = _key((), description="addresses and ports; checked now, served by a later version")


class AdminSection(Section):
    """The operators' API and console."""

    listen: Endpoints = _key(
        (), description="loopback or private addresses and ports; checked now, served by a later version"
    )


class StoreSection(Section):
    """The LMDB store."""

    map_size: Annotated[int, _octets(_MIB, 64 * _TIB), _AS_SIZE] = _key(
        "1GiB", description="address space of the store at first; it grows by itself and takes disk only as it fills"
    )
    map_size_max: Annotated[int, _octets(_MIB, 64 * _TIB), _AS_SIZE] = _key(
        "1TiB", description="where growth ends: a write beyond is refused, reading goes on"
    )
    case_sensitive: bool = _key(False, description="whether suffixes that differ in ASCII case alone are two handles")
    max_readers: int = _key(
        126, ge=16, le=65_536, description="read transactions at a time: two a worker, and every command that reads"
    )


class AuthSection(Section):
    """Who may administer."""

    server_admins: References = _key((), description='keys with rights on every handle here, "index:handle"')
    server_admin_full_access: bool = _key(
        True, description="false limits server_admins to homing, replication and status"
    )
    challenge_ttl: Annotated[float, _seconds(1, 3_600), _AS_DURATION] = _key(
        "60s", description="how long a challenge waits for its answer"
    )


class LimitsSection(Section):
    """What one source or one record may use."""

    udp_per_source: Annotated[
        float, _within(units.rate, units.rate_text, 1.0, 1e9), PlainSerializer(units.rate_text)
    ] = _key("5000/s", description="UDP answers larger than their question, to one source network (IPv4 /24, IPv6 /56)")
    udp_burst: int = _key(10_000, ge=1, le=1_000_000_000, description="of these, how many at once after a quiet time")
    udp_exempt: Networks = _key(
        ("127.0.0.0/8", "::1/128"), description="networks without that limit; nobody outside can forge loopback"
    )
    sources_max: int = _key(65_536, ge=256, le=16_777_216, description="source networks that are remembered")
    values_per_handle: int = _key(VALUE_COUNT_MAX, ge=1, le=VALUE_COUNT_MAX, description="values of one record")
    value_bytes: Annotated[int, _octets(1, MESSAGE_SIZE_MAX), _AS_SIZE] = _key("64KiB", description="data of one value")


class ResolutionSection(Section):
    """How handles that are not stored may be computed."""

    template_delimiter: Annotated[str, PlainValidator(_delimiter)] = _key(
        "", description="cuts a handle into base and extension where no namespace names a delimiter; empty for none"
    )
    namespace: Annotated[Path | None, PlainValidator(_path), _AS_PATH] = _key(
        "", description="file with the HS_NAMESPACE XML that all prefixes inherit; empty for none"
    )


class ReplicationSection(Section):
    """Copies of the store: who may take one from here, or whose copy this node is."""

    role: Literal["primary", "mirror"] = _key(
        "primary", description="mirror: this node copies another one, and takes no changes from clients"
    )
    admins: References = _key((), description='keys of mirrors that may copy this node, "index:handle"')
    journal_age: Annotated[float, _seconds(0, 100 * 365 * 86_400), _AS_DURATION] = _key(
        "0s", description="changes older than this are forgotten, unless a mirror still needs them; 0s keeps them all"
    )
    mirror_grace: Annotated[float, _seconds(60, 100 * 365 * 86_400), _AS_DURATION] = _key(
        "30d", description="changes are kept for a mirror until nothing was heard of it for this time"
    )
    source: Annotated[str, PlainValidator(_place)] = _key("", description="host:port of the node that a mirror copies")
    source_site: Annotated[Path | None, PlainValidator(_path), _AS_PATH] = _key(
        "", description="file with its site record, binary or JSON (siteinfo.bin, siteinfo.json)"
    )
    source_key: Annotated[Path | None, PlainValidator(_path), _AS_PATH] = _key(
        "", description="file with its public key, PEM or pubkey.bin, where there is no site record"
    )
    key: Annotated[Path | None, PlainValidator(_path), _AS_PATH] = _key(
        "", description="the mirror's private key, PEM; for the node's user alone (mode 0600)"
    )
    identity: References = _key((), description='what the source knows that key as, one "index:handle"')
    interval: Annotated[float, _seconds(0.1, 86_400), _AS_DURATION] = _key(
        "30s", description="how often a mirror asks for changes"
    )


class LogSection(Section):
    """What the node tells."""

    level: Literal["debug", "info", "warning", "error"] = _key("info", description="debug, info, warning or error")
    format: Literal["auto", "json", "text"] = _key("auto", description="json or text; auto: text on a terminal")


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
    replication: ReplicationSection = ReplicationSection()
    log: LogSection = LogSection()

    def worker_count(self) -> int:
        """Processes to run: the configured number, or one for each core that this process may use."""
        wanted = self.node.workers
        return wanted if isinstance(wanted, int) else min(len(os.sched_getaffinity(0)), _WORKERS_MAX)

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
        "replication": ReplicationSection,
        "log": LogSection,
    }
)
"""Every section by its name, in the order of the file."""

assert tuple(SECTIONS) == tuple(Config.model_fields), "a section stands in one list only"


def as_texts(section: Section) -> dict[str, Any]:
    """A section's values as the file would write them: `60.0` seconds as `60s`, an endpoint as text."""
    return section.model_dump(mode="json")
