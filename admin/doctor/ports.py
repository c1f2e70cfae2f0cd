"""Whether the configured ports are free, or answered by this very node. Asks at the listener's address or loopback."""

import asyncio
import errno
import socket
import time
from typing import Final

from admin.doctor.certificate import tls_behind
from admin.doctor.findings import Finding, Level, worst
from admin.doctor.port_holder import holder
from protocol import codec
from protocol.codes import OpCode
from protocol.errors import HandleError
from protocol.identifier import PLACEHOLDER
from protocol.requests import HandleRequest
from protocol.responses import SiteResponse
from resolver.client import NoAnswer, Transport, ask, question
from resolver.config import Config
from resolver.config_units import Endpoint
from resolver.identity import Identity
from resolver.sockets import PortTaken, bound

_TIMEOUT_S: Final = 3.0


def ports(config: Config, identity: Identity | None) -> Finding:
    """Every listener: free, or answering with this node's site, with TLS with its certificate."""
    found = [
        _one(section, endpoint, config, identity)
        for section in ("udp", "tcp", "tls")
        for endpoint in getattr(config, section).listen
    ]
    return worst("ports", found, "; ".join(finding.said for finding in found))


def _one(section: str, endpoint: Endpoint, config: Config, identity: Identity | None) -> Finding:
    name, kind = f"{section} {endpoint}", socket.SOCK_DGRAM if section == "udp" else socket.SOCK_STREAM
    try:
        bound(endpoint, kind, section=section, shared=False).close()
    except PortTaken as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE:
            answered = tls_behind(endpoint, config) if section == "tls" else _answered(section, endpoint, identity)
            return answered or _held(section, endpoint)
        return Finding("ports", Level.FAIL, str(error).partition(". Check:")[0], f"[{section}] listen = …")
    return Finding("ports", Level.OK, f"{name} is free")


def _held(section: str, endpoint: Endpoint) -> Finding:
    who = holder(endpoint.port, tcp=section != "udp") or "another program"
    said = f"{section} {endpoint} is taken by {who}"
    return Finding("ports", Level.FAIL, said, f"stop it, or change [{section}] listen")


def _answered(section: str, endpoint: Endpoint, identity: Identity | None) -> Finding | None:
    """What a node there says, or None where none answers."""
    name = f"{section} {endpoint}"
    started = time.perf_counter()
    site = _site_behind(section, endpoint)
    if site is None:
        return None
    took_ms = (time.perf_counter() - started) * 1000
    if identity is None or site == identity.site:
        return Finding("ports", Level.OK, f"{name} answers in {took_ms:.1f} ms")
    said = f"{name} is answered by a node with another site record"
    return Finding("ports", Level.WARN, said, "restart the node, if it is this one")


def _site_behind(section: str, endpoint: Endpoint) -> bytes | None:
    """The site record that a node there tells, or None where no node answers."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(endpoint.host, endpoint.host)  # noqa: S104 - compared, not bound
    asked = question(HandleRequest(handle=PLACEHOLDER), opcode=OpCode.GET_SITE_INFO, now_s=int(time.time()))
    try:
        answered = asyncio.run(ask(asked, host, endpoint.port, transport=Transport(section), timeout_s=_TIMEOUT_S))
        _, body = codec.read_response(answered.message)
    except (NoAnswer, HandleError, OSError):
        return None
    return body.site.to_bytes() if isinstance(body, SiteResponse) else None
