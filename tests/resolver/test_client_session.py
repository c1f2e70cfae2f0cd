"""Sessions of the client: proven once, every message counted and MACed, and nothing without a MAC believed."""

import asyncio
from typing import Any

import pytest

from protocol import codec
from protocol.codec import Message
from protocol.codes import ENCRYPTED, OpCode
from protocol.responses import ChallengeResponse, CreateResponse, ErrorResponse, SessionSetupResponse
from protocol.trust.keys import public_of
from resolver.client import NoAnswer
from resolver.client_admin import Client
from resolver.client_errors import NotProven, SessionLost
from resolver.client_session import Mode
from tests.support.toy_clients import DONE, HIDDEN, RSA, SERVER, URL, delete, heard_while
from tests.support.toy_nodes import NONCE, ToySession, bare, refusing, reply, signed_by


def test_a_session_is_proven_once_and_every_message_has_its_mac() -> None:
    session = ToySession()

    async def work(found: Client) -> None:
        await delete(found)
        await delete(found)
        await found.calls.end_session()

    says = session.saying
    _, heard = heard_while(
        work,
        session.set_up,
        says(ChallengeResponse(nonce=NONCE), 402),
        says(),
        says(),
        says(),
        identity=RSA,
        session=True,
    )
    opcodes = [session.read(octets).header.opcode for octets in heard]
    assert opcodes == [OpCode.SESSION_SETUP, 101, 200, 101, OpCode.SESSION_TERMINATE]
    from protocol.trust.credential import Credential
    from protocol.trust.signature import mac_is_valid

    counters = []
    for octets in heard[1:]:
        message = session.read(octets)
        credential = Credential.read(message.credential)
        assert credential is not None
        assert mac_is_valid(credential, session.key.key, message.envelope, message.signed_part)
        assert message.envelope.session_id == session.number
        counters.append(credential.counter)
    assert counters == [1, 2, 3, 4]


def test_values_that_are_not_for_everybody_travel_encrypted() -> None:
    session = ToySession()
    made = session.saying(CreateResponse(handle=b"88.100/A"))

    async def work(found: Client) -> None:
        await found.create(b"88.100/A", [URL])
        await found.create(b"88.100/A", [URL, HIDDEN])
        await found.modify(b"88.100/A", [HIDDEN])

    _, heard = heard_while(work, session.set_up, made, made, session.saying(), session=True)
    assert [bool(octets[2] & ENCRYPTED) for octets in heard] == [False, False, True, True]
    assert not any(b"17" in octets[20:] and b"PRICE" in octets for octets in heard)


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"spoil": True}, "not of the session's key"), ({"counter": 1}, "came before")],
)
def test_a_wrong_mac_and_a_counter_that_was_seen_are_not_believed(options: dict[str, Any], reason: str) -> None:
    session = ToySession()

    async def work(found: Client) -> None:
        await delete(found)
        await delete(found)

    with pytest.raises(NotProven, match=reason):
        heard_while(work, session.set_up, session.saying(), session.saying(**options), session=True)


def test_an_answer_without_a_mac_is_not_believed_in_a_session() -> None:
    session = ToySession()
    with pytest.raises(NotProven, match="no MAC"):
        heard_while(delete, session.set_up, bare(DONE, session_id=77), session=True)
    with pytest.raises(NotProven, match="no MAC"):
        heard_while(delete, session.set_up, refusing(100), session=True)


def test_a_session_that_the_server_forgot_is_opened_again_once() -> None:
    first, second = ToySession(1), ToySession(2)
    _, heard = heard_while(delete, first.set_up, refusing(500), second.set_up, second.saying(), session=True)
    assert [Message.read(octets).envelope.session_id for octets in heard] == [0, 1, 0, 2]
    signed = signed_by(SERVER, ErrorResponse(), 500)  # All that a server can prove that knows no session.
    _, heard = heard_while(delete, first.set_up, signed, second.set_up, second.saying(), session=True)
    assert len(heard) == 4
    third = ToySession(3)
    with pytest.raises(SessionLost):
        heard_while(delete, first.set_up, refusing(500), third.set_up, refusing(500), session=True)


@pytest.mark.parametrize("mode", [Mode.CLIENT_KEY, Mode.SERVER_KEY, Mode.HANDLE_KEY])
def test_a_server_that_cannot_do_a_mode_gets_diffie_hellman(mode: Mode) -> None:
    session = ToySession()
    _, heard = heard_while(delete, refusing(501), session.set_up, session.saying(), identity=RSA, session=mode)
    modes = [int.from_bytes(Message.read(octets).body[:2], "big") for octets in heard[:2]]
    assert modes == [{Mode.CLIENT_KEY: 1, Mode.SERVER_KEY: 2, Mode.HANDLE_KEY: 3}[mode], 4]


def test_a_set_up_is_held_against_the_servers_key_where_it_is_known() -> None:
    session = ToySession()
    with pytest.raises(NotProven, match="did not sign"):
        heard_while(delete, session.set_up, session.saying(), session=True, keys=(public_of(SERVER),))


def test_a_servers_half_that_gives_the_secret_away_opens_no_session() -> None:
    from dataclasses import replace

    def weak(octets: bytes) -> bytes:
        asked = Message.read(octets)
        good = codec.read_response(Message.read(ToySession().set_up(octets)))[1]
        assert isinstance(good, SessionSetupResponse)
        y_at = 4 + 4 + 10 + 2 + 4
        data = good.data[:y_at] + b"\0" * 256 + b"\1" + good.data[y_at + 257 :]
        return reply(asked, replace(good, data=data), session_id=5).to_bytes()

    with pytest.raises(NoAnswer, match="cannot be used"):
        heard_while(delete, weak, session=True)


def test_many_tasks_in_one_session_take_turns_until_it_is_proven() -> None:
    session = ToySession()
    challenge = session.saying(ChallengeResponse(nonce=NONCE), 402)

    async def work(found: Client) -> None:
        await asyncio.gather(*[delete(found) for _ in range(8)])

    _, heard = heard_while(
        work, session.set_up, challenge, *[session.saying() for _ in range(8)], identity=RSA, session=True
    )
    opcodes = [session.read(octets).header.opcode for octets in heard]
    assert opcodes[:3] == [400, 101, 200]
    assert opcodes[3:] == [101] * 7
