"""SM3 and SM2 against the standards' own examples and against OpenSSL's octets, in every form that is in use."""

import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import InvalidValue, Malformed, NotSupported, SessionFailed
from protocol.json_form.keys import key_from_json, key_to_json
from protocol.trust import gm
from protocol.trust.challenge import PublicKeyAnswer
from protocol.trust.key_values import RSA_PUB, UnknownPublicKey, public_key_octets, read_public_key
from protocol.trust.session import SessionCipher, SessionKey
from protocol.trust.sm2_ciphertext import der_ciphertext, raw_ciphertext
from protocol.trust.sm2_values import SM2_PUB, sm2_key_of_text, sm2_point, sm2_public_key
from tests.support.sm2 import DATA, OPENSSL, OPENSSL_TEXT, OPENSSL_WRAPPED, PROOF, USER

needs_extra = pytest.mark.skipif(not gm.is_installed(), reason="the optional extra gm is not installed")

# GB/T 32918.5-2017, annexes A and C: the key pair, a signature of "message digest", and a ciphertext.
STANDARD = gm.Sm2PrivateKey(
    bytes.fromhex("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8"),
    bytes.fromhex(
        "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
        "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
    ),
)
CIPHERTEXT = bytes.fromhex(
    "04"
    "04ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73"
    "e858f9d81e5430a57b36daab8f950a3c64e6ee6a63094d99283aff767e124df0"
    "59983c18f809e262923c53aec295d30383b54e39d609d160afcb1908d0bd8766"
    "21886ca989ca9c7d58087307ca93092d651efa"
)

SM4_KEY = bytes.fromhex("0123456789abcdeffedcba9876543210")


def counted(octets: bytes) -> bytes:
    return len(octets).to_bytes(4, "big") + octets


def test_sm3_is_that_of_the_standard() -> None:
    assert gm.sm3(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"


# Keys


def test_a_key_is_read_in_every_form_that_is_in_use() -> None:
    point = OPENSSL.point
    information = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d03420004") + point
    compressed = bytes([2 + (point[-1] & 1)]) + point[:32]
    for form in (b"\x04" + point, point, compressed, information, OPENSSL_TEXT, OPENSSL_TEXT.replace(b"\n", b"\r\n")):
        assert sm2_point(UnknownPublicKey(SM2_PUB, counted(form))) == point


def test_a_key_is_written_with_two_flag_octets_and_the_uncompressed_point() -> None:
    octets = public_key_octets(OPENSSL.public_key)
    assert octets == counted(b"SM2_PUB_KEY") + b"\0\0" + counted(b"\x04" + OPENSSL.point)
    assert read_public_key(octets) == OPENSSL.public_key
    assert sm2_point(OPENSSL.public_key) == OPENSSL.point


@pytest.mark.parametrize(
    "key",
    [
        UnknownPublicKey(b"SM9_PUB_KEY", counted(b"\x04" + OPENSSL.point)),
        UnknownPublicKey(SM2_PUB, b""),
        UnknownPublicKey(SM2_PUB, counted(b"")),
        UnknownPublicKey(SM2_PUB, counted(b"PEM")),
        UnknownPublicKey(SM2_PUB, counted(b"\x04" + bytes(64))),
        UnknownPublicKey(SM2_PUB, counted(b"\xff" * 64)),
        UnknownPublicKey(SM2_PUB, counted(b"\x02" + b"\xff" * 32)),
        UnknownPublicKey(SM2_PUB, counted(b"\x03" + (5).to_bytes(32, "big"))),
        UnknownPublicKey(SM2_PUB, counted(b"\x04" + OPENSSL.point) + b"\0"),
        UnknownPublicKey(SM2_PUB, counted(b"\x04" + OPENSSL.point[:-1])),
        UnknownPublicKey(SM2_PUB, counted(b"-----BEGIN PUBLIC KEY-----\n!!!")),
        UnknownPublicKey(SM2_PUB, counted(b" " * 1_025)),
    ],
)
def test_what_is_no_point_of_the_curve_is_malformed(key: UnknownPublicKey) -> None:
    with pytest.raises(Malformed):
        sm2_point(key)


def test_a_text_of_another_kind_of_key_is_not_taken_for_sm2() -> None:
    assert sm2_key_of_text(OPENSSL_TEXT) == OPENSSL.public_key
    assert sm2_key_of_text(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----") is None
    assert sm2_key_of_text(RSA_PUB) is None


def test_json_has_a_form_for_it() -> None:
    form = key_to_json(OPENSSL.public_key)
    assert form == {
        "kty": "SM2",
        "x": "VmiDiBW6q0e-iOn8Mv-zU9tX4adYV6gerFLeh8loPOk",
        "y": "tlxuebzQZhVuNK-KadTpSyHWVmHlE7TKOOUzRLzD9CQ",
    }
    assert key_from_json(form, "key") == OPENSSL.public_key
    other = UnknownPublicKey(SM2_PUB, counted(OPENSSL_TEXT))
    assert key_to_json(other) is None, "its octets would not come back"
    assert key_to_json(UnknownPublicKey(SM2_PUB, b"\0")) is None


@pytest.mark.parametrize("y", ["AAAA", "tlxuebzQZhVuNK-KadTpSyHWVmHlE7TKOOUzRLzD9CU", "_" * 60])
def test_json_that_is_no_point_is_refused(y: str) -> None:
    with pytest.raises(InvalidValue):
        key_from_json({"kty": "SM2", "x": "VmiDiBW6q0e-iOn8Mv-zU9tX4adYV6gerFLeh8loPOk", "y": y}, "key")


# Signatures


@needs_extra
def test_the_signature_of_openssl_is_valid() -> None:
    assert gm.sm2_answer_is_valid(PublicKeyAnswer(b"SM3", PROOF), OPENSSL.public_key, DATA, USER)


@needs_extra
def test_the_digits_of_the_digest_may_be_signed_instead() -> None:
    import gmssl_pyx

    digits = gm.sm3(DATA).hex()
    for form in (digits, digits.upper()):
        proof = gmssl_pyx.sm2_sign(OPENSSL.secret, OPENSSL.point, form.encode(), signer_id=USER)
        assert gm.sm2_answer_is_valid(PublicKeyAnswer(b"SM3", proof), OPENSSL.public_key, DATA, USER)
    proof = gmssl_pyx.sm2_sign(OPENSSL.secret, OPENSSL.point, DATA, signer_id=USER)
    assert not gm.sm2_answer_is_valid(PublicKeyAnswer(b"SM3", proof), OPENSSL.public_key, DATA, USER)


@needs_extra
def test_an_answer_that_we_make_is_valid_for_its_user_and_data_alone() -> None:
    private = gm.Sm2PrivateKey.generate()
    answer = PublicKeyAnswer.read(gm.sm2_answer(private, DATA, USER))
    assert answer.digest_name == b"SM3"
    assert gm.sm2_answer_is_valid(answer, private.public_key, DATA, USER)
    assert not gm.sm2_answer_is_valid(answer, private.public_key, DATA + b"!", USER)
    assert not gm.sm2_answer_is_valid(answer, private.public_key, DATA, USER + b"!")
    assert not gm.sm2_answer_is_valid(answer, OPENSSL.public_key, DATA, USER)


@needs_extra
@pytest.mark.parametrize(
    ("name", "proof", "user"),
    [
        (b"SHA-256", PROOF, USER),
        (b"SM3", b"", USER),
        (b"SM3", PROOF + bytes(60), USER),
        (b"SM3", PROOF[:-1], USER),
        (b"SM3", bytes(70), USER),
        (b"SM3", bytes.fromhex("3006020100020100"), USER),
        (b"SM3", PROOF, b""),
        (b"SM3", PROOF, b"u" * (gm.USER_SIZE_MAX + 1)),
    ],
)
def test_what_is_no_proof_proves_nothing(name: bytes, proof: bytes, user: bytes) -> None:
    assert not gm.sm2_answer_is_valid(PublicKeyAnswer(name, proof), OPENSSL.public_key, DATA, user)


@needs_extra
def test_a_key_that_is_none_proves_nothing() -> None:
    answer = PublicKeyAnswer(b"SM3", PROOF)
    for key in (UnknownPublicKey(SM2_PUB, b""), UnknownPublicKey(b"SM9_PUB_KEY", b"x")):
        assert not gm.sm2_answer_is_valid(answer, key, DATA, USER)


@needs_extra
@given(st.binary(max_size=90), st.binary(max_size=90), st.binary(max_size=30))
def test_no_octets_of_a_stranger_raise_or_pass(proof: bytes, key: bytes, user: bytes) -> None:
    answer = PublicKeyAnswer(b"SM3", proof)
    assert not gm.sm2_answer_is_valid(answer, OPENSSL.public_key, DATA, user)
    assert not gm.sm2_answer_is_valid(answer, UnknownPublicKey(SM2_PUB, counted(key)), DATA, user)


@needs_extra
def test_a_user_without_a_name_cannot_sign() -> None:
    with pytest.raises(Malformed):
        gm.sm2_answer(OPENSSL, DATA, b"")


def test_a_private_key_hides_its_secret_and_must_be_possible() -> None:
    assert OPENSSL.secret.hex() not in repr(OPENSSL)
    assert repr(OPENSSL.secret) not in repr(OPENSSL)
    for secret, point in ((b"", OPENSSL.point), (bytes(32), OPENSSL.point), (OPENSSL.secret, bytes(64))):
        with pytest.raises(Malformed):
            gm.Sm2PrivateKey(secret, point)


def test_without_the_extra_nothing_is_valid_and_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "gmssl_pyx", None)
    assert not gm.is_installed()
    assert not gm.sm2_answer_is_valid(PublicKeyAnswer(b"SM3", PROOF), OPENSSL.public_key, DATA, USER)
    with pytest.raises(NotSupported, match=r"pip install 'hnode\[gm\]'"):
        gm.sm2_answer(OPENSSL, DATA, USER)
    with pytest.raises(gm.NotInstalled):
        gm.sm2_wrapped_key(OPENSSL.public_key, SessionKey(SessionCipher.SM4, SM4_KEY))


# Sessions


def test_the_two_forms_of_a_ciphertext_become_each_other() -> None:
    der = der_ciphertext(CIPHERTEXT)
    assert der[:2] == b"\x30\x7c"
    assert raw_ciphertext(der) == CIPHERTEXT
    assert der_ciphertext(OPENSSL_WRAPPED) == OPENSSL_WRAPPED
    assert der_ciphertext(raw_ciphertext(OPENSSL_WRAPPED)) == OPENSSL_WRAPPED
    long = CIPHERTEXT + bytes(200)
    assert raw_ciphertext(der_ciphertext(long)) == long


@given(st.binary(max_size=400))
def test_a_ciphertext_of_any_octets_is_read_or_malformed(octets: bytes) -> None:
    for read in (der_ciphertext, raw_ciphertext):
        for form in (octets, b"\x30" + octets, b"\x04" + octets, OPENSSL_WRAPPED[: len(octets) % 127] + octets):
            try:
                read(form)
            except Malformed:
                pass


@needs_extra
def test_the_ciphertext_of_the_standard_is_decrypted() -> None:
    import gmssl_pyx

    assert gmssl_pyx.sm2_decrypt(STANDARD.secret, der_ciphertext(CIPHERTEXT)) == b"encryption standard"


@needs_extra
def test_a_session_key_comes_back_from_either_form() -> None:
    wanted = SessionKey(SessionCipher.SM4, b"abcdefghijklmnop")
    assert gm.sm2_unwrapped_key(OPENSSL, OPENSSL_WRAPPED) == wanted
    assert gm.sm2_unwrapped_key(OPENSSL, raw_ciphertext(OPENSSL_WRAPPED)) == wanted
    for session in (wanted, SessionKey(SessionCipher.AES, os.urandom(32))):
        wrapped = gm.sm2_wrapped_key(OPENSSL.public_key, session)
        assert len(wrapped) == 97 + 4 + len(session.key)
        assert wrapped[0] == 4
        assert gm.sm2_unwrapped_key(OPENSSL, wrapped) == session


@needs_extra
def test_a_session_key_for_somebody_else_or_of_no_length_fails() -> None:
    for octets in (
        gm.sm2_wrapped_key(STANDARD.public_key, SessionKey(SessionCipher.SM4, SM4_KEY)),
        gm.sm2_wrapped_key(OPENSSL.public_key, SessionKey(SessionCipher.SM4, b"short")),
        gm.sm2_wrapped_key(OPENSSL.public_key, SessionKey(SessionCipher.DES, b"12345678")),
        gm.sm2_wrapped_key(OPENSSL.public_key, SessionKey(SessionCipher.DESEDE, bytes(24))),
        gm.sm2_wrapped_key(OPENSSL.public_key, SessionKey(5, SM4_KEY)),
        CIPHERTEXT,
        b"",
        b"\x30",
        b"\x04" * 200,
    ):
        with pytest.raises(SessionFailed):
            gm.sm2_unwrapped_key(OPENSSL, octets)


def test_a_key_that_is_no_point_encrypts_nothing() -> None:
    with pytest.raises((Malformed, gm.NotInstalled)):
        gm.sm2_wrapped_key(UnknownPublicKey(SM2_PUB, b""), SessionKey(SessionCipher.SM4, SM4_KEY))
    with pytest.raises(Malformed):
        sm2_public_key(bytes(64))
