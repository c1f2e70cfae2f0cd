"""A server on loopback that answers what it is told to, one reply after the other, and keeps what it was sent."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from protocol.framing import Framer
from resolver.client import Server, Transport
from resolver.client_tls import Tls

Reply = bytes | Callable[[bytes], bytes]
"""Octets as they are, or what makes them of the request's octets."""


class Toy:
    """What was heard, and the replies that are left. A connection gets one reply, or all of a list."""

    def __init__(self, replies: Sequence[Reply | Sequence[Reply]]) -> None:
        self.heard: list[bytes] = []
        self._replies = list(replies)
        self.port = 0

    def server(self, tls: Tls | None = None, transport: Transport = Transport.TCP) -> Server:
        """The toy as a client names it."""
        return Server("127.0.0.1", self.port, transport, tls=tls, timeout_s=5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        framer = Framer()
        found: list[bytes] = []
        while not found:
            data = await reader.read(65_536)
            if not data:
                writer.close()
                return
            framer.feed(data)
            found = framer.frames()
        self.heard.append(found[0])
        for octets in self._next(found[0]):
            writer.write(octets)
        writer.close()

    def _next(self, asked: bytes) -> list[bytes]:
        reply = self._replies.pop(0) if self._replies else b""
        parts: Sequence[Reply] = [reply] if isinstance(reply, bytes) or callable(reply) else reply
        return [part if isinstance(part, bytes) else part(asked) for part in parts]


@asynccontextmanager
async def toy_server(*replies: Reply | Sequence[Reply], context: ssl.SSLContext | None = None) -> AsyncIterator[Toy]:
    """A toy that serves over TCP, or over TLS where a context is given."""
    toy = Toy(replies)
    server = await asyncio.start_server(toy._serve, "127.0.0.1", 0, ssl=context)
    toy.port = server.sockets[0].getsockname()[1]
    try:
        yield toy
    finally:
        server.close()
        await asyncio.sleep(0.01)
