"""Replies to what is wrong: they carry what was read of the question, or are silence (behaviours 24 and 35, mended)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import Message, read_response
from protocol.codes import ENCRYPTED, OpCode
from protocol.envelope import Envelope
from protocol.operations import OPERATIONS, Interface
from protocol.responses import ChallengeResponse, ErrorResponse
from protocol.version import Version
from tests.support.engines import NOW, Answering, asking, seeded, value
from tests.support.vectors import octets, vectors


@pytest.fixture(scope="module")
def node() -> Answering:
    return Answering(seeded({b"88.100/X": [value(1)], b"88.100/P": [value(1, permissions=12)]}))


GOOD = asking(b"88.100/X")


def with_header(**changes: int) -> bytes:
    return replace(GOOD, header=replace(GOOD.header, **changes)).to_bytes()


def with_envelope(**changes: object) -> bytes:
    return replace(GOOD, envelope=replace(GOOD.envelope, **changes)).to_bytes()  # type: ignore[arg-type]


def refused(node: Answering, asked: bytes, *, admin: bool = True) -> tuple[Message, bytes]:
    reply = node.message(asked, admin=admin)
    _, body = read_response(reply)
    assert isinstance(body, ErrorResponse)
    return reply, body.message


def test_an_unknown_opcode_is_5_with_the_questions_ids(node: Answering) -> None:
    asked = replace(
        GOOD, envelope=replace(GOOD.envelope, request_id=0x01020304), header=replace(GOOD.header, opcode=77)
    )
    reply, _ = refused(node, asked.to_bytes())
    assert (reply.header.code, reply.header.opcode) == (5, 77)
    assert (reply.envelope.request_id, reply.envelope.session_id) == (0x01020304, 0)


def test_opcode_0_is_4(node: Answering) -> None:
    reply, text = refused(node, with_header(opcode=0))
    assert (reply.header.code, text) == (4, b"Unknown opCode in message: 0")


@pytest.mark.parametrize("code", [1, 2, 100, 402, 4711])
def test_a_response_sent_as_a_request_is_dropped(node: Answering, code: int) -> None:
    assert node.octets(with_header(code=code)) is None


@pytest.mark.parametrize("size", range(20))
def test_less_than_an_envelope_is_dropped(node: Answering, size: int) -> None:
    assert node.octets(GOOD.to_bytes()[:size]) is None


@pytest.mark.parametrize("size", range(20, len(GOOD.to_bytes())))
def test_a_message_that_was_cut_is_4_and_not_padded(node: Answering, size: int) -> None:
    reply, _ = refused(node, GOOD.to_bytes()[:size])
    assert reply.header.code == 4
    assert reply.envelope.request_id == 7


@pytest.mark.parametrize("size", [0, 23, 51, 53, 300_000, 2**31, 2**32 - 1])
def test_a_length_that_disagrees_is_4(node: Answering, size: int) -> None:
    asked = GOOD.to_bytes()
    reply, text = refused(node, asked[:16] + size.to_bytes(4, "big") + asked[20:])
    assert (reply.header.code, text) == (4, b"Invalid message length")


def test_a_message_shorter_than_a_header_is_4(node: Answering) -> None:
    asked = GOOD.to_bytes()
    reply, _ = refused(node, asked[:16] + (23).to_bytes(4, "big") + asked[20:43])
    assert (reply.header.code, reply.header.opcode) == (4, 0)


@pytest.mark.parametrize("size", [0, 3, 25, 1000, 2**31, 2**32 - 1])
def test_a_body_length_that_does_not_fit_is_4(node: Answering, size: int) -> None:
    plain = bytearray(GOOD.to_bytes())
    plain[40:44] = size.to_bytes(4, "big")
    assert refused(node, bytes(plain))[0].header.code == 4


@pytest.mark.parametrize("handle_size", [2**31, 2**32 - 1, 200, 13])
def test_a_handle_length_that_does_not_fit_is_4(node: Answering, handle_size: int) -> None:
    plain = bytearray(GOOD.to_bytes())
    plain[44:48] = handle_size.to_bytes(4, "big")
    assert refused(node, bytes(plain))[0].header.code == 4


def test_a_refusal_is_written_in_the_negotiated_version(node: Answering) -> None:
    asked = asking(b"88.100/X", version=Version(2, 6)).to_bytes()
    reply, _ = refused(node, asked[:-1])
    assert (reply.envelope.version, reply.envelope.suggested) == ((2, 6), (2, 11))


def test_encrypted_without_a_session_is_501_and_with_an_unknown_one_500(node: Answering) -> None:
    assert refused(node, with_envelope(flags=ENCRYPTED))[0].header.code == 501
    reply, _ = refused(node, with_envelope(flags=ENCRYPTED, session_id=9))
    assert (reply.header.code, reply.envelope.session_id) == (500, 9)


def test_an_unknown_session_is_500(node: Answering) -> None:
    reply, text = refused(node, with_envelope(session_id=9))
    assert (reply.header.code, reply.envelope.session_id) == (500, 9)
    assert text == b"Invalid session id or session time out. Please try again."


def test_a_challenge_is_well_formed_and_is_answered_once() -> None:
    node = Answering(seeded({b"88.100/P": [value(1, permissions=12)]}), random_octets=lambda size: b"\x11" * size)
    reply = node.message(asking(b"88.100/P", flags=0))
    digest, body = read_response(reply)
    assert reply.header.code == 402
    assert body == ChallengeResponse(nonce=b"\x11" * 16)
    assert digest is not None
    number = reply.envelope.session_id
    assert number > 0
    answer = bytearray(octets("resolve.restricted.answer"))
    answer[4:8] = reply.envelope.session_id.to_bytes(4, "big")
    refusal, _ = refused(node, bytes(answer))
    assert (refusal.header.code, refusal.envelope.session_id) == (400, 0)  # Nobody administers that record.
    refusal, _ = refused(node, bytes(answer))
    assert (refusal.header.code, refusal.envelope.session_id) == (405, number)


def test_an_admin_request_to_a_query_interface_is_refused_as_seen_but_with_its_own_ids(node: Answering) -> None:
    exchange = vectors()["udpExchanges"][2]
    assert exchange["name"] == "admin-request-to-query-only-udp-interface"
    asked, seen = (bytes.fromhex(exchange[way][0]["hex"]) for way in ("sent", "received"))
    reply, seen_reply = node.message(asked, admin=False), Message.read(seen)
    assert reply.body == seen_reply.body
    assert replace(reply.header, expiration=0) == replace(seen_reply.header, expiration=0)
    assert (reply.envelope.request_id, reply.envelope.version) == (Envelope.read(asked).request_id, (2, 11))


@pytest.mark.parametrize("opcode", [row.opcode for row in OPERATIONS.values() if row.interface is Interface.ADMIN])
def test_every_admin_operation_is_kept_off_query_interfaces(node: Answering, opcode: OpCode) -> None:
    reply, text = refused(node, with_header(opcode=opcode), admin=False)
    assert (reply.header.code, text) == (4, b"Received admin request on non-admin interface")


def test_an_operation_that_nobody_knows_is_5(node: Answering) -> None:
    reply, _ = refused(node, with_header(opcode=106))
    assert reply.header.code == 5


def test_the_next_transaction_number_is_5_with_the_text_that_was_seen(node: Answering) -> None:
    reply, text = refused(node, replace(GOOD, header=replace(GOOD.header, opcode=1000)).to_bytes())
    assert (reply.header.code, text) == (5, b"Next txn id no longer supported; upgrade required")


@given(st.binary(max_size=200))
def test_nothing_makes_it_raise(octets: bytes) -> None:
    assert_sound(octets)


@given(st.lists(st.tuples(st.integers(0, 71), st.integers(0, 255)), max_size=8))
def test_no_changed_octets_of_a_good_question_make_it_raise(changes: list[tuple[int, int]]) -> None:
    asked = bytearray(GOOD.to_bytes())
    for position, octet in changes:
        asked[position % len(asked)] = octet
    assert_sound(bytes(asked))


_NODE = Answering(seeded({b"88.100/X": [value(1)], b"88.100/P": [value(1, permissions=12)]}))


def assert_sound(asked: bytes) -> None:
    """The reply is silence or a readable message that carries the question's ids; nothing was a fault."""
    said = _NODE.octets(asked, now_s=NOW)
    if said is None:
        return
    reply = Message.read(said)
    read_response(reply)
    assert reply.envelope.request_id == Envelope.read(asked).request_id
    assert reply.header.code not in (0, 2)  # 2 would be a fault of ours.
