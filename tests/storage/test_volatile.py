"""Notes that every process sees: taken once, ended in time, bounded a source and in all."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from resolver.challenges import CHALLENGES, SESSION_CHALLENGES, UDP_CHALLENGES
from resolver.sessions import SESSIONS
from storage.volatile import FAILED_MAX, MAP_SIZE, Kind, TooMany, Volatile
from tests.support.running import PROJECT

KIND = Kind(1, notes_max=6, notes_a_source_max=3, octets_max=150, octets_a_source_max=100)
OTHER = Kind(2, notes_max=6, notes_a_source_max=3, octets_max=150, octets_a_source_max=100)


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[Volatile]:
    made = Volatile.create(tmp_path / "volatile")
    yield made
    made.close()


def test_a_note_is_found_by_its_kind_and_taken_once(notes: Volatile) -> None:
    number = notes.add(KIND, "a", b"octets", now_ms=0, end_ms=100)
    assert notes.get(KIND, number, now_ms=50) == b"octets"
    assert notes.get(OTHER, number, now_ms=50) is None
    assert notes.take(KIND, number, now_ms=50) == b"octets"
    assert notes.take(KIND, number, now_ms=50) is None
    assert notes.count(KIND) == notes.count(KIND, "a") == 0


def test_a_note_ends_in_time(notes: Volatile) -> None:
    number = notes.add(KIND, "a", b"octets", now_ms=0, end_ms=100)
    assert notes.get(KIND, number, now_ms=99) is not None
    assert notes.get(KIND, number, now_ms=100) is None
    assert notes.take(KIND, number, now_ms=100) is None


def test_a_source_has_its_share_in_notes_and_in_octets(notes: Volatile) -> None:
    for _ in range(3):
        notes.add(KIND, "a", b"x", now_ms=0, end_ms=100)
    with pytest.raises(TooMany):
        notes.add(KIND, "a", b"x", now_ms=0, end_ms=100)
    notes.add(KIND, "b", b"x" * 99, now_ms=0, end_ms=100)
    with pytest.raises(TooMany):
        notes.add(KIND, "b", b"xx", now_ms=0, end_ms=100)
    notes.add(OTHER, "a", b"x", now_ms=0, end_ms=100)


def test_behind_the_bound_of_all_the_one_that_ends_first_goes(notes: Volatile) -> None:
    numbers = [notes.add(KIND, f"s{n}", b"x", now_ms=0, end_ms=100 + n) for n in range(6)]
    notes.add(KIND, "late", b"x", now_ms=0, end_ms=1_000)
    assert notes.count(KIND) == 6
    assert notes.get(KIND, numbers[0], now_ms=1) is None
    assert all(notes.get(KIND, number, now_ms=1) for number in numbers[1:])


def test_behind_the_octets_of_all_as_many_go_as_a_long_one_needs(notes: Volatile) -> None:
    numbers = [notes.add(KIND, f"s{n}", b"x" * 50, now_ms=0, end_ms=100 + n) for n in range(3)]
    late = notes.add(KIND, "late", b"x" * 60, now_ms=0, end_ms=1_000)
    assert [notes.get(KIND, number, now_ms=1) is not None for number in (*numbers, late)] == [False, False, True, True]
    notes.change(KIND, late, lambda octets: (octets[:50], 1_000), now_ms=1)
    notes.add(KIND, "s3", b"x" * 50, now_ms=1, end_ms=100)
    assert notes.count(KIND) == 3


def test_notes_of_all_kinds_at_their_bounds_fit_into_the_file() -> None:
    kinds = (CHALLENGES, UDP_CHALLENGES, SESSION_CHALLENGES, SESSIONS)
    assert len({kind.number for kind in kinds}) == len(kinds)
    # A note of just over half a page of 4 KiB takes all of it; the rest is for what lies apart.
    assert 3 * sum(kind.octets_max for kind in kinds) < MAP_SIZE


def test_ended_notes_make_room(notes: Volatile) -> None:
    for _ in range(3):
        notes.add(KIND, "a", b"x", now_ms=0, end_ms=10)
    notes.add(KIND, "a", b"x", now_ms=11, end_ms=100)
    assert notes.count(KIND, "a") == 1


def test_a_wished_number_is_had_in_place_of_what_stood(notes: Volatile) -> None:
    for octets in (b"one", b"two"):
        assert notes.add(KIND, "a", octets, now_ms=0, end_ms=100, number=77) == 77
    assert notes.count(KIND, "a") == 1
    assert notes.take(KIND, 77, now_ms=1) == b"two"


def test_a_change_moves_octets_and_end_together(notes: Volatile) -> None:
    number = notes.add(KIND, "a", b"one", now_ms=0, end_ms=100)
    assert notes.change(KIND, number, lambda octets: (octets + b"!", 500), now_ms=1)
    assert notes.get(KIND, number, now_ms=400) == b"one!"
    with pytest.raises(ZeroDivisionError):
        notes.change(KIND, number, lambda _: (b"", 1 // 0), now_ms=1)
    assert notes.get(KIND, number, now_ms=400) == b"one!"
    assert notes.change(KIND, number, lambda _: None, now_ms=1)
    assert not notes.change(KIND, number, lambda octets: (octets, 1), now_ms=1)
    assert notes.count(KIND) == 0


def test_another_process_takes_it_and_we_do_not(notes: Volatile, tmp_path: Path) -> None:
    number = notes.add(KIND, "a", b"octets", now_ms=0, end_ms=100)
    program = (
        "import sys; from pathlib import Path; from storage.volatile import Kind, Volatile; "
        "sys.stdout.buffer.write(Volatile(Path(sys.argv[1])).take(Kind(1, 6, 3, 150, 100), int(sys.argv[2]), now_ms=1))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "volatile"), str(number)]
    assert subprocess.run(command, capture_output=True, check=True, cwd=PROJECT).stdout == b"octets"
    assert notes.take(KIND, number, now_ms=1) is None


def test_a_new_node_begins_without_notes(notes: Volatile, tmp_path: Path) -> None:
    notes.add(KIND, "a", b"octets", now_ms=0, end_ms=100)
    again = Volatile.create(tmp_path / "other")
    assert again.count(KIND) == 0
    again.close()


def test_failures_fade_by_half_each_half_life(notes: Volatile) -> None:
    assert [notes.failed("a", now_ms=0, half_life_ms=10) for _ in range(4)] == [1, 2, 3, 4]
    assert [notes.failures("a", now_ms=now, half_life_ms=10) for now in (0, 9, 10, 20, 30)] == [4, 4, 2, 1, 0]
    assert notes.failures("b", now_ms=0, half_life_ms=10) == 0
    assert FAILED_MAX >= 65_536
