"""The sector's dialect: who is told what, and the octets of a login as they are documented (snms-api, section 13.2)."""

from hashlib import sha256

import pytest

from protocol import codec
from protocol.codec import Message
from protocol.codes import REQUEST_DIGEST, OpCode, ResponseCode
from protocol.dialect import Speaker, heard, read_any_public_key, speaker
from protocol.errors import HandleError, Malformed
from protocol.requests import LoginRequest
from protocol.responses import ChallengeResponse, ErrorResponse
from protocol.trust.challenge import challenge_input, request_digest
from protocol.trust.keys import public_pem, read_public_key
from protocol.value import Reference
from protocol.version import Version, negotiated
from tests.support.keys import captured_keys
from tests.support.sm2 import OPENSSL, OPENSSL_TEXT

USER = Reference(300, b"88.608.0042/APP_MES")
NONCE = bytes(range(0x10, 0x20))
REQUEST = bytes.fromhex(
    "020a020b00001a2b000000070000000000000033"
    "000007d1000000000080 0000ffff00006921a7800000001b"
    "0000001338382e3630382e303034322f4150505f4d45530000012c"
)
DIGEST = "5f35d5ea6d3c28c151d1155ee2696927bac0cbd5144358937538549cd9381429"
CHALLENGE = bytes.fromhex(
    "020a020b00001a2b000000070000000000000051"
    "000007d10000019200800000 0000 0000 6921a78000000035"
    f"03{DIGEST}00000010101112131415161718191a1b1c1d1e1f00000000"
)
SUCCESS = bytes.fromhex("000007d1000000010000000000000000 6921a780 0000000000000000")


def test_a_login_is_read_without_and_with_the_length_of_a_credential() -> None:
    assert len(REQUEST) == 71
    with_credential = REQUEST[:19] + b"\x37" + REQUEST[20:] + bytes(4)
    for octets in (REQUEST, with_credential):
        message = Message.read(octets)
        assert message.header.opcode == OpCode.LOGIN_ID_SYSTEM
        assert message.header.flags == REQUEST_DIGEST
        assert codec.read_request(message) == LoginRequest(user=USER)
        assert sha256(message.signed_part).hexdigest() == DIGEST
    assert Message.read(with_credential).to_bytes() == with_credential


def test_the_challenge_is_the_documented_one_octet_for_octet() -> None:
    asked, documented = Message.read(REQUEST), Message.read(CHALLENGE)
    version = negotiated(asked.envelope.version, asked.envelope.suggested)
    digest = request_digest(version, asked.signed_part)
    body = codec.response_body(
        ChallengeResponse(nonce=NONCE), code=ResponseCode.AUTHENTICATION_NEEDED, version=version, digest=digest
    )
    assert documented.body == body
    assert documented.header.opcode == OpCode.LOGIN_ID_SYSTEM
    assert documented.header.code == ResponseCode.AUTHENTICATION_NEEDED
    assert codec.read_response(documented) == (digest, ChallengeResponse(nonce=NONCE))
    assert challenge_input(NONCE, digest) == NONCE + bytes.fromhex(DIGEST)
    assert documented.to_bytes() == CHALLENGE


def test_a_success_is_that_of_the_login_and_says_nothing() -> None:
    message = Message.opened(Message.read(CHALLENGE).envelope, SUCCESS)
    assert (message.header.opcode, message.header.code) == (OpCode.LOGIN_ID_SYSTEM, ResponseCode.SUCCESS)
    assert message.body == b""
    assert message.plain() == SUCCESS


def test_a_limit_is_told_in_words_with_their_length() -> None:
    told = "该前缀注册数量已达上限".encode()
    body = codec.response_body(
        ErrorResponse(message=told), code=ResponseCode.REGISTER_COUNT_LIMIT, version=Version(2, 10), digest=None
    )
    assert body == b"\0\0\0\x21" + told
    assert len(body) == 0x25
    silent = codec.response_body(ErrorResponse(), code=ResponseCode.LOGIN_NEEDED, version=Version(2, 10), digest=None)
    assert silent == bytes(4)


@pytest.mark.parametrize(
    ("version", "suggested", "has_tried_login", "found"),
    [
        ((2, 10), (2, 11), True, Speaker.POINTER),
        ((2, 10), (2, 11), False, Speaker.POINTER),
        ((2, 11), (2, 11), True, Speaker.POINTER),
        ((2, 3), (2, 10), True, Speaker.SDK),
        ((2, 5), (2, 5), True, Speaker.SDK),
        ((2, 3), (2, 10), False, Speaker.HANDLE),
        ((2, 11), (2, 11), False, Speaker.HANDLE),
        ((2, 1), (2, 11), False, Speaker.HANDLE),
        ((2, 10), (2, 10), False, Speaker.HANDLE),
        ((5, 13), (5, 13), False, Speaker.HANDLE),
    ],
)
def test_a_peer_is_known_by_its_versions_and_by_its_login(
    version: tuple[int, int], suggested: tuple[int, int], has_tried_login: bool, found: Speaker
) -> None:
    assert speaker(Version(*version), Version(*suggested), has_tried_login=has_tried_login) is found


R = ResponseCode


@pytest.mark.parametrize(
    ("meant", "plain", "pointer", "sdk"),
    [
        (R.LOGIN_NEEDED, R.AUTHENTICATION_NEEDED, R.AUTHENTICATION_NEEDED, R.LOGIN_NEEDED),
        (R.LOGIN_REPEATED, R.AUTHENTICATION_NEEDED, R.AUTHENTICATION_NEEDED, R.LOGIN_REPEATED),
        (R.DAILY_REQUEST_LIMIT, R.SERVER_TOO_BUSY, R.DAILY_REQUEST_LIMIT, R.INSUFFICIENT_PERMISSIONS),
        (R.REGISTER_COUNT_LIMIT, R.INSUFFICIENT_PERMISSIONS, R.REGISTER_COUNT_LIMIT, R.INSUFFICIENT_PERMISSIONS),
        (R.PREFIX_LIMIT, R.INSUFFICIENT_PERMISSIONS, R.PREFIX_LIMIT, R.INSUFFICIENT_PERMISSIONS),
        (R.CREDENTIAL_CHECK_FAILED, R.AUTHENTICATION_FAILED, R.AUTHENTICATION_FAILED, R.CREDENTIAL_CHECK_FAILED),
        (R.SERVER_NOT_RESP, R.SERVER_NOT_RESP, R.SERVER_NOT_RESP, R.ERROR),
        (R.SESSION_MESSAGE_REJECTED, R.SESSION_MESSAGE_REJECTED, R.SESSION_MESSAGE_REJECTED, R.ERROR),
        (R.SUCCESS, R.SUCCESS, R.SUCCESS, R.SUCCESS),
        (R.HANDLE_NOT_FOUND, R.HANDLE_NOT_FOUND, R.HANDLE_NOT_FOUND, R.HANDLE_NOT_FOUND),
    ],
)
def test_a_peer_hears_codes_that_it_knows(
    meant: ResponseCode, plain: ResponseCode, pointer: ResponseCode, sdk: ResponseCode
) -> None:
    assert (heard(meant, Speaker.HANDLE), heard(meant, Speaker.POINTER), heard(meant, Speaker.SDK)) == (
        plain,
        pointer,
        sdk,
    )


SENT = sorted(set(ResponseCode) - {R.CLIENT_CHANNEL_ERROR, R.CLIENT_TIMEOUT})
SDK_KNOWS = {*range(1, 6), *range(100, 103), *range(200, 203), 302, 303, *range(400, 406), 407, 408, 3001}
ONLY_DIALECT = {407, 408, *range(601, 606), 3001}


@pytest.mark.parametrize("meant", SENT)
def test_no_code_reaches_a_client_that_would_choke_on_it(meant: ResponseCode) -> None:
    assert heard(meant, Speaker.SDK) in SDK_KNOWS
    assert heard(meant, Speaker.HANDLE) not in ONLY_DIALECT
    assert heard(meant, Speaker.POINTER) not in {407, 408, 601, 602, 3001}


@pytest.mark.parametrize("meant", [R.CLIENT_CHANNEL_ERROR, R.CLIENT_TIMEOUT])
def test_what_clients_say_to_themselves_is_never_sent(meant: ResponseCode) -> None:
    with pytest.raises(AssertionError):
        heard(meant, Speaker.POINTER)


def test_each_code_of_the_dialect_has_an_error_of_its_own() -> None:
    codes = [error.code for error in HandleError.__subclasses__()]
    for code in (407, 408, 603, 604, 605, 3001):
        assert codes.count(ResponseCode(code)) == 1


def test_a_public_key_may_be_stored_as_text() -> None:
    _, octets = captured_keys()["admin RSA"]
    key = read_public_key(octets)
    assert read_any_public_key(octets) == key
    assert read_any_public_key(public_pem(key)) == key
    assert read_any_public_key(b"\n" + public_pem(key)) == key
    assert read_any_public_key(OPENSSL_TEXT) == OPENSSL.public_key


@pytest.mark.parametrize(
    "octets",
    [b"", b"text", b"-----BEGIN PUBLIC KEY-----", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"],
)
def test_what_is_no_public_key_is_malformed(octets: bytes) -> None:
    with pytest.raises(Malformed):
        read_any_public_key(octets)


def test_a_private_key_as_text_is_no_public_key() -> None:
    pem, _ = captured_keys()["admin RSA"]
    with pytest.raises(Malformed):
        read_any_public_key(pem)
