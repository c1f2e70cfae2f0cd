"""A node that recurses among others on loopback: what it asks and remembers, what it says, and for whom."""

from dataclasses import replace

import pytest

from protocol.codec import Message, read_response
from protocol.codes import (
    AUTHORITATIVE,
    CERTIFY,
    DEFAULT_REQUEST_FLAGS,
    PUBLIC_ONLY,
    RECURSIVE,
    REQUEST_DIGEST,
    OpCode,
    ResponseCode,
)
from protocol.requests import ResolutionRequest, VerifyChallengeRequest
from protocol.responses import ErrorResponse, ResolutionResponse, VerifyResponse
from protocol.trust.challenge import PBKDF2_HMAC_SHA1, challenge_input, request_digest, secret_key_answer
from protocol.trust.keys import public_of
from protocol.value import Reference, value_list
from protocol.version import NEWEST, Version
from resolver.client import Transport, ask, question
from resolver.client_proof import expect_signed
from resolver.counters import Counter
from resolver.recursion import is_cacheable
from resolver.walk.events import Query
from resolver.walk.world import World
from storage.base import PutRecord
from tests.support.engines import NOW, server_key
from tests.support.loops import in_loop
from tests.support.neighbours import asking
from tests.support.three_levels import MAIL, URL, X, world

# Finding


@in_loop
async def test_a_handle_three_levels_down_is_found_by_udp_and_by_tcp() -> None:
    for way in (Transport.UDP, Transport.TCP):
        async with world() as w:
            assert await w.asked(X, way=way) == (URL, MAIL)
            assert w.heard == (1, 1, 1)


@in_loop
async def test_the_second_time_nobody_is_asked() -> None:
    async with world() as w:
        for _ in range(4):
            assert await w.asked(X, way=Transport.UDP) == (URL, MAIL)
        assert w.heard == (1, 1, 1)
        assert w.counted(Counter.CACHE_HITS) == 3


@in_loop
async def test_another_handle_of_a_known_prefix_costs_one_question() -> None:
    async with world() as w:
        await w.asked(X)
        assert await w.asked(b"88.100/none") == ResponseCode.HANDLE_NOT_FOUND
        assert w.heard == (1, 1, 2)


@in_loop
async def test_that_there_is_nothing_is_remembered_for_its_time() -> None:
    async with world() as w:
        for _ in range(3):
            assert await w.asked(b"88.100/none") == ResponseCode.HANDLE_NOT_FOUND
        assert w.heard == (1, 1, 1)
        w.pass_time(61)
        assert await w.asked(b"88.100/none") == ResponseCode.HANDLE_NOT_FOUND
        assert w.heard == (1, 1, 2)


@in_loop
async def test_a_prefix_that_nobody_has_is_not_asked_for_again_and_again() -> None:
    async with world() as w:
        for n in range(3):
            assert await w.asked(b"99.1/%d" % n) == ResponseCode.HANDLE_NOT_FOUND
            assert await w.asked(b"99.1/%d" % n) == ResponseCode.HANDLE_NOT_FOUND
        assert w.root.heard <= 2, "it is asked a second time as an authority"


@in_loop
async def test_values_of_one_type_do_not_stand_for_all() -> None:
    async with world() as w:
        assert await w.asked(X, types=(b"URL",)) == (URL,)
        assert await w.asked(X) == (URL, MAIL)
        assert await w.asked(X, types=(b"email",)) == (MAIL,)
        assert await w.asked(X, indexes=(1,)) == (URL,)
        assert await w.asked(X, types=(b"DESC",)) == ResponseCode.VALUES_NOT_FOUND
        assert w.heard == (1, 1, 2)


@in_loop
async def test_an_answer_lives_no_longer_than_its_values() -> None:
    async with world() as w:
        await w.asked(X)
        w.pass_time(599)
        await w.asked(X)
        assert w.low.heard == 1
        w.pass_time(2)
        changed = replace(URL, data=b"https://changed.example/")
        w.low.answering.store.apply([PutRecord(X, value_list([changed]))], now_ms=NOW * 1000)
        (got,) = await w.asked(X)  # type: ignore[misc]
        assert got.data == changed.data
        assert await w.asked(b"88.100/y") == await w.asked(b"88.100/y") == (replace(URL, ttl=0),)
        assert w.low.heard == 4


# What is said


@in_loop
async def test_the_answer_is_in_the_askers_spelling_version_and_digest() -> None:
    async with world() as w:
        flags = DEFAULT_REQUEST_FLAGS | REQUEST_DIGEST
        for _ in range(2):  # Found, then remembered.
            asked = asking(b"88.100/X", flags=flags, version=Version(2, 6))
            answered = await ask(asked, "127.0.0.1", w.node.ports.number, transport=Transport.TCP)
            digest, body = read_response(answered.message)
            assert answered.message.envelope.version == Version(2, 6)
            assert digest is not None
            assert digest.is_of(asked.signed_part)
            assert isinstance(body, ResolutionResponse)
            assert body.handle == b"88.100/X"
            header = answered.message.header
            assert header.flags & RECURSIVE
            assert not header.flags & AUTHORITATIVE
            assert header.site_serial == 1


@in_loop
async def test_the_octets_of_a_remembered_answer_are_those_of_the_first() -> None:
    async with world() as w:
        replies = []
        for _ in range(3):
            asked = asking(X)
            replies.append((await ask(asked, "127.0.0.1", w.node.ports.number, transport=Transport.UDP)).message)
        assert {reply.body for reply in replies} == {replies[0].body}
        assert {reply.header for reply in replies} == {replies[0].header}


@in_loop
async def test_a_certified_answer_is_signed_by_the_one_who_was_asked_all_the_way() -> None:
    async with world() as w:
        for _ in range(2):
            reply = await w.message(X, flags=DEFAULT_REQUEST_FLAGS | CERTIFY)
            expect_signed(reply, [public_of(server_key())])
            assert read_response(reply)[1] == ResolutionResponse(handle=X, values=(URL, MAIL))
        assert w.heard == (1, 1, 1)


@in_loop
async def test_what_was_not_certified_does_not_stand_for_what_is() -> None:
    async with world() as w:
        await w.asked(X)
        await w.message(X, flags=DEFAULT_REQUEST_FLAGS | CERTIFY)
        assert w.heard == (2, 2, 2)


@in_loop
async def test_a_record_that_is_not_public_is_not_told() -> None:
    async with world() as w:
        for flags in (DEFAULT_REQUEST_FLAGS, RECURSIVE):
            for handle in (X, b"88.100/hidden", X):
                reply = await w.message(handle, flags=flags)
                assert b"secret" not in reply.body
        reply = await w.message(X, flags=RECURSIVE)
        assert reply.header.code == ResponseCode.AUTHEN_ERROR


@in_loop
async def test_who_asks_for_the_primary_is_not_answered_from_memory() -> None:
    async with world() as w:
        for _ in range(2):
            assert await w.asked(X, flags=DEFAULT_REQUEST_FLAGS | AUTHORITATIVE) == (URL, MAIL)
        assert w.low.heard == 2


@in_loop
async def test_a_request_that_was_passed_on_too_often_is_refused() -> None:
    async with world() as w:
        asked = asking(X)
        asked = replace(asked, header=replace(asked.header, recursion_count=10))
        answered = await ask(asked, "127.0.0.1", w.node.ports.number, transport=Transport.TCP)
        assert answered.message.header.code == ResponseCode.RECURSION_COUNT_TOO_HIGH
        assert w.heard == (0, 0, 0)


@in_loop
async def test_questions_on_behalf_of_others_are_counted_and_do_not_ask_to_recurse() -> None:
    seen: list[Message] = []
    async with world() as w:
        service = w.low.answering.service
        engine_answer = service.engine.answer
        service._ready = None

        def answer(octets: bytes, *rest: object, **more: object) -> object:
            seen.append(Message.read(octets))
            return engine_answer(octets, *rest, **more)  # type: ignore[arg-type]

        service.engine.answer = answer  # type: ignore[method-assign, assignment]
        await w.asked(b"88.100/none")
    header = seen[0].header
    assert header.recursion_count == 1
    assert not header.flags & RECURSIVE


@pytest.mark.parametrize(("secret", "fits"), [(b"secret", True), (b"guessed", False)])
def test_a_proof_is_checked_where_its_secret_is_kept(secret: bytes, fits: bool) -> None:
    @in_loop
    async def run() -> None:
        async with world() as w:
            digest = request_digest(NEWEST, b"a request")
            answer = secret_key_answer(secret, PBKDF2_HMAC_SHA1, challenge_input(bytes(16), digest), salt=b"")
            body = VerifyChallengeRequest(key=Reference(2, X), nonce=bytes(16), digest=digest, answer=answer)
            for flags, code in ((DEFAULT_REQUEST_FLAGS, ResponseCode.SUCCESS), (0, ResponseCode.SERVER_NOT_RESP)):
                asked = question(body, opcode=OpCode.VERIFY_CHALLENGE, flags=flags, now_s=NOW)
                reply = (await ask(asked, "127.0.0.1", w.node.ports.number, transport=Transport.TCP)).message
                assert reply.header.code == code
                if code == ResponseCode.SUCCESS:
                    assert read_response(reply)[1] == VerifyResponse(valid=fits)
            assert w.low.heard == 1

    run()


# For whom


@in_loop
async def test_who_is_in_no_network_hears_what_is_kept_here_and_nothing_else() -> None:
    async with world(allow=["192.0.2.0/24"]) as w:
        assert await w.asked(X) == ResponseCode.SERVER_NOT_RESP
        assert await w.asked(b"88.7/own") == (URL,)
        w.node.answering.service.recursing.access._hosts["127.0.0.1"] = True  # type: ignore[union-attr]
        for _ in range(3):
            assert await w.asked(X) == (URL, MAIL)
        w.node.answering.service.recursing.access._hosts["127.0.0.1"] = False  # type: ignore[union-attr]
        for way in (Transport.UDP, Transport.TCP):  # Though it is remembered by now.
            assert await w.asked(X, way=way) == ResponseCode.SERVER_NOT_RESP


@in_loop
async def test_who_does_not_ask_for_it_hears_that_the_prefix_is_elsewhere() -> None:
    async with world() as w:
        await w.asked(X)
        await w.asked(X)
        assert await w.asked(X, flags=PUBLIC_ONLY, way=Transport.UDP) == ResponseCode.SERVER_NOT_RESP


@in_loop
async def test_what_is_kept_here_wins_over_what_others_said() -> None:
    async with world() as w:
        memory = w.node.recursion.memory
        for handle in (b"88.7/own", b"88.7/none", b"0.NA/88.7"):
            kept = memory.remember(handle, 1, [MAIL], indexes=(), types=(), is_certified=False, now_ms=NOW * 1000)
            assert kept is not None
            ready = w.node.answering.service.recursing.ready  # type: ignore[union-attr]
            ready.add(handle, kept, now_ms=NOW * 1000, is_prefetched=False)
        for way in (Transport.UDP, Transport.TCP) * 2:
            assert await w.asked(b"88.7/own", way=way) == (URL,)
            assert await w.asked(b"88.7/none", way=way) == ResponseCode.HANDLE_NOT_FOUND
            assert await w.asked(b"0.NA/88.7", way=way) == ResponseCode.HANDLE_NOT_FOUND


@in_loop
async def test_without_a_root_nobody_is_asked_and_it_is_said() -> None:
    async with world() as w:
        w.node.recursion.world = World()
        reply = await w.message(X)
        assert reply.header.code == ResponseCode.SERVER_NOT_RESP
        _, body = read_response(reply)
        assert isinstance(body, ErrorResponse)
        assert b"[upstream] bootstrap_dir" in body.message
        ended = await w.node.recursion.ended(w.query(X))
        assert ended.is_failure
        assert w.heard == (0, 0, 0)


def test_only_public_questions_that_are_not_for_the_primary_are_answered_from_memory() -> None:
    query = Query(handle=X, body=ResolutionRequest(handle=X), opcode=OpCode.RESOLUTION, flags=PUBLIC_ONLY)
    assert is_cacheable(query)
    assert not is_cacheable(replace(query, flags=0))
    assert not is_cacheable(replace(query, flags=PUBLIC_ONLY | AUTHORITATIVE))
    assert not is_cacheable(replace(query, primary_only=True))
    assert not is_cacheable(replace(query, opcode=OpCode.VERIFY_CHALLENGE))
