"""The sockets of the raw generator: each keeps its window of requests under way and matches what comes back.

A lane is told when its socket can be read and when time has passed; it never waits. Retransmits nothing.
"""

import select
import socket
from struct import Struct
from time import perf_counter_ns
from typing import Final, Protocol

from loadtest.plan import ID_END, ID_START, Match, Plan, Questions, Tally, message_size
from protocol.codes import ResponseCode
from protocol.limits import ENVELOPE_SIZE

_TIMEVAL: Final = Struct("@ll")

_CODE_START: Final = ENVELOPE_SIZE + 4  # The response code, behind envelope and opcode.
_CODE_END: Final = _CODE_START + 4
_SUCCESS: Final = ResponseCode.SUCCESS.to_bytes(4, "big")
_RECEIVE_SIZE: Final = 65_536
_RECEIVE_BUFFER: Final = 1 << 20  # The windows of all tests fit: what is lost was lost on the way.


class Lane(Protocol):
    """One place of the generator where requests go out and answers come in."""

    def fill(self) -> None:
        """Send until the window is full or no question is left."""
        ...

    def ready(self) -> None:
        """Take what the socket holds, and send as many requests again."""
        ...

    def expire(self, before_ns: int) -> None:
        """Give up the requests that were sent before that time, and send as many again."""
        ...

    def close(self) -> None:
        """Give the socket back."""
        ...


class Watch:
    """Which lane to tell when a socket can be read."""

    def __init__(self) -> None:
        self._poller = select.epoll()
        self._lanes: dict[int, Lane] = {}

    def add(self, endpoint: socket.socket, lane: Lane) -> None:
        """From now on, tell the lane."""
        self._poller.register(endpoint.fileno(), select.EPOLLIN)
        self._lanes[endpoint.fileno()] = lane

    def remove(self, endpoint: socket.socket) -> None:
        """Stop telling; nothing happens where the socket was never added."""
        if self._lanes.pop(endpoint.fileno(), None) is not None:
            self._poller.unregister(endpoint.fileno())

    def wait(self, timeout_s: float) -> None:
        """Tell each lane whose socket can be read; after that time at the latest, return."""
        lanes = self._lanes
        for descriptor, _ in self._poller.poll(timeout_s):
            lane = lanes.get(descriptor)
            if lane is not None:  # Another lane of the same round may have closed it.
                lane.ready()

    def close(self) -> None:
        """Give the poller back."""
        self._poller.close()


class Pending:
    """The requests of one lane that are under way, oldest first, and the fate of each."""

    __slots__ = ("_by_order", "_given_up", "_sent_ns", "_tally")

    def __init__(self, match: Match, tally: Tally) -> None:
        self._by_order = match is Match.ORDER
        self._tally = tally
        self._sent_ns: dict[bytes, int] = {}
        self._given_up: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._sent_ns)

    def asked(self, key: bytes, now_ns: int) -> None:
        """A request with that id (its octets) goes out."""
        self._tally.asked += 1
        self._sent_ns[key] = now_ns

    def answered(self, answer: bytes | bytearray, now_ns: int) -> bool:
        """A message came in: whether it answers a request of this lane in time."""
        key = next(iter(self._sent_ns), b"") if self._by_order else bytes(answer[ID_START:ID_END])
        sent_ns = self._sent_ns.pop(key, None)
        tally = self._tally
        if sent_ns is None:
            if key in self._given_up:
                self._given_up.discard(key)
                tally.late += 1
            else:
                tally.strays += 1
            return False
        if answer[_CODE_START:_CODE_END] != _SUCCESS:
            tally.bad += 1
        tally.latencies_ns.append(now_ns - sent_ns)
        tally.last_ns = now_ns
        return True

    def give_up(self, before_ns: int) -> int:
        """Count the requests sent before that time as timed out; how many there were."""
        overdue = [key for key, sent_ns in self._sent_ns.items() if sent_ns < before_ns]
        for key in overdue:
            del self._sent_ns[key]
        self._given_up.update(overdue)
        self._tally.timeouts += len(overdue)
        return len(overdue)

    def broken(self) -> int:
        """Count all requests as lost with their connection; how many there were."""
        lost = len(self._sent_ns)
        self._sent_ns.clear()
        self._tally.broken += lost
        return lost


def _family(plan: Plan) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in plan.host else socket.AF_INET


class UdpLane:
    """A connected datagram socket with a window of requests."""

    def __init__(self, plan: Plan, questions: Questions, tally: Tally, watch: Watch) -> None:
        self._window = plan.window
        self._questions = questions
        self._pending = Pending(plan.match, tally)
        self._socket = socket.socket(_family(plan), socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self._socket.connect((plan.host, plan.port))
        self._socket.setblocking(False)
        watch.add(self._socket, self)

    def fill(self) -> None:
        """Send until the window is full or no question is left."""
        while len(self._pending) < self._window and self._ask():
            pass

    def _ask(self) -> bool:
        question = next(self._questions, None)
        if question is None:
            return False
        key, octets = question
        self._pending.asked(key, perf_counter_ns())
        try:
            self._socket.send(octets)
        except BlockingIOError:
            pass  # A full send buffer loses a datagram as the network would: it times out.
        return True

    def ready(self) -> None:
        """Take up to a window of datagrams; each answer is followed by the next request at once."""
        receive, answered = self._socket.recv, self._pending.answered
        for _ in range(self._window):  # No further: a fast server would keep us here, away from the other sockets.
            try:
                answer = receive(_RECEIVE_SIZE)
            except BlockingIOError:
                return
            if answered(answer, perf_counter_ns()):
                self._ask()

    def expire(self, before_ns: int) -> None:
        """Give up what is overdue and fill the window again."""
        if self._pending.give_up(before_ns):
            self.fill()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class KeptLane:
    """A connection that stays, with a window of requests one behind the other. Its end ends the run with an error."""

    def __init__(self, plan: Plan, questions: Questions, tally: Tally, watch: Watch) -> None:
        self._plan = plan
        self._questions = questions
        self._pending = Pending(plan.match, tally)
        self._socket = socket.create_connection((plan.host, plan.port), plan.timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Blocking, so that a call is one system call: octets are asked for only when they wait, and a window is far
        # smaller than a send buffer. A server that reads nothing at all ends the run with an error after the time-out.
        self._socket.setblocking(True)
        whole_s, part_s = divmod(plan.timeout_s, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL.pack(int(whole_s), int(part_s * 1e6)))
        self._received = bytearray()
        watch.add(self._socket, self)

    def fill(self) -> None:
        """Send until the window is full or no question is left, all in one write."""
        octets = []
        while len(self._pending) < self._plan.window:
            question = next(self._questions, None)
            if question is None:
                break
            self._pending.asked(question[0], perf_counter_ns())
            octets.append(question[1])
        if octets:
            self._socket.sendall(b"".join(octets))

    def ready(self) -> None:
        """Take every whole answer that is there, then send as many requests in one write."""
        octets = self._socket.recv(_RECEIVE_SIZE)
        if not octets:
            self._pending.broken()
            raise ConnectionError("the server closed a connection that was to be kept")
        now_ns = perf_counter_ns()
        self._received += octets
        start = 0
        while (size := message_size(self._received, start)) and start + size <= len(self._received):
            self._pending.answered(self._received[start : start + _CODE_END], now_ns)
            start += size
        del self._received[:start]
        self.fill()

    def expire(self, before_ns: int) -> None:
        """Give up what is overdue and fill the window again."""
        if self._pending.give_up(before_ns):
            self.fill()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


class OnceLane:
    """One request at a time, each over a connection of its own that ends with the answer. Connecting waits."""

    def __init__(self, plan: Plan, questions: Questions, tally: Tally, watch: Watch) -> None:
        self._plan = plan
        self._questions = questions
        self._pending = Pending(plan.match, tally)
        self._watch = watch
        self._socket: socket.socket | None = None
        self._received = bytearray()

    def fill(self) -> None:
        """Connect and send, unless a request is under way or no question is left."""
        while not self._pending:
            self.close()
            question = next(self._questions, None)
            if question is None:
                return
            self._pending.asked(question[0], perf_counter_ns())
            try:
                connection = socket.create_connection((self._plan.host, self._plan.port), self._plan.timeout_s)
                self._socket = connection
                connection.sendall(question[1])
                self._watch.add(connection, self)
            except OSError:
                self._pending.broken()

    def ready(self) -> None:
        """Take what is there; a whole answer, or the end of the connection, is followed by the next request."""
        assert self._socket is not None, "a lane without a connection is not watched"
        try:
            octets = self._socket.recv(_RECEIVE_SIZE)
        except OSError:
            octets = b""
        self._received += octets
        size = message_size(self._received)
        if size and len(self._received) >= size:
            self._pending.answered(self._received, perf_counter_ns())
        elif octets:
            return
        self._pending.broken()  # An answer under another id, or none: neither ends this request well.
        self.fill()

    def expire(self, before_ns: int) -> None:
        """Give up the connection whose answer is overdue, and ask the next question."""
        if self._pending.give_up(before_ns):
            self.fill()

    def close(self) -> None:
        """Close the connection, if there is one, and forget what it brought."""
        self._received.clear()
        if self._socket is not None:
            self._watch.remove(self._socket)
            self._socket.close()
            self._socket = None
