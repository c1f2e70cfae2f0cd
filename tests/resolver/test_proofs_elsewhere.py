"""Proofs by keys that are kept elsewhere: whom a stranger may have asked, how long a decision takes, older servers."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest

from protocol import codec
from protocol.administrator import ALL_PERMISSIONS, Administrator, vlist_octets
from protocol.codec import Message
from protocol.codes import OpCode, ResponseCode
from protocol.requests import HandleRequest, KeyExchange, LoginRequest, SessionSetupRequest
from protocol.responses import ChallengeResponse, SessionSetupResponse
from protocol.trust.challenge import PBKDF2_HMAC_SHA1, challenge_input, request_digest, secret_key_answer
from protocol.trust.session import unwrapped_key
from protocol.trust.signature import MacForm
from protocol.value import HandleValue, Reference
from protocol.version import NEWEST, Version
from resolver import authorization, elsewhere
from resolver.config import Config
from resolver.key_exchange import KEY_SIZE
from resolver.peer import Peer
from resolver.walk.events import Ended
from tests.resolver.test_attacks import DELETE, NAME, OWNER, RSA, admin_key, answering, asking, code, proof, stands
from tests.resolver.test_elsewhere import ELSEWHERE, Anywhere, verdict
from tests.support.at_once import heard, peer_at
from tests.support.engines import Answering, seeded, value
from tests.support.loops import in_loop
from tests.support.roots import Telling
from tests.support.trust_vectors import ADMIN, prefix_record
from tests.support.vectors import vectors

GUEST, STRANGER = "192.0.2.7", "198.51.100.7"
FOREIGN, SECRET = Reference(300, ELSEWHERE), Reference(301, ELSEWHERE)
FOREIGN_KEY = value(300, b"HS_PUBKEY", bytes.fromhex(vectors()["keys"]["adminRsaPublicKeyHex"]))
DECISION_S = 0.3
GROUP_OF_SILENT = b"88.100/GROUP"
OTHER = b"88.100/Y"

Among = Callable[..., tuple[Answering, Anywhere]]


def administered_by(who: Reference) -> HandleValue:
    return value(100, b"HS_ADMIN", Administrator(ALL_PERMISSIONS, who.handle, who.index).to_bytes())


@pytest.fixture
def among(monkeypatch: pytest.MonkeyPatch) -> Among:
    """Makes a node that finds what is kept elsewhere in a world which the test tells; guests may have it asked."""
    finder, verify = elsewhere.finder, elsewhere.verify

    def made(others: Anywhere, owner: Reference = RSA) -> tuple[Answering, Anywhere]:
        monkeypatch.setattr(elsewhere, "finder", lambda store, _: finder(store, others))
        monkeypatch.setattr(elsewhere, "verify", lambda _: verify(others))
        silent = vlist_octets([Reference(300, b"0.NA/99.%d" % number) for number in range(20)])
        records = {
            ADMIN: prefix_record(),
            NAME: [value(1), administered_by(owner)],
            OTHER: [value(1), OWNER],
            GROUP_OF_SILENT: [value(200, b"HS_VLIST", silent)],
        }
        config = Config.model_validate({"recursion": {"allow": ["192.0.2.0/24"]}})
        return Answering(seeded(records), config=config), others

    return made


def knowing() -> Anywhere:
    return Anywhere(Telling({ELSEWHERE: (FOREIGN_KEY,)}))


# Who is asked before anything is proven


def set_up(key: Reference) -> Message:
    body = SessionSetupRequest(mode=KeyExchange.KEY_IN_HANDLE, timeout_s=60, key=key)
    return asking(body, OpCode.SESSION_SETUP)


@in_loop
async def test_a_stranger_has_nobody_asked_for_the_key_of_a_session(among: Among) -> None:
    node, others = among(knowing())
    assert code(await heard(node, set_up(FOREIGN), peer_at(STRANGER))) == ResponseCode.SESSION_FAILED
    assert others.asked == []
    assert code(await heard(node, set_up(RSA), peer_at(STRANGER))) == ResponseCode.SUCCESS


@in_loop
async def test_one_who_may_recurse_has_the_key_of_a_session_asked_for(among: Among) -> None:
    node, others = among(knowing())
    reply = await heard(node, set_up(FOREIGN), peer_at(GUEST))
    assert code(reply) == ResponseCode.SUCCESS
    assert [query.handle for query in others.asked] == [ELSEWHERE]
    body = cast(SessionSetupResponse, codec.read_response(reply)[1])
    assert len(unwrapped_key(admin_key(), body.data, NEWEST).key) == KEY_SIZE


async def logged_in(node: Answering, peer: Peer, user: Reference) -> Message:
    asked = asking(LoginRequest(user=user), OpCode.LOGIN_ID_SYSTEM, session_id=0x1A2B)
    challenge = await heard(node, asked, peer)
    assert code(challenge) == ResponseCode.AUTHENTICATION_NEEDED
    return await heard(node, answering(challenge, proof(challenge, asked, admin_key()), user), peer)


@pytest.mark.parametrize(
    ("host", "user", "ended", "asked"),
    [
        (STRANGER, FOREIGN, ResponseCode.AUTHENTICATION_FAILED, []),
        (GUEST, FOREIGN, ResponseCode.SUCCESS, [ELSEWHERE]),
        (STRANGER, RSA, ResponseCode.SUCCESS, []),
    ],
)
@in_loop
async def test_only_one_who_may_recurse_logs_in_by_a_key_that_is_kept_elsewhere(
    among: Among, caplog: pytest.LogCaptureFixture, host: str, user: Reference, ended: int, asked: list[bytes]
) -> None:
    caplog.set_level("INFO")
    node, others = among(knowing())
    peer = peer_at(host)
    assert code(await logged_in(node, peer, user)) == ended
    assert [query.handle for query in others.asked] == asked
    is_in = ended == ResponseCode.SUCCESS
    assert peer.login == (user if is_in else None)
    assert ("a stranger's login as 300" in caplog.text) != is_in


# How long a decision takes


@in_loop
async def test_a_group_of_keys_at_silent_servers_is_given_up_soon_and_holds_up_nobody_else(
    among: Among, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authorization, "DECISION_S", DECISION_S)
    silent = Anywhere(Telling({}), wait_s=30.0)
    node, others = among(silent, Reference(200, GROUP_OF_SILENT))
    challenge = await heard(node, DELETE, peer_at(STRANGER))
    answer = answering(challenge, proof(challenge, DELETE, admin_key()))
    began = time.monotonic()
    slow = asyncio.ensure_future(heard(node, answer, peer_at(STRANGER)))
    await asyncio.wait([slow], timeout=DECISION_S / 10)
    assert others.open == 1
    other = asking(HandleRequest(handle=OTHER), OpCode.DELETE_HANDLE)
    challenge = await heard(node, other, peer_at(GUEST))
    quick = await heard(node, answering(challenge, proof(challenge, other, admin_key())), peer_at(GUEST))
    assert (code(quick), slow.done()) == (ResponseCode.SUCCESS, False)
    assert code(await asyncio.wait_for(slow, 5.0)) == ResponseCode.INVALID_ADMIN
    assert DECISION_S <= time.monotonic() - began < 3.0
    assert others.open == 0
    assert stands(node)


# Servers that know only older forms of an answer


def says(*, valid: bool, version: Version, suggested: Version) -> Ended:
    told = verdict(valid=valid, version=version)
    assert told.reply is not None
    return replace(told, reply=replace(told.reply, envelope=replace(told.reply.envelope, suggested=suggested)))


async def proven(node: Answering, challenge: Message, form: int = PBKDF2_HMAC_SHA1) -> Message:
    """The reply to a proof of the secret, which the server that keeps it judges as the test says."""
    nonce = cast(ChallengeResponse, codec.read_response(challenge)[1]).nonce
    data = challenge_input(nonce, request_digest(challenge.envelope.version, DELETE.signed_part))
    answer = secret_key_answer(b"word", form, data, salt=bytes(16))
    return await heard(node, answering(challenge, answer, SECRET, b"HS_SECKEY"), peer_at(STRANGER))


def is_again(reply: Message, challenge: Message, suggested: Version) -> bool:
    """Whether it is the same challenge once more, for an answer in the form of another version."""
    return (
        code(reply) == ResponseCode.AUTHENTICATION_NEEDED
        and codec.read_response(reply)[1] == codec.read_response(challenge)[1]
        and reply.envelope.session_id == challenge.envelope.session_id
        and reply.envelope.suggested == suggested
    )


@in_loop
async def test_an_old_server_is_asked_again_with_an_answer_in_the_form_that_it_knows(among: Among) -> None:
    old = Version(2, 3)
    node, others = among(knowing(), SECRET)
    others.verdict = says(valid=False, version=old, suggested=old)
    challenge = await heard(node, DELETE, peer_at(STRANGER))
    again = await proven(node, challenge)
    assert is_again(again, challenge, old)
    assert stands(node)
    others.verdict = says(valid=True, version=old, suggested=old)
    assert code(await proven(node, again, MacForm.SHA1)) == ResponseCode.SUCCESS
    assert [query.opcode for query in others.asked if query.handle == ELSEWHERE][-1] == OpCode.VERIFY_CHALLENGE
    assert not stands(node)


@in_loop
async def test_an_answer_is_asked_for_in_two_older_forms_and_no_more(among: Among) -> None:
    node, others = among(knowing(), SECRET)
    reply = challenge = await heard(node, DELETE, peer_at(STRANGER))
    for minor in (6, 4):
        version = Version(2, minor)
        others.verdict = says(valid=False, version=version, suggested=version)
        reply = await proven(node, reply)
        assert is_again(reply, challenge, version)
    others.verdict = says(valid=False, version=Version(2, 2), suggested=Version(2, 2))
    assert code(await proven(node, reply)) == ResponseCode.AUTHENTICATION_FAILED
    assert code(await proven(node, reply)) == ResponseCode.AUTHEN_TIMEOUT
    assert stands(node)


@pytest.mark.parametrize(
    ("version", "suggested", "form"),
    [
        ((2, 3), (0, 0), PBKDF2_HMAC_SHA1),
        ((2, 3), (1, 255), PBKDF2_HMAC_SHA1),
        ((2, 3), (2, 7), PBKDF2_HMAC_SHA1),
        ((2, 3), (2, 11), PBKDF2_HMAC_SHA1),
        ((2, 3), (3, 255), PBKDF2_HMAC_SHA1),
        ((2, 3), (5, 0), PBKDF2_HMAC_SHA1),
        ((2, 7), (2, 3), PBKDF2_HMAC_SHA1),
        ((2, 11), (2, 3), PBKDF2_HMAC_SHA1),
        ((2, 3), (2, 3), MacForm.SHA1),
    ],
)
@in_loop
async def test_no_other_suggestion_of_a_server_is_followed(
    among: Among, version: tuple[int, int], suggested: tuple[int, int], form: int
) -> None:
    node, others = among(knowing(), SECRET)
    others.verdict = says(valid=False, version=Version(*version), suggested=Version(*suggested))
    challenge = await heard(node, DELETE, peer_at(STRANGER))
    assert code(await proven(node, challenge, form)) == ResponseCode.AUTHENTICATION_FAILED
    assert OpCode.VERIFY_CHALLENGE in [query.opcode for query in others.asked]
    assert stands(node)
