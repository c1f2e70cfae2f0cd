"""A plain client for the demonstration: blocking sockets, one question at a time. Prints nothing."""

import socket
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from admin.errors import ExitCode, Failure
from protocol import codec
from protocol.codec import Message
from protocol.framing import Framer, Reassembly
from protocol.responses import ResolutionResponse
from protocol.value import HandleValue
from resolver.client import kept, resolution

TIMEOUT_S: Final = 5.0
TEST_S: Final = 1.0  # A self-test of each transport: long enough to see a rate, short enough to wait for.
DATAGRAM_MAX: Final = 4_096
SUMMARY_VALUES: Final = 2
MARK: Final = "/"


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer: its code, the values, how it came and how long that took."""

    code: int
    values: tuple[HandleValue, ...]
    way: str
    milliseconds: float

    def first(self, kind: str) -> str:
        """The first handle that a value of that type names."""
        for value in self.values:
            if value.type == kind.encode():
                return value.data.decode().split("|")[0]
        raise Failure(f"the record names no {kind}", "the sample data is not what it should be", "install hnode anew")

    @property
    def references(self) -> list[str]:
        """All handles that the record names: one value may name several."""
        named = [value.data.decode().split("|") for value in self.values if MARK.encode() in value.data]
        return [handle for handles in named for handle in handles if handle.count(MARK) == 1 and handle[:3] == "88."]

    @property
    def summary(self) -> str:
        """A few plain values, for a person."""
        plain = [value.data.decode() for value in self.values if MARK.encode() not in value.data]
        return " · ".join(plain[1 : 1 + SUMMARY_VALUES])


class Asker:
    """Asks one node."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port

    def ask(self, handle: str, *, by_tcp: bool = False) -> Seen:
        """The node's answer to a resolution."""
        question = resolution(handle.encode(), now_s=int(time.time()))
        started = time.perf_counter()
        octets = self._by_tcp(question) if by_tcp else self._by_udp(question)
        spent = (time.perf_counter() - started) * 1000
        reply = Message.read(octets)
        _, body = codec.read_response(reply)
        values = body.values if isinstance(body, ResolutionResponse) else ()
        return Seen(reply.header.code, values, "TCP" if by_tcp else "UDP", spent)

    def _by_udp(self, question: Message) -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect((self.host, self.port))
            sock.settimeout(TIMEOUT_S)
            sock.send(question.to_bytes())
            return received(sock, Reassembly())

    def _by_tcp(self, question: Message) -> bytes:
        with socket.create_connection((self.host, self.port), timeout=TIMEOUT_S) as sock:
            sock.sendall(question.to_bytes())
            return framed(sock, Framer())


def received(sock: socket.socket, pieces: Reassembly) -> bytes:
    """One whole message from a UDP socket, put together where it came in pieces."""
    while True:
        try:
            datagram = sock.recv(DATAGRAM_MAX)
        except TimeoutError:
            why = f"it was silent for {TIMEOUT_S:g} s"
            raise Failure("the node did not answer", why, "hnode doctor", code=ExitCode.UNREACHABLE) from None
        whole = pieces.add("", datagram, now=time.monotonic()) if datagram[2] & 0x20 else datagram
        if whole is not None:
            return whole


def framed(sock: socket.socket, framer: Framer) -> bytes:
    """One whole message from a TCP socket."""
    while True:
        data = sock.recv(65_536)
        if not data:
            raise Failure("the node did not answer", "it closed the connection", code=ExitCode.UNREACHABLE)
        framer.feed(data)
        for frame in framer.frames():
            return frame


def rates(asker: Asker) -> list[tuple[str, float, float]]:
    """For UDP and for TCP: its name, questions answered a second, and the median in milliseconds."""
    question = kept(resolution(b"88.608.24061301/BTL001", types=[b"product"], now_s=int(time.time()))).to_bytes()
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((asker.host, asker.port))
        sock.settimeout(TIMEOUT_S)
        pieces = Reassembly()
        found.append(("UDP", *_measured(sock, question, lambda: received(sock, pieces))))
    with socket.create_connection((asker.host, asker.port), timeout=TIMEOUT_S) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        framer = Framer()
        found.append(("TCP", *_measured(sock, question, lambda: framed(sock, framer))))
    return found


def _measured(sock: socket.socket, question: bytes, answer: Callable[[], bytes]) -> tuple[float, float]:
    """Questions a second, one after the other, and the median time of one in milliseconds."""
    times: list[float] = []
    started = last = time.perf_counter()
    while last - started < TEST_S:
        sock.sendall(question)
        answer()
        now = time.perf_counter()
        times.append(now - last)
        last = now
    return len(times) / (last - started), statistics.median(times) * 1000
