"""Files into a store: batches, errors of rows, repeated handles, prefixes, dry runs, and what a run leaves behind."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from admin.importing.progress import Progress
from admin.importing.rows import FileRefused, RowError
from admin.importing.runner import STOP, ImportOptions, import_file
from admin.importing.sinks import BulkStore
from protocol.value_list import without_timestamps
from storage.base import Action, HomePrefix, IfExists
from storage.lmdb_store import LmdbStore
from storage.memory import MemoryStore

SMALL = ImportOptions(batch_rows=10, who="cli:tester")
PREFIX = b"0.NA/88.100"


@pytest.fixture(params=["memory", "lmdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BulkStore]:
    made: BulkStore = MemoryStore() if request.param == "memory" else LmdbStore.create(tmp_path / "store")
    made.apply([HomePrefix(PREFIX)], now_ms=1)
    yield made
    made.close()


def record(number: int, text: str = "x", prefix: str = "88.100") -> str:
    return json.dumps({"handle": f"{prefix}/A{number:03}", "fields": {"name": text}})


def written(folder: Path, *lines: str) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def handles(store: BulkStore) -> list[str]:
    with store.view() as view:
        return [handle.decode() for handle in view.handles(b"", limit=10_000)]


def last_number(store: BulkStore) -> int:
    with store.view() as view:
        return view.facts().last_number


def test_every_row_becomes_a_record_with_a_journal_row(store: BulkStore, tmp_path: Path) -> None:
    summary = import_file(store, written(tmp_path, *map(record, range(25))), SMALL)
    assert (summary.rows, summary.created, summary.failed) == (25, 25, 0)
    assert handles(store) == [f"88.100/A{number:03}" for number in range(25)]
    with store.view() as view:
        rows = view.journal(after=1, limit=100)
    assert len(rows) == 25
    assert {(row.action, row.who) for row in rows} == {(Action.CREATE, "cli:tester")}


def test_importing_twice_changes_nothing(store: BulkStore, tmp_path: Path) -> None:
    path = written(tmp_path, *map(record, range(25)))
    import_file(store, path, SMALL)
    before = last_number(store)
    summary = import_file(store, path, SMALL)
    assert (summary.created, summary.replaced, summary.unchanged) == (0, 0, 25)
    assert last_number(store) == before


def test_a_record_that_differs_is_replaced(store: BulkStore, tmp_path: Path) -> None:
    import_file(store, written(tmp_path, record(1, "old"), record(2, "old")), SMALL)
    summary = import_file(store, written(tmp_path, record(1, "new"), record(2, "old")), SMALL)
    assert (summary.replaced, summary.unchanged) == (1, 1)
    with store.view() as view:
        found = view.get(b"88.100/A001")
    assert found is not None
    assert b"new" in found.values


def test_keep_leaves_alone_what_stands(store: BulkStore, tmp_path: Path) -> None:
    import_file(store, written(tmp_path, record(1, "old")), SMALL)
    path = written(tmp_path, record(1, "new"), record(2, "new"))
    summary = import_file(store, path, replace(SMALL, if_exists=IfExists.KEEP))
    assert (summary.kept, summary.created, summary.failed) == (1, 1, 0)
    with store.view() as view:
        found = view.get(b"88.100/A001")
    assert found is not None
    assert b"old" in found.values


def test_fail_makes_a_row_that_stands_an_error_and_takes_the_others(store: BulkStore, tmp_path: Path) -> None:
    import_file(store, written(tmp_path, record(2)), SMALL)
    path = written(tmp_path, *map(record, range(5)))
    summary = import_file(store, path, replace(SMALL, if_exists=IfExists.FAIL))
    assert (summary.created, summary.failed) == (4, 1)
    assert summary.errors == (RowError(3, "handle", "88.100/A002", "the handle exists already"),)


def test_broken_rows_are_told_equal_handles_last_and_the_good_ones_written(store: BulkStore, tmp_path: Path) -> None:
    lines = [record(number) for number in range(30)]
    lines[3] = "broken"
    lines[4] = record(4, prefix="88.109")
    lines[15] = record(2)
    lines[29] = '{"handle":"88.100/Z","values":[{"index":1,"type":"T","data":5}]}'
    told: list[RowError] = []
    summary = import_file(store, written(tmp_path, *lines), SMALL, on_row_error=told.append)
    assert (summary.rows, summary.created, summary.failed) == (30, 26, 4)
    assert [(error.line, error.column) for error in told] == [
        (4, ""),
        (5, "handle"),
        (30, "values[0].data"),
        (16, "handle"),
    ]
    assert summary.errors == tuple(sorted(told))
    assert len(handles(store)) == 26


def test_a_foreign_prefix_names_both_mends(store: BulkStore, tmp_path: Path) -> None:
    (error,) = import_file(store, written(tmp_path, record(1, prefix="88.109")), SMALL).errors
    assert "--home-prefixes" in error.reason
    assert "hnode prefix home 88.109" in error.reason


@pytest.mark.parametrize("distance", [1, 25])
def test_the_second_of_two_equal_handles_names_the_first_line(store: BulkStore, tmp_path: Path, distance: int) -> None:
    lines = [record(number) for number in range(30)]
    lines[2 + distance] = record(2).replace("/A", "/a")  # Handles compare without ASCII case.
    (error,) = import_file(store, written(tmp_path, *lines), SMALL).errors
    assert error == RowError(3 + distance, "handle", "88.100/a002", "the same handle stands in line 3")


def test_csv_rows_with_a_foreign_prefix_or_an_equal_handle_are_errors(store: BulkStore, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("handle,a\n88.100/A,x\n88.109/B,x\n88.100/a,y\n,z\n88.100/C,x\n")
    summary = import_file(store, path, SMALL)
    assert handles(store) == ["88.100/A", "88.100/C"]
    assert [(error.line, error.column, error.handle) for error in summary.errors] == [
        (3, "handle", "88.109/B"),
        (4, "handle", "88.100/a"),
        (5, "handle", ""),
    ]
    assert summary.errors[1].reason == "the same handle stands in line 2"


def test_where_case_counts_two_spellings_are_two_handles(tmp_path: Path) -> None:
    store = MemoryStore(case_sensitive=True)
    store.apply([HomePrefix(PREFIX)], now_ms=1)
    path = written(tmp_path, record(1), record(1).replace("/A", "/a"), record(1).replace("88.100/A", "88.100/A"))
    summary = import_file(store, path, SMALL)
    assert (summary.created, summary.failed) == (2, 1)


def test_prefixes_of_the_file_are_homed_once_when_asked(store: BulkStore, tmp_path: Path) -> None:
    lines = [record(number, prefix=f"88.{200 + number % 3}") for number in range(30)]
    summary = import_file(store, written(tmp_path, *lines), replace(SMALL, home_prefixes=True))
    assert (summary.created, summary.homed, summary.failed) == (30, 3, 0)
    with store.view() as view:
        assert view.homed() == {PREFIX, b"0.NA/88.200", b"0.NA/88.201", b"0.NA/88.202"}


def test_a_prefix_whose_only_row_is_broken_is_not_homed(store: BulkStore, tmp_path: Path) -> None:
    line = '{"handle":"88.300/A","values":[{"index":0,"type":"T","data":"x"}]}'
    summary = import_file(store, written(tmp_path, line), replace(SMALL, home_prefixes=True))
    assert (summary.failed, summary.homed) == (1, 0)


def test_prefix_records_belong_to_their_homed_prefix(store: BulkStore, tmp_path: Path) -> None:
    names = ["0.NA/88.100", "0.na/88.100.7", "0.NA/88.100.7.8", "0.NA/88.1001", "0.NA/88", "0.NA/0.NA"]
    lines = [json.dumps({"handle": name, "fields": {"a": "x"}}) for name in names]
    summary = import_file(store, written(tmp_path, *lines), SMALL)
    assert summary.created == 3
    assert [error.handle for error in summary.errors] == names[3:]


def test_no_file_makes_a_node_the_root_of_all_prefixes(store: BulkStore, tmp_path: Path) -> None:
    line = json.dumps({"handle": "0.NA/0.NA", "fields": {"a": "x"}})
    summary = import_file(store, written(tmp_path, line), replace(SMALL, home_prefixes=True))
    assert (summary.failed, summary.homed) == (1, 0)


@pytest.mark.parametrize("prefix", ["88 200", "88..200", "厂", ".", "x" * 201])
def test_a_file_homes_no_prefix_that_init_would_refuse(store: BulkStore, tmp_path: Path, prefix: str) -> None:
    summary = import_file(store, written(tmp_path, record(1, prefix=prefix)), replace(SMALL, home_prefixes=True))
    assert (summary.failed, summary.homed, summary.errors[0].column) == (1, 0, "handle")
    assert "is no prefix" in summary.errors[0].reason


def test_a_dry_run_says_what_would_come_and_writes_nothing(store: BulkStore, tmp_path: Path) -> None:
    import_file(store, written(tmp_path, record(1, "old"), record(2)), SMALL)
    before = last_number(store)
    lines = [record(1, "new"), record(2), record(3), "broken", record(3), record(4, prefix="88.200")]
    options = replace(SMALL, dry_run=True, home_prefixes=True)
    summary = import_file(store, written(tmp_path, *lines), options)
    assert (summary.created, summary.replaced, summary.unchanged, summary.failed) == (2, 1, 1, 2)
    assert summary.homed == 1
    assert not summary.wrote
    assert last_number(store) == before


@pytest.mark.parametrize("broken", [0, 5, 24])
def test_stop_writes_nothing_at_all_for_one_broken_row(store: BulkStore, tmp_path: Path, broken: int) -> None:
    lines = [record(number) for number in range(25)]
    lines[broken] = "broken"
    told: list[RowError] = []
    options = replace(SMALL, on_error=STOP, home_prefixes=True)
    summary = import_file(store, written(tmp_path, *lines, "broken too"), options, on_row_error=told.append)
    assert summary.stopped
    assert [error.line for error in told] == [broken + 1]
    assert (summary.created, summary.failed) == (0, 1)
    assert last_number(store) == 1


def test_stop_writes_a_file_without_faults(store: BulkStore, tmp_path: Path) -> None:
    summary = import_file(store, written(tmp_path, *map(record, range(25))), replace(SMALL, on_error=STOP))
    assert (summary.rows, summary.created, summary.stopped) == (25, 25, False)


def test_stop_sees_what_stands_already_before_it_writes(store: BulkStore, tmp_path: Path) -> None:
    import_file(store, written(tmp_path, record(20)), SMALL)
    options = replace(SMALL, on_error=STOP, if_exists=IfExists.FAIL)
    summary = import_file(store, written(tmp_path, *map(record, range(25))), options)
    assert summary.stopped
    assert handles(store) == ["88.100/A020"]


@pytest.mark.parametrize(("moment", "created"), [(3, 0), (11, 0), (12, 10), (14, 30)])
def test_an_interrupted_run_keeps_whole_batches_and_counts_them(
    store: BulkStore, tmp_path: Path, moment: int, created: int
) -> None:
    seen: list[Progress] = []
    summary = import_file(
        store,
        written(tmp_path, *map(record, range(100))),
        SMALL,
        report=seen.append,
        is_stopped=lambda: len(seen) == moment,
    )
    assert summary.interrupted
    assert summary.created == len(handles(store)) == created


def test_progress_tells_of_reading_by_octets_and_of_writing_by_rows(store: BulkStore, tmp_path: Path) -> None:
    path = written(tmp_path, *map(record, range(30)))
    size = path.stat().st_size
    seen: list[Progress] = []
    import_file(store, path, SMALL, report=seen.append)
    assert [(progress.phase, progress.rows, progress.done, progress.total) for progress in seen] == [
        ("read", 10, size // 3, size),
        ("read", 20, size // 3 * 2, size),
        ("read", 30, size, size),
        ("read", 30, size, size),
        ("import", 10, 10, 30),
        ("import", 20, 20, 30),
        ("import", 30, 30, 30),
    ]
    assert seen[0].remaining_s is not None
    assert seen[0].remaining_s > 0 == seen[3].remaining_s == seen[-1].remaining_s


def test_a_summary_shows_a_bounded_number_of_errors(store: BulkStore, tmp_path: Path) -> None:
    summary = import_file(store, written(tmp_path, *["broken"] * 100), SMALL)
    assert (summary.failed, len(summary.errors)) == (100, 20)


def test_a_refusal_of_the_store_ends_the_run_and_keeps_what_was_written(tmp_path: Path) -> None:
    store = LmdbStore.create(tmp_path / "store", map_size=1 << 20, map_size_max=1 << 20)
    store.apply([HomePrefix(PREFIX)], now_ms=1)
    path = written(tmp_path, *[record(number, "x" * 20_000) for number in range(100)])
    summary = import_file(store, path, SMALL)
    assert "this change was not written" in summary.fault
    assert 0 < summary.created == len(handles(store)) < 100
    assert not store.verify()
    store.close()


def test_a_file_without_rows_is_an_import_of_none(store: BulkStore, tmp_path: Path) -> None:
    path = tmp_path / "none.csv"
    path.write_text("handle,a\n")
    assert import_file(store, path, SMALL).rows == 0


def test_a_header_that_cannot_be_used_touches_nothing(store: BulkStore, tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text("name,a\nx,y\n")
    with pytest.raises(FileRefused):
        import_file(store, path, SMALL)
    assert last_number(store) == 1


def test_a_repeated_import_keeps_the_octets_that_stand(store: BulkStore, tmp_path: Path) -> None:
    path = written(tmp_path, record(1))
    import_file(store, path, SMALL)
    with store.view() as view:
        before = view.get(b"88.100/A001")
    line = json.loads(record(1))
    values = [{"index": 2000, "type": "name", "data": "x", "timestamp": "2001-01-01T00:00:00Z"}]
    import_file(store, written(tmp_path, json.dumps({"handle": line["handle"], "values": values})), SMALL)
    with store.view() as view:
        after = view.get(b"88.100/A001")
    assert before is not None
    assert before == after
    assert len(without_timestamps(before.values)) == 1
