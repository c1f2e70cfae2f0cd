"""Nodes on loopback within one event loop, each with a store in memory: a root, those below it, one that recurses."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from protocol.codec import Message
from protocol.codes import DEFAULT_REQUEST_FLAGS, OpCode
from protocol.requests import ResolutionRequest
from protocol.site import PRIMARY, Interface, Server, Site, address_octets
from protocol.trust.keys import PrivateKey, public_key_octets, public_of
from protocol.value import HandleValue
from protocol.version import NEWEST, Version
from resolver.admission import Admission
from resolver.client import question
from resolver.config import Config
from resolver.counters import Counter
from resolver.tcp_server import TcpLimits, TcpServer
from resolver.udp_server import UdpServer
from resolver.walk.world import World
from tests.support.engines import NOW, Answering, seeded, server_key

Records = Mapping[bytes, Sequence[HandleValue]]


class Ports:
    """A UDP and a TCP socket with the same port on loopback, bound before anybody says where he is.

    `key` is that of the server that will be there.
    """

    def __init__(self, key: PrivateKey | None = None) -> None:
        self.key = key or server_key()
        for _ in range(50):
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.udp.bind(("127.0.0.1", 0))
            self.number = self.udp.getsockname()[1]
            self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                self.tcp.bind(("127.0.0.1", self.number))
            except OSError:  # Somebody has that one for TCP.
                self.close()
                continue
            return
        raise AssertionError("no port is free for both")

    def site(self, *, udp: bool = True, tcp: bool = True, serial: int = 1) -> Site:
        """The record of a primary site of one server here."""
        ways = [Interface(3, 0, self.number)] * udp + [Interface(3, 1, self.number)] * tcp
        server = Server(
            id=1,
            address=address_octets("127.0.0.1"),
            public_key=public_key_octets(public_of(self.key)),
            interfaces=tuple(ways),
        )
        return Site(serial=serial, flags=PRIMARY, servers=(server,))

    def close(self) -> None:
        """Nobody is here."""
        self.udp.close()
        self.tcp.close()


class Neighbour:
    """One node that answers. `heard` counts the datagrams and connections that came."""

    def __init__(
        self,
        ports: Ports,
        records: Records,
        homed: Sequence[bytes],
        config: Config | None = None,
        world: World | None = None,
    ) -> None:
        self.ports = ports
        self.site = ports.site()
        self.answering = Answering(seeded(records, homed=homed), site=self.site, config=config, private_key=ports.key)
        self.recursion = self.answering.service.recursing.recursion  # type: ignore[union-attr]
        self.recursion.world = world or World()
        self.clock = self.answering.clock
        self.counters = self.answering.counters
        self._udp: UdpServer | None = None
        self._tcp: TcpServer | None = None

    @property
    def heard(self) -> int:
        """Datagrams that came."""
        return self.counters.read()[Counter.UDP_DATAGRAMS]

    async def start(self) -> None:
        """Answer."""
        loop = asyncio.get_running_loop()
        service, counters, clock = self.answering.service, self.counters, self.clock
        admission = Admission(rate_per_s=1e9, burst=1e9)
        self._udp = UdpServer(
            self.ports.udp, service=service, admission=admission, counters=counters, clock=clock, admin=False
        )
        self._udp.start(loop)
        limits = TcpLimits(
            connections_max=1_000,
            connections_a_source_max=1_000,
            idle_timeout_s=60,
            message_timeout_s=10,
            message_size_max=262_144,
        )
        self._tcp = TcpServer(self.ports.tcp, service=service, limits=limits, counters=counters, clock=clock)
        await self._tcp.start()
        self.recursion.start(loop)

    async def stop(self) -> None:
        """Answer nobody any more: the port is closed."""
        self.recursion.close()
        if self._udp is not None:
            self._udp.stop(asyncio.get_running_loop())
            self._udp = None
        if self._tcp is not None:
            await self._tcp.stop(0.1)
            self._tcp = None
        self.ports.close()

    def mute(self) -> None:
        """Hear nobody any more, while the port stays open: whoever asks waits."""
        assert self._udp is not None
        asyncio.get_running_loop().remove_reader(self.ports.udp.fileno())


@asynccontextmanager
async def living(*nodes: Neighbour) -> AsyncIterator[None]:
    """Have nodes answer."""
    try:
        for node in nodes:
            await node.start()
        yield
    finally:
        for node in nodes:
            await node.stop()


def config(**recursion: object) -> Config:
    """A configuration in which loopback may ask for anything."""
    return Config.model_validate({"recursion": {"allow": ["127.0.0.0/8"], "timeout": "3s"} | recursion})


def asking(
    handle: bytes, *, flags: int = DEFAULT_REQUEST_FLAGS, version: Version = NEWEST, types: Sequence[bytes] = (),
    indexes: Sequence[int] = (),
) -> Message:  # fmt: skip
    """A resolution with a random id."""
    body = ResolutionRequest(handle=handle, indexes=tuple(indexes), types=tuple(types))
    return question(body, opcode=OpCode.RESOLUTION, flags=flags, now_s=NOW, version=version, suggested=version)


class Toy(asyncio.DatagramProtocol):
    """A UDP server that says what a test wants. `heard` keeps datagrams with where they came from."""

    def __init__(self, answers: Callable[[bytes], Sequence[bytes]]) -> None:
        self.heard: list[tuple[bytes, tuple[str, int]]] = []
        self._answers = answers
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to answer by."""
        self.transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer."""
        self.heard.append((data, addr))
        assert self.transport is not None
        for octets in self._answers(data):
            self.transport.sendto(octets, addr)

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self.transport is not None
        found: int = self.transport.get_extra_info("sockname")[1]
        return found


@asynccontextmanager
async def toy(answers: Callable[[bytes], Sequence[bytes]]) -> AsyncIterator[Toy]:
    """A toy that listens."""
    made = Toy(answers)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: made, local_addr=("127.0.0.1", 0))
    try:
        yield made
    finally:
        transport.close()
        await asyncio.sleep(0)
