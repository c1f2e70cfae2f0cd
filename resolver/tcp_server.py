"""The stream shell: connections, their framers and their time limits. Answers in order; knows no protocol rule.

A connection is kept where the client asks for it, message by message, and closed behind the answer otherwise.
"""

import asyncio
import socket
from collections import Counter as Tally
from collections import deque
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final, cast

from protocol.errors import Malformed
from protocol.framing import Framer, MessageTooLong
from resolver.clock import Clock
from resolver.counters import Counter, Counters
from resolver.keeping import asks_to_keep, keeps
from resolver.log_limits import limited
from resolver.peer import Peer
from resolver.pending import Pending, Secure
from resolver.replies import Answer, refusal_of_frame
from resolver.service import Service
from resolver.sockets import BACKLOG, forget_unsent
from resolver.tls_listener import ServerTls

log = limited(__name__)

BATCH_MAX: Final = 4  # Messages of a connection that share a transaction: their answers may be large, and all wait.
WAITING_MAX: Final = 64  # Messages that wait behind an answer that takes time: beyond, nothing more is read.
UNREAD_MAX: Final = 262_144  # Octets that a client has not taken: beyond, none of its questions is looked at.
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
        self,
        sock: socket.socket,
        *,
        service: Service,
        limits: TcpLimits,
        counters: Counters,
        clock: Clock,
        tls: ServerTls | None = None,
    ) -> None:
        self._socket = sock
        self._tls = tls
        self.is_secure = tls is not None
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
        self._server = await loop.create_server(self._connection, sock=self._socket.dup(), backlog=BACKLOG)
        self._ticks = loop.call_later(TICK_S, self._tick, loop)

    def _connection(self) -> asyncio.Protocol:
        connection = Connection(self)
        return connection if self._tls is None else self._tls.wrapped(connection)

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


def octets_of(reply: bytes | Answer) -> bytes:
    """What to send."""
    return reply if isinstance(reply, bytes) else reply.octets


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
        self._peer = Peer("", admin=True, is_connection=True, is_secure=server.is_secure)
        self._task: asyncio.Task[None] | None = None  # Sends an answer that takes time; what is asked behind it waits.
        self._can_write = asyncio.Event()
        self._can_write.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or end it at once where there is no room."""
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._source = self._peer.source = source_of(peer[0]) if peer else ""
        self._peer.host = peer[0] if peer else ""
        self._admitted = self._server.admitted(self, self._source)
        if not self._admitted:
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=UNREAD_MAX)
        self._deadline = self._server.now + self._message_timeout_s

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        if self._task is not None:
            log.info("a connection of %s ends within an answer: %s", self._source, exc or "it was not taken")
            self._task.cancel()
        if self._admitted:
            self._admitted = False
            self._server.released(self, self._source)

    def eof_received(self) -> bool:
        """The client sends no more; what it asked is answered, then the connection ends."""
        self._ending = True
        return bool(self._waiting) or self._task is not None

    def data_received(self, data: bytes) -> None:
        """Octets have come: answer the messages they complete."""
        if self._ending or not self._admitted:
            return
        framer = self._framer
        if framer.is_whole(data) and not self._waiting and not self._is_held:
            self._answer_one(data)  # What a kept connection brings: a question, and after its answer the next.
            if not self._is_held:
                self._deadline = self._server.now + self._idle_timeout_s
            return
        framer.feed(data)
        try:
            frames = framer.frames()
            if frames:
                self._in_message = False  # A message has ended; what is left over belongs to the next.
                if self._waiting or self._is_held or len(frames) > BATCH_MAX:
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

    @property
    def _is_held(self) -> bool:
        """Whether what was asked must wait: for the client to take its answers, or for an answer that takes time."""
        return self._blocked or self._task is not None

    def _answer_waiting(self) -> None:
        transport = self._transport
        assert transport is not None
        while self._waiting and not self._is_held and not transport.is_closing():
            self._answer([self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))])
        if self._ending and not self._waiting and self._task is None and not transport.is_closing():
            transport.close()
        elif len(self._waiting) > WAITING_MAX and not transport.is_closing():
            transport.pause_reading()

    def _answer_one(self, asked: bytes) -> None:
        """As `_answer`, for the one message that is there."""
        transport, server = self._transport, self._server
        assert transport is not None
        (reply,) = server.service.answers([asked], peer=self._peer_of, now_s=server.now_s)
        server.counters.add(Counter.TCP_MESSAGES)
        if isinstance(reply, Pending):
            self._begin(reply, asked)
            return
        if reply is not None:
            transport.write(octets_of(reply))
            if asks_to_keep(asked) and not self._draining:
                return
        transport.close()

    def _answer(self, batch: list[bytes]) -> None:
        """Answer messages that share a transaction, up to the first whose client does not keep the connection."""
        transport, server = self._transport, self._server
        assert transport is not None
        replies = server.service.answers(batch, peer=self._peer_of, now_s=server.now_s)
        octets: list[bytes] = []
        keep = True
        for place, (asked, reply) in enumerate(zip(batch, replies, strict=True)):
            if isinstance(reply, Pending):
                server.counters.add(Counter.TCP_MESSAGES, place + 1)
                self._waiting.extendleft(reversed(batch[place + 1 :]))  # They are answered behind it, anew.
                transport.write(b"".join(octets))
                self._begin(reply, asked)
                return
            # What is no question ends the connection.
            keep = reply is not None and asks_to_keep(asked)
            if reply is not None:
                octets.append(octets_of(reply))
            if not keep:
                break
        server.counters.add(Counter.TCP_MESSAGES, len(batch))
        if octets:
            transport.write(octets[0] if len(octets) == 1 else b"".join(octets))
        if not keep or (self._draining and not self._waiting):
            self._waiting.clear()
            transport.close()

    def _peer_of(self, position: int) -> Peer:
        return self._peer

    def _begin(self, reply: Pending, asked: bytes) -> None:
        """Send an answer that takes time."""
        self._deadline = float("inf")  # As long as we are the ones who take the time.
        self._task = asyncio.get_running_loop().create_task(self._send(reply, keeps(reply, asked)))

    async def _send(self, reply: Pending, keep: bool) -> None:
        try:
            async for part in reply.parts():
                await self._can_write.wait()
                assert self._transport is not None
                if isinstance(part, Secure):
                    await self._secure(part)
                else:
                    self._transport.write(part)
        except (OSError, TimeoutError) as error:
            log.info("a connection of %s ends within an answer: %s", self._source, error)
            self.abort()
        except Exception:
            log.exception("fault while sending an answer to %s", self._source)
            self.abort()
        self._task = None
        self._sent(keep or self._peer.has_tried_login or self._peer.channel != 0)

    def _sent(self, keep: bool) -> None:
        """An answer that took time was sent: go on with what waits behind it."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if not keep or (self._draining and not self._waiting):
            self._waiting.clear()
            transport.close()
            return
        if not self._blocked:
            transport.resume_reading()
        self._answer_waiting()
        self._set_deadline()

    async def _secure(self, part: Secure) -> None:
        """Begin TLS in the middle of the connection (spec, resolution: section 7.1)."""
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        secured = await loop.start_tls(
            self._transport, self, part.context, server_side=True, ssl_handshake_timeout=self._message_timeout_s
        )
        if secured is None:
            raise ConnectionResetError("the connection ended before TLS")
        self._transport = secured

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
        if self._is_held:
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
        self._can_write.clear()
        self._deadline = self._server.now + self._message_timeout_s
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It took them."""
        self._blocked = False
        self._can_write.set()
        if self._task is not None:
            self._deadline = float("inf")
            return
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
            log.info("a connection of %s is ended: it took no answer for %g s", self._source, self._message_timeout_s)
            self.abort()
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
        if self._framer.is_between_messages and not self._waiting and self._task is None:
            self._transport.close()

    def abort(self) -> None:
        """End at once; what the client has not taken by now it never will."""
        if self._transport is not None:
            if self._admitted:  # And not ended: the number of its socket may be another's by now.
                forget_unsent(self._transport)
            self._transport.abort()
