"""TCP framing and the cutting of datagrams. What puts datagrams together again is in `test_reassembly`."""

import tracemalloc
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codes import TRUNCATED, ResponseCode
from protocol.envelope import Envelope
from protocol.errors import Malformed
from protocol.framing import Framer, MessageTooLong, datagrams
from protocol.limits import DATAGRAM_SIZE_MAX, ENVELOPE_SIZE, FRAGMENT_SIZE, MESSAGE_SIZE_MAX
from protocol.version import Version
from tests.support.vectors import vectors


def message(content: bytes, *, request_id: int = 7, announced: int | None = None) -> bytes:
    envelope = Envelope(
        version=Version(2, 11),
        suggested=Version(2, 11),
        request_id=request_id,
        message_size=len(content) if announced is None else announced,
    )
    return envelope.to_bytes() + content


def framed(pieces: list[bytes], framer: Framer | None = None) -> list[bytes]:
    framer = framer or Framer()
    found: list[bytes] = []
    for piece in pieces:
        framer.feed(piece)
        found += framer.frames()
    return found


@st.composite
def cut_streams(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    """Messages, and their stream cut anywhere."""
    messages = [message(content) for content in draw(st.lists(st.binary(max_size=80), max_size=6))]
    stream = b"".join(messages)
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    ends = [*cuts, len(stream)]
    return messages, [stream[start:end] for start, end in zip([0, *cuts], ends, strict=True)]


@given(cut_streams())
def test_any_cut_of_a_stream_gives_the_same_messages(case: tuple[list[bytes], list[bytes]]) -> None:
    messages, pieces = case
    framer = Framer()
    assert framed(pieces, framer) == messages
    assert framer.is_between_messages


def test_octets_that_come_one_by_one_give_the_messages() -> None:
    messages = [message(b"one"), message(b""), message(b"three" * 100)]
    stream = b"".join(messages)
    assert framed([stream[at : at + 1] for at in range(len(stream))]) == messages


@given(st.lists(st.binary(max_size=64), max_size=20))
def test_any_octets_are_cut_or_malformed(pieces: list[bytes]) -> None:
    framer = Framer(message_size_max=100)
    found: list[bytes] = []
    try:
        found = framed(pieces, framer)
    except Malformed:
        assert not framer.is_between_messages
    stream = b"".join(pieces)
    assert stream.startswith(b"".join(found))
    assert all(ENVELOPE_SIZE <= len(frame) <= ENVELOPE_SIZE + 100 for frame in found)


def test_a_message_that_comes_alone_is_given_out_without_a_copy() -> None:
    whole = message(b"x" * 300)
    framer = Framer()
    framer.feed(whole)
    (frame,) = framer.frames()
    assert frame is whole


def test_feeding_twice_before_cutting_loses_nothing() -> None:
    framer = Framer()
    framer.feed(message(b"one")[:9])
    framer.feed(message(b"one")[9:] + message(b"two"))
    assert framer.frames() == [message(b"one"), message(b"two")]
    assert framer.frames() == []


def test_a_stream_is_between_messages_only_where_no_octet_waits() -> None:
    framer = Framer()
    states = [framer.is_between_messages]
    for piece in (message(b"one")[:5], message(b"one")[5:]):
        framer.feed(piece)
        states.append(framer.is_between_messages)
        framer.frames()
        states.append(framer.is_between_messages)
    assert states == [True, False, False, False, True]


def test_a_message_of_the_greatest_size_is_cut_and_one_octet_more_is_refused() -> None:
    greatest = message(bytes(MESSAGE_SIZE_MAX))
    assert framed([greatest[:70_000], greatest[70_000:]]) == [greatest]
    with pytest.raises(MessageTooLong):
        framed([message(b"", announced=MESSAGE_SIZE_MAX + 1)])


def test_an_announcement_over_the_limit_tells_whom_to_refuse() -> None:
    framer = Framer(message_size_max=4_096)
    framer.feed(message(b"begun", request_id=0xFFFFFFFE, announced=300_000_000))
    with pytest.raises(Malformed) as refused:
        framer.frames()
    assert isinstance(refused.value, MessageTooLong)
    assert refused.value.envelope.request_id == 0xFFFFFFFE
    assert refused.value.envelope.message_size == 300_000_000
    assert refused.value.code is ResponseCode.PROTOCOL_ERROR


def test_messages_before_one_that_is_too_long_are_given_first() -> None:
    framer = Framer(message_size_max=4_096)
    framer.feed(message(b"one") + message(b"", announced=5_000))
    assert framer.frames() == [message(b"one")]
    with pytest.raises(MessageTooLong):
        framer.frames()


def test_the_envelope_of_an_unfinished_message_is_known_once_it_has_come() -> None:
    def pending(octets: bytes) -> int | None:
        framer = Framer(message_size_max=4_096)
        framer.feed(octets)
        framer.frames()
        envelope = framer.pending_envelope
        return None if envelope is None else envelope.request_id

    begun = message(b"begun", request_id=8)
    assert pending(message(b"whole")) is None
    for size in range(len(begun)):
        assert pending(message(b"whole") + begun[:size]) == pending(begun[:size]) == (8 if size >= 20 else None)
    assert pending(message(b"whole") + message(b"", request_id=9, announced=5_000)) == 9


def test_nothing_is_given_or_kept_behind_a_refused_announcement() -> None:
    framer = Framer(message_size_max=4_096)
    framer.feed(message(b"", announced=5_000))
    for _ in range(3):
        with pytest.raises(MessageTooLong):
            framer.frames()
        framer.feed(message(b"one") * 1_000)
    assert len(framer._buffer) == ENVELOPE_SIZE


def test_an_announcement_reserves_no_memory() -> None:
    framer = Framer(message_size_max=1 << 30)
    tracemalloc.start()
    try:
        framer.feed(message(b"a little", announced=1 << 30))
        assert framer.frames() == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000


def test_the_cost_of_octets_that_come_one_by_one_grows_with_their_number_alone() -> None:
    def seconds(size: int) -> float:
        pieces = [bytes((octet,)) for octet in message(bytes(size))]
        begun = process_time()
        assert len(framed(pieces)) == 1
        return process_time() - begun

    short = min(seconds(5_000) for _ in range(3))
    assert min(seconds(200_000) for _ in range(2)) < 40 * short * 8, (
        "40 times the octets: far more than 40 times the time"
    )


def test_every_exchange_is_split_as_it_was_seen_on_the_wire() -> None:
    messages_run = datagrams_run = 0
    for exchange in vectors()["udpExchanges"]:
        for direction in ("sent", "received"):
            seen = [bytes.fromhex(datagram["hex"]) for datagram in exchange[direction]]
            whole = seen[0][:2] + bytes((seen[0][2] & ~TRUNCATED,)) + seen[0][3:ENVELOPE_SIZE]
            whole += b"".join(datagram[ENVELOPE_SIZE:] for datagram in seen)
            assert datagrams(whole, truncated=bool(seen[0][2] & TRUNCATED)) == seen
            messages_run += 1
            datagrams_run += len(seen)
    assert (messages_run, datagrams_run) == (6, 11)


@pytest.mark.parametrize(
    ("size", "count"),
    [(0, 1), (FRAGMENT_SIZE, 1), (FRAGMENT_SIZE + 1, 2), (2 * FRAGMENT_SIZE, 2), (2 * FRAGMENT_SIZE + 1, 3)],
)
def test_a_message_is_cut_in_pieces_of_492_octets(size: int, count: int) -> None:
    whole = message(bytes(range(256)) * 8)[: ENVELOPE_SIZE + size]
    found = datagrams(whole)
    assert len(found) == count
    assert all(len(datagram) <= DATAGRAM_SIZE_MAX for datagram in found)
    assert b"".join(datagram[ENVELOPE_SIZE:] for datagram in found) == whole[ENVELOPE_SIZE:]
    envelopes = [Envelope.read(datagram) for datagram in found]
    assert [envelope.sequence for envelope in envelopes] == list(range(count))
    assert [envelope.flags for envelope in envelopes] == [TRUNCATED if count > 1 else 0] * count


def test_a_short_reply_to_a_request_in_pieces_says_that_it_is_a_piece() -> None:
    whole = message(b"short")
    assert datagrams(whole) == [whole]
    (found,) = datagrams(whole, truncated=True)
    assert Envelope.read(found).flags == TRUNCATED
    assert found[ENVELOPE_SIZE:] == b"short"
    (empty,) = datagrams(message(b""), truncated=True)
    assert Envelope.read(empty).flags == TRUNCATED


@given(st.binary(max_size=80), st.booleans())
def test_data_is_whole_just_where_feeding_it_gives_it_alone(octets: bytes, announced: bool) -> None:
    if announced and len(octets) >= 20:
        octets = octets[:16] + (len(octets) - 20).to_bytes(4, "big") + octets[20:]
    framer, fed = Framer(64), Framer(64)
    whole = framer.is_whole(octets)
    fed.feed(octets)
    try:
        frames = fed.frames()
    except MessageTooLong:
        assert not whole
        return
    assert whole == (frames == [octets] and fed.is_between_messages)


def test_nothing_is_whole_behind_the_start_of_a_message() -> None:
    framer = Framer(64)
    framer.feed(b"\2\13\2\13")
    assert not framer.is_whole(bytes(20))
