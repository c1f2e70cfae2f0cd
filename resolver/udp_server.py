"""The datagram shell: takes many datagrams a wake-up, stamps the time once, sends the replies. Knows no protocol rule
but the one-bit question whether a datagram is a piece of a longer message."""

import asyncio
import socket
from typing import Any, Final

from protocol.codes import ENCRYPTED, TRUNCATED, ResponseCode
from protocol.framing import Reassembly, datagrams
from protocol.limits import DATAGRAM_SIZE_MAX, ENVELOPE_SIZE
from resolver.admission import Admission
from resolver.clock import Clock
from resolver.counters import Counter, Counters
from resolver.log_limits import limited
from resolver.peer import Peer
from resolver.pending import Pending
from resolver.replies import Answer, shortened
from resolver.service import NOT_UNDERSTOOD, Reply, Service
from resolver.tcp_server import source_of

log = limited(__name__)

BATCH_MAX: Final = 64  # Datagrams a wake-up: enough to share a transaction, few enough to let TCP in between.
LAST_BATCHES_MAX: Final = 1_000  # What a stopping server still answers: more than a receive buffer holds.
DATAGRAM_READ_MAX: Final = 8 * DATAGRAM_SIZE_MAX  # Longer datagrams arrive cut, and so are refused by their length.

TASKS_MAX: Final = 4_096  # Answers that take time: for each of a thousand searches a client asks up to three times.
_CODE_AT: Final = ENVELOPE_SIZE + 4  # Where a clear message has its response code.
_FLAGS_AT: Final = 2  # Where an envelope has its flags.

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
        self._pieces_lost = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to answer. The socket is the server's from now on."""
        self._socket.setblocking(False)
        loop.add_reader(self._socket.fileno(), self._on_readable)

    def stop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer what has arrived, then no more. The socket stays open: it is the supervisor's."""
        loop.remove_reader(self._socket.fileno())
        for _ in range(LAST_BATCHES_MAX):
            if not self._on_readable():
                return

    def _on_readable(self) -> int:
        """Answer up to a batch of what has arrived; how many datagrams that was."""
        receive = self._socket.recvfrom
        messages: list[bytes] = []
        addresses: list[Address] = []
        now = self._clock.monotonic()
        try:
            for _ in range(BATCH_MAX):
                octets, address = receive(DATAGRAM_READ_MAX)
                messages.append(octets)
                addresses.append(address)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            log.warning("receiving failed: %s", error)
        if messages:
            self._counters.add(Counter.UDP_DATAGRAMS, len(messages))
            pieced: dict[int, bytes | None] = {}

            def whole(position: int, octets: bytes) -> bytes | None:
                if len(octets) > _FLAGS_AT and octets[_FLAGS_AT] & TRUNCATED:
                    octets_or_none = self._pieces.add(addresses[position][0], octets, now=now)
                    pieced[position] = octets_or_none
                    return octets_or_none
                return octets

            now_s = int(self._clock.wall())

            def peer(position: int) -> Peer:
                host = addresses[position][0]
                return Peer(source_of(host), admin=self._admin, host=host)

            replies = self._service.answers(messages, peer=peer, now_s=now_s, whole=whole)
            self._send(replies, messages, addresses, pieced, now)
        return len(messages)

    def _send(
        self,
        replies: list[Reply],
        messages: list[bytes],
        addresses: list[Address],
        pieced: dict[int, bytes | None],
        now: float,
    ) -> None:
        """Send what may be sent. One loop, like the one in `service`; what is not plain and short goes its own way."""
        send, counts = self._socket.sendto, self._counters.counts
        sent = limited = 0
        host, bucket = "", None
        for position, reply in enumerate(replies):
            address = addresses[position]
            if isinstance(reply, bytes) and len(reply) <= DATAGRAM_SIZE_MAX:
                if len(reply) > len(messages[position]):
                    if address[0] != host:
                        host = address[0]
                        bucket = self._admission.bucket(host, now=now)
                    if bucket is not None:
                        if bucket.tokens < 1:
                            limited += 1
                            continue
                        bucket.tokens -= 1
                try:
                    send(reply, address)
                    sent += 1
                except OSError:  # A full send queue, an unreachable or forged source: over UDP the client asks again.
                    counts[Counter.UDP_SEND_ERRORS] += 1
            elif (
                position not in pieced or pieced[position] is not None
            ):  # A piece whose rest is missing is no question.
                self._send_other(reply, pieced.get(position) or messages[position], address, position in pieced, now)
        counts[Counter.UDP_ANSWERS] += sent
        counts[Counter.UDP_DROPPED_LIMITED] += limited
        if pieced:
            lost = sum(self._pieces.dropped.values())
            counts[Counter.UDP_DROPPED_FRAGMENTS] += lost - self._pieces_lost
            self._pieces_lost = lost

    def _send_other(self, reply: Reply, asked: bytes, address: Address, truncated: bool, now: float) -> None:
        """Send a reply that is no plain success or needs more than one datagram, or count why it is not sent."""
        if isinstance(reply, Pending):
            self._begin(reply, asked, address, truncated, now)
            return
        octets = reply if isinstance(reply, bytes) else self._octets_of(reply, asked)
        if octets is None:
            self._counters.add(Counter.UDP_DROPPED_MALFORMED)
            return
        cut = datagrams(octets, truncated=truncated)
        if len(octets) > len(asked) and not self._admission.admits(address[0], len(cut), now=now):
            self._counters.add(Counter.UDP_DROPPED_LIMITED)
            return
        try:
            for datagram in cut:
                self._socket.sendto(datagram, address)
            self._counters.add(Counter.UDP_ANSWERS)
        except OSError:
            self._counters.add(Counter.UDP_SEND_ERRORS)

    def _begin(self, reply: Pending, asked: bytes, address: Address, truncated: bool, now: float) -> None:
        """Send a reply that takes time, if there is room for one more, and a token for its source."""
        if len(self._tasks) >= TASKS_MAX or not self._admission.admits(address[0], 1, now=now):
            self._counters.add(Counter.UDP_DROPPED_LIMITED)
            return
        task = asyncio.get_running_loop().create_task(self._finish(reply, asked, address, truncated))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, reply: Pending, asked: bytes, address: Address, truncated: bool) -> None:
        try:
            async for part in reply.parts():
                if isinstance(part, bytes):
                    code = int.from_bytes(part[_CODE_AT : _CODE_AT + 4], "big")
                    is_refusal = code in NOT_UNDERSTOOD and not part[_FLAGS_AT] & ENCRYPTED
                    told: Reply = Answer(ResponseCode(code), part) if is_refusal else part
                    self._send_other(told, asked, address, truncated, self._clock.monotonic())
                return  # Datagrams carry one message.
        except Exception:
            log.exception("fault while answering a datagram")

    @staticmethod
    def _octets_of(answer: Answer | None, asked: bytes) -> bytes | None:
        """What to send, or None for silence: a reply to what was wrong is never larger than what caused it."""
        if answer is None:
            return None
        if answer.code in NOT_UNDERSTOOD and len(answer.octets) > len(asked):
            octets = shortened(answer).octets
            return octets if len(octets) <= len(asked) else None
        return answer.octets
