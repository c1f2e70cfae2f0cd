"""A client that knows nothing of ours but the codec: it follows referrals from the root as the specification says.

Plain sockets, one question at a time, UDP only. It is the judge of what the nodes of a hierarchy tell the world.
Source: spec, resolution: sections 3.1, 5.2.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from protocol import codec
from protocol.codes import DEFAULT_REQUEST_FLAGS, RECURSIVE, ResponseCode
from protocol.framing import Reassembly
from protocol.identifier import prefix_handle
from protocol.json_form.values import value_from_json
from protocol.responses import ReferralResponse, ResolutionResponse
from protocol.site import Site, Transport
from protocol.value import HandleValue
from resolver.client import resolution
from tests.support.running import udp

SITES = (b"HS_SITE", b"HS_SITE.6")
DATAGRAM_PART = 492
"""Octets of a message in each of its datagrams (behaviours 32)."""

DELEGATIONS = (b"HS_SITE.PREFIX", b"HS_NA_DELEGATE")


@dataclass
class Followed:
    """The last answer, and the ports that were asked, in order."""

    code: int = 0
    values: tuple[HandleValue, ...] = ()
    ports: list[int] = field(default_factory=list)

    @property
    def texts(self) -> dict[str, str]:
        """The data of plain values by type."""
        return {v.type.decode(): v.data.decode() for v in self.values if not v.type.startswith(b"HS_")}


def root_ports(bootstrap: Path) -> list[int]:
    """Where the root listens, of a `bootstrap_handles` file."""
    found = json.loads((bootstrap / "bootstrap_handles").read_text())["handles"]["0.NA/0.NA"]["values"]
    return _ports([value_from_json(value) for value in found], SITES)


def follow(bootstrap: Path, handle: str, *, timeout_s: float = 2.0) -> Followed:
    """Resolve a handle from the root down. Sites that are silent are passed over; all of them silent: code 0."""
    done = Followed()
    if not handle.upper().startswith("0."):
        _asked(done, root_ports(bootstrap), prefix_handle(handle.encode()), timeout_s)
        ports = _ports(done.values, SITES)
        if done.code != ResponseCode.SUCCESS:
            return done
    else:
        ports = root_ports(bootstrap)
    _asked(done, ports, handle.encode(), timeout_s)
    return done


def _asked(done: Followed, ports: Sequence[int], handle: bytes, timeout_s: float) -> None:
    """Ask one of these, and follow what it refers to."""
    for _ in range(10):
        for port in ports:
            code, values = _one(port, handle, timeout_s)
            if code:
                break
        else:
            done.code, done.values = 0, ()
            return
        done.ports.append(port)
        done.code, done.values = code, values
        if code != ResponseCode.PREFIX_REFERRAL:
            return
        ports = _ports(values, DELEGATIONS)
    raise AssertionError(f"referred again and again: {done.ports}")


def _one(port: int, handle: bytes, timeout_s: float) -> tuple[int, tuple[HandleValue, ...]]:
    question = resolution(handle, flags=DEFAULT_REQUEST_FLAGS & ~RECURSIVE, now_s=int(time.time()))
    try:
        found = whole(port, question.to_bytes(), timeout_s)
    except ConnectionError:
        return 0, ()
    if found is None:
        return 0, ()
    _, body = codec.read_response(codec.Message.read(found))
    values = body.values if isinstance(body, ResolutionResponse | ReferralResponse) else ()
    return codec.Message.read(found).header.code, tuple(values or ())


def whole(port: int, question: bytes, timeout_s: float) -> bytes | None:
    """The whole reply, put together of its datagrams; None where none came."""
    first = udp(port, question, replies=1, timeout_s=timeout_s)
    if not first:
        return None
    if not first[0][2] & 0x20:
        return first[0]
    count = -(-int.from_bytes(first[0][16:20], "big") // DATAGRAM_PART)
    pieces = Reassembly()
    for piece in udp(port, question, replies=count, timeout_s=timeout_s):
        found = pieces.add("", piece, now=time.monotonic())
        if found is not None:
            return found
    return None


def _ports(values: Sequence[HandleValue], types: Sequence[bytes]) -> list[int]:
    sites = [Site.from_bytes(value.data) for value in values if value.type in types]
    return [
        interface.port
        for site in sorted(sites, key=lambda site: not site.is_primary)
        for interface in site.servers[0].interfaces
        if interface.transport == Transport.UDP and interface.is_query
    ]
