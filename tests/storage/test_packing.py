"""Pages become full although firms count their identifiers upwards side by side, and nothing else changes."""

import random
from bisect import bisect_left
from pathlib import Path

import pytest

from protocol.value import HandleValue, value_list
from storage.base import PutRecord
from storage.keys import KEY_SIZE_MAX
from storage.lmdb_store import LmdbStore
from storage.packing import GAPS_MAX, Packing

VALUES = value_list([HandleValue(index=1, type=b"URL", data=b"x" * 180)])
FIRMS = 40


def interleaved(count: int, seed: int) -> list[bytes]:
    """Handles of firms that each count upwards, as they come to be."""
    chance = random.Random(seed)
    counts = [0] * FIRMS
    found = []
    for _ in range(count):
        firm = int(FIRMS * chance.random() ** 2)
        counts[firm] += 1
        found.append(b"88.1%02d/A%06d" % (firm, counts[firm]))
    return found


def octets_a_record(store: LmdbStore) -> float:
    with store.view() as view:
        facts = view.facts()
        transaction = view._now
        told = transaction.stat(store._databases[b"handles"])
    return float(told["leaf_pages"] * told["psize"] / facts.records)


@pytest.mark.parametrize("in_bulk", [True, False])
def test_firms_that_count_upwards_side_by_side_leave_full_pages(tmp_path: Path, in_bulk: bool) -> None:
    names = interleaved(60_000, 3)
    with LmdbStore.create(tmp_path / "s") as store:
        for start in range(0, len(names), 1_000):
            puts = [PutRecord(name, VALUES) for name in names[start : start + 1_000]]
            outcomes = store.replace_all(puts, now_ms=1) if in_bulk else store.apply(puts, now_ms=1)
            assert not any(outcome.existed or outcome.error for outcome in outcomes)
        encoded = len(names[0]) + len(VALUES)
        assert octets_a_record(store) < 1.35 * encoded  # Were pages cut in their middle, more than 1.6.
        with store.view() as view:
            found = view.handles(b"", limit=90_000)
            assert found == sorted(names)
            assert all(view.lookup()(name) is not None for name in names)
        assert store.verify() == []


@pytest.mark.parametrize("offset", range(17))
def test_a_run_fills_its_pages_wherever_on_a_page_it_begins(tmp_path: Path, offset: int) -> None:
    with LmdbStore.create(tmp_path / "s") as store:
        names = [b"88.1/A%05d" % number for number in range(1_500)]
        standing = [*names[: 500 + offset], *[b"88.1/B%05d" % number for number in range(100)]]
        store.replace_all([PutRecord(name, VALUES) for name in standing], now_ms=1)
        for start in range(500 + offset, 1_500, 20):
            store.apply([PutRecord(name, VALUES) for name in names[start : start + 20]], now_ms=1)
        assert octets_a_record(store) < 1.25 * (len(names[0]) + len(VALUES))
        with store.view() as view:
            assert view.handles(b"", limit=2_000) == [*names, *standing[500 + offset :]]
        assert store.verify() == []


def test_keys_scattered_by_chance_are_no_runs(tmp_path: Path) -> None:
    chance = random.Random(5)
    names = [b"88.1/%012d" % chance.randrange(10**12) for _ in range(20_000)]
    with LmdbStore.create(tmp_path / "s") as store:
        for start in range(0, len(names), 1_000):
            store.replace_all([PutRecord(name, VALUES) for name in names[start : start + 1_000]], now_ms=1)
        assert octets_a_record(store) < 1.75 * (len(names[0]) + len(VALUES))
        assert store.verify() == []


def test_a_run_is_short_of_nothing_where_keys_and_values_are_large(tmp_path: Path) -> None:
    large = value_list([HandleValue(index=1, type=b"URL", data=b"y" * 9_000)])
    heads = [b"88.1/" + b"A" * 460, b"88.1/" + b"B" * 600]
    with LmdbStore.create(tmp_path / "s", map_size=1 << 16) as store:
        store.apply([PutRecord(head + b"Z", large) for head in heads], now_ms=1)
        for number in range(60):
            puts = [PutRecord(head + b"%05d" % number, large if number % 3 else VALUES) for head in heads]
            store.apply(puts, now_ms=1)
        with store.view() as view:
            for number in range(60):
                for head in heads:
                    record = view.get(head + b"%05d" % number)
                    assert record is not None
                    assert record.values == (large if number % 3 else VALUES)
            assert [view.get(head + b"Z").values for head in heads] == [large, large]  # type: ignore[union-attr]
        assert store.verify() == []


class Tree:
    """What a cursor is asked for, over a sorted list; tells which keys were made large."""

    def __init__(self, keys: list[bytes]) -> None:
        self.keys = sorted(keys)
        self.place = 0
        self.large: list[bytes] = []

    def set_range(self, key: bytes) -> bool:
        self.place = bisect_left(self.keys, key)
        return self.place < len(self.keys)

    def key(self) -> bytes:
        return self.keys[self.place]

    def value(self) -> bytes:
        return b"kept"

    def put(self, key: bytes, octets: bytes) -> None:
        if len(octets) > 1_000:
            self.large.append(key)

    def set_key(self, key: bytes) -> bool:
        return True

    def delete(self) -> bool:
        return True

    def putmulti(self, records: list[tuple[bytes, bytes]], *, dupdata: bool, append: bool = False) -> None:
        self.keys = sorted({*self.keys, *(key for key, _ in records)})


def keys(first: bytes, count: int) -> list[tuple[bytes, bytes]]:
    return [(first + b"%03d" % number, b"") for number in range(count)]


def test_a_page_is_ended_once_in_a_gap_that_takes_a_run() -> None:
    tree, packing = Tree([b"A0", b"B0", b"C0"]), Packing(4_096)
    packing.begin(1_000)
    for key in keys(b"A1-", 9):
        packing.insert(tree, [key])
    assert tree.large == [b"A1-003", b"B0"]
    packing.insert(tree, keys(b"B1-", 7))
    assert tree.large == [b"A1-003", b"B0", b"B1-000", b"C0"]
    packing.insert(tree, keys(b"C1-", 9))  # Behind the last: the engine needs no help.
    packing.insert(tree, keys(b"B2-", 9))
    assert len(tree.large) == 4
    packing.forget()
    packing.begin(1_000)
    packing.insert(tree, keys(b"B3-", 9))
    assert len(tree.large) == 6


def test_where_no_key_lies_between_no_page_is_ended() -> None:
    tree, packing = Tree([b"A", b"A1-000\0\0"]), Packing(4_096)
    packing.begin(1_000)
    packing._end_page(tree, b"A1-000", b"A1-000\0")
    packing._end_page(tree, b"A" * KEY_SIZE_MAX, b"B")
    assert tree.large == []


def test_many_keys_that_spread_over_a_small_tree_are_no_runs() -> None:
    tree, packing = Tree([b"%02d" % number for number in range(10)]), Packing(4_096)
    packing.begin(10)
    packing.insert(tree, [key for number in range(9) for key in keys(b"%02d" % number, 5)])
    assert tree.large == []


def test_counting_begins_anew_where_enough_was_written_meanwhile() -> None:
    tree, packing = Tree([b"A0", b"B0", b"C0"]), Packing(4_096)
    for number in range(20):  # One in a hundred of what is written goes into the gap.
        packing.begin(400)
        packing.insert(tree, keys(b"A1-%03d" % number, 1) + keys(b"D%03d" % number, 99))
    assert tree.large == []


def test_what_is_remembered_of_gaps_is_bounded() -> None:
    tree, packing = Tree([b"%07d0" % number for number in range(GAPS_MAX * 2)]), Packing(4_096)
    for start in range(0, GAPS_MAX * 2 - 1, GAPS_MAX // 2):
        packing.begin(10**9)
        packing.insert(tree, [(b"%07d5" % (start + ahead), b"") for ahead in range(GAPS_MAX // 2)])
    assert len(packing._seen) <= GAPS_MAX * 3 // 2
    for number in range(GAPS_MAX + 100):
        packing._end_page(tree, b"%07d1" % number, b"%07d2" % number)
    assert len(packing._ended) <= GAPS_MAX
