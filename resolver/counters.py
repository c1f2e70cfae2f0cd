"""Plain integers in shared memory, one block a worker, so that counting costs an addition and anybody may read.

The file is `run/counters` in the node's data folder: a head (magic, workers, counters a worker), then the blocks.
"""

import mmap
from collections.abc import Sequence
from enum import IntEnum, auto
from pathlib import Path
from struct import Struct
from typing import Final

_HEAD: Final = Struct("=8sII")
_MAGIC: Final = b"hnodecn1"
_SIZE: Final = 8


class Counter(IntEnum):
    """What is counted. The order is the order in the file: add at the end."""

    PROCESS_ID = 0
    STARTED_S = auto()
    UDP_DATAGRAMS = auto()
    UDP_ANSWERS = auto()
    UDP_DROPPED_MALFORMED = auto()
    UDP_DROPPED_LIMITED = auto()
    UDP_DROPPED_FRAGMENTS = auto()
    UDP_SEND_ERRORS = auto()
    TCP_CONNECTIONS = auto()
    TCP_REFUSED_CONNECTIONS = auto()
    TCP_TIMEOUTS = auto()
    TCP_MESSAGES = auto()
    ANSWERED_SUCCESS = auto()
    ANSWERED_NOT_FOUND = auto()
    ANSWERED_CHALLENGE = auto()
    ANSWERED_REFERRAL = auto()
    ANSWERED_PROTOCOL_ERROR = auto()
    ANSWERED_OTHER = auto()
    FAULTS = auto()
    LOOP_WAKEUPS = auto()
    CACHE_HITS = auto()
    CACHE_STALE = auto()
    CACHE_PREFETCHES = auto()
    CACHE_HANDLES = auto()
    CACHE_OCTETS = auto()
    CACHE_EVICTED = auto()
    WALKS = auto()
    WALKS_NOW = auto()
    WALKS_JOINED = auto()
    WALKS_FAILED = auto()
    WALKS_REFUSED = auto()


_ALL: Final = Struct(f"={len(Counter)}Q")

FLUSH_S: Final = 0.2
"""How often a worker shows its counts to others; so much of them is lost where it is killed."""


class Counters:
    """The counts of one worker: a list that costs next to nothing to add to, shown to others by `flush`."""

    __slots__ = ("_block", "_map", "counts")

    def __init__(self, block: memoryview | None = None, held: mmap.mmap | None = None) -> None:
        self._map = held  # Keeps the memory alive as long as the block is used.
        self._block = block
        self.counts = [0] * len(Counter)

    def add(self, counter: Counter, number: int = 1) -> None:
        """Count `number` more."""
        self.counts[counter] += number

    def set(self, counter: Counter, number: int) -> None:
        """Write a fact that is no count: the process id, the start."""
        self.counts[counter] = number

    def flush(self) -> None:
        """Show the counts to everybody who reads the file."""
        if self._block is not None:
            _ALL.pack_into(self._block, 0, *self.counts)

    def read(self) -> dict[Counter, int]:
        """All counts at this moment."""
        return {counter: self.counts[counter] for counter in Counter}


def create(path: Path, workers: int) -> None:
    """Make the file, all counts 0; replaces one that stands there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(_HEAD.pack(_MAGIC, workers, len(Counter)) + bytes(_SIZE * len(Counter) * workers))
    fresh.replace(path)


def block(path: Path, worker: int) -> Counters:
    """The block of one worker, shared with everybody who reads the file."""
    with path.open("r+b") as file:
        held = mmap.mmap(file.fileno(), 0)
    start = _HEAD.size + _SIZE * len(Counter) * worker
    return Counters(memoryview(held)[start : start + _SIZE * len(Counter)], held)


def readings(path: Path) -> Sequence[dict[Counter, int]]:
    """The counts of every worker; empty where no node of this version has run with this folder."""
    try:
        octets = path.read_bytes()
    except OSError:
        return []
    if len(octets) < _HEAD.size:
        return []
    magic, workers, counters = _HEAD.unpack_from(octets)
    if magic != _MAGIC or counters != len(Counter) or len(octets) != _HEAD.size + _SIZE * counters * workers:
        return []
    numbers = memoryview(octets)[_HEAD.size :].cast("Q")
    return [{counter: numbers[counters * worker + counter] for counter in Counter} for worker in range(workers)]
