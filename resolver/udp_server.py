"""The datagram shell: takes many datagrams a wake-up, stamps the time once, sends the replies. Knows no protocol rule
but the one-bit question whether a datagram is a piece of a longer message."""

import asyncio
import logging
import socket
from typing import Any, Final

from protocol.codes import TRUNCATED
from protocol.framing import Reassembly, datagrams
from protocol.limits import DATAGRAM_SIZE_MAX
from resolver.admission import Admission
from resolver.clock import Clock
from resolver.counters import Counter, Counters
from resolver.engine import Answer, shortened
from resolver.service import NOT_UNDERSTOOD, Service

log = logging.getLogger(__name__)

BATCH_MAX: Final = 64  # Datagrams a wake-up: enough to share a transaction, few enough to let TCP in between.
DATAGRAM_READ_MAX: Final = 8 * DATAGRAM_SIZE_MAX  # Longer datagrams arrive cut, and so are refused by their length.

Address = tuple[Any, ...]


class UdpServer:
    """One socket of one worker. `admin`: whether administration is allowed by UDP."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        service: Service,
        admission: Admission,
        counters: Counters,
        clock: Clock,
        admin: bool,
    ) -> None:
        self._socket = sock
        self._service = service
        self._admission = admission
        self._counters = counters
        self._clock = clock
        self._admin = admin
        self._pieces = Reassembly()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to answer. The socket is the server's from now on."""
        self._socket.setblocking(False)
        loop.add_reader(self._socket.fileno(), self._on_readable)

    def stop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer what has arrived, then no more. The socket stays open: it is the supervisor's."""
        loop.remove_reader(self._socket.fileno())
        self._on_readable()

    def _on_readable(self) -> None:
        receive = self._socket.recvfrom
        messages: list[bytes] = []
        sources: list[tuple[Address, int, bool]] = []  # Address, size of the question, whether it came in pieces.
        received = 0
        now = self._clock.monotonic()
        try:
            while received < BATCH_MAX:
                octets, address = receive(DATAGRAM_READ_MAX)
                received += 1
                pieced = len(octets) > 2 and bool(octets[2] & TRUNCATED)
                if pieced:
                    whole = self._pieces.add(address[0], octets, now=now)
                    if whole is None:
                        continue
                    octets = whole
                messages.append(octets)
                sources.append((address, len(octets), pieced))
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            log.warning("receiving failed: %s", error)
        self._counters.add(Counter.UDP_DATAGRAMS, received)
        if messages:
            answers = self._service.answers(messages, admin=self._admin, now_s=int(self._clock.wall()))
            self._send(answers, sources, now)

    def _send(self, answers: list[Answer | None], sources: list[tuple[Address, int, bool]], now: float) -> None:
        send = self._socket.sendto
        sent = limited = silent = 0
        for answer, (address, asked_size, pieced) in zip(answers, sources, strict=True):
            if answer is None:
                silent += 1
                continue
            octets = answer.octets
            size = len(octets)
            if size > asked_size:
                if answer.code in NOT_UNDERSTOOD:
                    octets = shortened(answer).octets
                    size = len(octets)
                    if size > asked_size:
                        silent += 1
                        continue
                elif not self._admission.admits(address[0], 1 + size // DATAGRAM_SIZE_MAX, now=now):
                    limited += 1
                    continue
            try:
                if size <= DATAGRAM_SIZE_MAX and not pieced:
                    send(octets, address)
                else:
                    for datagram in datagrams(octets, truncated=pieced):
                        send(datagram, address)
                sent += 1
            except OSError:  # A full send queue, an unreachable or forged source: over UDP the client asks again.
                self._counters.add(Counter.UDP_SEND_ERRORS)
        self._counters.add(Counter.UDP_ANSWERS, sent)
        if limited:
            self._counters.add(Counter.UDP_DROPPED_LIMITED, limited)
        if silent:
            self._counters.add(Counter.UDP_DROPPED_MALFORMED, silent)
