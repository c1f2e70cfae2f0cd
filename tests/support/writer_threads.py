"""A writer's server in a thread of the test, and clients of it in an event loop."""

import os
import socket
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from protocol.value import value_list
from storage.base import Change, HandleStore, IfExists, Outcome, PutRecord
from storage.memory import MemoryStore
from storage.writer import Gathering
from storage.writer_client import door
from storage.writer_server import WriterServer

EMPTY = value_list([])


def put(number: int) -> PutRecord:
    """A record that is made once."""
    return PutRecord(b"88.1/%d" % number, EMPTY, IfExists.FAIL)


class SlowStore(MemoryStore):
    """A disk whose sync a test can stop."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.is_syncing = threading.Event()
        self.batches: list[int] = []
        self.durable: set[bytes] = set()

    def apply(self, changes: Sequence[Change], *, now_ms: int) -> list[Outcome]:
        outcomes = super().apply(changes, now_ms=now_ms)
        self.batches.append(len(changes))
        self.is_syncing.set()
        self.gate.wait(20)
        self.durable |= {change.handle for change in changes if isinstance(change, PutRecord)}
        return outcomes


class Serving:
    """A writer that serves a door until it is told to stop, or `cut` ends it as a kill would: in the midst of all."""

    def __init__(self, store: HandleStore, writers: socket.socket, *, drain_s: float = 5.0) -> None:
        self.server = WriterServer(store, writers, lambda: 1, gathering=Gathering(), drain_s=drain_s)
        self._stop, self._tell = os.pipe()
        self._thread = threading.Thread(target=self.server.run, args=(self._stop,), daemon=True)
        self._thread.start()

    def tell(self) -> None:
        """Tell it to stop."""
        os.write(self._tell, b"s")

    def ended(self, timeout_s: float = 10.0) -> bool:
        """Whether it has ended, by then."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def close(self) -> None:
        """Give its pipe back."""
        for end in (self._stop, self._tell):
            os.close(end)


@contextmanager
def doors() -> Generator[tuple[socket.socket, socket.socket]]:
    """Both ends of a door, closed in the end."""
    knocker, writers = door()
    with knocker, writers:
        yield knocker, writers


@contextmanager
def serving(store: HandleStore, writers: socket.socket, *, drain_s: float = 5.0) -> Generator[Serving]:
    """A writer for the time of the block; it must end by itself within ten seconds."""
    running = Serving(store, writers, drain_s=drain_s)
    try:
        yield running
    finally:
        running.tell()
        assert running.ended()
        running.close()
