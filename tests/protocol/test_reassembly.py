"""Datagrams back to messages: pieces in any order, repeated, missing, lying, and too many of them."""

from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from protocol.codes import TRUNCATED
from protocol.envelope import Envelope
from protocol.framing import Dropped, Reassembly, datagrams
from protocol.limits import (
    ENVELOPE_SIZE,
    FRAGMENT_SIZE,
    MESSAGE_SIZE_MAX,
    REASSEMBLY_AGE_MAX_S,
    REASSEMBLY_MESSAGES_A_SOURCE_MAX,
    REASSEMBLY_MESSAGES_MAX,
    REASSEMBLY_OCTETS_A_SOURCE_MAX,
    REASSEMBLY_OCTETS_MAX,
)
from protocol.version import Version
from tests.support.vectors import vectors

HERE: Final = "192.0.2.1"
THERE: Final = "2001:db8::1"


def message(size: int, *, request_id: int = 7, session_id: int = 0, fill: int = 0) -> bytes:
    envelope = Envelope(
        version=Version(2, 11),
        suggested=Version(2, 11),
        session_id=session_id,
        request_id=request_id,
        message_size=size,
    )
    return envelope.to_bytes() + bytes((number + fill) % 251 for number in range(size))


def added(pieces: Reassembly, found: list[bytes], *, source: str = HERE, now: float = 0.0) -> list[bytes | None]:
    return [pieces.add(source, datagram, now=now) for datagram in found]


def changed(datagram: bytes, **fields: Any) -> bytes:
    return replace(Envelope.read(datagram), **fields).to_bytes() + datagram[ENVELOPE_SIZE:]


def test_every_exchange_is_put_together_as_it_was_sent_and_received() -> None:
    messages_run = datagrams_run = 0
    for exchange in vectors()["udpExchanges"]:
        for direction in ("sent", "received"):
            seen = [bytes.fromhex(datagram["hex"]) for datagram in exchange[direction]]
            *before, whole = added(Reassembly(), seen)
            assert before == [None] * (len(seen) - 1)
            assert whole is not None
            envelope = Envelope.read(whole)
            assert (envelope.sequence, envelope.flags) == (0, 0)
            assert envelope.message_size == len(whole) - ENVELOPE_SIZE
            assert datagrams(whole, truncated=bool(seen[0][2] & TRUNCATED)) == seen
            messages_run += 1
            datagrams_run += len(seen)
    assert (messages_run, datagrams_run) == (6, 11)


@given(st.integers(0, 6 * FRAGMENT_SIZE), st.data())
def test_pieces_in_any_order_and_repeated_give_the_message_once(size: int, data: st.DataObject) -> None:
    whole = message(size)
    found = datagrams(whole, truncated=True)
    order = data.draw(st.permutations(found))
    repeated = data.draw(st.lists(st.sampled_from(order[:-1]), max_size=6)) if len(order) > 1 else []
    pieces = Reassembly()
    assert added(pieces, [*order[:-1], *repeated]) == [None] * (len(order) - 1 + len(repeated))
    assert pieces.add(HERE, order[-1], now=0.0) == whole
    assert (pieces.message_count, pieces.octet_count) == (0, 0)
    assert not any(pieces.dropped.values())


def test_the_greatest_message_is_put_together() -> None:
    whole = message(MESSAGE_SIZE_MAX)
    assert added(Reassembly(), datagrams(whole))[-1] == whole


def test_pieces_without_the_truncated_flag_are_taken_as_well() -> None:
    whole = message(1_000)
    bare = [changed(datagram, flags=0) for datagram in datagrams(whole)]
    assert added(Reassembly(), bare) == [None, None, whole]


def test_messages_of_two_sources_and_of_two_requests_do_not_mix() -> None:
    ours, theirs, next_one = message(900), message(900, fill=1), message(900, request_id=8, fill=2)
    pieces = Reassembly()
    assert added(pieces, [datagrams(ours)[0], datagrams(next_one)[0]]) == [None, None]
    assert added(pieces, datagrams(theirs), source=THERE) == [None, theirs]
    assert added(pieces, [datagrams(next_one)[1], datagrams(ours)[1]]) == [next_one, ours]


def pieces_that_disagree() -> dict[str, bytes]:
    second = datagrams(message(1_400))[1]
    return {
        "another total": changed(datagrams(message(1_401))[1], message_size=1_401),
        "another version": changed(second, version=Version(2, 10)),
        "another suggestion": changed(second, suggested=Version(2, 10)),
        "another session": changed(second, session_id=9),
        "an encrypted piece of a clear message": changed(second, flags=0x60),
        "other octets for a piece that came": datagrams(message(1_400, fill=1))[0],
    }


@pytest.mark.parametrize(("what", "piece"), pieces_that_disagree().items())
def test_a_piece_that_contradicts_another_drops_the_message(what: str, piece: bytes) -> None:
    pieces = Reassembly()
    assert added(pieces, [datagrams(message(1_400))[0], piece]) == [None, None]
    assert pieces.message_count == pieces.octet_count == 0
    assert pieces.dropped[Dropped.DISAGREED] == 1


def impossible_pieces() -> dict[str, bytes]:
    first, _, last = datagrams(message(1_400))
    return {
        "a middle piece cut short": first[:-1],
        "a piece that is too long": first + b"x",
        "a last piece cut short": last[:-1],
        "a last piece that is too long": last + b"x",
        "a piece behind the last": changed(first, sequence=3),
        "a piece far behind the last": changed(first, sequence=0xFFFFFFFF),
        "a total over the limit": changed(first, message_size=MESSAGE_SIZE_MAX + 1),
        "the greatest total there is": changed(first, message_size=0xFFFFFFFF),
        "an envelope alone": first[:ENVELOPE_SIZE],
        "a total below the piece": changed(first, message_size=24),
    }


@pytest.mark.parametrize(("what", "piece"), impossible_pieces().items())
def test_an_impossible_piece_drops_the_message_and_begins_none(what: str, piece: bytes) -> None:
    pieces = Reassembly()
    assert added(pieces, [datagrams(message(1_400))[1], piece]) == [None, None]
    assert pieces.message_count == pieces.octet_count == 0
    assert added(pieces, [piece]) == [None]
    assert pieces.message_count == 0
    assert pieces.dropped[Dropped.MALFORMED] == 2


@pytest.mark.parametrize("size", [0, 1, ENVELOPE_SIZE - 1])
def test_a_datagram_without_an_envelope_is_dropped_and_counted(size: int) -> None:
    pieces = Reassembly()
    assert pieces.add(HERE, bytes(size), now=0.0) is None
    assert pieces.dropped[Dropped.MALFORMED] == 1


def test_a_message_expires_an_instant_after_its_age() -> None:
    first, second = datagrams(message(900))
    pieces = Reassembly()
    assert pieces.add(HERE, first, now=10.0) is None
    assert pieces.add(HERE, second, now=10.0 + REASSEMBLY_AGE_MAX_S) == message(900)
    assert pieces.add(HERE, first, now=20.0) is None
    assert pieces.add(HERE, second, now=20.1 + REASSEMBLY_AGE_MAX_S) is None
    assert pieces.dropped[Dropped.EXPIRED] == 1
    assert pieces.message_count == 1
    pieces.expire(now=40.0)
    assert pieces.message_count == pieces.octet_count == 0
    assert pieces.dropped[Dropped.EXPIRED] == 2


def test_a_repeated_piece_does_not_make_a_message_younger() -> None:
    first, second = datagrams(message(900))
    pieces = Reassembly()
    for now in (0.0, 4.0):
        assert pieces.add(HERE, first, now=now) is None
    assert pieces.add(HERE, second, now=REASSEMBLY_AGE_MAX_S + 0.5) is None
    assert pieces.dropped[Dropped.EXPIRED] == 1


def test_a_source_that_begins_too_many_messages_loses_its_own_oldest() -> None:
    pieces = Reassembly()
    neighbour = datagrams(message(900))
    assert added(pieces, neighbour[:1], source=THERE) == [None]
    begun = [datagrams(message(900, request_id=number)) for number in range(REASSEMBLY_MESSAGES_A_SOURCE_MAX + 1)]
    assert added(pieces, [first for first, _ in begun]) == [None] * len(begun)
    assert pieces.dropped[Dropped.SOURCE_FULL] == 1
    assert added(pieces, neighbour[1:], source=THERE) == [message(900)]
    assert added(pieces, [begun[1][1], begun[0][1]]) == [message(900, request_id=1), None]


def test_a_source_that_sends_too_many_octets_loses_its_own_oldest() -> None:
    pieces = Reassembly()
    for request_id in range(3):
        assert added(pieces, datagrams(message(MESSAGE_SIZE_MAX, request_id=request_id))[:-1])[-1] is None
        assert pieces.octet_count <= REASSEMBLY_OCTETS_A_SOURCE_MAX
    assert pieces.dropped[Dropped.SOURCE_FULL] == 1
    assert pieces.message_count == 2


def test_a_flood_of_first_pieces_from_everywhere_keeps_the_bounds_and_lets_a_quick_message_through() -> None:
    pieces = Reassembly()
    first, second = datagrams(message(900))
    for number in range(REASSEMBLY_MESSAGES_MAX + 500):
        assert pieces.add(f"198.51.100.{number}", first, now=0.0) is None
    assert pieces.message_count == REASSEMBLY_MESSAGES_MAX
    assert pieces.dropped[Dropped.FULL] == 500
    assert added(pieces, [first, second]) == [None, message(900)]


def test_the_octets_of_all_sources_are_bounded() -> None:
    pieces = Reassembly()
    all_but_last = datagrams(message(MESSAGE_SIZE_MAX))[:-1]
    for number in range(40):
        added(pieces, all_but_last, source=f"198.51.100.{number}")
        assert pieces.octet_count <= REASSEMBLY_OCTETS_MAX
    assert pieces.dropped[Dropped.FULL] == 40 - pieces.message_count > 0


def test_an_announced_total_reserves_nothing() -> None:
    pieces = Reassembly()
    assert pieces.add(HERE, datagrams(message(MESSAGE_SIZE_MAX))[0], now=0.0) is None
    assert pieces.octet_count == FRAGMENT_SIZE


class Flood(RuleBasedStateMachine):
    """Anything may come, in any order, at any speed: the bounds hold, and what is given out was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces = Reassembly()
        self.now = 0.0
        self.wholes = [
            message(size, request_id=request_id, fill=fill)
            for size in (600, 1_500, 40_000)
            for request_id in range(2)
            for fill in range(2)
        ]

    @rule(source=st.integers(0, 3), which=st.integers(0, 11), data=st.data())
    def piece_comes(self, source: int, which: int, data: st.DataObject) -> None:
        datagram = data.draw(st.sampled_from(datagrams(self.wholes[which])))
        whole = self.pieces.add(str(source), datagram, now=self.now)
        assert whole is None or Envelope.read(whole).message_size == len(whole) - ENVELOPE_SIZE

    @rule(source=st.integers(0, 3), which=st.integers(0, 11))
    def all_pieces_but_one_come(self, source: int, which: int) -> None:
        for datagram in datagrams(self.wholes[which])[:-1]:
            self.pieces.add(str(source), datagram, now=self.now)

    @rule(count=st.integers(1, 400), tail=st.integers(1, FRAGMENT_SIZE))
    def many_begin(self, count: int, tail: int) -> None:
        last = datagrams(message(FRAGMENT_SIZE + tail))[1]
        for number in range(count):
            self.pieces.add(f"flood {number // 20}", changed(last, request_id=1_000 + number), now=self.now)

    @rule(octets=st.binary(max_size=600))
    def garbage_comes(self, octets: bytes) -> None:
        self.pieces.add("0", octets, now=self.now)

    @rule(seconds=st.floats(0.0, 6.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def the_bounds_hold(self) -> None:
        messages = list(self.pieces._messages.values())
        assert len(messages) <= REASSEMBLY_MESSAGES_MAX
        assert self.pieces.octet_count == sum(m.size for m in messages) <= REASSEMBLY_OCTETS_MAX
        assert all(m.size == sum(map(len, m.pieces.values())) for m in messages)
        assert sum(len(source.messages) for source in self.pieces._sources.values()) == len(messages)
        for source in self.pieces._sources.values():
            assert 0 < len(source.messages) <= REASSEMBLY_MESSAGES_A_SOURCE_MAX
            assert source.size == sum(m.size for m in source.messages.values()) <= REASSEMBLY_OCTETS_A_SOURCE_MAX

    @invariant()
    def the_oldest_stands_first(self) -> None:
        ages = [m.since for m in self.pieces._messages.values()]
        assert ages == sorted(ages)


TestFlood = Flood.TestCase
TestFlood.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
