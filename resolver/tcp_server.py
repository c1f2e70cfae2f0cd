"""The stream shell: connections, their framers and their time limits. Answers in order; knows no protocol rule.

A connection is kept where the client asks for it, message by message, and closed behind the answer otherwise.
"""

import asyncio
import logging
import socket
from collections import Counter as Tally
from collections import deque
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final, cast

from protocol.codes import KEEP_CONNECTION
from protocol.errors import Malformed
from protocol.framing import Framer, MessageTooLong
from protocol.limits import ENVELOPE_SIZE
from resolver.clock import Clock
from resolver.counters import Counter, Counters
from resolver.engine import refusal_of_frame
from resolver.service import Service
from resolver.sockets import BACKLOG

log = logging.getLogger(__name__)

BATCH_MAX: Final = 4  # Messages of a connection that share a transaction: their answers may be large, and all wait.
UNREAD_MAX: Final = 262_144  # Octets that a client has not taken: beyond, none of its questions is looked at.
FLAGS_AT: Final = ENVELOPE_SIZE + 8  # Where a message has the first octet of its flags.
KEEP: Final = KEEP_CONNECTION >> 24
IPV6_HOST_PREFIX: Final = 64
TICK_S: Final = 0.5  # How often time limits are looked at: they are met to this grain.


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpLimits:
    """Bounds for one worker; times in seconds, `message_size_max` in octets."""

    connections_max: int
    connections_a_source_max: int
    idle_timeout_s: float
    message_timeout_s: float
    message_size_max: int


class TcpServer:
    """The listening socket and the connections of one worker."""

    def __init__(
        self, sock: socket.socket, *, service: Service, limits: TcpLimits, counters: Counters, clock: Clock
    ) -> None:
        self._socket = sock
        self.service = service
        self.limits = limits
        self.counters = counters
        self.clock = clock
        self._connections: set[Connection] = set()
        self._sources: Tally[str] = Tally()
        self._server: asyncio.Server | None = None
        self._ticks: asyncio.TimerHandle | None = None
        self._drained: asyncio.Event | None = None
        self.now = 0.0
        self.now_s = 0
        self._stamp()

    def _stamp(self) -> None:
        """Look at the clocks: once a tick is enough for time limits and for answers that hold for hours."""
        self.now = self.clock.monotonic()
        self.now_s = int(self.clock.wall())

    async def start(self) -> None:
        """Begin to accept."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), sock=self._socket.dup(), backlog=BACKLOG)
        self._ticks = loop.call_later(TICK_S, self._tick, loop)

    def admitted(self, connection: "Connection", source: str) -> bool:
        """Whether there is room for one more connection, in all and of its source; it is counted if so."""
        limits = self.limits
        if len(self._connections) >= limits.connections_max or self._sources[source] >= limits.connections_a_source_max:
            self.counters.add(Counter.TCP_REFUSED_CONNECTIONS)
            return False
        self._connections.add(connection)
        self._sources[source] += 1
        self.counters.add(Counter.TCP_CONNECTIONS)
        return True

    def released(self, connection: "Connection", source: str) -> None:
        """A connection has ended."""
        self._connections.discard(connection)
        self._sources[source] -= 1
        if not self._sources[source]:
            del self._sources[source]
        if self._drained is not None and not self._connections:
            self._drained.set()

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._ticks = loop.call_later(TICK_S, self._tick, loop)  # First: whatever happens below, time goes on.
        self._stamp()
        for connection in list(self._connections):
            connection.look_at_time(self.now)

    async def stop(self, drain_s: float) -> None:
        """Accept no more, end idle connections, let the others finish for at most `drain_s` seconds."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.end_when_idle()
        if self._connections:
            self._drained = asyncio.Event()
            try:
                await asyncio.wait_for(self._drained.wait(), drain_s)
            except TimeoutError:
                log.warning("%d connections did not end in %g s", len(self._connections), drain_s)
        for connection in list(self._connections):
            connection.abort()
        if self._ticks is not None:
            self._ticks.cancel()


def source_of(host: str) -> str:
    """Who a connection counts for: an IPv4 address, or the /64 that one host of IPv6 can take any address of."""
    if ":" not in host:
        return host
    return str(ip_network((host.partition("%")[0], IPV6_HOST_PREFIX), strict=False))


class Connection(asyncio.Protocol):
    """One client. Its deadline is that of what it is doing: being silent, sending a message, taking an answer."""

    def __init__(self, server: TcpServer) -> None:
        self._server = server
        self._framer = Framer(server.limits.message_size_max)
        self._idle_timeout_s = server.limits.idle_timeout_s
        self._message_timeout_s = server.limits.message_timeout_s
        self._waiting: deque[bytes] = deque()
        self._transport: asyncio.Transport | None = None
        self._source = ""
        self._deadline = float("inf")
        self._in_message = False
        self._blocked = False
        self._ending = False
        self._draining = False
        self._admitted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or end it at once where there is no room."""
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._source = source_of(peer[0]) if peer else ""
        self._admitted = self._server.admitted(self, self._source)
        if not self._admitted:
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=UNREAD_MAX)
        self._deadline = self._server.now + self._message_timeout_s

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        if self._admitted:
            self._server.released(self, self._source)

    def eof_received(self) -> bool:
        """The client sends no more; what it asked is answered, then the connection ends."""
        self._ending = True
        return bool(self._waiting)

    def data_received(self, data: bytes) -> None:
        """Octets have come: answer the messages they complete."""
        if self._ending or not self._admitted:
            return
        framer = self._framer
        if framer.is_whole(data) and not self._waiting and not self._blocked:
            self._answer_one(data)  # What a kept connection brings: a question, and after its answer the next.
            if not self._blocked:
                self._deadline = self._server.now + self._idle_timeout_s
            return
        framer.feed(data)
        try:
            frames = framer.frames()
            if frames:
                self._in_message = False  # A message has ended; what is left over belongs to the next.
                if self._waiting or self._blocked or len(frames) > BATCH_MAX:
                    self._waiting.extend(frames)
                    self._answer_waiting()
                else:
                    self._answer(frames)
            if not framer.is_between_messages:
                framer.frames()  # An announcement that is too long is told behind the messages before it.
        except MessageTooLong as error:
            self._refuse(error)
            return
        self._set_deadline()

    def _answer_waiting(self) -> None:
        transport = self._transport
        assert transport is not None
        while self._waiting and not self._blocked and not transport.is_closing():
            self._answer([self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))])
        if self._ending and not self._waiting and not transport.is_closing():
            transport.close()

    def _answer_one(self, asked: bytes) -> None:
        """As `_answer`, for the one message that is there."""
        transport, server = self._transport, self._server
        assert transport is not None
        (reply,) = server.service.answers([asked], admin=True, now_s=server.now_s)
        server.counters.add(Counter.TCP_MESSAGES)
        if reply is not None:
            transport.write(reply if isinstance(reply, bytes) else reply.octets)
            if len(asked) > FLAGS_AT and asked[FLAGS_AT] & KEEP and not self._draining:
                return
        transport.close()

    def _answer(self, batch: list[bytes]) -> None:
        """Answer messages that share a transaction, up to the first whose client does not keep the connection."""
        transport, server = self._transport, self._server
        assert transport is not None
        replies = server.service.answers(batch, admin=True, now_s=server.now_s)
        octets: list[bytes] = []
        keep = True
        for asked, reply in zip(batch, replies, strict=True):
            # What is no question ends the connection.
            keep = reply is not None and len(asked) > FLAGS_AT and bool(asked[FLAGS_AT] & KEEP)
            if reply is not None:
                octets.append(reply if isinstance(reply, bytes) else reply.octets)
            if not keep:
                break
        server.counters.add(Counter.TCP_MESSAGES, len(batch))
        if octets:
            transport.write(octets[0] if len(octets) == 1 else b"".join(octets))
        if not keep or (self._draining and not self._waiting):
            self._waiting.clear()
            transport.close()

    def _refuse(self, error: Malformed) -> None:
        """Answer what cannot be framed, as far as its envelope was read, and end."""
        assert self._transport is not None
        if self._transport.is_closing():
            return
        answer = refusal_of_frame(error, self._framer.pending_envelope, now_s=self._server.now_s)
        if answer is not None:
            self._transport.write(answer.octets)
        self._transport.close()

    def _set_deadline(self) -> None:
        if self._blocked:
            return
        if self._framer.is_between_messages:
            self._in_message = False
            self._deadline = self._server.now + self._idle_timeout_s
        elif not self._in_message:  # Only the first octet starts the clock: a slow sender does not win time.
            self._in_message = True
            self._deadline = self._server.now + self._message_timeout_s

    def pause_writing(self) -> None:
        """The client does not take its answers: hear no more questions until it does."""
        self._blocked = True
        self._deadline = self._server.now + self._message_timeout_s
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It took them."""
        self._blocked = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self._answer_waiting()
        self._in_message = False
        self._set_deadline()

    def look_at_time(self, now: float) -> None:
        """End the connection where its deadline has passed."""
        if now < self._deadline or self._transport is None:
            return
        self._server.counters.add(Counter.TCP_TIMEOUTS)
        if self._blocked or self._transport.is_closing():
            self._transport.abort()
        elif self._framer.is_between_messages:
            self._transport.close()
        else:
            self._refuse(Malformed("a message that did not end in time", told="Read timed out"))
        self._deadline = now + self._message_timeout_s

    def end_when_idle(self) -> None:
        """The node stops: close now if nothing is under way, else behind the next answer."""
        if self._transport is None:
            return
        self._draining = True
        if self._framer.is_between_messages and not self._waiting:
            self._transport.close()

    def abort(self) -> None:
        """End at once."""
        if self._transport is not None:
            self._transport.abort()
