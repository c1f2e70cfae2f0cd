"""Clients for load users: one request at a time over a gevent socket, by the pure protocol package. Retries nothing.

A late answer, one whose request was given up, is known by its request id and passed over.
"""

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from gevent import socket

from loadtest.plan import check_loopback
from protocol import codec
from protocol.codes import DEFAULT_REQUEST_FLAGS, KEEP_CONNECTION, TRUNCATED, OpCode
from protocol.envelope import Envelope
from protocol.framing import Framer, Reassembly, datagrams
from protocol.limits import MESSAGE_SIZE_MAX
from protocol.requests import ResolutionRequest
from protocol.responses import ResolutionResponse

_RECEIVE_SIZE: Final = 65_536
_EXPIRES_AFTER_S: Final = 43_200

TIMEOUT_S: Final = 2.0
"""For a whole answer, from the sending of its request."""


class NoReply(TimeoutError):
    """No whole answer came in time."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its response code, the types of the values in it, and its octets with their envelope."""

    code: int
    types: tuple[bytes, ...]
    size: int

    @classmethod
    def read(cls, octets: bytes) -> Self:
        """From a whole message; `Malformed` where it is none."""
        message = codec.Message.read(octets)
        _, body = codec.read_response(message)
        types = tuple([value.type for value in body.values]) if isinstance(body, ResolutionResponse) else ()
        return cls(message.header.code, types, len(octets))


class Client(ABC):
    """What both transports share: the numbering, the message, the waiting."""

    KIND: ClassVar[int]
    FLAGS: ClassVar[int]

    def __init__(self, host: str, port: int, *, timeout_s: float = TIMEOUT_S) -> None:
        check_loopback(host)
        self._number = 0
        self._timeout_s = timeout_s
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, self.KIND)
        self._socket.settimeout(timeout_s)
        self._socket.connect((host, port))

    def resolve(self, handle: bytes, types: tuple[bytes, ...] = ()) -> Reply:
        """Ask for a handle's public values; `NoReply` after the time-out, `OSError` where nothing listens."""
        self._number = self._number % 0x7FFFFFFF + 1
        body = ResolutionRequest(handle=handle, types=types)
        expiration = int(time.time()) + _EXPIRES_AFTER_S
        message = codec.request(
            body, opcode=OpCode.RESOLUTION, request_id=self._number, flags=self.FLAGS, expiration=expiration
        )
        return Reply.read(self._exchanged(message.to_bytes(), time.monotonic() + self._timeout_s))

    @abstractmethod
    def _exchanged(self, request: bytes, deadline: float) -> bytes:
        """Send a whole message and wait for the whole message that answers it."""

    def _received(self, deadline: float) -> bytes:
        left = deadline - time.monotonic()
        if left <= 0:
            raise NoReply("timeout")
        self._socket.settimeout(left)
        try:
            octets: bytes = self._socket.recv(_RECEIVE_SIZE)
        except TimeoutError:
            raise NoReply("timeout") from None
        return octets

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


class UdpClient(Client):
    """Over a connected datagram socket; answers of several datagrams are put together."""

    KIND = socket.SOCK_DGRAM
    FLAGS = DEFAULT_REQUEST_FLAGS

    def __init__(self, host: str, port: int, *, timeout_s: float = TIMEOUT_S) -> None:
        super().__init__(host, port, timeout_s=timeout_s)
        self._pieces = Reassembly()

    def _exchanged(self, request: bytes, deadline: float) -> bytes:
        for datagram in datagrams(request):
            self._socket.send(datagram)
        while True:
            datagram = self._received(deadline)
            envelope = Envelope.read(datagram)
            if envelope.request_id != self._number:
                continue
            if not envelope.flags & TRUNCATED:
                return datagram
            whole = self._pieces.add("", datagram, now=time.monotonic())
            if whole is not None:
                return whole


class TcpClient(Client):
    """Over a connection that it asks to keep."""

    KIND = socket.SOCK_STREAM
    FLAGS = DEFAULT_REQUEST_FLAGS | KEEP_CONNECTION

    def __init__(self, host: str, port: int, *, timeout_s: float = TIMEOUT_S) -> None:
        super().__init__(host, port, timeout_s=timeout_s)
        self._framer = Framer(MESSAGE_SIZE_MAX)

    def _exchanged(self, request: bytes, deadline: float) -> bytes:
        self._socket.settimeout(self._timeout_s)
        self._socket.sendall(request)
        while True:
            octets = self._received(deadline)
            if not octets:
                raise ConnectionError("the node closed a connection that was to be kept")
            self._framer.feed(octets)
            for frame in self._framer.frames():
                if Envelope.read(frame).request_id == self._number:
                    return frame
