"""What a stranger, or an administrator who is none, may try: each ends in a refusal, and nothing is changed."""

import logging
from dataclasses import replace
from typing import cast

import pytest

from protocol import codec
from protocol.codec import Message
from protocol.codes import DEFAULT_REQUEST_FLAGS, ENCRYPTED, PUBLIC_ONLY, OpCode, ResponseCode
from protocol.requests import Body, ChallengeAnswer, HandleRequest, ResolutionRequest, ValuesRequest
from protocol.responses import ChallengeResponse, ResolutionResponse
from protocol.trust.challenge import (
    BARE_MD5,
    PBKDF2_HMAC_SHA1,
    PublicKeyAnswer,
    challenge_input,
    public_key_answer,
    request_digest,
    secret_key_answer,
)
from protocol.trust.keys import PrivateKey, generate_rsa, signature
from protocol.trust.signature import MacForm
from protocol.value import HandleValue, Reference
from protocol.version import Version
from resolver.challenges import CHALLENGES, UDP_CHALLENGES
from resolver.failures import DELAY_FIRST_S, DELAY_MAX_S
from tests.support.engines import NOW, Answering, seeded, value
from tests.support.trust_vectors import ADMIN, key_seen, prefix_record
from tests.support.vectors import vectors

NAME = b"88.100/X"
RSA, SECRET = Reference(300, ADMIN), Reference(302, ADMIN)
OWNER = HandleValue(index=100, type=b"HS_ADMIN", data=bytes.fromhex("07f30000000b302e4e412f38382e313030000000c8"))
WORD = vectors()["keys"]["adminSecretKeyText"].encode()
RESTRICTED = DEFAULT_REQUEST_FLAGS & ~PUBLIC_ONLY


def admin_key() -> PrivateKey:
    return key_seen("adminRsaPrivatePkcs8Hex")


@pytest.fixture
def node() -> Answering:
    records = {ADMIN: prefix_record(), NAME: [value(1), value(2, permissions=12), OWNER], b"0.NA/77": [value(1)]}
    return Answering(seeded(records, homed=(ADMIN, b"0.NA/77")))


def asking(body: Body, opcode: int, *, flags: int = DEFAULT_REQUEST_FLAGS, session_id: int = 0) -> Message:
    return codec.request(body, opcode=opcode, request_id=7, flags=flags, expiration=NOW + 60, session_id=session_id)


DELETE = asking(HandleRequest(handle=NAME), OpCode.DELETE_HANDLE)


def proof(challenge: Message, asked: Message, key: PrivateKey) -> bytes:
    body = cast(ChallengeResponse, codec.read_response(challenge)[1])
    digest = request_digest(challenge.envelope.version, asked.signed_part)
    return public_key_answer(key, challenge.envelope.version, challenge_input(body.nonce, digest))


def answering(challenge: Message, answer: bytes, who: Reference = RSA, kind: bytes = b"HS_PUBKEY") -> Message:
    body = ChallengeAnswer(type=kind, key=who, answer=answer)
    return asking(body, OpCode.RESPONSE_TO_CHALLENGE, session_id=challenge.envelope.session_id)


def stands(node: Answering, name: bytes = NAME) -> bool:
    with node.store.view() as view:
        return view.get(name) is not None


def code(reply: Message) -> int:
    return reply.header.code


def test_the_right_answer_is_taken_once(node: Answering) -> None:
    challenge = node.message(DELETE)
    answer = answering(challenge, proof(challenge, DELETE, admin_key()))
    assert code(node.message(answer)) == ResponseCode.SUCCESS
    assert code(node.message(answer)) == ResponseCode.AUTHEN_TIMEOUT


def test_the_answer_to_one_challenge_is_none_to_another(node: Answering) -> None:
    first, second = node.message(DELETE), node.message(DELETE)
    crossed = answering(second, proof(first, DELETE, admin_key()))
    assert code(node.message(crossed)) == ResponseCode.AUTHENTICATION_FAILED
    assert stands(node)


def test_an_answer_that_comes_too_late_is_none(node: Answering) -> None:
    challenge = node.message(DELETE)
    node.clock.advance(61)
    assert (
        code(node.message(answering(challenge, proof(challenge, DELETE, admin_key())))) == ResponseCode.AUTHEN_TIMEOUT
    )
    assert stands(node)


def test_the_digest_of_another_request_is_no_proof(node: Answering) -> None:
    other = asking(HandleRequest(handle=b"88.100/Y"), OpCode.DELETE_HANDLE)
    challenge = node.message(DELETE)
    said = node.message(answering(challenge, proof(challenge, other, admin_key())))
    assert code(said) == ResponseCode.AUTHENTICATION_FAILED
    assert stands(node)


def test_another_key_of_the_same_handle_is_no_proof_of_this_one(
    node: Answering, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    challenge = node.message(DELETE)
    dsa = proof(challenge, DELETE, key_seen("adminDsaPrivatePkcs8Hex"))
    assert code(node.message(answering(challenge, dsa))) == ResponseCode.AUTHENTICATION_FAILED
    assert "a proof of 300" in caplog.text
    assert stands(node)


def test_a_strangers_key_is_not_even_looked_at(node: Answering) -> None:
    challenge = node.message(DELETE)
    stranger = Reference(300, b"88.100/NOBODY")
    said = node.message(answering(challenge, proof(challenge, DELETE, generate_rsa(2_048)), stranger))
    assert code(said) == ResponseCode.INVALID_ADMIN
    assert stands(node)


def test_any_key_is_no_identity_outside_of_sessions(node: Answering) -> None:
    challenge = node.message(DELETE)
    said = node.message(answering(challenge, proof(challenge, DELETE, admin_key()), Reference(0, ADMIN)))
    assert code(said) == ResponseCode.INVALID_ADMIN
    assert stands(node)


@pytest.mark.parametrize("answer", [b"", b"\x22", bytes(16), b"\x01" + bytes(16), b"\x00\x00\x00\x04SHA1"])
@pytest.mark.parametrize(("who", "kind"), [(RSA, b"HS_PUBKEY"), (SECRET, b"HS_SECKEY"), (RSA, b"HS_SECKEY")])
def test_octets_that_prove_nothing(node: Answering, who: Reference, kind: bytes, answer: bytes) -> None:
    said = node.message(answering(node.message(DELETE), answer, who, kind))
    assert code(said) == ResponseCode.AUTHENTICATION_FAILED
    assert stands(node)


@pytest.mark.parametrize("minor", [1, 6, 7, 11])
@pytest.mark.parametrize("form", [BARE_MD5, *MacForm, PBKDF2_HMAC_SHA1])
def test_a_secret_is_proven_in_all_six_forms_but_by_md5_only_where_nothing_better_was_asked_for(
    node: Answering, minor: int, form: int
) -> None:
    version = Version(2, minor)
    asked = replace(DELETE, envelope=replace(DELETE.envelope, version=version, suggested=version))
    challenge = node.message(asked)
    body = cast(ChallengeResponse, codec.read_response(challenge)[1])
    data = challenge_input(body.nonce, request_digest(version, asked.signed_part))
    said = node.message(answering(challenge, secret_key_answer(WORD, form, data, salt=bytes(16)), SECRET, b"HS_SECKEY"))
    is_weak = minor >= 7 and form in (BARE_MD5, MacForm.MD5)
    assert code(said) == (ResponseCode.AUTHENTICATION_FAILED if is_weak else ResponseCode.SUCCESS)
    assert stands(node) == is_weak


@pytest.mark.parametrize(
    ("key", "minor", "digest", "is_weak"),
    [
        ("adminRsaPrivatePkcs8Hex", 11, "MD5", True),
        ("adminRsaPrivatePkcs8Hex", 7, "SHA1", False),
        ("adminRsaPrivatePkcs8Hex", 6, "SHA1", False),
        ("adminRsaPrivatePkcs8Hex", 6, "MD5", True),
        ("adminRsaPrivatePkcs8Hex", 2, "SHA-256", False),
        ("adminDsaPrivatePkcs8Hex", 11, "SHA1", False),
    ],
)
def test_a_key_is_proven_with_each_digest_in_service_but_not_with_md5(
    node: Answering, key: str, minor: int, digest: str, is_weak: bool
) -> None:
    version, who = Version(2, minor), RSA if "Rsa" in key else Reference(301, ADMIN)
    asked = asking(ResolutionRequest(handle=NAME, indexes=(2,)), OpCode.RESOLUTION, flags=RESTRICTED)
    asked = replace(asked, envelope=replace(asked.envelope, version=version, suggested=version))
    challenge = node.message(asked)
    body = cast(ChallengeResponse, codec.read_response(challenge)[1])
    data = challenge_input(body.nonce, request_digest(version, asked.signed_part))
    answer = PublicKeyAnswer(digest.encode(), signature(key_seen(key), digest, data)).to_bytes()
    said = node.message(answering(challenge, answer, who))
    assert code(said) == (ResponseCode.AUTHENTICATION_FAILED if is_weak else ResponseCode.SUCCESS)


def test_an_unknown_kind_of_proof(node: Answering) -> None:
    assert code(node.message(answering(node.message(DELETE), b"", RSA, b"HS_WORD"))) == ResponseCode.INVALID_CREDENTIAL


def test_encrypted_without_a_session(node: Answering) -> None:
    sealed = bytearray(DELETE.to_bytes())
    sealed[2] |= ENCRYPTED
    assert code(node.message(bytes(sealed))) == ResponseCode.SESSION_FAILED


def test_administration_on_a_query_interface(node: Answering) -> None:
    assert code(node.message(DELETE, admin=False)) == ResponseCode.PROTOCOL_ERROR


def test_a_challenge_of_an_admin_interface_is_not_answered_on_another(node: Answering) -> None:
    challenge = node.message(DELETE)
    answer = answering(challenge, proof(challenge, DELETE, admin_key()))
    assert code(node.message(answer, admin=False)) == ResponseCode.PROTOCOL_ERROR
    assert stands(node)


def test_nothing_is_made_under_a_prefix_that_is_not_homed_or_is_anothers(node: Answering) -> None:
    values = (value(1),)
    elsewhere = asking(ValuesRequest(handle=b"66.6/X", values=values), OpCode.CREATE_HANDLE)
    assert code(node.message(elsewhere)) == ResponseCode.SERVER_NOT_RESP
    for name in (b"77/X", b"0.NA/77.1"):
        asked = asking(ValuesRequest(handle=name, values=values), OpCode.CREATE_HANDLE)
        challenge = node.message(asked)
        said = node.message(answering(challenge, proof(challenge, asked, admin_key())))
        assert code(said) == ResponseCode.INVALID_ADMIN
        assert not stands(node, name)


SECRET_QUESTIONS = [
    ResolutionRequest(handle=ADMIN),
    ResolutionRequest(handle=ADMIN, types=(b"HS_SECKEY",)),
    ResolutionRequest(handle=ADMIN, types=(b"hs_seckey.", b"HS_PUBKEY")),
    ResolutionRequest(handle=ADMIN, indexes=(302, 300)),
]


@pytest.mark.parametrize("question", SECRET_QUESTIONS)
@pytest.mark.parametrize("more", [0, 0x40000000, 0x80000000, 0x00800000, 0x20000000])
def test_no_question_of_a_stranger_shows_a_secret(node: Answering, question: ResolutionRequest, more: int) -> None:
    for flags in (DEFAULT_REQUEST_FLAGS | more, RESTRICTED | more):
        said = node.message(asking(question, OpCode.RESOLUTION, flags=flags))
        assert WORD not in said.to_bytes()
        _, body = codec.read_response(said)
        if isinstance(body, ResolutionResponse):
            assert all(found.type != b"HS_SECKEY" for found in body.values)


def test_lists_and_dumps_are_for_those_who_may(node: Answering) -> None:
    for opcode in (OpCode.LIST_HANDLES, OpCode.LIST_HOMED_NAS):
        asked = asking(HandleRequest(handle=b"0.NA/77"), opcode)
        challenge = node.message(asked)
        said = node.message(answering(challenge, proof(challenge, asked, admin_key())))
        assert code(said) == ResponseCode.INVALID_ADMIN


def test_guessing_a_secret_takes_ever_longer(node: Answering) -> None:
    import time

    def failing() -> float:
        challenge = node.message(DELETE)
        wrong = secret_key_answer(b"wrong", 2, b"")
        started = time.monotonic()
        assert code(node.message(answering(challenge, wrong, SECRET, b"HS_SECKEY"))) == 403
        return time.monotonic() - started

    for _ in range(2):
        failing()
    assert failing() >= DELAY_FIRST_S
    assert failing() >= 2 * DELAY_FIRST_S
    assert DELAY_MAX_S < 60


def test_open_challenges_stay_within_bounds(node: Answering) -> None:
    answers = [node.message(replace(DELETE, envelope=replace(DELETE.envelope, request_id=n))) for n in range(2_100)]
    codes = [code(reply) for reply in answers]
    assert codes[: CHALLENGES.notes_a_source_max] == [402] * CHALLENGES.notes_a_source_max
    assert set(codes[CHALLENGES.notes_a_source_max :]) == {ResponseCode.SERVER_TOO_BUSY}
    assert CHALLENGES.notes_max + UDP_CHALLENGES.notes_max < 100_000
