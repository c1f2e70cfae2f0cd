"""One worker's node: owns its store, engine and servers for a life-time: start, serve, drain, stop."""

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from protocol.identifier import folded, prefix_folded
from protocol.site import Site
from resolver.admission import Admission
from resolver.authority import Authority
from resolver.clock import Clock
from resolver.config import Config
from resolver.counters import FLUSH_S, Counter, Counters
from resolver.engine import Engine
from resolver.namespaces import Namespaces
from resolver.service import Service
from resolver.tcp_server import TcpLimits, TcpServer
from resolver.udp_server import UdpServer
from storage.base import HandleStore

log = logging.getLogger(__name__)

DRAIN_S: Final = 5.0
"""How long a stopping worker lets open connections finish."""


@dataclass(frozen=True, slots=True)
class Sockets:
    """The bound sockets of one worker. They belong to the supervisor, and outlive a worker that dies."""

    udp: Sequence[socket.socket]
    tcp: Sequence[socket.socket]


class Node:
    """Everything that answers in one process. The store, the sockets and the clock are given and not closed here."""

    def __init__(
        self,
        config: Config,
        *,
        store: HandleStore,
        site: Site,
        sockets: Sockets,
        counters: Counters,
        clock: Clock,
        case_sensitive: bool,
    ) -> None:
        self._counters = counters
        self._showing: asyncio.TimerHandle | None = None
        self._clock = clock
        namespaces = Namespaces(
            delimiter=config.resolution.template_delimiter,
            namespace=config.namespace_xml(),
            case_sensitive=case_sensitive,
        )
        authority = Authority(namespaces=namespaces, site=site)
        engine = Engine(authority=authority, site=site, random_octets=secrets.token_bytes)
        service = Service(
            engine=engine,
            store=store,
            site=site,
            counters=counters,
            fold=prefix_folded if case_sensitive else folded,
        )
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
                service=service,
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
        self._tcp = [
            TcpServer(sock, service=service, limits=limits, counters=counters, clock=clock) for sock in sockets.tcp
        ]

    async def start(self) -> None:
        """Begin to answer on every socket."""
        self._counters.set(Counter.PROCESS_ID, os.getpid())
        self._counters.set(Counter.STARTED_S, int(self._clock.wall()))
        for tcp in self._tcp:
            await tcp.start()
        loop = asyncio.get_running_loop()
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
        if self._showing is not None:
            self._showing.cancel()
        self._counters.flush()
