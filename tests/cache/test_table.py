"""The bounded table: never more octets than allowed, what is used again stays, one scan pushes out nothing popular."""

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from resolver.cache.table import GHOST_SIZE, GHOSTS_LEAST, Table

ROOM = GHOST_SIZE * GHOSTS_LEAST


@dataclass(slots=True)
class Thing:
    """An entry of a test."""

    name: bytes
    size: int
    uses: int = 0
    is_gone: bool = False

    def heat(self) -> int:
        """Uses since the last call."""
        found, self.uses = self.uses, 0
        return found

    def end(self) -> None:
        """It was let go of."""
        assert not self.is_gone
        self.is_gone = True


def table(size: int) -> Table[Thing]:
    return Table(ROOM + size, Thing.end)


def filled(size: int, count: int, each: int = 100) -> tuple[Table[Thing], list[Thing]]:
    made, things = table(size), [Thing(b"%d" % n, each) for n in range(count)]
    for thing in things:
        made.put(thing.name, thing)
    return made, things


def test_what_was_put_is_found_and_what_was_removed_is_not() -> None:
    made, things = filled(1_000, 3)
    assert made.get(b"1") is things[1]
    assert made.remove(b"1") is things[1]
    assert made.get(b"1") is None
    assert made.remove(b"1") is None
    assert not things[1].is_gone, "who removes it knows"
    assert len(made) == 2


def test_beyond_the_bound_something_goes_and_is_told() -> None:
    made, things = filled(1_000, 1_000)
    assert made.size <= made.size_max
    gone = [thing for thing in things if thing.is_gone]
    assert len(gone) == 1_000 - len(made) == made.evicted > 0
    assert all(made.get(thing.name) is None for thing in gone)


def test_what_was_used_again_outlives_a_scan_of_many_others() -> None:
    made, _ = filled(10_000, 0)
    popular = [Thing(b"popular %d" % n, 100) for n in range(20)]
    for thing in popular:
        made.put(thing.name, thing)
    for n in range(5_000):
        for thing in popular[n % 20 : n % 20 + 2]:
            thing.uses += 1
        made.put(b"scan %d" % n, Thing(b"scan %d" % n, 100))
    assert not any(thing.is_gone for thing in popular)


def test_what_was_popular_once_goes_in_the_end() -> None:
    made, _ = filled(10_000, 0)
    old = Thing(b"old", 100, uses=3)
    made.put(old.name, old)
    for n in range(20_000):
        made.put(b"new %d" % (n % 400), Thing(b"new", 100, uses=2))
    assert old.is_gone


def test_one_that_comes_back_soon_stays_longer_than_one_that_is_new() -> None:
    made, _ = filled(4_000, 250)  # The first ones are gone, their names remembered.
    back = Thing(b"0", 100)
    assert made.get(b"0") is None
    made.put(b"0", back)
    for n in range(30):
        made.put(b"fresh %d" % n, Thing(b"fresh", 100))
    assert made.get(b"0") is back


def test_an_entry_larger_than_the_table_is_not_kept() -> None:
    made, things = filled(1_000, 2)
    assert not made.put(b"0", Thing(b"0", 2_000))
    assert made.get(b"0") is None
    assert made.get(b"1") is things[1]


def test_clearing_gives_back_all_and_takes_no_octets() -> None:
    made, things = filled(1_000, 5)
    assert made.clear() == things
    assert made.size == len(made) == 0


class Bounded(RuleBasedStateMachine):
    """Whatever is put, used and removed: within the bound, and nothing is found that was let go of."""

    @initialize(size=st.integers(300, 3_000))
    def begin(self, size: int) -> None:
        self.table = table(size)
        self.living: dict[bytes, Thing] = {}

    @rule(name=st.integers(0, 60), size=st.integers(1, 400), uses=st.integers(0, 4))
    def put(self, name: int, size: int, uses: int) -> None:
        key = b"%d" % name
        thing = Thing(key, size, uses)
        if self.table.put(key, thing):
            self.living[key] = thing
            assert self.table.get(key) is thing, "what came just now is there"
        else:
            self.living.pop(key, None)

    @rule(name=st.integers(0, 60))
    def use(self, name: int) -> None:
        found = self.table.get(b"%d" % name)
        if found is not None:
            found.uses += 1

    @rule(name=st.integers(0, 60))
    def remove(self, name: int) -> None:
        self.table.remove(b"%d" % name)
        self.living.pop(b"%d" % name, None)

    @rule(name=st.integers(0, 60), size=st.integers(1, 400))
    def grow(self, name: int, size: int) -> None:
        found = self.table.get(b"%d" % name)
        if found is not None and size <= self.table.size_max - ROOM:
            found.size = size
            self.table.put(found.name, found)

    @rule()
    def clear(self) -> None:
        self.table.clear()
        self.living.clear()

    @invariant()
    def nothing_is_wrong(self) -> None:
        if not hasattr(self, "table"):
            return
        there = {name: thing for name, thing in self.living.items() if not thing.is_gone}
        assert set(self.table) == set(there)
        assert all(self.table.get(name) is thing for name, thing in there.items())
        taken = sum(thing.size for thing in there.values())
        assert taken <= self.table.size
        assert self.table.size <= self.table.size_max or len(there) <= 1


TestBounded = Bounded.TestCase
TestBounded.settings = settings(max_examples=50, stateful_step_count=50, deadline=None)


@pytest.mark.parametrize("share", [0.01, 0.1])
def test_the_hits_of_a_skewed_load_beat_those_of_first_in_first_out(share: float) -> None:
    names = 3_000
    made = Table(ROOM + int(names * share) * (100 + GHOST_SIZE), Thing.end)
    fifo: dict[int, None] = {}
    hits = fifo_hits = 0
    state = 1
    for _ in range(60_000):
        state = state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407 & 0xFFFF_FFFF_FFFF_FFFF
        name = int(names * ((state >> 11) / (1 << 53)) ** 4)  # Few names have most of the questions.
        found = made.get(b"%d" % name)
        if found is None:
            made.put(b"%d" % name, Thing(b"", 100))
        else:
            found.uses += 1
            hits += 1
        if name in fifo:
            fifo_hits += 1
        else:
            fifo[name] = None
            if len(fifo) > names * share:
                del fifo[next(iter(fifo))]
    assert hits > fifo_hits * 1.05
