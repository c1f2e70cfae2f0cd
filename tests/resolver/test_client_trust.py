"""What the client believes and what it does not: challenges, signatures, MACs, counters, and servers that forget."""

import asyncio
from collections.abc import Callable

import pytest

from protocol import codec
from protocol.codec import Message
from protocol.codes import CERTIFY, DEFAULT_REQUEST_FLAGS
from protocol.errors import Malformed
from protocol.requests import ChallengeAnswer, HandleRequest
from protocol.responses import (
    HandleListResponse,
    ResolutionResponse,
)
from protocol.trust.challenge import BARE_MD5, PBKDF2_HMAC_SHA1, SecretKeyAnswer
from protocol.trust.keys import public_of
from protocol.value import HandleValue
from protocol.version import Version
from resolver import client
from resolver.client import NoAnswer, Transport
from resolver.client_admin import Client
from resolver.client_calls import Calls
from resolver.client_errors import Conflict, Denied, Missing, NotProven, Refused
from resolver.client_exchange import Asking
from tests.support.toy_clients import DONE, FOUND, RSA, SECRET, SERVER, delete, heard_while, private
from tests.support.toy_nodes import bare, challenging, more, refusing, signed_by
from tests.support.toy_servers import toy_server


async def certified(client: Client) -> ResolutionResponse:
    return await client.resolve(b"88.100/A", certified=True)


# Challenges


def test_a_challenge_to_another_request_is_not_answered() -> None:
    with pytest.raises(NotProven, match="another request"):
        heard_while(delete, challenging(of=b"x" * 30), bare(DONE), identity=RSA)


def test_without_an_identity_a_challenge_is_a_refusal() -> None:
    with pytest.raises(Denied) as refused:
        heard_while(delete, challenging())
    assert refused.value.code == 402


def test_an_older_form_is_given_where_the_server_asks_for_it_twice_at_most() -> None:
    forms = [
        challenging(),
        challenging(suggested=Version(2, 3)),
        challenging(suggested=Version(2, 0)),
    ]

    def answers(heard: list[bytes]) -> list[int]:
        bodies = [codec.read_request(Message.read(octets)) for octets in heard[1:]]
        return [SecretKeyAnswer.read(body.answer).form for body in bodies if isinstance(body, ChallengeAnswer)]

    # A challenge that is sent again is one to the stored request: its digest is still that of the request.
    async def run() -> list[bytes]:
        asked: list[bytes] = []

        def first(octets: bytes) -> bytes:
            asked.append(octets)
            return forms[0](octets)

        def again(number: int) -> Callable[[bytes], bytes]:
            def make(octets: bytes) -> bytes:
                made = Message.read(forms[number](asked[0]))
                number_of_answer = Message.read(octets).envelope.request_id
                return _renumbered(made, number_of_answer)

            return make

        async with toy_server(first, again(1), again(2), bare(DONE)) as toy:
            await Client(Calls(Asking(toy.server()), identity=SECRET)).delete(b"88.100/A")
        return toy.heard

    assert answers(asyncio.run(run())) == [PBKDF2_HMAC_SHA1, 2, BARE_MD5]


def _renumbered(message: Message, request_id: int) -> bytes:
    octets = message.to_bytes()
    return octets[:8] + request_id.to_bytes(4, "big") + octets[12:]


def test_a_server_that_challenges_for_ever_is_left() -> None:
    asked: list[bytes] = []

    def again(octets: bytes) -> bytes:
        asked.append(octets)
        return _renumbered(Message.read(challenging()(asked[0])), Message.read(octets).envelope.request_id)

    with pytest.raises(Denied, match="again and again"):
        heard_while(delete, *[again] * 10, identity=SECRET)
    assert len(asked) == 4


def test_the_codes_of_a_server_are_errors_of_their_kind() -> None:
    for code, kind in ((100, Missing), (101, Conflict), (301, Missing), (400, Denied), (403, Denied), (7, Refused)):
        with pytest.raises(kind) as refused:
            heard_while(delete, refusing(code, b"because"))
        assert (refused.value.code, refused.value.told) == (code, "because")


# Signatures


def test_a_signed_answer_is_believed_with_the_key_of_the_server_alone() -> None:
    keys = (public_of(SERVER),)
    told, _ = heard_while(certified, signed_by(SERVER, FOUND), keys=keys)
    assert told == FOUND
    with pytest.raises(NotProven, match="did not sign"):
        heard_while(certified, bare(FOUND), keys=keys)
    with pytest.raises(NotProven, match="not signed with the server's key"):
        heard_while(certified, signed_by(private("admin RSA"), FOUND), keys=keys)
    with pytest.raises(NotProven, match="not known"):
        heard_while(certified, signed_by(SERVER, FOUND))


def test_a_signed_answer_to_another_request_or_of_yesterday_is_not_believed() -> None:
    keys = (public_of(SERVER),)
    other = Message.read(client.resolution(b"88.100/B", now_s=1).to_bytes())
    from protocol.trust.challenge import request_digest

    digest = request_digest(Version(2, 11), other.signed_part)
    with pytest.raises(NotProven, match="another request"):
        heard_while(certified, signed_by(SERVER, FOUND, digest=digest), keys=keys)
    with pytest.raises(NotProven, match="expired"):
        heard_while(certified, signed_by(SERVER, FOUND, expiration=1_000), keys=keys)


def test_a_refusal_of_a_certified_request_is_signed_too_unless_it_says_nothing_of_handles() -> None:
    keys = (public_of(SERVER),)
    from protocol.responses import ErrorResponse

    with pytest.raises(Missing):
        heard_while(certified, signed_by(SERVER, ErrorResponse(), 100), keys=keys)
    with pytest.raises(NotProven):
        heard_while(certified, refusing(100), keys=keys)
    with pytest.raises(Refused) as busy:
        heard_while(certified, refusing(3), keys=keys)
    assert busy.value.code == 3


# Lists, and what is no answer


async def listed(found: Client) -> list[bytes]:
    return [handle async for handle in found.list_handles(b"0.NA/88.100")]


def test_a_list_in_several_messages_is_read_to_its_end() -> None:
    pages = [more(bare(HandleListResponse(handles=(b"88.100/A",)))), bare(HandleListResponse(handles=(b"88.100/B",)))]
    told, _ = heard_while(listed, pages)
    assert told == [b"88.100/A", b"88.100/B"]


def test_a_list_that_breaks_off_is_told_and_a_reader_may_stop_early() -> None:
    page = more(bare(HandleListResponse(handles=(b"88.100/A", b"88.100/B"))))
    with pytest.raises(NoAnswer, match="closed the connection"):
        heard_while(listed, [page])

    async def first(found: Client) -> bytes:
        handles = found.list_handles(b"0.NA/88.100")
        try:
            return await anext(handles)
        finally:
            await handles.aclose()

    assert heard_while(first, [page])[0] == b"88.100/A"


def test_lists_go_over_a_connection_whatever_was_wished() -> None:
    async def run() -> list[bytes]:
        async with toy_server(bare(HandleListResponse(handles=(b"88.100/A",)))) as toy:
            return await listed(Client(Calls(Asking(toy.server(transport=Transport.UDP)))))

    assert asyncio.run(run()) == [b"88.100/A"]


def test_replies_to_other_messages_requests_and_other_bodies_are_no_answers() -> None:
    def other(octets: bytes) -> bytes:
        return _renumbered(Message.read(bare(DONE)(octets)), 5)

    with pytest.raises(NoAnswer, match="another message"):
        heard_while(delete, other)
    with pytest.raises(NoAnswer, match="a request instead"):
        heard_while(delete, lambda octets: octets)
    with pytest.raises(NoAnswer, match="could not read the message: 4 too short"):
        heard_while(delete, lambda octets: _renumbered(Message.read(refusing(4, b"too short")(octets)), 0xFFFFFFFF))

    async def read(found: Client) -> None:
        await found.resolve(b"88.100/A")

    def listing(octets: bytes) -> bytes:
        made = bytearray(bare(HandleListResponse(handles=(b"88.100/A",)))(octets))
        made[20:24] = (105).to_bytes(4, "big")
        return bytes(made)

    with pytest.raises(NoAnswer, match="instead of what it was asked"):
        heard_while(read, listing)


def test_a_request_that_no_server_takes_is_not_sent() -> None:
    big = HandleValue(index=1, type=b"BIN", data=bytes(262_144))

    async def work(found: Client) -> None:
        await found.create(b"88.100/A", [big])

    with pytest.raises(Malformed, match="no server takes more"):
        heard_while(work, bare(DONE))


def test_an_identity_shows_no_secret() -> None:
    assert "secret=" not in repr(SECRET)
    assert "b'secret'" not in repr(SECRET)


def test_what_is_asked_without_certification_is_not_held_against_keys() -> None:
    async def read(found: Client) -> ResolutionResponse:
        return await found.resolve(b"88.100/A")

    told, heard = heard_while(read, bare(FOUND), keys=(public_of(SERVER),))
    assert told == FOUND
    assert not Message.read(heard[0]).header.flags & CERTIFY
    assert Message.read(heard[0]).header.flags == DEFAULT_REQUEST_FLAGS
    assert codec.read_request(Message.read(heard_while(delete, bare(DONE))[1][0])) == HandleRequest(handle=b"88.100/A")
