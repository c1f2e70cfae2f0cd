"""Ask a node: one message out, one message back, over UDP with retries and over TCP. Knows no cache and no referral.

Sources: spec, protocol: section 8 (transports, retries); behaviours 32-33.
"""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from protocol import codec
from protocol.codec import Message
from protocol.codes import DEFAULT_REQUEST_FLAGS, KEEP_CONNECTION, TRUNCATED, OpCode
from protocol.envelope import Envelope
from protocol.errors import Malformed
from protocol.framing import Framer, Reassembly, datagrams
from protocol.limits import ENVELOPE_SIZE, MESSAGE_SIZE_MAX
from protocol.requests import Body, ResolutionRequest

UDP_WAITS_S: Final = (0.5, 1.0, 1.5)  # The waits of the client library in service: three tries.
TCP_TIMEOUT_S: Final = 10.0  # Connecting, and then the answer: a person waits for this.
REQUEST_LIFETIME_S: Final = 43_200


class Transport(Enum):
    """How a message travels. `EITHER`: by UDP, and by TCP where UDP stays silent."""

    UDP = "udp"
    TCP = "tcp"
    EITHER = "either"


class NoAnswer(ConnectionError):
    """The server is silent, refuses the connection, or answers what cannot be read."""


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


def question(body: Body, *, opcode: int, flags: int = DEFAULT_REQUEST_FLAGS, now_s: int) -> Message:
    """A request with a random request id of 31 bits, written in our newest version."""
    return codec.request(
        body,
        opcode=opcode,
        request_id=secrets.randbits(31) or 1,
        flags=flags,
        expiration=now_s + REQUEST_LIFETIME_S,
    )


async def ask(
    message: Message, host: str, port: int, *, transport: Transport = Transport.EITHER, timeout_s: float = TCP_TIMEOUT_S
) -> Answered:
    """The reply to a message; `NoAnswer` where none comes within the transports' waits."""
    loop = asyncio.get_running_loop()
    if transport is not Transport.TCP:
        started = loop.time()
        reply = await _by_udp(message, host, port)
        if reply is not None:
            return Answered(codec.Message.read(reply), Transport.UDP, loop.time() - started, len(reply))
        if transport is Transport.UDP:
            raise NoAnswer(f"no answer from {host} port {port} over UDP in {sum(UDP_WAITS_S):g} s")
    started = loop.time()
    try:
        async with asyncio.timeout(timeout_s):
            octets = await _by_tcp(message, host, port)
    except TimeoutError as error:
        raise NoAnswer(f"no answer from {host} port {port} over TCP in {timeout_s:g} s") from error
    except OSError as error:
        raise NoAnswer(f"{host} port {port} cannot be reached over TCP: {error.strerror or error}") from error
    return Answered(codec.Message.read(octets), Transport.TCP, loop.time() - started, len(octets))


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
        try:
            codec.Message.read(whole)
        except Malformed:
            return
        self.reply.set_result(whole)

    def error_received(self, exc: Exception) -> None:
        """An unreachable port: the waits end as they would in silence."""


def _is_piece(data: bytes) -> bool:
    """Whether a datagram is a piece: some servers cut their answers and do not say so (behaviours 32)."""
    return bool(data[2] & TRUNCATED) or (
        len(data) >= ENVELOPE_SIZE and Envelope.read(data).message_size > len(data) - ENVELOPE_SIZE
    )


async def _by_udp(message: Message, host: str, port: int) -> bytes | None:
    loop = asyncio.get_running_loop()
    try:
        made = await loop.create_datagram_endpoint(
            lambda: _Receiver(message.envelope.request_id), remote_addr=(host, port)
        )
    except OSError:
        return None
    transport, receiver = made
    try:
        for wait_s in UDP_WAITS_S:
            for datagram in datagrams(message.to_bytes()):
                transport.sendto(datagram)
            done, _ = await asyncio.wait([receiver.reply], timeout=wait_s)
            if done:
                return receiver.reply.result()
        return None
    finally:
        transport.close()


async def _by_tcp(message: Message, host: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(message.to_bytes())
        framer = Framer(MESSAGE_SIZE_MAX)
        while True:
            data = await reader.read(65_536)
            if not data:
                raise NoAnswer(f"{host} port {port} closed the connection without an answer")
            framer.feed(data)
            for frame in framer.frames():
                if codec.Message.read(frame).envelope.request_id == message.envelope.request_id:
                    return frame
    except Malformed as error:
        raise NoAnswer(f"{host} port {port} sent what is no message: {error}") from error
    finally:
        writer.close()


def kept(message: Message) -> Message:
    """The message with the wish that its TCP connection stays open."""
    return replace(message, header=replace(message.header, flags=message.header.flags | KEEP_CONNECTION))
