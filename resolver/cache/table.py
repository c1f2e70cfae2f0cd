"""A table bounded in octets. What is used once passes through; what is used again stays (S3-FIFO).

Three queues: a small one for what is new, a main one for what was used again while it was there, and the names of what
the small one let go, which go to the main one when they come back. One scan of a million names so moves nothing that
people ask for. (Yang and others, "FIFO queues are all you need for cache eviction", SOSP 2023.)
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final, Generic, Protocol, TypeVar

SMALL_SHARE: Final = 0.1
"""Of the octets, for what is new: the paper's share, at which it found little difference between 5 and 20 %."""

HEAT_MAX: Final = 3
"""How many rounds through the main queue uses can earn: the paper's two bits."""

GHOST_SIZE: Final = 120
"""Octets that the name of something gone takes: they count against the bound."""

GHOSTS_LEAST: Final = 128
"""Names that are remembered even by an empty table."""


class Entry(Protocol):
    """What a table holds."""

    size: int
    """Octets."""

    def heat(self) -> int:
        """How often it was used since the last call."""
        ...


_Entry = TypeVar("_Entry", bound=Entry)


class _Slot(Generic[_Entry]):
    __slots__ = ("entry", "heat", "is_main", "size")

    def __init__(self, entry: _Entry, *, is_main: bool) -> None:
        self.entry = entry
        self.size = entry.size
        self.heat = 0
        self.is_main = is_main

    def warmed(self) -> int:
        """The heat, with what was used since the last look."""
        self.heat = min(HEAT_MAX, self.heat + self.entry.heat())
        return self.heat


class Table(Generic[_Entry]):
    """Names → entries, in at most `size_max` octets. `let_go` hears of every entry that leaves to make room."""

    def __init__(self, size_max: int, let_go: Callable[[_Entry], None]) -> None:
        self.size_max = size_max
        self._let_go = let_go
        self._slots: dict[bytes, _Slot[_Entry]] = {}
        self._small: OrderedDict[bytes, None] = OrderedDict()
        self._main: OrderedDict[bytes, None] = OrderedDict()
        self._ghosts: OrderedDict[int, None] = OrderedDict()  # Hashes of names: a name can be long.
        self._small_size = self._main_size = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._slots)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._slots)

    @property
    def size(self) -> int:
        """Octets that are taken, with those of the names that are remembered."""
        return self._small_size + self._main_size + GHOST_SIZE * len(self._ghosts)

    def get(self, name: bytes) -> _Entry | None:
        """The entry; that it is used is for the entry itself to count."""
        slot = self._slots.get(name)
        return None if slot is None else slot.entry

    def put(self, name: bytes, entry: _Entry) -> bool:
        """Have the entry, in place of one of that name. False where it alone passes the bound: it is not kept."""
        slot = self._slots.get(name)
        if entry.size > self.size_max - GHOST_SIZE * GHOSTS_LEAST:
            self.remove(name)
            return False
        if slot is None:
            is_main = self._ghosts.pop(hash(name), self) is not self
            slot = self._slots[name] = _Slot(entry, is_main=is_main)
            (self._main if is_main else self._small)[name] = None
            self._count(slot, slot.size)
        else:
            slot.entry = entry
            self._count(slot, entry.size - slot.size)
            slot.size = entry.size
        self._make_room(name)
        return True

    def remove(self, name: bytes) -> _Entry | None:
        """Forget an entry; what it was. `let_go` is not told."""
        slot = self._slots.pop(name, None)
        if slot is None:
            return None
        del (self._main if slot.is_main else self._small)[name]
        self._count(slot, -slot.size)
        return slot.entry

    def clear(self) -> list[_Entry]:
        """Forget everything; what it was."""
        gone = [slot.entry for slot in self._slots.values()]
        for held in (self._slots, self._small, self._main, self._ghosts):
            held.clear()
        self._small_size = self._main_size = 0
        return gone

    def _count(self, slot: _Slot[_Entry], octets: int) -> None:
        if slot.is_main:
            self._main_size += octets
        else:
            self._small_size += octets

    def _make_room(self, kept: bytes) -> None:
        """Let go of entries, but not of the one that has just come, until all is within the bound."""
        while self.size > self.size_max and len(self._slots) > 1:
            if self._small_size > SMALL_SHARE * self.size_max or not self._main:
                self._from_small(kept)
            else:
                self._from_main(kept)

    def _from_small(self, kept: bytes) -> None:
        if len(self._small) == 1 and kept in self._small:
            self._promote(kept)
            return
        name, _ = self._small.popitem(last=False)
        if name == kept:
            self._small[name] = None
            return
        slot = self._slots[name]
        if slot.warmed() > 1:
            self._small[name] = None
            self._promote(name)
            return
        self._ghosts[hash(name)] = None
        self._gone(name, slot)

    def _promote(self, name: bytes) -> None:
        slot = self._slots[name]
        self._count(slot, -slot.size)
        del self._small[name]
        slot.is_main, slot.heat = True, 0
        self._main[name] = None
        self._count(slot, slot.size)

    def _from_main(self, kept: bytes) -> None:
        name, _ = self._main.popitem(last=False)
        slot = self._slots[name]
        if name == kept or slot.warmed() > 0:
            slot.heat = max(0, slot.heat - 1)
            self._main[name] = None
            if name == kept and len(self._main) == 1 and self._small:
                self._from_small(kept)
            return
        self._gone(name, slot)

    def _gone(self, name: bytes, slot: _Slot[_Entry]) -> None:
        del self._slots[name]
        self._count(slot, -slot.size)
        while len(self._ghosts) > max(GHOSTS_LEAST, len(self._slots)):
            self._ghosts.popitem(last=False)
        self.evicted += 1
        self._let_go(slot.entry)
