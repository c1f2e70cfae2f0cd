"""Ports that nobody uses, and addresses that this machine can bind. What it tells may be over a moment later."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

from admin.errors import Failure

_TRIES: Final = 200  # Of numbers that the kernel offers for one transport; with any sense one of the first fits.
ANY: Final = ("0.0.0.0", "::")  # noqa: S104 - a node listens to everybody unless told otherwise


@contextmanager
def _bound(host: str, port: int, kind: socket.SocketKind) -> Iterator[int]:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as sock:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        yield sock.getsockname()[1]


def can_bind(host: str) -> bool:
    """Whether the machine has that address, or that family for a wildcard."""
    try:
        with _bound(host, 0, socket.SOCK_DGRAM):
            return True
    except OSError:
        return False


def free_port(hosts: Sequence[str], *, udp: bool = True, avoid: Sequence[int] = ()) -> int:
    """A number that is free for TCP, and for UDP unless it is not wanted, on every one of the addresses."""
    for _ in range(_TRIES):
        try:
            with ExitStack() as held:
                port = held.enter_context(_bound(hosts[0], 0, socket.SOCK_STREAM))
                for host in hosts:
                    if host != hosts[0]:
                        held.enter_context(_bound(host, port, socket.SOCK_STREAM))
                    if udp:
                        held.enter_context(_bound(host, port, socket.SOCK_DGRAM))
                if port not in avoid:
                    return port
        except OSError as error:
            last = error
    raise Failure("no free port was found", f"{', '.join(hosts)}: {last.strerror}", "choose one with --port")
