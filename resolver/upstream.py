"""Questions to other servers, by sockets: one for each question, its port drawn by the system, its id by chance.

A UDP socket is connected, so that only who was asked is heard; what comes without the question's id, or cannot be read,
changes nothing. Decides nothing: the walk says whom to ask, how long to wait and what to try next. No tasks: sockets
and deadlines call back. Sources: spec, protocol: section 8; behaviours 32-35.
"""

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from protocol.codec import Message
from protocol.errors import Malformed
from protocol.framing import Framer, Reassembly, datagrams
from protocol.limits import DATAGRAM_SIZE_MAX, MESSAGE_SIZE_MAX
from resolver.clock import Clock
from resolver.log_limits import limited
from resolver.silences import Silences
from resolver.ticking import Due, Ticks
from resolver.upstream_messages import (
    address_of,
    answer_of,
    family_of,
    is_address,
    is_piece,
    is_proven,
    request_octets,
)
from resolver.walk.events import Ask, NoReply, Way
from resolver.watching import READABLE, WRITABLE, Watch

log = limited(__name__)

PROOF_THREADS: Final = 1  # A signature of RSA is checked in 50 µs: one thread checks more than a worker can ask for.
NAME_THREADS: Final = 4  # Sites that name a host instead of an address are rare; one name can take seconds.
READ_SIZE: Final = 65_536
DATAGRAMS_MAX: Final = 600  # That one socket may bring: the pieces of the longest message, and some repeated.
_ID_AT: Final = slice(8, 12)
_ID_MAX: Final = 0x7FFFFFFF
_BUSY: Final = (errno.EINPROGRESS, errno.EAGAIN)

Told = Callable[[Message | NoReply], None]
"""Called once, never from within `Upstream.ask`, with the answer or the reason why there is none."""


class Question:
    """One question under way. `drop` and nothing is told any more."""

    __slots__ = ("ask", "asked_at", "due", "is_asked", "is_over", "octets", "request_id", "sock", "told", "up")

    def __init__(self, up: "Upstream", ask: Ask, told: Told) -> None:
        self.up = up
        self.ask = ask
        self.told = told
        self.sock: socket.SocketType | None = None  # The system's own: Python's around it costs as much again.
        self.due: Due | None = None
        self.is_over = self.is_asked = False
        self.asked_at = 0.0
        number = int.from_bytes(os.urandom(4), "big") & _ID_MAX or 1  # What `secrets` does, with less around it.
        self.request_id = number.to_bytes(4, "big")
        self.octets = request_octets(ask, number, int(up.clock.wall()))

    def drop(self) -> None:
        """Wait no longer."""
        self.is_over = True
        if self.due is not None:
            self.due.cancel()
            self.due = None
        if self.sock is not None:
            self.up.watch.forget(self.sock.fileno())
            self.sock.close()
            self.sock = None
        self.up.questions.discard(self)

    def end(self, outcome: Message | NoReply) -> None:
        """Tell what came of it. Nothing is waited for any more."""
        if not self.is_over:
            self.drop()
            if self.is_asked:
                why = outcome if isinstance(outcome, NoReply) else None
                self.up.silences.heard(self.ask.place, self.ask.way, why, since=self.asked_at)
            self.told(outcome)

    def end_soon(self, why: NoReply) -> None:
        """The same, but not from within the call that asks."""
        self.due = self.up.ticks.after(0.0, lambda: self.end(why))

    def at_address(self, go_on: Callable[[str], None]) -> None:
        """Go on with the address of the place: at once, or when a name was looked up, which has the time of a try."""
        host = self.ask.place.host
        if is_address(host):
            go_on(host)
            return
        self.due = self.up.ticks.after(max(self.ask.waits_ms) / 1000, lambda: self.end(NoReply.UNREACHABLE))

        def found(address: str) -> None:
            if self.is_over:
                return
            if self.due is not None:
                self.due.cancel()
            if address:
                go_on(address)
            else:
                self.end(NoReply.UNREACHABLE)

        self.up.look_up(host, found)

    def came(self, octets: bytes) -> bool:
        """A whole message with our id came. Whether it is one that can be an answer."""
        message = answer_of(octets, self.ask.opcode)
        if message is None:
            return False
        if self.ask.keys:
            self._prove(message)
        else:
            self.end(message)
        return True

    def _prove(self, message: Message) -> None:
        """Check the signature in a thread. The question is answered: nothing more is read meanwhile."""
        asked = Message.read(self.octets)
        self.drop()
        self.is_over = False
        self.up.questions.add(self)
        self.up.prove(partial(is_proven, message, asked, self.ask, int(self.up.clock.wall())), self._proven(message))

    def _proven(self, message: Message) -> Callable[[bool], None]:
        return lambda is_proven: self.end(message if is_proven else NoReply.UNPROVEN)


class Datagrams(Question):
    """A question by UDP: sent again after each wait but the last."""

    __slots__ = ("count", "pieces", "saw_rubbish", "tries")

    def begin(self) -> None:
        """Find the place, and ask there."""
        self.tries = iter(self.ask.waits_ms)
        self.count = 0
        self.saw_rubbish = False
        self.pieces: Reassembly | None = None
        self.at_address(self.open)

    def open(self, host: str) -> None:
        """Have a socket, and send the question for the first time."""
        place = self.ask.place
        try:
            self.sock = socket.SocketType(family_of(host), socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            self.sock.connect((host, place.port))  # The system draws a free port.
            self.up.watch.add(self.sock.fileno(), READABLE, self.read)
        except OSError as error:
            log.debug("%s cannot be asked: %s", place, error)
            self.end_soon(NoReply.UNREACHABLE)
            return
        self.send()

    def send(self) -> None:
        """Send it, once more where it was sent, or give up where all waits are over."""
        wait_ms = next(self.tries, None)
        if wait_ms is None or self.sock is None:
            self.end(NoReply.UNREADABLE if self.saw_rubbish else NoReply.SILENT)
            return
        self.due = self.up.ticks.after(wait_ms / 1000, self.send)
        self.up.send_soon(self)

    def transmit(self) -> None:
        """Give it to the system, unless it was dropped meanwhile."""
        if self.sock is None:
            return
        try:
            if len(self.octets) <= DATAGRAM_SIZE_MAX:
                self.sock.send(self.octets)
            else:
                for datagram in datagrams(self.octets):
                    self.sock.send(datagram)
        except OSError:
            pass  # A full queue: it is sent again. An error of the place itself is told by the next reading.

    def read(self) -> None:
        """Take what has come."""
        try:
            while self.sock is not None:
                self.count += 1
                if self.count > DATAGRAMS_MAX:
                    self.end(NoReply.UNREADABLE)
                    return
                self._take(self.sock.recv(READ_SIZE))
        except (BlockingIOError, InterruptedError):
            self.count -= 1
        except OSError:
            self.end(NoReply.UNREACHABLE)  # Its machine says that nobody listens there.

    def _take(self, octets: bytes) -> None:
        if octets[_ID_AT] != self.request_id:
            return
        whole: bytes | None = octets
        if is_piece(octets):
            if self.pieces is None:
                self.pieces = Reassembly()
            whole = self.pieces.add("", octets, now=self.up.clock.monotonic())
        if whole is not None and not self.came(whole):
            self.saw_rubbish = True


class Stream(Question):
    """A question by TCP, on a connection of its own; the first wait is for connecting, the second for the answer."""

    __slots__ = ("framer", "is_connected", "left")

    def begin(self) -> None:
        """Find the place, and connect."""
        self.framer = Framer(MESSAGE_SIZE_MAX)
        self.is_connected = False
        self.left = memoryview(self.octets)
        self.at_address(self.open)

    def open(self, host: str) -> None:
        """Begin to connect."""
        place = self.ask.place
        try:
            self.sock = socket.SocketType(family_of(host), socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            error = self.sock.connect_ex((host, place.port))
            if error not in (0, *_BUSY):
                raise OSError(error, "cannot be reached")
            self.up.watch.add(self.sock.fileno(), READABLE | WRITABLE, self.ready)
        except OSError as error:
            log.debug("%s cannot be asked: %s", place, error)
            self.end_soon(NoReply.UNREACHABLE)
            return
        self._wait(0, NoReply.UNREACHABLE)

    def _wait(self, number: int, why: NoReply) -> None:
        if self.due is not None:
            self.due.cancel()
        waits = self.ask.waits_ms
        self.due = self.up.ticks.after(waits[min(number, len(waits) - 1)] / 1000, lambda: self.end(why))

    def ready(self) -> None:
        """Connect, send or read on: what the socket is ready for."""
        try:
            if not self.is_connected:
                self._expect_connected()
            if self.left:
                self._send()
            self._read()
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self.end(NoReply.UNREACHABLE)
        except Malformed:
            self.end(NoReply.UNREADABLE)

    def _expect_connected(self) -> None:
        assert self.sock is not None
        error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, "cannot be reached")
        self.is_connected = True
        self._wait(1, NoReply.SILENT)

    def _send(self) -> None:
        assert self.sock is not None
        self.left = self.left[self.sock.send(self.left) :]
        if not self.left:
            self.up.watch.change(self.sock.fileno(), READABLE)

    def _read(self) -> None:
        assert self.sock is not None
        octets = self.sock.recv(READ_SIZE)
        self.framer.feed(octets)
        for frame in self.framer.frames():
            if frame[_ID_AT] != self.request_id or not self.came(frame):
                self.end(NoReply.UNREADABLE)
            return
        if not octets:
            self.end(NoReply.SILENT)


class Upstream:
    """Asks. `questions` are those under way."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self.clock = clock
        self.ticks = Ticks(loop)
        self.watch = Watch(loop)
        self.questions: set[Question] = set()
        self.silences = Silences()
        self._outgoing: list[Datagrams] = []
        self._loop = loop
        self._names = ThreadPoolExecutor(NAME_THREADS, thread_name_prefix="names")
        self._prover = ThreadPoolExecutor(PROOF_THREADS, thread_name_prefix="upstream")

    def ask(self, ask: Ask, told: Told) -> Question:
        """Send a question; `told` hears what comes of it, unless it is dropped. Who is dead is not asked each time."""
        question: Datagrams | Stream = (Datagrams if ask.way is Way.UDP else Stream)(self, ask, told)
        self.questions.add(question)
        now = self.clock.monotonic()
        if self.silences.may_ask(ask.place, ask.way, now):
            question.is_asked, question.asked_at = True, now
            question.begin()
        else:
            question.end_soon(NoReply.SILENT)
        return question

    def send_soon(self, question: Datagrams) -> None:
        """Send with all others of this turn of the loop, at its end.

        A datagram wakes whoever sleeps for it, which costs more than all else about it: on loopback and within one
        machine, a server that was woken by the first finds the others there.
        """
        if not self._outgoing:
            self._loop.call_soon(self._send_all)
        self._outgoing.append(question)

    def _send_all(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        for question in outgoing:
            question.transmit()

    def prove(self, check: Callable[[], bool], told: Callable[[bool], None]) -> None:
        """Do a check in the thread, and tell its outcome in the loop."""
        future = self._loop.run_in_executor(self._prover, check)
        future.add_done_callback(
            lambda done: None if done.cancelled() else told(not done.exception() and done.result())
        )

    def look_up(self, name: str, told: Callable[[str], None]) -> None:
        """Look up a name in a thread; its first address, or the empty text."""
        future = self._loop.run_in_executor(self._names, address_of, name)
        future.add_done_callback(lambda done: None if done.cancelled() else told(done.result()))

    def aside(self, work: Callable[[], object]) -> None:
        """Do something in the thread that nobody waits for. It must not raise."""
        self._loop.run_in_executor(self._prover, work)

    def close(self) -> None:
        """Drop all questions. Nothing is told any more."""
        for question in list(self.questions):
            question.drop()
        self.ticks.close()
        self.watch.close()
        self._names.shutdown(wait=False, cancel_futures=True)
        self._prover.shutdown(wait=False, cancel_futures=True)
