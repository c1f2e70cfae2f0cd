"""Request digests and answers to challenges: all captured ones, the examples of the spec, bent ones refused."""

import hmac
from dataclasses import replace
from functools import cache
from hashlib import md5, pbkdf2_hmac, sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import codec
from protocol.codec import Message
from protocol.envelope import Envelope
from protocol.errors import Malformed
from protocol.requests import ChallengeAnswer, VerifyChallengeRequest
from protocol.responses import ChallengeResponse
from protocol.trust.challenge import (
    BARE_MD5,
    DIGEST_SIZE_MAX,
    PBKDF2_HMAC_SHA1,
    PBKDF2_ITERATIONS_MAX,
    PBKDF2_KEY_BITS_MAX,
    PBKDF2_KEY_BITS_MIN,
    PBKDF2_SALT_SIZE_MAX,
    PublicKeyAnswer,
    RequestDigest,
    SecretKeyAnswer,
    answer_form,
    answer_version,
    challenge_input,
    public_key_answer,
    public_key_answer_is_valid,
    request_digest,
    secret_key_answer,
    secret_key_answer_is_valid,
)
from protocol.trust.keys import DsaPrivateKey, PrivateKey, PublicKey, from_pem, public_of, read_public_key
from protocol.trust.signature import MacForm, mac
from protocol.version import NEWEST, Version
from protocol.wire import Reader, Writer
from tests.support.keys import captured_keys
from tests.support.vectors import message, messages, octets, vectors

DIGESTED: list[dict[str, Any]] = [vector for vector in messages() if "requestDigest" in vector]
ANSWERS: list[dict[str, Any]] = [vector for vector in messages() if "challengeInput" in vector]
PUBLIC = [vector for vector in ANSWERS if vector["body"]["authenticationType"] == "HS_PUBKEY"]
SECRET = [vector for vector in ANSWERS if vector["body"]["authenticationType"] == "HS_SECKEY"]
VERIFIED = [vector for vector in messages() if vector["header"]["opCode"] == 201 and "nonceHex" in vector["body"]]
WRONG_ANSWERS = {"wrong-secret.answer", "verify-challenge.wrong.request"}
SECRET_KEY = vectors()["keys"]["adminSecretKeyText"].encode()
KEY_NAMES = {300: "admin RSA", 301: "admin DSA"}
FORMS = [BARE_MD5, *MacForm, PBKDF2_HMAC_SHA1]

# The spec's example (security: section 4.4; protocol: section 10.5).
REQUEST = bytes.fromhex("00000065 00000000 19000000 ffff0000 65000000 0000000f 0000000b 32302e313030302f313030")
NONCE = bytes(range(16))
SALT = bytes(range(16, 32))


def written(digest: RequestDigest) -> bytes:
    body = Writer()
    digest.write(body)
    return body.to_bytes()


def answer_of(vector: dict[str, Any]) -> bytes:
    body = codec.read_request(Message.read(octets(vector["name"])))
    assert isinstance(body, ChallengeAnswer | VerifyChallengeRequest)
    return body.answer


def challenge_of(vector: dict[str, Any]) -> tuple[Version, bytes]:
    """The version of the challenge that a captured answer answers, and what the answer proves."""
    sent = Message.read(octets(vector["name"].removesuffix("answer") + "challenge"))
    digest, body = codec.read_response(sent)
    assert digest is not None
    assert isinstance(body, ChallengeResponse)
    return answer_version(sent.envelope), challenge_input(body.nonce, digest)


@cache
def private(name: str) -> PrivateKey:
    key = from_pem(captured_keys()[name][0])
    assert isinstance(key, PrivateKey)
    return key


def public(name: str) -> PublicKey:
    return read_public_key(captured_keys()[name][1])


def salted(**changes: Any) -> SecretKeyAnswer:
    found = SecretKeyAnswer(form=PBKDF2_HMAC_SHA1, mac=bytes(20), salt=SALT, iterations=1, key_bits=160)
    return replace(found, **changes)


# Request digests


def test_40_messages_carry_a_digest() -> None:
    assert len(DIGESTED) == 40


@pytest.mark.parametrize("vector", DIGESTED, ids=lambda vector: vector["name"])
def test_a_captured_digest_is_that_of_its_request(vector: dict[str, Any]) -> None:
    response = Message.read(octets(vector["name"]))
    request = Message.read(octets(vector["name"].rpartition(".")[0] + ".request"))
    digest = RequestDigest.read(Reader(response.body))
    told = vector["requestDigest"]
    assert (digest.algorithm, digest.octets.hex()) == (told["algorithmCode"], told["hex"])
    assert response.body.startswith(written(digest))
    assert digest == request_digest(response.envelope.version, request.signed_part)
    assert digest.is_of(request.signed_part)
    assert not digest.is_of(response.signed_part)


SECOND = bytes.fromhex(
    "00000001 00000000 59800000 ffff0000 65000000 00000026"
    "0000000b32302e313030302f313030 00000002 00000001 00000002 00000001 00000003 55524c"
)


def test_the_digest_of_the_specs_second_example_is_as_told() -> None:
    found = request_digest(NEWEST, SECOND)
    assert found.octets.hex() == "802991fef0cab01504189a90b8503ff6b53a7f0049e1bc3e05b30d93f0cf2d4c"


@pytest.mark.parametrize(
    ("version", "digest"),
    [
        (Version(2, 11), "03 2e38106ea6a89462c09fca5335bdbe0d7de1cbce19bf4c51fe7e12e64eabb52c"),
        (Version(2, 7), "03 2e38106ea6a89462c09fca5335bdbe0d7de1cbce19bf4c51fe7e12e64eabb52c"),
        (Version(2, 6), "02 e9a2cdb95ec7d6c2571d9846c93bccd2df9ecaa1"),
        (Version(2, 1), "02 e9a2cdb95ec7d6c2571d9846c93bccd2df9ecaa1"),
        (Version(2, 0), "00000010" + md5(REQUEST, usedforsecurity=False).hexdigest()),
        (Version(5, 0), "00000010" + md5(REQUEST, usedforsecurity=False).hexdigest()),
    ],
)
def test_each_version_has_its_digest(version: Version, digest: str) -> None:
    found = request_digest(version, REQUEST)
    assert written(found) == bytes.fromhex(digest)
    assert RequestDigest.read(Reader(written(found))) == found
    assert found.is_of(REQUEST)
    assert not found.is_of(REQUEST + b"\0")


def test_the_old_form_carries_any_digest_and_is_checked_by_its_length() -> None:
    digest = RequestDigest.read(Reader(b"\0\0\0\x20" + sha256(REQUEST).digest()))
    assert digest == RequestDigest(0, sha256(REQUEST).digest())
    assert digest.is_of(REQUEST)
    assert not RequestDigest(0, b"").is_of(REQUEST)


@pytest.mark.parametrize(
    ("algorithm", "size"), [(1, 15), (2, 32), (3, 20), (4, 32), (-1, 16), (0, DIGEST_SIZE_MAX + 1)]
)
def test_a_digest_of_another_length_or_algorithm_is_refused(algorithm: int, size: int) -> None:
    with pytest.raises(Malformed):
        RequestDigest(algorithm, bytes(size))


@pytest.mark.parametrize("version", [Version(2, 0), Version(2, 1), Version(2, 11)])
def test_a_digest_cut_anywhere_is_refused(version: Version) -> None:
    whole = written(request_digest(version, REQUEST))
    for end in range(len(whole)):
        with pytest.raises(Malformed):
            RequestDigest.read(Reader(whole[:end]))


@given(st.binary(max_size=80))
def test_any_octets_are_a_digest_or_malformed(found: bytes) -> None:
    body = Reader(found)
    try:
        digest = RequestDigest.read(body)
    except Malformed:
        return
    assert written(digest) == found[: body.position]


# Public keys


def test_27_answers_are_here_and_7_verifications() -> None:
    assert (len(ANSWERS), len(PUBLIC), len(SECRET), len(VERIFIED)) == (27, 21, 6, 7)
    assert {vector["body"]["keyHandle"]["index"] for vector in PUBLIC} == set(KEY_NAMES)


@pytest.mark.parametrize("vector", ANSWERS, ids=lambda vector: vector["name"])
def test_a_captured_answer_proves_nonce_and_digest_of_its_challenge(vector: dict[str, Any]) -> None:
    assert challenge_of(vector)[1] == bytes.fromhex(vector["challengeInput"]["signedOrMacedHex"])


@pytest.mark.parametrize("vector", [*PUBLIC, message("session.dh.create.answer")], ids=lambda vector: vector["name"])
def test_a_captured_signature_verifies_and_is_made_alike(vector: dict[str, Any]) -> None:
    version, data = challenge_of(vector)
    answer, name = answer_of(vector), KEY_NAMES[vector["body"]["keyHandle"]["index"]]
    found = PublicKeyAnswer.read(answer)
    assert found.digest_name == vector["body"]["responseDigestAlgorithm"].encode()
    assert found.signature.hex() == vector["body"]["responseSignatureHex"]
    assert found.to_bytes() == answer
    assert public_key_answer_is_valid(answer, public(name), data)
    assert not public_key_answer_is_valid(answer, public(name), data[::-1])
    assert not public_key_answer_is_valid(answer, public("session client"), data)
    made = public_key_answer(private(name), version, data)
    assert public_key_answer_is_valid(made, public(name), data)
    assert PublicKeyAnswer.read(made).digest_name == found.digest_name
    if not isinstance(private(name), DsaPrivateKey):  # A signature of DSA is another each time.
        assert made == answer


@pytest.mark.parametrize("name", ["admin RSA", "admin DSA"])
@pytest.mark.parametrize(
    ("written_name", "proves"),
    [(b"SHA1", True), (b"SHA-1", True), (b"\x02", True), (b"SHA256", False), (b"sha1", False), (b"", False)],
)
def test_the_verifier_takes_whatever_the_name_says(name: str, written_name: bytes, proves: bool) -> None:
    signed = PublicKeyAnswer.read(public_key_answer(private(name), Version(2, 6), b"data"))
    answer = PublicKeyAnswer(written_name, signed.signature).to_bytes()
    assert public_key_answer_is_valid(answer, public_of(private(name)), b"data") is proves


def test_a_signed_answer_cut_anywhere_or_followed_by_octets_proves_nothing() -> None:
    answer = public_key_answer(private("admin DSA"), NEWEST, b"data")
    for end in range(len(answer)):
        with pytest.raises(Malformed):
            PublicKeyAnswer.read(answer[:end])
        assert not public_key_answer_is_valid(answer[:end], public("admin DSA"), b"data")
    assert not public_key_answer_is_valid(answer + b"\0", public("admin DSA"), b"data")


@pytest.mark.parametrize(("name", "proof"), [(bytes(65), b""), (b"SHA1", bytes(2050))])
def test_a_signed_answer_longer_than_any_is_not_made(name: bytes, proof: bytes) -> None:
    with pytest.raises(Malformed):
        PublicKeyAnswer(name, proof)


@given(st.binary(max_size=100))
def test_any_octets_are_a_signed_answer_or_malformed(found: bytes) -> None:
    assert not public_key_answer_is_valid(found, public("admin RSA"), b"data")
    try:
        answer = PublicKeyAnswer.read(found)
    except Malformed:
        return
    assert answer.to_bytes() == found


# Secret keys


@pytest.mark.parametrize("vector", SECRET + VERIFIED, ids=lambda vector: vector["name"])
def test_a_captured_mac_verifies_unless_it_is_the_wrong_one(vector: dict[str, Any]) -> None:
    answer, wrong = answer_of(vector), vector["name"] in WRONG_ANSWERS
    if vector in VERIFIED:
        asked = codec.read_request(Message.read(octets(vector["name"])))
        assert isinstance(asked, VerifyChallengeRequest)
        data = challenge_input(asked.nonce, asked.digest)
    else:
        data = challenge_of(vector)[1]
    assert secret_key_answer_is_valid(answer, SECRET_KEY, data) is not wrong
    assert not secret_key_answer_is_valid(answer, SECRET_KEY + b"!", data)
    assert not secret_key_answer_is_valid(answer, SECRET_KEY, data + b"\0")
    if not wrong:
        found = SecretKeyAnswer.read(answer)
        assert found.to_bytes() == answer
        assert secret_key_answer(SECRET_KEY, found.form, data, salt=found.salt) == answer
        assert vector in VERIFIED or found.form == answer_form(challenge_of(vector)[0])


def test_each_named_form_is_among_the_verifications() -> None:
    forms = {SecretKeyAnswer.read(answer_of(vector)).form for vector in VERIFIED if vector["name"] not in WRONG_ANSWERS}
    assert forms == {0x01, 0x02, 0x03, 0x12, 0x13, 0x22}


@pytest.mark.parametrize(
    ("version", "answer"),
    [
        (
            Version(2, 11),
            "22 00000010 101112131415161718191a1b1c1d1e1f 00002710 000000a0 00000014"
            "8041c79d1672f62389ce782b8f6cec70d069afce",
        ),
        (Version(2, 6), "02 0a12f11a5e90ad5ec4bb84fe67e512d61a4edebd"),
        (Version(2, 1), "02 0a12f11a5e90ad5ec4bb84fe67e512d61a4edebd"),
        (Version(2, 0), "e60fcf3e1b24bf36dda5e9f94375f86d"),
    ],
)
def test_the_answers_of_the_specs_example_are_made_and_verify(version: Version, answer: str) -> None:
    data = challenge_input(NONCE, request_digest(version, REQUEST))
    made = secret_key_answer(b"secret", answer_form(version), data, salt=SALT)
    assert made == bytes.fromhex(answer)
    assert secret_key_answer_is_valid(made, b"secret", data)


@pytest.mark.parametrize(
    ("version", "suggested", "found"),
    [
        (Version(2, 11), Version(2, 11), Version(2, 11)),
        (Version(2, 11), Version(2, 3), Version(2, 3)),
        (Version(2, 1), Version(2, 11), Version(2, 1)),
        (Version(2, 5), Version(0, 0), Version(2, 5)),
        (Version(2, 11), Version(5, 0), Version(5, 0)),
    ],
)
def test_the_lower_of_version_and_suggestion_decides_the_form(
    version: Version, suggested: Version, found: Version
) -> None:
    assert answer_version(Envelope(version=version, suggested=suggested, request_id=1, message_size=0)) == found


@pytest.mark.parametrize("form", FORMS)
def test_each_form_proves_the_secret_and_no_other(form: int) -> None:
    answer = secret_key_answer(b"s\xe9cret", form, b"data", salt=SALT)
    assert secret_key_answer_is_valid(answer, b"s\xe9cret", b"data")
    assert not secret_key_answer_is_valid(answer, b"secret", b"data")
    assert not secret_key_answer_is_valid(answer, b"s\xe9cret", b"Data")
    assert not secret_key_answer_is_valid(answer[:-1] + bytes([answer[-1] ^ 1]), b"s\xe9cret", b"data")


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_secret_is_proven_by_nothing(form: int) -> None:
    assert not secret_key_answer_is_valid(secret_key_answer(b"", form, b"data", salt=SALT), b"", b"data")


def test_octets_of_a_secret_are_characters_where_a_key_is_derived_and_nowhere_else() -> None:
    in_utf8, in_latin = "schlüssel".encode(), "schlüssel".encode("latin-1")
    derived = pbkdf2_hmac("sha1", in_utf8, SALT, 10_000, 20)
    proof = hmac.digest(derived, b"data", "sha1")
    assert secret_key_answer(in_latin, PBKDF2_HMAC_SHA1, b"data", salt=SALT).endswith(proof)
    assert secret_key_answer(in_latin, MacForm.HMAC_SHA1, b"data")[1:] == hmac.digest(in_latin, b"data", "sha1")


@pytest.mark.parametrize("form", FORMS)
def test_an_answer_cut_anywhere_or_followed_by_octets_is_refused(form: int) -> None:
    answer = secret_key_answer(b"secret", form, b"data", salt=SALT)
    for bent in [*[answer[:end] for end in range(len(answer))], answer + b"\0"]:
        if len(bent) != 16:  # 16 octets of a longer MAC read as a bare one.
            with pytest.raises(Malformed):
                SecretKeyAnswer.read(bent)
        assert not secret_key_answer_is_valid(bent, b"secret", b"data")


@pytest.mark.parametrize(
    "changes",
    [
        {"iterations": 0},
        {"iterations": PBKDF2_ITERATIONS_MAX + 1},
        {"iterations": -1},
        {"key_bits": 0},
        {"key_bits": 8},
        {"key_bits": PBKDF2_KEY_BITS_MIN - 8},
        {"key_bits": PBKDF2_KEY_BITS_MAX + 8},
        {"key_bits": 161},
        {"salt": bytes(PBKDF2_SALT_SIZE_MAX + 1)},
        {"mac": bytes(19)},
        {"form": MacForm.SHA1},
        {"form": BARE_MD5},
        {"form": 0x11},
    ],
)
def test_an_answer_that_costs_or_hides_too_much_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        salted(**changes)


def test_the_largest_numbers_of_a_stranger_are_refused_before_anything_is_derived() -> None:
    octets_of_answer = bytearray(salted().to_bytes())
    octets_of_answer[21:29] = b"\xff" * 8
    assert not secret_key_answer_is_valid(bytes(octets_of_answer), b"secret", b"data")


def test_a_key_short_enough_to_be_guessed_proves_nothing() -> None:
    """Whoever answers chooses the derived key's length: with 8 bits one guess in 256 would be right."""
    head = bytes.fromhex("22 00000000 00000001 00000008 00000014")
    guesses = [head + mac(MacForm.HMAC_SHA1, bytes([octet]), b"data") for octet in range(256)]
    assert not any(secret_key_answer_is_valid(guess, b"secret", b"data") for guess in guesses)


def test_without_salt_and_with_one_iteration_a_key_is_derived_all_the_same() -> None:
    for answer in (salted(salt=b""), salted(key_bits=PBKDF2_KEY_BITS_MIN), salted(key_bits=PBKDF2_KEY_BITS_MAX)):
        assert SecretKeyAnswer.read(answer.to_bytes()) == answer
        assert not secret_key_answer_is_valid(answer.to_bytes(), b"secret", b"data")


@given(st.sampled_from([b"", b"\x01", b"\x02", b"\x13", b"\x22\0\0\0\x04"]), st.binary(max_size=60))
def test_any_octets_are_a_mac_or_malformed(head: bytes, tail: bytes) -> None:
    try:
        answer = SecretKeyAnswer.read(head + tail)
    except Malformed:
        return
    assert answer.to_bytes() == head + tail
    assert SecretKeyAnswer.read(answer.to_bytes()) == answer
