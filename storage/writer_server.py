"""The one process that writes a node's store: takes changes from all others, and commits together what waits.

One thread, one loop: while a commit is under way on the disk, changes gather in the sockets; the next transaction takes
them all. An answer is sent only when its change is on disk, or refused. Nothing is made twice.
"""

import logging
import select
import socket
import time
from collections.abc import Callable
from typing import Final

from storage.base import Change, HandleStore, Outcome, StoreError
from storage.writer import BATCH_MAX, Gathering, made
from storage.writer_frames import BadFrame, Frames, answers_frame, read_change

log = logging.getLogger(__name__)

DRAIN_S: Final = 8.0
"""How long a writer that is told to stop serves those who still have a connection: longer than they drain."""

UNREAD_MAX: Final = 4 << 20
"""Octets of answers that a process may leave unread; it has ended, or hangs: its connection is given up."""

TAKEN_MAX: Final = 32 << 20
"""Octets of changes that are taken from the sockets for one commit; the rest waits there."""

NAP_S: Final = 0.002
"""How long nobody looks at what comes while most of the many that are expected are still to come: waking up for each
costs more than making its change."""

_RECEIVE_SIZE: Final = 1 << 18
_KNOCK_SIZE: Final = 16


class _Connection:
    """One process that hands over changes."""

    __slots__ = ("frames", "is_blocked", "out", "socket")

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.frames = Frames()
        self.out = bytearray()
        self.is_blocked = False


_Job = tuple[_Connection, int, Change | StoreError]


class WriterServer:
    """Serves the processes that knock at a door. `now_ms` gives milliseconds since 1970."""

    def __init__(
        self,
        store: HandleStore,
        door: socket.socket,
        now_ms: Callable[[], int],
        *,
        gathering: Gathering | None = None,
        drain_s: float = DRAIN_S,
    ) -> None:
        self._store = store
        self._door = door
        self._now_ms = now_ms
        self._drain_s = drain_s
        self._gathering = gathering or Gathering()
        self._poller = select.epoll()
        self._connections: dict[int, _Connection] = {}
        self._jobs: list[_Job] = []
        self._taken = 0
        self.commits = 0
        self.changes = 0

    def run(self, stop: int) -> None:
        """Serve until the descriptor `stop` can be read and all have gone, or the time to drain is over."""
        self._poller.register(self._door.fileno(), select.EPOLLIN)
        self._poller.register(stop, select.EPOLLIN)
        end_s: float | None = None
        try:
            while end_s is None or ((self._connections or self._jobs) and time.monotonic() < end_s):
                ready = self._turn(end_s)
                if stop in ready and end_s is None:
                    end_s = time.monotonic() + self._drain_s
                    self._poller.unregister(stop)
                    self._knocked()  # Whoever knocked before is still served.
        finally:
            self._end()

    def _turn(self, end_s: float | None) -> set[int]:
        """Wait for what comes, take it, and commit if it is time; which descriptors were ready."""
        now_s = time.monotonic()
        wait_s = self._wait_s(now_s)
        if wait_s is None and end_s is not None:
            wait_s = max(0.0, end_s - now_s)
        if wait_s and self._gathering.is_far(len(self._jobs)):
            time.sleep(min(NAP_S, wait_s))
        ready = self._polled(wait_s)
        if self._wait_s(time.monotonic()) == 0:
            size = self._commit()
            self._polled(0)
            self._gathering.committed(size, len(self._jobs))
        return ready

    def _wait_s(self, now_s: float) -> float | None:
        """How long to wait for more changes before a commit."""
        return 0.0 if self._taken >= TAKEN_MAX else self._gathering.wait_s(len(self._jobs), now_s)

    def _polled(self, wait_s: float | None) -> set[int]:
        ready = set()
        for descriptor, _ in self._poller.poll(wait_s):
            ready.add(descriptor)
            connection = self._connections.get(descriptor)
            if connection is not None:
                self._serve(connection)
            elif descriptor == self._door.fileno():
                self._knocked()
        return ready

    def _knocked(self) -> None:
        while True:
            try:
                _, descriptors, _, _ = socket.recv_fds(self._door, _KNOCK_SIZE, 1)
            except BlockingIOError:
                return
            for descriptor in descriptors:
                connection = _Connection(socket.socket(fileno=descriptor))
                connection.socket.setblocking(False)
                self._connections[descriptor] = connection
                self._poller.register(descriptor, select.EPOLLIN)
                self._answer(connection, answers_frame(()))

    def _serve(self, connection: _Connection) -> None:
        """Take what a process has sent, and send what it did not take before."""
        if connection.out:
            self._answer(connection, b"")
        if connection.socket.fileno() < 0:
            return
        if len(self._jobs) >= BATCH_MAX or self._taken >= TAKEN_MAX:
            return
        try:
            octets = connection.socket.recv(_RECEIVE_SIZE)
            if not octets:
                self._drop(connection)
                return
            for number, body in connection.frames.fed(octets):
                self._jobs.append((connection, number, _change_of(body)))
                self._taken += len(body)
        except BlockingIOError:
            return
        except (OSError, BadFrame) as error:
            log.error("a process's connection to the writer is given up: %s", error)
            self._drop(connection)

    def _commit(self) -> int:
        """Make what waits, and answer; how many changes that was."""
        jobs, self._jobs, self._taken = self._jobs, [], 0
        changes = [change for _, _, change in jobs if not isinstance(change, StoreError)]
        outcomes = iter(made(self._store, changes, now_ms=self._now_ms()))
        self.commits += 1
        self.changes += len(changes)
        answers: dict[_Connection, list[tuple[int, Outcome | Exception]]] = {}
        for connection, number, change in jobs:
            found = change if isinstance(change, StoreError) else next(outcomes)
            answers.setdefault(connection, []).append((number, found))
        for connection, found_all in answers.items():
            self._answer(connection, answers_frame(found_all))
        return len(jobs)

    def _answer(self, connection: _Connection, octets: bytes) -> None:
        """Send an answer behind those that were not taken yet."""
        if connection.socket.fileno() < 0:
            return  # It ended: its changes are made, and nobody waits for the answer.
        connection.out += octets
        try:
            while connection.out:
                del connection.out[: connection.socket.send(connection.out)]
        except BlockingIOError:
            if len(connection.out) > UNREAD_MAX:
                log.error("a process does not take the writer's answers: its connection is given up")
                self._drop(connection)
                return
        except OSError:  # It ended: the poller tells.
            connection.out.clear()
        if bool(connection.out) != connection.is_blocked:
            connection.is_blocked = bool(connection.out)
            wanted = select.EPOLLIN | (select.EPOLLOUT if connection.is_blocked else 0)
            self._poller.modify(connection.socket.fileno(), wanted)

    def _drop(self, connection: _Connection) -> None:
        descriptor = connection.socket.fileno()
        self._poller.unregister(descriptor)
        del self._connections[descriptor]
        connection.socket.close()

    def _end(self) -> None:
        if self._connections:
            log.warning("%d processes still had a connection when the writer ended", len(self._connections))
        for connection in list(self._connections.values()):
            self._drop(connection)
        self._poller.close()


def _change_of(body: bytes) -> Change | StoreError:
    try:
        return read_change(body)
    except StoreError as error:
        log.exception("what a process wants changed cannot be read")
        return error
