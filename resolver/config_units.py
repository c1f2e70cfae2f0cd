"""Words of the configuration: durations, sizes, rates, addresses, networks. Text in, a value out, and back to text.

Each reader raises `ValueError` whose text says what was wanted. Knows no file and no validator.
"""

import ipaddress
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from protocol.limits import HANDLE_SIZE_MAX
from protocol.value import Reference

_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)", re.ASCII)
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE: Final = re.compile(r"([0-9]+)\s*(B|KiB|MiB|GiB|TiB)?", re.ASCII)
_OCTETS: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_RATE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*/\s*(s|m)", re.ASCII)
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252})", re.ASCII)
_DIGITS_MAX: Final = 20  # Longer numbers are no quantity of anything here, and Python refuses far longer ones badly.
_INDEX_MAX: Final = 2**31 - 1  # An index is a signed number of four octets.

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """An address and a port to listen at; `host` is an IP address, `0.0.0.0` or `::` for all of its family."""

    host: str
    port: int

    @classmethod
    def of(cls, value: object) -> Self:
        """`0.0.0.0:2641` or `[::]:2641`."""
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no text like 0.0.0.0:2641 or [::]:2641")
        host, colon, port = value.strip().rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        if not colon or not port.isascii() or not port.isdecimal() or len(port) > _DIGITS_MAX:
            raise ValueError(f"{value!r} has no port: write 0.0.0.0:2641 or [::]:2641")
        if ":" in host and not bracketed:
            raise ValueError(f"{value!r} is an IPv6 address without brackets: write [{host}]:{port}")
        address = _address(host[1:-1] if bracketed else host)
        if not 1 <= int(port) <= 65535:
            raise ValueError(f"port {port} is not between 1 and 65535")
        return cls(str(address), int(port))

    @property
    def is_ipv6(self) -> bool:
        """Whether the address is one of IPv6."""
        return ":" in self.host

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for every address of its family."""
        return ipaddress.ip_address(self.host).is_unspecified

    def overlaps(self, other: "Endpoint") -> bool:
        """Whether both cannot be bound by different services: same port and family, same address or a wildcard."""
        same = self.host == other.host or self.is_wildcard or other.is_wildcard
        return self.port == other.port and self.is_ipv6 == other.is_ipv6 and same

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.is_ipv6 else f"{self.host}:{self.port}"


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        example = "127.0.0.1" if host == "localhost" else "0.0.0.0 or ::"
        raise ValueError(f"{host!r} is no IP address: write one, such as {example}") from None


def address(value: object) -> str:
    """An IP address as text, or the empty text."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no IP address as text")
    if not value:
        return ""
    found = _address(value.strip().strip("[]"))
    zone = found.scope_id if isinstance(found, ipaddress.IPv6Address) else None  # It means something here alone.
    if found.is_unspecified or found.is_multicast or zone is not None:
        raise ValueError(f"{value!r} is no address that a client can ask")
    return str(found)


def place(value: str) -> tuple[str, int]:
    """Host and port of a server that is asked, from `192.0.2.1:2641`, `[2001:db8::1]:2641` or `node.example.org:2641`.

    An address of IPv6 keeps its brackets.
    """
    host, colon, port = value.strip().rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or len(port) > _DIGITS_MAX:
        raise ValueError(f"{value!r} has no port: write host:2641")
    if not 1 <= int(port) <= 65535:
        raise ValueError(f"port {port} is not between 1 and 65535")
    if ":" in host or host.startswith("["):
        return f"[{Endpoint.of(f'{host}:{port}').host}]", int(port)
    if not _HOST.fullmatch(host):
        raise ValueError(f"{host!r} is no name or address of a host")
    return host, int(port)


def duration(value: object) -> float:
    """Seconds, from `500ms`, `60s`, `2m`, `1h`, `1d` or a bare number of seconds."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or len(found[1]) > _DIGITS_MAX:
        raise ValueError(f"{value!r} is no duration: write 500ms, 60s, 2m or 1h")
    return float(found[1]) * _SECONDS[found[2]]


def size(value: object) -> int:
    """Octets, from `64KiB`, `4MiB`, `1GiB`, `1TiB` or a bare number of octets."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or len(found[1]) > _DIGITS_MAX:
        raise ValueError(f"{value!r} is no size: write 64KiB, 4MiB, 1GiB or a number of octets")
    return int(found[1]) * _OCTETS[found[2] or "B"]


def rate(value: object) -> float:
    """A number a second, from `5000/s` or `300/m`."""
    found = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or len(found[1]) > _DIGITS_MAX:
        raise ValueError(f"{value!r} is no rate: write 5000/s or 300/m")
    return float(found[1]) / _SECONDS[found[2]]


def network(value: object) -> Network:
    """An IP network, from `192.0.2.0/24`, `2001:db8::/32` or a single address."""
    try:
        return ipaddress.ip_network(str(value).strip())
    except ValueError as error:
        raise ValueError(f"{value!r} is no network: {error}") from None


def admin_reference(value: object) -> Reference:
    """A key of a handle, from `300:0.NA/88.100`; index 0 stands for every key of that handle."""
    index, colon, handle = value.strip().partition(":") if isinstance(value, str) else ("", "", "")
    if not (colon and index.isascii() and index.isdecimal() and len(index) <= _DIGITS_MAX and "/" in handle):
        raise ValueError(f"{value!r} names no key: write index:handle, such as 300:0.NA/88.100")
    if int(index) > _INDEX_MAX:
        raise ValueError(f"index {index} is greater than {_INDEX_MAX}")
    octets = handle.encode()
    if len(octets) > HANDLE_SIZE_MAX:
        raise ValueError(f"a handle of {len(octets)} octets, at most {HANDLE_SIZE_MAX} are allowed")
    return Reference(int(index), octets)


def duration_text(seconds: float) -> str:
    """The shortest way to write a duration."""
    if seconds and seconds % 3600 == 0:
        return f"{seconds / 3600:.0f}h"
    if seconds and seconds % 60 == 0 and seconds > 60:
        return f"{seconds / 60:.0f}m"
    return f"{seconds:g}s" if seconds >= 1 or not seconds else f"{seconds * 1000:g}ms"


def size_text(octets: int) -> str:
    """The largest unit that leaves a whole number."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if octets and octets % _OCTETS[unit] == 0:
            return f"{octets // _OCTETS[unit]}{unit}"
    return str(octets)


def rate_text(per_second: float) -> str:
    """`5000/s`."""
    return f"{per_second:g}/s"


def reference_text(reference: Reference) -> str:
    """`300:0.NA/88.100`."""
    return f"{reference.index}:{reference.handle.decode(errors='replace')}"


def path_text(path: Path | None) -> str:
    """The path, or the empty text where there is none."""
    return "" if path is None else str(path)
