"""The journal forgets what is old, and nothing that a mirror which was heard of still needs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.value import HandleValue, value_list
from storage.base import Change, CopyRecord, NoteMirror, PruneJournal, PutRecord, Record
from storage.lmdb_store import LmdbStore
from storage.memory import MemoryStore
from storage.mirrors import MIRRORS, MIRRORS_MAX, read_mirrors

VALUES = value_list([HandleValue(index=1, type=b"URL", data=b"a", timestamp=7)])
LATER = value_list([HandleValue(index=1, type=b"URL", data=b"a", timestamp=8)])
Store = LmdbStore | MemoryStore


@pytest.fixture(params=["lmdb", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = LmdbStore.create(tmp_path / "s") if request.param == "lmdb" else MemoryStore()
    yield made
    made.close()


def seeded(store: Store, count: int = 20) -> None:
    """Row n is dated n; five rows to a transaction, so that they lie in one group."""
    for start in range(1, count + 1, 5):
        store.apply([PutRecord(b"88.1/%03d" % n, VALUES) for n in range(start, start + 5)], now_ms=start)


def numbers(store: Store) -> list[int]:
    with store.view() as view:
        return [row.number for row in view.journal(limit=1_000)]


def pruned(store: Store, change: Change, *, now_ms: int = 100) -> bool:
    (outcome,) = store.apply([change], now_ms=now_ms)
    assert outcome.number == 0
    return outcome.existed


def test_rows_go_by_age_and_the_last_row_stays(store: Store) -> None:
    seeded(store)
    assert pruned(store, PruneJournal(before_ms=11, heard_since_ms=0))
    assert numbers(store) == list(range(11, 21))
    assert not pruned(store, PruneJournal(before_ms=11, heard_since_ms=0))
    assert pruned(store, PruneJournal(before_ms=1_000, heard_since_ms=0))
    assert numbers(store) == [20]
    assert not pruned(store, PruneJournal(before_ms=1_000, heard_since_ms=0))
    assert store.apply([PutRecord(b"88.1/NEW", VALUES)], now_ms=200)[0].number == 21
    if isinstance(store, LmdbStore):
        assert store.verify() == []


def test_a_mirror_that_was_heard_of_keeps_its_last_row_and_all_behind_it(store: Store) -> None:
    seeded(store)
    store.apply([NoteMirror("near", 18), NoteMirror("far", 8)], now_ms=50)
    assert pruned(store, PruneJournal(before_ms=1_000, heard_since_ms=50))
    assert numbers(store) == list(range(8, 21))
    store.apply([NoteMirror("far", 13)], now_ms=60)
    assert pruned(store, PruneJournal(before_ms=1_000, heard_since_ms=50))
    assert numbers(store) == list(range(13, 21))
    assert pruned(store, PruneJournal(before_ms=1_000, heard_since_ms=61)), "a mirror that is silent loses its claim"
    assert numbers(store) == [20]


def test_a_mirror_heard_of_without_a_number_keeps_the_one_it_said_before(store: Store) -> None:
    seeded(store)
    store.apply([NoteMirror("m", 10)], now_ms=50)
    store.apply([NoteMirror("m", None)], now_ms=90)
    with store.view() as view:
        assert read_mirrors(view.meta(MIRRORS)) == {"m": (10, 90)}
    assert pruned(store, PruneJournal(before_ms=1_000, heard_since_ms=80))
    assert numbers(store) == list(range(10, 21))


def test_a_mirror_that_never_said_a_number_needs_all(store: Store) -> None:
    seeded(store)
    store.apply([NoteMirror("m", None)], now_ms=50)
    assert not pruned(store, PruneJournal(before_ms=1_000, heard_since_ms=0))


def test_one_change_forgets_no_more_rows_than_it_may(store: Store) -> None:
    seeded(store)
    assert pruned(store, PruneJournal(before_ms=1_000, heard_since_ms=0, rows_max=7))
    assert numbers(store) == list(range(8, 21))


def test_rows_of_the_same_transaction_stay(store: Store) -> None:
    seeded(store)
    change = PruneJournal(before_ms=1_000, heard_since_ms=0)
    outcomes = store.apply([PutRecord(b"88.1/NEW", VALUES), change], now_ms=200)
    assert [outcome.number for outcome in outcomes] == [21, 0]
    assert numbers(store) == [20, 21]


def test_so_many_mirrors_are_remembered_and_the_longest_silent_goes_first(store: Store) -> None:
    seeded(store, 5)
    for number in range(MIRRORS_MAX):
        store.apply([NoteMirror(f"m{number}", number)], now_ms=1_000 + number)
    store.apply([NoteMirror("m0", 3)], now_ms=5_000)
    store.apply([NoteMirror("one more", 4)], now_ms=5_001)
    with store.view() as view:
        known = read_mirrors(view.meta(MIRRORS))
    assert len(known) == MIRRORS_MAX
    assert known["m0"] == (3, 5_000)
    assert "m1" not in known


def test_a_copy_takes_over_timestamps_and_spelling_and_says_whether_it_changed_anything(store: Store) -> None:
    handle = b"88.1/a"
    assert store.apply([CopyRecord(handle, VALUES)], now_ms=1)[0].number == 1
    assert store.apply([CopyRecord(handle, VALUES)], now_ms=2)[0].number == 0
    assert store.apply([CopyRecord(handle, LATER)], now_ms=3)[0].number == 2, "a put would keep the old timestamp"
    assert store.apply([CopyRecord(b"88.1/A", LATER)], now_ms=4)[0].number == 3
    with store.view() as view:
        assert view.get(handle) == Record(b"88.1/A", LATER)
    assert store.apply([CopyRecord(handle, None)], now_ms=5)[0].existed
    gone = store.apply([CopyRecord(handle, None)], now_ms=6)[0]
    assert (gone.number, gone.existed) == (0, False)


def test_a_journal_of_many_rows_is_pruned_in_steps_and_stays_whole(tmp_path: Path) -> None:
    with LmdbStore.create(tmp_path / "s") as store:
        for start in range(0, 20_000, 2_000):
            puts = [PutRecord(b"88.1/%06d" % n, VALUES) for n in range(start, start + 2_000)]
            store.replace_all(puts, now_ms=start)
        steps = 0
        while store.apply([PruneJournal(before_ms=10**9, heard_since_ms=0, rows_max=3_333)], now_ms=10**6)[0].existed:
            steps += 1
        assert steps == 7
        assert numbers(store) == [20_000]
        assert store.verify() == []
        with store.view() as view:
            assert view.facts().journal_rows == 1
