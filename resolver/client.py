"""Ask a node: one message out, one or several back, over UDP with retries, TCP and TLS. Knows no cache and no referral.

What the messages say, who vouches for them and what is encrypted is decided in `client_calls`; here are octets.
Sources: spec, protocol: section 8 (transports, retries); behaviours 32-34.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from protocol import codec
from protocol.codec import Message
from protocol.codes import (
    DEFAULT_REQUEST_FLAGS,
    ENCRYPTED,
    KEEP_CONNECTION,
    SITE_SERIAL_UNKNOWN,
    TRUNCATED,
    OpCode,
)
from protocol.envelope import Envelope
from protocol.errors import Malformed
from protocol.framing import Framer, Reassembly, datagrams
from protocol.limits import ENVELOPE_SIZE, MESSAGE_SIZE_MAX
from protocol.requests import Body, ResolutionRequest
from protocol.responses import ErrorResponse
from protocol.version import NEWEST, Version
from resolver.client_tls import NotTrusted, Tls

UDP_WAITS_S: Final = (0.5, 1.0, 1.5)  # The waits of the client library in service: three tries.
TCP_TIMEOUT_S: Final = 10.0  # Connecting, and then the answer: a person waits for this.
REQUEST_LIFETIME_S: Final = 43_200
_LATEST_S: Final = 0x7FFFFFFF  # The greatest time that the header's field can tell: in January 2038.
_UNREAD_ID: Final = 0xFFFFFFFF  # What servers answer that could not read a message, its id included (behaviours 35).
_READ_SIZE: Final = 65_536


class Transport(Enum):
    """How a message travels. `EITHER`: by UDP, and by TCP where UDP stays silent."""

    UDP = "udp"
    TCP = "tcp"
    EITHER = "either"


class NoAnswer(ConnectionError):
    """The server is silent, refuses the connection, or answers what cannot be read."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is and how it is spoken to; `timeout_s` is for connecting, and then for each reply.

    With `tls` every message goes over TLS, whatever `transport` says.
    """

    host: str
    port: int
    transport: Transport = Transport.TCP
    tls: Tls | None = None
    timeout_s: float = TCP_TIMEOUT_S

    def __str__(self) -> str:
        return f"{self.host} port {self.port}"


@dataclass(frozen=True, slots=True)
class Answered:
    """The reply, the transport that brought it, and how long it took from the first octet sent, in seconds."""

    message: Message
    transport: Transport
    seconds: float
    size: int


def resolution(
    handle: bytes,
    *,
    indexes: Sequence[int] = (),
    types: Sequence[bytes] = (),
    flags: int = DEFAULT_REQUEST_FLAGS,
    now_s: int,
) -> Message:
    """A request for the values of a handle, with a random request id of 31 bits."""
    return question(
        ResolutionRequest(handle=handle, indexes=tuple(indexes), types=tuple(types)),
        opcode=OpCode.RESOLUTION,
        flags=flags,
        now_s=now_s,
    )


def fresh_id() -> int:
    """A random request id of 31 bits, never 0: what deployed clients take."""
    return secrets.randbits(31) or 1


def question(
    body: Body,
    *,
    opcode: int,
    flags: int = DEFAULT_REQUEST_FLAGS,
    now_s: int,
    lifetime_s: int = REQUEST_LIFETIME_S,
    request_id: int | None = None,
    version: Version = NEWEST,
    suggested: Version = NEWEST,
    session_id: int = 0,
    site_serial: int = SITE_SERIAL_UNKNOWN,
) -> Message:
    """A request with a random request id of 31 bits, written in our newest version unless another is given."""
    return codec.request(
        body,
        opcode=opcode,
        request_id=fresh_id() if request_id is None else request_id,
        flags=flags,
        expiration=min(now_s + lifetime_s, _LATEST_S),
        version=version,
        suggested=suggested,
        session_id=session_id,
        site_serial=site_serial,
    )


async def ask(
    message: Message, host: str, port: int, *, transport: Transport = Transport.EITHER, timeout_s: float = TCP_TIMEOUT_S
) -> Answered:
    """The reply to a message; `NoAnswer` where none comes within the transports' waits."""
    loop = asyncio.get_running_loop()
    server = Server(host, port, transport, timeout_s=timeout_s)
    started = loop.time()
    if transport is not Transport.TCP:
        reply = await _by_udp(message.to_bytes, message.envelope.request_id, server)
        if reply is not None:
            return Answered(codec.Message.read(reply), Transport.UDP, loop.time() - started, len(reply))
        if transport is Transport.UDP:
            raise _silent(server)
        started = loop.time()
    replies = _by_tcp(message.to_bytes(), message.envelope.request_id, server)
    try:
        octets = await anext(replies)
    finally:
        await replies.aclose()
    return Answered(codec.Message.read(octets), Transport.TCP, loop.time() - started, len(octets))


async def frames(write: Callable[[], bytes], request_id: int, server: Server) -> AsyncGenerator[bytes]:
    """The replies to one message as whole messages, one after the other, encrypted ones included.

    `write` gives the octets to send: each try over UDP calls it again, since in a session no two messages are the same.
    Take as many as the message has replies, then close the generator. Over UDP one comes, over TCP as many as the
    server sends; `NoAnswer` where none comes in time, or the connection ends before.
    """
    if server.transport is not Transport.TCP and server.tls is None:
        reply = await _by_udp(write, request_id, server)
        if reply is not None:
            yield reply
            return
        if server.transport is Transport.UDP:
            raise _silent(server)
    replies = _by_tcp(write(), request_id, server)
    try:
        async for octets in replies:
            yield octets
    finally:
        await replies.aclose()


def _silent(server: Server) -> NoAnswer:
    return NoAnswer(f"no answer from {server} over UDP in {sum(UDP_WAITS_S):g} s")


class _Receiver(asyncio.DatagramProtocol):
    """Puts the pieces of the one awaited reply together; everything else is ignored."""

    def __init__(self, request_id: int) -> None:
        self._request_id = request_id.to_bytes(4, "big")
        self._pieces = Reassembly()
        self.reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[object, ...]) -> None:
        if data[8:12] != self._request_id or self.reply.done():
            return
        now = asyncio.get_running_loop().time()
        whole = self._pieces.add("", data, now=now) if _is_piece(data) else data
        if whole is None:
            return
        if _is_message(whole):
            self.reply.set_result(whole)

    def error_received(self, exc: Exception) -> None:
        """An unreachable port: the waits end as they would in silence."""


def _is_piece(data: bytes) -> bool:
    """Whether a datagram is a piece: some servers cut their answers and do not say so (behaviours 32)."""
    return bool(data[2] & TRUNCATED) or (
        len(data) >= ENVELOPE_SIZE and Envelope.read(data).message_size > len(data) - ENVELOPE_SIZE
    )


def _is_message(octets: bytes) -> bool:
    """Whether the octets are a whole message; of an encrypted one only its length can be seen."""
    try:
        envelope, plain = codec.split(octets)
        if not envelope.flags & ENCRYPTED:
            codec.Message.opened(envelope, plain)
    except Malformed:
        return False
    return True


async def _by_udp(write: Callable[[], bytes], request_id: int, server: Server) -> bytes | None:
    loop = asyncio.get_running_loop()
    try:
        made = await loop.create_datagram_endpoint(
            lambda: _Receiver(request_id), remote_addr=(server.host, server.port)
        )
    except OSError:
        return None
    transport, receiver = made
    try:
        for wait_s in UDP_WAITS_S:
            for datagram in datagrams(write()):
                transport.sendto(datagram)
            done, _ = await asyncio.wait([receiver.reply], timeout=wait_s)
            if done:
                return receiver.reply.result()
        return None
    finally:
        transport.close()


async def _by_tcp(octets: bytes, request_id: int, server: Server) -> AsyncGenerator[bytes]:
    """The replies that come on a connection of the message's own; `NoAnswer` where it ends or nothing comes in time."""
    reader, writer = await _connected(server)
    try:
        writer.write(octets)
        framer = Framer(MESSAGE_SIZE_MAX)
        while True:
            framer.feed(await _read(reader, server))
            for frame in framer.frames():
                _expect_ours(frame, request_id, server)
                yield frame
    except Malformed as error:
        raise NoAnswer(f"{server} sent what is no message: {error}") from error
    finally:
        # Nobody waits for the last octets of a TLS connection: all that was asked for has come.
        writer.close() if server.tls is None else writer.transport.abort()
        await asyncio.sleep(0)


async def _connected(server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    way = "TCP" if server.tls is None else "TLS"
    context, name = (None, None) if server.tls is None else (server.tls.context, server.host)
    try:
        async with asyncio.timeout(server.timeout_s):
            reader, writer = await asyncio.open_connection(server.host, server.port, ssl=context, server_hostname=name)
    except TimeoutError as error:
        raise NoAnswer(f"no answer from {server} over {way} in {server.timeout_s:g} s") from error
    except OSError as error:
        raise NoAnswer(f"{server} cannot be reached over {way}: {error.strerror or error}") from error
    if server.tls is not None:
        try:
            server.tls.expect(writer.get_extra_info("ssl_object"))
        except NotTrusted:
            writer.transport.abort()
            await asyncio.sleep(0)
            raise
    return reader, writer


async def _read(reader: asyncio.StreamReader, server: Server) -> bytes:
    way = "TCP" if server.tls is None else "TLS"
    try:
        async with asyncio.timeout(server.timeout_s):
            data = await reader.read(_READ_SIZE)
    except TimeoutError as error:
        raise NoAnswer(f"no answer from {server} over {way} in {server.timeout_s:g} s") from error
    except OSError as error:
        raise NoAnswer(f"{server} broke the connection: {error.strerror or error}") from error
    if not data:
        raise NoAnswer(f"{server} closed the connection without an answer")
    return data


def _expect_ours(frame: bytes, request_id: int, server: Server) -> None:
    """`NoAnswer` for the reply to another message: on a connection that carries one, nothing else may come."""
    envelope = Envelope.read(frame)
    if envelope.request_id == request_id:
        return
    if envelope.request_id != _UNREAD_ID or envelope.flags & ENCRYPTED:
        raise NoAnswer(f"{server} answered another message than the one that it was sent")
    message = codec.Message.read(frame)
    _, body = codec.read_response(message)
    told = body.message.decode(errors="replace") if isinstance(body, ErrorResponse) else ""
    raise NoAnswer(f"{server} could not read the message: {message.header.code} {told}".rstrip())


def kept(message: Message) -> Message:
    """The message with the wish that its TCP connection stays open."""
    return replace(message, header=replace(message.header, flags=message.header.flags | KEEP_CONNECTION))
