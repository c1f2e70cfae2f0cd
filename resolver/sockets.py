"""Bound sockets for the workers: one of each address and transport a worker, sharing the port by SO_REUSEPORT.

The supervisor binds them before a worker starts: a taken port is told at once, and a worker that dies leaves its
datagrams and connections waiting for the one that takes its place.
"""

import asyncio
import errno
import socket
from collections.abc import Sequence
from struct import Struct
from typing import Final

from resolver.config_units import Endpoint

BACKLOG: Final = 1_024  # Connections that wait to be accepted, a worker.
_LINGER_NOT: Final = Struct("ii").pack(1, 0)  # Of SO_LINGER: on, for no time.


class PortTaken(Exception):
    """An address that cannot be bound. The text says which, why, and what to do."""


def bound(
    listener: Endpoint, kind: socket.SocketKind, *, section: str, shared: bool = True, receive_buffer: int = 0
) -> socket.socket:
    """A bound socket, listening where it is TCP. `section` names the configuration that asked for it.

    Without `shared` the address must be free: nobody else, not even a node of the same user, may share it.
    """
    family = socket.AF_INET6 if listener.is_ipv6 else socket.AF_INET
    sock = socket.socket(family, kind)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.bind((listener.host, listener.port))
        if kind == socket.SOCK_STREAM:
            sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise PortTaken(_why(listener, kind, section, error)) from error
    sock.setblocking(False)
    sock.set_inheritable(True)
    return sock


def _why(listener: Endpoint, kind: socket.SocketKind, section: str, error: OSError) -> str:
    transport = "TCP" if kind == socket.SOCK_STREAM else "UDP"
    reasons = {
        errno.EADDRINUSE: "another program uses it: stop that program",
        errno.EADDRNOTAVAIL: "this machine has no such address: choose one of its own",
        errno.EACCES: "ports below 1024 need a privilege: choose a higher port or grant CAP_NET_BIND_SERVICE",
        errno.EAFNOSUPPORT: "this machine has no IPv6: take the address out",
    }
    reason = reasons.get(error.errno or 0, f"{error.strerror}: choose another")
    return f"{transport} {listener} cannot be bound: {reason}, or change [{section}] listen. Check: hnode doctor"


def for_workers(
    listeners: Sequence[Endpoint], kind: socket.SocketKind, *, section: str, workers: int, receive_buffer: int = 0
) -> list[list[socket.socket]]:
    """For each worker, its sockets for all listeners. The addresses must be free; a port 0 is chosen once for all."""
    lists: list[list[socket.socket]] = [[] for _ in range(workers)]
    for listener in listeners:
        # A probe without SO_REUSEPORT: a second node must hear that the port is taken, not share the first one's.
        probe = bound(listener, kind, section=section, shared=False)
        chosen = Endpoint(listener.host, probe.getsockname()[1])
        probe.close()
        for sockets in lists:
            sockets.append(bound(chosen, kind, section=section, receive_buffer=receive_buffer))
    return lists


def forget_unsent(transport: asyncio.BaseTransport) -> None:
    """Have the kernel drop what a client has not taken once its connection is aborted, and tell the client so.

    It would keep some megabytes for as long as the client's end is there, silent as it may be.
    """
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
