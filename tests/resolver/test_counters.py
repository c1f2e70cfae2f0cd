"""Counters in shared memory: one block a worker, read by anybody."""

from pathlib import Path

from resolver import counters
from resolver.counters import Counter, Counters


def test_each_worker_counts_in_its_own_block(tmp_path: Path) -> None:
    path = tmp_path / "run" / "counters"
    counters.create(path, 2)
    first, second = counters.block(path, 0), counters.block(path, 1)
    first.add(Counter.UDP_ANSWERS)
    first.add(Counter.UDP_ANSWERS, 41)
    second.set(Counter.PROCESS_ID, 7)
    assert counters.readings(path)[0][Counter.UDP_ANSWERS] == 0  # Not shown yet.
    first.flush()
    second.flush()
    one, two = counters.readings(path)
    assert one[Counter.UDP_ANSWERS] == 42 == first.read()[Counter.UDP_ANSWERS]
    assert (two[Counter.UDP_ANSWERS], two[Counter.PROCESS_ID]) == (0, 7)


def test_a_new_start_begins_at_0(tmp_path: Path) -> None:
    path = tmp_path / "counters"
    counters.create(path, 1)
    counted = counters.block(path, 0)
    counted.add(Counter.FAULTS, 3)
    counted.flush()
    assert counters.readings(path)[0][Counter.FAULTS] == 3
    counters.create(path, 1)
    assert counters.readings(path)[0][Counter.FAULTS] == 0


def test_no_file_and_foreign_files_are_no_readings(tmp_path: Path) -> None:
    assert counters.readings(tmp_path / "none") == []
    for octets in (b"", b"hnodecn1", b"x" * 500):
        (tmp_path / "other").write_bytes(octets)
        assert counters.readings(tmp_path / "other") == []


def test_counters_without_a_file_count_alike() -> None:
    alone = Counters()
    alone.add(Counter.FAULTS, 2)
    assert alone.read()[Counter.FAULTS] == 2
