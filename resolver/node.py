"""One worker's node: owns its store, engine and servers for a life-time: start, serve, drain, stop."""

import asyncio
import logging
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from resolver.admission import Admission
from resolver.assembly import Parts, service
from resolver.bootstrap.keeping import keep_root
from resolver.config import Config
from resolver.counters import FLUSH_S, Counter
from resolver.signing import Pool
from resolver.tcp_server import TcpLimits, TcpServer
from resolver.tls_listener import ServerTls
from resolver.udp_server import UdpServer

log = logging.getLogger(__name__)

DRAIN_S: Final = 5.0
"""How long a stopping worker lets open connections finish."""


@dataclass(frozen=True, slots=True)
class Sockets:
    """The bound sockets of one worker. They belong to the supervisor, and outlive a worker that dies."""

    udp: Sequence[socket.socket]
    tcp: Sequence[socket.socket]
    tls: Sequence[socket.socket] = ()


class Node:
    """Everything that answers in one process. What `parts` hold and the sockets are given and not closed here."""

    def __init__(self, config: Config, parts: Parts, sockets: Sockets, *, tls: ServerTls | None = None) -> None:
        counters, clock = parts.counters, parts.clock
        self._counters = counters
        self._showing: asyncio.TimerHandle | None = None
        self._clock = clock
        self._pool = Pool()
        answering = service(config, parts, self._pool)
        assert answering.recursing is not None, "a node has one"
        self.recursion = answering.recursing.recursion
        self._root = keep_root(config, self.recursion, self.recursion.now_ms)
        admission = Admission(
            # A forged source comes by every port, and so to every worker: each may give its share of the limit.
            rate_per_s=config.limits.udp_per_source / config.worker_count(),
            burst=max(1.0, config.limits.udp_burst / config.worker_count()),
            exempt=config.limits.udp_exempt,
            sources_max=config.limits.sources_max,
        )
        self._udp = [
            UdpServer(
                sock,
                service=answering,
                admission=admission,
                counters=counters,
                clock=clock,
                admin=config.udp.admin,
            )
            for sock in sockets.udp
        ]
        limits = TcpLimits(
            connections_max=config.tcp.max_connections,
            connections_a_source_max=config.tcp.max_connections_per_source,
            idle_timeout_s=config.tcp.idle_timeout,
            message_timeout_s=config.tcp.message_timeout,
            message_size_max=config.tcp.max_message,
        )
        assert tls is not None or not sockets.tls
        listeners = [*((sock, None) for sock in sockets.tcp), *((sock, tls) for sock in sockets.tls)]
        self._tcp = [
            TcpServer(sock, service=answering, limits=limits, counters=counters, clock=clock, tls=around)
            for sock, around in listeners
        ]

    async def start(self) -> None:
        """Begin to answer on every socket."""
        self._counters.set(Counter.PROCESS_ID, os.getpid())
        self._counters.set(Counter.STARTED_S, int(self._clock.wall()))
        for tcp in self._tcp:
            await tcp.start()
        loop = asyncio.get_running_loop()
        self.recursion.start(loop)
        if self._root is not None:
            self._root.start()
        for udp in self._udp:
            udp.start(loop)
        self._show_counts(loop)

    def _show_counts(self, loop: asyncio.AbstractEventLoop) -> None:
        self._counters.flush()
        self._showing = loop.call_later(FLUSH_S, self._show_counts, loop)

    async def stop(self) -> None:
        """Answer what has arrived, let connections finish for at most `DRAIN_S` seconds, and end."""
        loop = asyncio.get_running_loop()
        for udp in self._udp:
            udp.stop(loop)
        await asyncio.gather(*(tcp.stop(DRAIN_S) for tcp in self._tcp))
        if self._root is not None:
            self._root.close()
        self.recursion.close()
        self._pool.close()
        if self._showing is not None:
            self._showing.cancel()
        self._counters.flush()
