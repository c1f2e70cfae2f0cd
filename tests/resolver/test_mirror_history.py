"""Whether a source's changes continue those that were taken, case by case; and the state as it is kept."""

from dataclasses import replace

import pytest

from protocol.replication.dump import ResumePoint, StartType
from protocol.replication.transactions import Action, Transaction
from protocol.requests import Receiver
from resolver.replication.history import CLOCK_SLACK_MS, History, LostHistory, NotRising, first_asked
from resolver.replication.state import META_NAME, Anchor, MirrorState, Phase, read_state
from storage.base import SetMeta, StoreCorrupt
from storage.memory import MemoryStore

ALONE = Receiver(hash_option=2, server_count=1, server_number=0)
SHARE = Receiver(hash_option=2, server_count=3, server_number=0)
T = 1_700_000_000_000


def told(number: int, handle: bytes = b"88.1/a", action: Action = Action.CREATE, date_ms: int = T) -> Transaction:
    return Transaction(number=number, handle=handle, action=action, date_ms=date_ms)


DUMPED = MirrorState(source=b"k", name="h:1", receiver=ALONE, phase=Phase.FOLLOW, number=7, date_ms=T)
KNOWN = replace(DUMPED, anchor=Anchor(7, b"88.1/A", Action.CREATE, T), is_new=False)
UNKNOWN = replace(DUMPED, is_new=False)


def heard(state: MirrorState, *transactions: Transaction, asked: int | None = None, end_ms: int = T) -> History:
    history = History(state, first_asked(state) if asked is None else asked)
    for transaction in transactions:
        history.takes(transaction)
    history.end(end_ms)
    return history


def test_the_last_change_is_asked_for_again_where_it_can_be_recognised_or_learnt() -> None:
    assert [first_asked(state) for state in (KNOWN, DUMPED, UNKNOWN, replace(DUMPED, number=0))] == [6, 6, 7, 0]


@pytest.mark.parametrize(
    ("state", "transactions", "taken", "number"),
    [
        pytest.param(KNOWN, [told(7)], 0, 7, id="the same as before, and nothing new"),
        pytest.param(KNOWN, [told(7, b"88.1/A"), told(9)], 1, 9, id="the same, spelled anew, and one more"),
        pytest.param(KNOWN, [told(8, b"88.1/x"), told(9, action=Action.DELETE)], 2, 9, id="made void by a later one"),
        pytest.param(DUMPED, [told(7)], 0, 7, id="behind a dump: learnt"),
        pytest.param(DUMPED, [told(9)], 1, 9, id="behind a dump: made void by a later one"),
        pytest.param(replace(DUMPED, receiver=SHARE), [], 0, 7, id="behind a dump: of another share"),
        pytest.param(UNKNOWN, [], 0, 7, id="nothing to recognise"),
        pytest.param(UNKNOWN, [told(8)], 1, 8, id="nothing to recognise, and one more"),
    ],
)
def test_what_continues_is_taken(state: MirrorState, transactions: list[Transaction], taken: int, number: int) -> None:
    history = heard(state, *transactions)
    assert history.taken == taken
    assert history.state.number == number
    if transactions:
        assert history.state.anchor == Anchor.of(transactions[-1])


@pytest.mark.parametrize(
    ("state", "transactions", "end_ms"),
    [
        pytest.param(KNOWN, [], T, id="it is not told any more"),
        pytest.param(KNOWN, [told(7, b"88.1/b")], T, id="another handle"),
        pytest.param(KNOWN, [told(7, date_ms=T + 1)], T, id="another date"),
        pytest.param(KNOWN, [told(7, action=Action.UPDATE)], T, id="another action"),
        pytest.param(KNOWN, [told(8, b"88.1/b")], T, id="later ones do not make it void"),
        pytest.param(KNOWN, [told(8, action=Action.HOME)], T, id="nor do homes"),
        pytest.param(KNOWN, [told(7), told(8, date_ms=T - CLOCK_SLACK_MS - 1)], T, id="dates go back"),
        pytest.param(KNOWN, [told(7)], T - CLOCK_SLACK_MS - 1, id="the clock went back"),
        pytest.param(
            replace(KNOWN, anchor=Anchor(7, b"0.NA/8", Action.HOME, T)),
            [told(8, b"0.na/8")],
            T,
            id="a home is always told",
        ),
        pytest.param(replace(KNOWN, receiver=SHARE), [], T, id="not told any more, of a share"),
        pytest.param(DUMPED, [], T, id="behind a dump: its last number is not told"),
    ],
)
def test_what_does_not_continue_is_noticed(state: MirrorState, transactions: list[Transaction], end_ms: int) -> None:
    with pytest.raises(LostHistory):
        heard(state, *transactions, end_ms=end_ms)


def test_clocks_may_be_put_right_a_little() -> None:
    heard(KNOWN, told(7), told(8, date_ms=T - CLOCK_SLACK_MS), end_ms=T - CLOCK_SLACK_MS)


def test_the_state_does_not_move_before_the_history_is_proven() -> None:
    history = History(KNOWN, 6)
    proven = []
    for transaction in (told(8, b"88.1/b"), told(9)):
        history.takes(transaction)
        proven.append(history.is_proven)
    assert proven == [False, True]
    assert not History(DUMPED, 6).is_proven
    assert History(UNKNOWN, 7).is_proven


@pytest.mark.parametrize("numbers", [[6], [7, 7], [7, 9, 8], [0], [-1]])
def test_numbers_that_do_not_rise_are_an_error(numbers: list[int]) -> None:
    with pytest.raises(NotRising):
        heard(KNOWN, *[told(number) for number in numbers])


@pytest.mark.parametrize(
    "state",
    [
        KNOWN,
        replace(DUMPED, phase=Phase.DUMP, dump="d", resume=ResumePoint(b"\xff\0", StartType.HANDLE), touched_ms=9),
        replace(UNKNOWN, phase=Phase.SWEEP, receiver=SHARE, has_position=True),
    ],
)
def test_a_state_is_read_as_it_was_kept(state: MirrorState) -> None:
    store = MemoryStore()
    assert read_state(store) is None
    store.apply([state.change()], now_ms=1)
    assert read_state(store) == state
    assert state.belongs_to(b"k", state.receiver)
    assert not state.belongs_to(b"another", state.receiver)


@pytest.mark.parametrize("octets", [b"", b"\xc1", b"\x91\x01", b"\x92\x01\x02", b"\x01", b"\x90"])
def test_a_damaged_state_is_told(octets: bytes) -> None:
    store = MemoryStore()
    store.apply([SetMeta(META_NAME, octets)], now_ms=1)
    with pytest.raises(StoreCorrupt):
        read_state(store)
