"""Batches of changes and when they are committed: what a batch comes to, whom a lone client waits for, and how long."""

import pytest

from protocol.errors import HandleExists
from protocol.value import value_list
from storage.base import Change, IfExists, Outcome, PutRecord, StoreCorrupt, StoreFull, UpdateRecord
from storage.memory import MemoryStore
from storage.writer import BATCH_MAX, GATHER_MANY_S, GATHER_S, MANY, Gathering, made

EMPTY = value_list([])


def put(number: int) -> PutRecord:
    return PutRecord(b"88.1/%d" % number, EMPTY, IfExists.FAIL)


class FailingStore(MemoryStore):
    """A store that cannot take some changes, or none at all; it counts its transactions."""

    def __init__(self, error: Exception, *, only: Change | None = None) -> None:
        super().__init__()
        self.error = error
        self.only = only
        self.transactions = 0

    def apply(self, changes: object, *, now_ms: int) -> list[Outcome]:
        assert isinstance(changes, list | tuple)
        if self.only is None or self.only in changes:
            raise self.error
        self.transactions += 1
        return super().apply(changes, now_ms=now_ms)


def test_a_refused_change_leaves_the_others_of_its_batch_alone() -> None:
    outcomes = made(MemoryStore(), [put(number) for number in (1, 2, 1, 3)], now_ms=1)
    assert [found.number for found in outcomes if isinstance(found, Outcome)] == [1, 2, 0, 3]
    assert isinstance(outcomes[2], Outcome)
    assert isinstance(outcomes[2].error, HandleExists)


def test_a_transaction_that_fails_is_told_to_each_that_was_in_it() -> None:
    store = FailingStore(StoreFull("no room"))
    outcomes = made(store, [put(1), put(2)], now_ms=1)
    assert [type(found) for found in outcomes] == [StoreFull, StoreFull]
    assert store.transactions == 0


def test_a_damaged_record_keeps_only_its_own_change_from_being_made() -> None:
    store = FailingStore(StoreCorrupt("what is kept cannot be read"), only=put(2))
    outcomes = made(store, [put(1), put(2), put(3)], now_ms=1)
    assert [type(found) for found in outcomes] == [Outcome, StoreCorrupt, Outcome]
    assert store.transactions == 2


def test_our_mistake_in_a_decision_keeps_only_its_own_change_from_being_made() -> None:
    mistake = UpdateRecord(b"88.1/9", lambda _: 1 // 0)  # type: ignore[arg-type, return-value]
    store = MemoryStore()
    outcomes = made(store, [put(1), mistake, put(2)], now_ms=1)
    assert [type(found) for found in outcomes] == [Outcome, ZeroDivisionError, Outcome]
    assert store.get(b"88.1/1") is not None
    assert store.get(b"88.1/2") is not None


def test_a_lone_client_waits_for_nobody() -> None:
    gathering = Gathering()
    assert gathering.wait_s(0, 1.0) is None
    for at_s in range(1, 10):
        assert gathering.wait_s(1, at_s) == 0
        gathering.committed(1, 0)


def test_many_clients_are_waited_for_until_as_many_are_there_as_wrote_before() -> None:
    gathering = Gathering()
    gathering.committed(5, 11)  # Sixteen write: five had a change in the last commit, the others came meanwhile.
    assert gathering.wait_s(11, 1.0) == pytest.approx(GATHER_MANY_S)
    assert gathering.wait_s(15, 1.001) == pytest.approx(GATHER_MANY_S - 0.001)
    assert gathering.wait_s(16, 1.002) == 0


def test_nobody_waits_longer_than_the_bound_and_then_no_longer_for_who_did_not_come() -> None:
    gathering = Gathering()
    gathering.committed(1, 15)
    assert gathering.wait_s(15, 1.0) == pytest.approx(GATHER_MANY_S)
    assert gathering.wait_s(15, 1.0 + GATHER_MANY_S) == 0
    gathering.committed(15, 0)
    assert gathering.expected == 15
    gathering.committed(1, 0)
    assert gathering.wait_s(1, 2.0) == 0


def test_a_few_clients_are_waited_for_no_longer_than_a_sync_takes() -> None:
    gathering = Gathering()
    gathering.committed(1, MANY - 2)
    assert gathering.wait_s(1, 1.0) == pytest.approx(GATHER_S)
    assert gathering.wait_s(1, 1.0 + GATHER_S) == 0


def test_each_that_comes_is_looked_at_once_half_of_many_are_there() -> None:
    gathering = Gathering()
    assert not gathering.is_far(1)
    gathering.committed(10, 6)
    assert not gathering.is_far(0)  # The first is to be heard of at once: the bound begins with it.
    assert gathering.is_far(8)
    assert not gathering.is_far(9)


def test_no_more_are_waited_for_than_a_transaction_takes() -> None:
    gathering = Gathering()
    gathering.committed(BATCH_MAX, BATCH_MAX)
    assert gathering.wait_s(BATCH_MAX, 1.0) == 0
