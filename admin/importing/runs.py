"""Sorted runs: entries on disk in blocks, and the merging of many such files into one order. Knows no limits of memory.

A file is a series of blocks, each behind its size in octets. A block is read whole and there is one of each run in
memory, so that merging takes as much memory as there are runs, however long they are.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from struct import Struct
from typing import BinaryIO, Final

import msgpack

from admin.importing.rows import Row

Entry = tuple[bytes, Row]
"""Storage key and row. Entries compare by key, then by line."""

BLOCK_ROWS: Final = 200
BLOCK_OCTETS: Final = 64 * 1024  # Of keys, handles and values. A single row may take more.

_SIZE: Final = Struct(">I")


def write_run(path: Path, entries: Iterable[Entry]) -> None:
    """Write entries, which are in order, as a run; `OSError` where the disk does not take them."""
    block: list[Entry] = []
    octets = 0
    with path.open("xb") as file:
        for entry in entries:
            block.append(entry)
            key, (_, handle, values) = entry
            octets += len(key) + len(handle) + len(values)
            if len(block) >= BLOCK_ROWS or octets >= BLOCK_OCTETS:
                _write_block(file, block)
                block, octets = [], 0
        _write_block(file, block)


def _write_block(file: BinaryIO, block: list[Entry]) -> None:
    if block:
        packed: bytes = msgpack.packb(block)
        file.write(_SIZE.pack(len(packed)))
        file.write(packed)


def merged(paths: Sequence[Path]) -> Iterator[list[Entry]]:
    """The entries of all runs in one order, some at a time. All runs are open until the end, or until it is closed.

    What stands up to the nearest end of what was read can have nothing before it that was not. All of that is sorted
    at a time: sorting joins runs far faster than taking the least entry again and again.
    """
    with ExitStack() as files:
        runs = [_Reading(files.enter_context(path.open("rb"))) for path in paths]
        while runs := [run for run in runs if run.has_entries()]:
            taken: list[Entry] = []
            end = min((run.entries[-1] for run in runs if not run.is_over), default=None)
            for run in runs:
                taken += run.taken(end)
            taken.sort()
            yield taken


class _Reading:
    """One run while it is merged. `entries` were read and not yet taken; `is_over`: they are the last."""

    def __init__(self, file: BinaryIO) -> None:
        self.entries: list[Entry] = []
        self.is_over = False
        self._file = file
        self._few = 0

    def has_entries(self) -> bool:
        """Whether there are entries still. Reads a block where few are left: many ends far ahead make long sorts."""
        while len(self.entries) <= self._few and not self.is_over:
            block = self._block()
            self._few = len(block) // 2
            self.is_over = not block
            self.entries += block
        return bool(self.entries)

    def taken(self, end: Entry | None) -> list[Entry]:
        """Take the entries up to the end, or all."""
        cut = len(self.entries) if end is None else bisect_right(self.entries, end)
        taken, self.entries = self.entries[:cut], self.entries[cut:]
        return taken

    def _block(self) -> list[Entry]:
        head = self._file.read(_SIZE.size)
        if not head:
            return []
        packed = self._file.read(_SIZE.unpack(head)[0])
        return [(key, Row._make(row)) for key, row in msgpack.unpackb(packed, use_list=False)]
