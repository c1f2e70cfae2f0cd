"""The sector's software at the engine: which codes it hears, what a login opens, and sessions by SM2 keys with SM4."""

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest

from protocol import codec
from protocol.codec import Message
from protocol.codes import CERTIFY, DEFAULT_REQUEST_FLAGS, ENCRYPT, ENCRYPTED, OpCode, ResponseCode
from protocol.errors import DailyLimit, HandleError, PrefixLimit, RegistrationLimit
from protocol.requests import (
    Body,
    ExchangeKeyRequest,
    HandleRequest,
    KeyExchange,
    LoginRequest,
    ResolutionRequest,
    SessionSetupRequest,
)
from protocol.responses import ErrorResponse, ResolutionResponse, SessionSetupResponse
from protocol.trust import gm
from protocol.trust.key_values import public_key_octets, read_public_key
from protocol.trust.keys import public_of, public_pem
from protocol.trust.session import SessionCipher, SessionKey, unwrapped_key, wrapped_key
from protocol.value import HandleValue, Reference
from protocol.version import Version
from resolver.client_session import Mode, Session
from resolver.operations.changing import Delete
from resolver.peer import Peer
from tests.resolver.test_attacks import NAME, OWNER, RESTRICTED, RSA, admin_key, answering, code, proof
from tests.support.engines import NOW, Answering, octets_of, seeded, value
from tests.support.sm2 import OPENSSL, OPENSSL_TEXT
from tests.support.trust_vectors import ADMIN, prefix_record

needs_extra = pytest.mark.skipif(not gm.is_installed(), reason="the optional extra gm is not installed")

SDK = (Version(2, 3), Version(2, 10))
POINTER = (Version(2, 10), Version(2, 11))
PLAIN = (Version(2, 11), Version(2, 11))
SM2, TEXT, OF_RSA = Reference(310, ADMIN), Reference(311, ADMIN), Reference(312, ADMIN)
PRIVATE = value(2, permissions=12)


def made() -> Answering:
    keys = (
        HandleValue(index=310, type=b"HS_PUBKEY", data=public_key_octets(OPENSSL.public_key)),
        HandleValue(index=311, type=b"HS_PUBKEY", data=OPENSSL_TEXT),
        HandleValue(index=312, type=b"HS_PUBKEY", data=public_pem(public_of(admin_key()))),
    )
    return Answering(
        seeded({ADMIN: [*prefix_record(), *keys], NAME: [value(1), PRIVATE, OWNER]}, homed=(ADMIN,)),
    )


class Channel:
    """One connection of a client that writes one version and suggests another."""

    def __init__(self, versions: tuple[Version, Version], node: Answering | None = None) -> None:
        self.node, self.peer = node or made(), Peer("127.0.0.1", admin=True, is_connection=True)
        self.versions = versions

    def octets(self, asked: bytes) -> bytes:
        found = octets_of(self.node.service.answers([asked], peer=lambda _: self.peer, now_s=NOW)[0])
        assert found is not None
        return found

    def asked(self, message: Message) -> Message:
        version, suggested = self.versions
        envelope = replace(message.envelope, version=version, suggested=suggested)
        return Message.read(self.octets(replace(message, envelope=envelope).to_bytes()))

    def asking(self, body: Body, opcode: int, flags: int = DEFAULT_REQUEST_FLAGS) -> Message:
        version, suggested = self.versions
        return codec.request(
            body, opcode=opcode, request_id=7, flags=flags, expiration=NOW + 60, version=version, suggested=suggested
        )

    def login(self, user: Reference = RSA, who: Reference = RSA) -> Message:
        asked = self.asking(LoginRequest(user=user), OpCode.LOGIN_ID_SYSTEM)
        challenge = self.asked(asked)
        assert code(challenge) == ResponseCode.AUTHENTICATION_NEEDED
        return self.asked(answering(challenge, proof(challenge, asked, admin_key()), who))

    def delete(self) -> Message:
        return self.asked(self.asking(HandleRequest(handle=NAME), OpCode.DELETE_HANDLE))

    def read(self) -> Message:
        return self.asked(self.asking(ResolutionRequest(handle=NAME), OpCode.RESOLUTION, RESTRICTED))


# Codes


@pytest.mark.parametrize(
    ("versions", "has_tried", "said"),
    [(SDK, True, 408), (SDK, False, 402), (POINTER, True, 402), (POINTER, False, 402), (PLAIN, False, 402)],
)
def test_who_has_not_logged_in_hears_so_as_its_software_understands_it(
    versions: tuple[Version, Version], has_tried: bool, said: int
) -> None:
    for ask in (Channel.delete, Channel.read):
        channel = Channel(versions)
        if has_tried:
            assert code(channel.login(who=Reference(301, ADMIN))) == ResponseCode.AUTHENTICATION_FAILED
        assert code(ask(channel)) == said


def test_who_logged_in_without_a_session_proves_nothing_again_on_the_connection() -> None:
    channel = Channel(SDK)
    assert code(channel.login()) == ResponseCode.SUCCESS
    found = cast(ResolutionResponse, codec.read_response(channel.read())[1])
    assert PRIVATE.data in [known.data for known in found.values if known.index == PRIVATE.index]
    assert code(channel.delete()) == ResponseCode.SUCCESS
    assert code(Channel(SDK, channel.node).read()) == ResponseCode.HANDLE_NOT_FOUND
    other = Channel(SDK, made())
    assert code(other.read()) == ResponseCode.AUTHENTICATION_NEEDED, "a login is its connection's alone"


def test_a_second_login_counts_in_place_of_the_first() -> None:
    channel = Channel(SDK)
    assert code(channel.login()) == ResponseCode.SUCCESS
    assert code(channel.login(OF_RSA, OF_RSA)) == ResponseCode.SUCCESS
    assert channel.peer.login == OF_RSA
    assert code(channel.delete()) == ResponseCode.INVALID_ADMIN, "this one may do less than the first"


def test_a_key_as_text_logs_in() -> None:
    channel = Channel(POINTER)
    assert code(channel.login(OF_RSA, OF_RSA)) == ResponseCode.SUCCESS


@pytest.mark.parametrize(
    ("versions", "has_tried", "codes"),
    [
        (POINTER, False, (603, 604, 605)),
        (POINTER, True, (603, 604, 605)),
        (PLAIN, True, (603, 604, 605)),
        (SDK, True, (401, 401, 401)),
        (SDK, False, (3, 401, 401)),
        (PLAIN, False, (3, 401, 401)),
        ((Version(2, 1), Version(2, 1)), False, (3, 401, 401)),
    ],
)
def test_a_limit_is_told_in_the_codes_of_the_asker(
    versions: tuple[Version, Version], has_tried: bool, codes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def reached(error: type[HandleError]) -> Callable[..., None]:
        def before(*_: object) -> None:
            raise error("reached", told="enough")

        return before

    channel = Channel(versions)
    channel.peer.has_tried_login = has_tried
    for error, said in zip((DailyLimit, RegistrationLimit, PrefixLimit), codes, strict=True):
        monkeypatch.setattr(Delete, "before", reached(error))
        reply = channel.delete()
        assert (code(reply), reply.header.opcode) == (said, OpCode.DELETE_HANDLE)
        assert codec.read_response(reply)[1] == ErrorResponse(message=b"enough")


# Sessions


def set_up(channel: Channel, key: Reference) -> Message:
    body = SessionSetupRequest(mode=KeyExchange.KEY_IN_HANDLE, timeout_s=60, identity=key, key=key)
    return channel.asked(channel.asking(body, OpCode.SESSION_SETUP))


def sent_key(reply: Message) -> bytes:
    body = codec.read_response(reply)[1]
    assert isinstance(body, SessionSetupResponse)
    return body.data


@needs_extra
@pytest.mark.parametrize("key", [SM2, TEXT])
def test_the_owner_of_an_sm2_key_gets_one_of_sm4_and_both_sides_encrypt_with_it(key: Reference) -> None:
    channel = Channel(POINTER)
    reply = set_up(channel, key)
    assert code(reply) == ResponseCode.SUCCESS
    wrapped = sent_key(reply)
    assert (wrapped[0], len(wrapped)) == (4, 97 + 4 + 16), "C1, C3, C2 of a number and 16 octets"
    found = gm.sm2_unwrapped_key(OPENSSL, wrapped)
    assert found.algorithm == SessionCipher.SM4
    session = Session(reply.envelope.session_id, found, reply.envelope.version, Mode.HANDLE_KEY)
    asked = channel.asking(
        ResolutionRequest(handle=NAME, indexes=(1,)), OpCode.RESOLUTION, DEFAULT_REQUEST_FLAGS | ENCRYPT | CERTIFY
    )
    asked = replace(asked, envelope=replace(asked.envelope, session_id=session.id))
    whole = channel.octets(session.written(asked))
    assert whole[2] & ENCRYPTED
    assert code(session.read(whole)) == ResponseCode.SUCCESS


def test_the_owner_of_an_rsa_key_gets_one_of_aes() -> None:
    for versions in (POINTER, SDK):
        wrapped = sent_key(set_up(Channel(versions), OF_RSA))
        found = unwrapped_key(admin_key(), wrapped, versions[0])
        assert (found.algorithm, len(found.key)) == (SessionCipher.AES, 16)


def test_a_key_of_sm4_that_a_client_makes_is_not_taken() -> None:
    channel = Channel(PLAIN)
    reply = channel.asked(channel.asking(SessionSetupRequest(mode=KeyExchange.SERVER_KEY, timeout_s=60), 400))
    number, key = reply.envelope.session_id, SessionKey(SessionCipher.SM4, bytes(16))
    body = ExchangeKeyRequest(encrypted_key=wrapped_key(read_public_key(sent_key(reply)), key, PLAIN[0]))
    sent = channel.asking(body, OpCode.SESSION_EXCHANGEKEY)
    sent = replace(sent, envelope=replace(sent.envelope, session_id=number))
    assert code(channel.asked(sent)) == ResponseCode.SUCCESS, "who could tell learnt something about our key"
    asked = channel.asking(ResolutionRequest(handle=NAME), OpCode.RESOLUTION, DEFAULT_REQUEST_FLAGS | CERTIFY)
    asked = replace(asked, envelope=replace(asked.envelope, session_id=number))
    whole = channel.octets(Session(number, key, PLAIN[0], Mode.SERVER_KEY).written(asked))
    assert code(Message.read(whole)) == ResponseCode.INVALID_SESSION_KEY


@pytest.mark.parametrize("key", [SM2, TEXT])
def test_plain_software_is_offered_no_sm2(key: Reference) -> None:
    reply = set_up(Channel(PLAIN), key)
    assert code(reply) == ResponseCode.SESSION_FAILED


def test_without_the_extra_the_refusal_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gmssl_pyx", None)
    reply = set_up(Channel(POINTER), SM2)
    assert code(reply) == ResponseCode.OPERATION_NOT_SUPPORTED
    assert codec.read_response(reply)[1] == ErrorResponse(message=b"SM2 is not supported here")
