"""The one writer: changes that wait share a commit, and nothing is told before it is on disk."""

import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from protocol.errors import HandleExists
from protocol.value import value_list
from storage.base import Change, IfExists, Outcome, PutRecord, StoreFull, UpdateRecord
from storage.lmdb_store import LmdbStore
from storage.memory import MemoryStore
from storage.writer import StoreBusy, Writer

EMPTY = value_list([])


class SlowStore(MemoryStore):
    """A disk whose sync takes a while, and which a test can stop or fill."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.is_full = False
        self.durable: set[bytes] = set()

    def apply(self, changes: Sequence[Change], *, now_ms: int) -> list[Outcome]:
        if self.is_full:
            raise StoreFull("no room")
        outcomes = super().apply(changes, now_ms=now_ms)
        self.gate.wait(10)
        self.durable |= {change.handle for change in changes if isinstance(change, PutRecord)}
        return outcomes


def put(number: int) -> PutRecord:
    return PutRecord(b"88.1/%d" % number, EMPTY, IfExists.FAIL)


def test_changes_that_wait_share_a_commit() -> None:
    store = SlowStore()
    store.gate.clear()
    writer = Writer(store, lambda: 1)
    futures = [writer.submit(put(number)) for number in range(500)]
    assert not any(future.done() for future in futures)  # The disk has not answered yet.
    store.gate.set()
    outcomes = [future.result(5) for future in futures]
    writer.close()
    assert [outcome.number for outcome in outcomes] == list(range(1, 501))
    assert writer.changes == 500
    assert writer.batches <= 3


def test_nothing_is_told_before_it_is_durable() -> None:
    store = SlowStore()
    writer = Writer(store, lambda: 1)
    early: list[bytes] = []

    def noted(handle: bytes, _: object) -> None:
        if handle not in store.durable:
            early.append(handle)

    for number in range(200):
        change = put(number)
        future = writer.submit(change)
        future.add_done_callback(partial(noted, change.handle))
    writer.close()
    assert not early
    assert len(store.durable) == 200


def test_a_refused_change_leaves_the_others_of_its_commit_alone() -> None:
    store = SlowStore()
    store.gate.clear()
    writer = Writer(store, lambda: 1)
    futures = [writer.submit(put(number)) for number in (1, 2, 1, 3)]
    store.gate.set()
    outcomes = [future.result(5) for future in futures]
    writer.close()
    assert [outcome.number for outcome in outcomes] == [1, 2, 0, 3]
    assert isinstance(outcomes[2].error, HandleExists)


def test_a_commit_that_fails_is_told_to_each_that_was_in_it_and_the_next_may_succeed() -> None:
    store = SlowStore()
    writer = Writer(store, lambda: 1)
    store.is_full = True
    futures = [writer.submit(put(number)) for number in range(3)]
    for future in futures:
        with pytest.raises(StoreFull):
            future.result(5)
    store.is_full = False
    assert writer.submit(put(9)).result(5).number == 1
    writer.close()


def test_a_change_that_breaks_its_commit_by_our_mistake_leaves_the_others_alone() -> None:
    store = SlowStore()
    store.gate.clear()
    writer = Writer(store, lambda: 1)
    first = writer.submit(put(0))
    mistake = UpdateRecord(b"88.1/9", lambda _: 1 // 0)  # type: ignore[arg-type, return-value]
    futures = [writer.submit(change) for change in (put(1), mistake, put(2))]
    store.gate.set()
    assert [future.result(5).number for future in (first, futures[0], futures[2])] == [1, 2, 3]
    with pytest.raises(ZeroDivisionError):
        futures[1].result(5)
    writer.close()
    assert writer.changes == 3


def test_what_would_wait_without_bound_is_refused_at_once() -> None:
    store = SlowStore()
    store.gate.clear()
    writer = Writer(store, lambda: 1, waiting_max=10)
    first = writer.submit(put(0))
    time.sleep(0.1)  # The writer has taken it and waits for the disk.
    futures = [writer.submit(put(number)) for number in range(1, 11)]
    with pytest.raises(StoreBusy, match="10 changes wait"):
        writer.submit(put(11))
    store.gate.set()
    assert [future.result(5).number for future in (first, *futures)] == list(range(1, 12))
    writer.close()


def test_closing_makes_what_waits_and_takes_no_more() -> None:
    store = SlowStore()
    writer = Writer(store, lambda: 1)
    futures = [writer.submit(put(number)) for number in range(50)]
    writer.close()
    writer.close()
    assert all(future.done() for future in futures)
    with pytest.raises(StoreBusy, match="closed"):
        writer.submit(put(99))


def test_many_threads_write_one_gapless_journal_to_disk(tmp_path: Path) -> None:
    with LmdbStore.create(tmp_path / "s", map_size=1 << 16) as store:
        writer = Writer(store, lambda: int(time.time() * 1000))
        numbers: list[int] = []

        def work(first: int) -> None:
            for number in range(first, first + 25):
                numbers.append(writer.submit(put(number)).result(10).number)

        threads = [threading.Thread(target=work, args=(100 * n,)) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        writer.close()
        assert sorted(numbers) == list(range(1, 401))
        assert writer.batches < 400  # They shared commits.
        assert store.verify() == []
