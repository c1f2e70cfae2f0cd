"""Rows in the order of their keys: as sorting them all in memory gives them, whatever the sizes of runs and blocks."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from admin.importing import runs, sorting
from admin.importing.rows import Row, RowError
from admin.importing.runner import STOP, ImportOptions, import_file
from admin.importing.sorting import SortedRows
from storage.base import HomePrefix, StoreError
from storage.keys import storage_key
from storage.memory import MemoryStore

COUNT = 1_000


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the runs of a test go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs and blocks of a few rows, three runs open at a time: a thousand rows need several passes."""
    monkeypatch.setattr(sorting, "RUN_ROWS", 30)
    monkeypatch.setattr(sorting, "RUNS_OPEN_MAX", 3)
    monkeypatch.setattr(runs, "BLOCK_ROWS", 4)


def in_order() -> Iterator[int]:
    yield from range(COUNT)


def backwards() -> Iterator[int]:
    yield from reversed(range(COUNT))


def interleaved() -> Iterator[int]:
    yield from (number * 37 % COUNT for number in range(COUNT))


def by_chance() -> Iterator[int]:
    yield from random.Random(1).choices(range(COUNT // 2), k=COUNT)


def rows_of(numbers: Iterator[int]) -> list[Row]:
    return [Row(line, b"88.1/a%04d" % number, b"%d" % line * 9) for line, number in enumerate(numbers, 1)]


def taken(rows: list[Row], ordered: SortedRows) -> None:
    for start in range(0, len(rows), 70):
        ordered.add(rows[start : start + 70])
    for _ in ordered.finished():
        pass


def given(ordered: SortedRows) -> list[Row]:
    return [row for piece in ordered.pieces() for _, row in piece]


@pytest.mark.parametrize("numbers", [in_order, backwards, interleaved, by_chance])
@pytest.mark.usefixtures("small")
def test_runs_on_disk_give_what_sorting_in_memory_gives(temporary: Path, numbers: Callable[[], Iterator[int]]) -> None:
    rows = rows_of(numbers())
    with SortedRows(case_sensitive=False) as ordered:
        taken(rows, ordered)
        assert len(list(temporary.glob("*/*"))) in (2, 3)
        expected = sorted(rows, key=lambda row: (storage_key(row.handle), row.line))
        assert given(ordered) == expected
        assert given(ordered) == expected  # As often as asked.
        assert ordered.count == COUNT
    assert not list(temporary.iterdir())


def test_what_fits_into_one_run_makes_no_file(temporary: Path) -> None:
    with SortedRows(case_sensitive=True) as ordered:
        taken(rows_of(backwards()), ordered)
        assert [row.line for row in given(ordered)] == list(range(COUNT, 0, -1))
        assert not list(temporary.iterdir())


def test_large_rows_make_runs_and_blocks_of_fewer(temporary: Path) -> None:
    rows = [Row(line, b"88.1/%04d" % (line * 7 % 300), bytes(200_000)) for line in range(1, 301)]
    with SortedRows(case_sensitive=False) as ordered:
        taken(rows, ordered)
        assert len(list(temporary.glob("*/*"))) == 4
        assert max(len(piece) for piece in ordered.pieces()) <= 8
        assert [row.handle for row in given(ordered)] == sorted(row.handle for row in rows)


@pytest.mark.usefixtures("small")
def test_a_run_that_went_away_is_told_as_a_fault_of_the_store(temporary: Path) -> None:
    with SortedRows(case_sensitive=False) as ordered:
        taken(rows_of(backwards()), ordered)
        next(temporary.glob("*/*")).unlink()
        with pytest.raises(StoreError, match="sorted rows cannot be read again"):
            given(ordered)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("on_error", ["skip", STOP])
def test_equal_handles_far_apart_are_found_across_runs_and_batches(tmp_path: Path, on_error: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("handle,a\n" + "".join(f"88.1/{number % 600:03d},{number}\n" for number in range(COUNT)))
    store = MemoryStore()
    store.apply([HomePrefix(b"0.NA/88.1")], now_ms=1)
    told: list[RowError] = []
    options = ImportOptions(batch_rows=7, on_error=on_error)
    summary = import_file(store, path, options, on_row_error=told.append)
    if on_error == STOP:
        assert (summary.stopped, summary.created, len(told)) == (True, 0, 1)
        return
    assert (summary.rows, summary.created, summary.failed) == (COUNT, 600, 400)
    assert [error.line for error in sorted(told)] == list(range(602, 1002))
    assert all(error.reason == f"the same handle stands in line {error.line - 600}" for error in told)
