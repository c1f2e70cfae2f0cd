"""A process's way to the one writer of its node: hands over changes, and knows what became of each. Opens no store.

Every connection is a pair of sockets of its own, one end of which goes through the node's door to the writer. So each
side hears at once when the other ends, and no half of a message is left for those who come after.
"""

import asyncio
import logging
import socket
from collections import OrderedDict
from typing import Final

from storage.base import Change, Outcome
from storage.writer import WAITING_MAX, OutcomeUnknown, StoreBusy
from storage.writer_frames import BadFrame, Frames, change_frame, read_answers

log = logging.getLogger(__name__)

PATIENCE_S: Final = 5.0
"""How long a change waits for a writer that does not run: it is started again within a second, as a rule."""

_KNOCK_S: Final = 0.1  # Until the door is tried again: it is full only while the writer does not run.
_KNOCK: Final = b"w"
_UNDER_WAY_MAX: Final = 1 << 20  # Octets given to the socket at a time: what the writer takes in one turn.
_RECEIVE_SIZE: Final = 1 << 18
_UNKNOWN: Final = "the writer ended: it is not known whether the change was made. Look before you make it again"
_ABSENT: Final = "the writer does not run: nothing was changed. Look at the log of the node"
_CLOSED: Final = "the writer is closed: the node is stopping"


def door() -> tuple[socket.socket, socket.socket]:
    """The ends of a node's door, made before its processes: the one to knock at, and the writer's."""
    knocker, writers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (knocker, writers):
        end.setblocking(False)
    return knocker, writers


class WriterClient:
    """Hands changes to the writer behind a door. Used within one running event loop.

    What was handed over when the writer ends is not handed over again: whoever waits hears `OutcomeUnknown`. What was
    not waits for the next writer, for at most `patience_s` seconds.
    """

    def __init__(
        self, knocker: socket.socket, *, waiting_max: int = WAITING_MAX, patience_s: float = PATIENCE_S
    ) -> None:
        self._knocker = knocker
        self._waiting_max = waiting_max
        self._patience_s = patience_s
        self._queued: OrderedDict[int, tuple[bytes, asyncio.Future[Outcome]]] = OrderedDict()
        self._given: dict[int, asyncio.Future[Outcome]] = {}
        self._out = bytearray()
        self._frames = Frames()
        self._socket: socket.socket | None = None
        self._is_welcome = False
        self._is_closed = False
        self._is_flushing = False
        self._is_watching = False  # Whether the loop tells when the socket takes more.
        self._number = 0
        self._patience: asyncio.TimerHandle | None = None
        self._knocking: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Connect, so that a writer which is told to stop waits for us. Within the loop that will submit."""
        if self._socket is None and self._knocking is None and not self._is_closed:
            self._connect()

    def submit(self, change: Change) -> "asyncio.Future[Outcome]":
        """See `Submits`. Cancelling the future keeps a change from being made as long as it was not handed over."""
        if self._is_closed:
            raise StoreBusy(_CLOSED)
        if len(self._queued) + len(self._given) >= self._waiting_max:
            raise StoreBusy(f"{self._waiting_max} changes wait for the disk: ask again later")
        loop = asyncio.get_running_loop()
        self._number += 1
        future: asyncio.Future[Outcome] = loop.create_future()
        self._queued[self._number] = change_frame(self._number, change), future
        self.start()
        if not self._is_welcome:
            self._be_patient()
        elif not self._is_flushing and not self._is_watching:
            self._is_flushing = True
            loop.call_soon(self._flush)  # What this turn of the loop submits goes out together.
        return future

    def close(self) -> None:
        """Take no more changes; who still waits hears so. Within the loop."""
        self._is_closed = True
        self._disconnect()
        self._refuse_queued(_CLOSED)
        if self._knocking is not None:
            self._knocking.cancel()

    def _connect(self) -> None:
        mine: socket.socket | None = None
        try:
            mine, theirs = socket.socketpair()
            with theirs:
                socket.send_fds(self._knocker, [_KNOCK], [theirs.fileno()])
        except OSError:  # The door is full, since nobody opens; or this process has no descriptor to spare.
            if mine is not None:
                mine.close()
            self._knocking = asyncio.get_running_loop().call_later(_KNOCK_S, self._knock_again)
            return
        mine.setblocking(False)
        self._socket = mine
        asyncio.get_running_loop().add_reader(mine, self._readable)

    def _knock_again(self) -> None:
        self._knocking = None
        self.start()

    def _disconnect(self) -> None:
        """End the connection: who waits for an answer that does not come any more hears so."""
        loop = asyncio.get_running_loop()
        if self._socket is not None:
            loop.remove_reader(self._socket)
            loop.remove_writer(self._socket)
            self._socket.close()
        self._socket, self._is_welcome, self._is_watching = None, False, False
        self._frames = Frames()
        self._out.clear()
        given, self._given = self._given, {}
        for future in given.values():
            if not future.done():
                future.set_exception(OutcomeUnknown(_UNKNOWN))

    def _lost(self, why: str) -> None:
        log.error(
            "the writer is gone (%s): of %d changes it is not known whether they were made", why, len(self._given)
        )
        self._disconnect()
        if self._queued:
            self._be_patient()
        self.start()

    def _be_patient(self) -> None:
        """From now on, wait no longer than `patience_s` for a writer."""
        if self._patience is None:
            self._patience = asyncio.get_running_loop().call_later(self._patience_s, self._refuse_queued, _ABSENT)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _refuse_queued(self, why: str) -> None:
        self._stop_waiting()
        queued = list(self._queued.values())
        self._queued.clear()
        for _, future in queued:
            if not future.done():
                future.set_exception(StoreBusy(why))

    def _flush(self) -> None:
        """Hand over what waits, as far as the socket takes it."""
        self._is_flushing = False
        sock = self._socket
        if sock is None or not self._is_welcome:
            return
        while self._queued and len(self._out) < _UNDER_WAY_MAX:
            number, (frame, future) = self._queued.popitem(last=False)
            if not future.cancelled():
                self._given[number] = future
                self._out += frame
        try:
            while self._out:
                del self._out[: sock.send(self._out)]
        except BlockingIOError:
            pass
        except OSError as error:
            self._lost(error.strerror or "cut off")
            return
        self._watch(bool(self._out or self._queued))

    def _watch(self, is_wanted: bool) -> None:
        if is_wanted == self._is_watching or self._socket is None:
            return
        self._is_watching = is_wanted
        loop = asyncio.get_running_loop()
        if is_wanted:
            loop.add_writer(self._socket, self._flush)
        else:
            loop.remove_writer(self._socket)

    def _readable(self) -> None:
        sock = self._socket
        assert sock is not None
        try:
            octets = sock.recv(_RECEIVE_SIZE)
            if not octets:
                self._lost("it ended")
                return
            for _, body in self._frames.fed(octets):
                if self._socket is sock:  # Still: what is behind a cut is not heard.
                    self._hear(body)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(error.strerror or "cut off")
        except BadFrame as error:
            self._lost(str(error))

    def _hear(self, body: bytes) -> None:
        if not self._is_welcome:
            self._is_welcome = True
            self._stop_waiting()
            self._flush()
        for number, found in read_answers(body):
            future = self._given.pop(number, None)
            if future is None or future.done():
                continue  # Whoever waited is gone.
            if isinstance(found, Outcome):
                future.set_result(found)
            else:
                future.set_exception(found)
