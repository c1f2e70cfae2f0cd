"""A server that never says a word, and questions for the names it keeps: at a pace, beside a load that is measured."""

import socket
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from loadtest.plan import numbered
from loadtest.processes import HOST, on_core
from loadtest.workload import resolution

_PACE_S: Final = 0.002  # How often it is looked whether a question is due.
_RECEIVE_SIZE: Final = 65_536


@dataclass(slots=True)
class Waiting:
    """Questions that were sent, and answers that came so far."""

    sent: int = 0
    answered: int = 0

    def hear(self, asker: socket.socket) -> None:
        """Take and drop every answer that is there, so that none of them fills the socket."""
        while True:
            try:
                asker.recv(_RECEIVE_SIZE, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            self.answered += 1


def free_port() -> int:
    """A port that nobody had a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


@contextmanager
def silent_port() -> Generator[int]:
    """A port that takes datagrams and connections and never says a word."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams, socket.socket() as connections:
        datagrams.bind((HOST, 0))
        connections.bind(datagrams.getsockname())
        connections.listen()
        yield int(datagrams.getsockname()[1])


def distinct(prefix: str, count: int) -> list[bytes]:
    """Resolutions of so many names under a prefix, each of another name."""
    return [resolution(f"{prefix}/X{number:08d}".encode()) for number in range(count)]


@contextmanager
def asking(port: int, requests: Sequence[bytes], *, rate: int, core: int | None = None) -> Generator[Waiting]:
    """Send these requests in turn, each once, so many a second, while the block runs; on that core.

    What came of them is whole after the block. An error of the socket is raised there.
    """
    found, is_over = Waiting(), threading.Event()

    def ask() -> None:
        questions = numbered(requests, len(requests))
        with on_core(core), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.connect((HOST, port))
            begun = time.monotonic()
            while not is_over.wait(_PACE_S):
                due = int((time.monotonic() - begun) * rate)
                while found.sent < due and (question := next(questions, None)) is not None:
                    asker.send(question[1])
                    found.sent += 1
                found.hear(asker)

    with ThreadPoolExecutor(1, "asking") as threads:
        asked = threads.submit(ask)
        try:
            yield found
        finally:
            is_over.set()
        asked.result()
