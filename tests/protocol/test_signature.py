"""Signatures and MACs of messages: all captured ones, the examples of the spec, and the layouts of every version."""

from dataclasses import replace
from functools import cache
from hashlib import sha1
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import codec
from protocol.codec import Message
from protocol.envelope import Envelope
from protocol.trust.credential import HS_DSAPUBKEY, HS_MAC, HS_SIGNED, Credential
from protocol.trust.keys import PrivateKey, from_pem, public_of, read_public_key
from protocol.trust.signature import (
    MacForm,
    mac,
    mac_form,
    mac_is_valid,
    mac_size,
    maced,
    message_mac,
    named_digest,
    signature_is_valid,
    signed,
    signed_octets,
    signing_digest,
)
from protocol.version import NEWEST, Version
from tests.support.keys import captured_keys
from tests.support.vectors import messages, vectors

CAPTURED: list[dict[str, Any]] = [vector for vector in messages() if "credential" in vector]
SIGNED = [vector for vector in CAPTURED if vector["credential"]["type"] == "HS_SIGNED"]
MACED = [vector for vector in CAPTURED if vector["credential"]["type"] == "HS_MAC"]
SERVER_KEY = read_public_key(bytes.fromhex(vectors()["keys"]["serverPublicKeyHex"]))

KEY = bytes(range(32))
"""The session key of the spec's examples (security: section 6.5)."""

DELETE = bytes.fromhex("00000065 00000000 19000000 ffff0000 65000000 0000000f 0000000b 32302e313030302f313030")


@cache
def private(name: str) -> PrivateKey:
    key = from_pem(captured_keys()[name][0])
    assert isinstance(key, PrivateKey)
    return key


def message_of(vector: dict[str, Any]) -> Message:
    octets = bytes.fromhex(vector["hex"])
    if "encryption" in vector:
        return Message.opened(codec.split(octets)[0], bytes.fromhex(vector["encryption"]["plainMessageHex"]))
    return Message.read(octets)


def credential_of(vector: dict[str, Any]) -> Credential:
    found = Credential.read(message_of(vector).credential)
    assert found is not None
    return found


def session_key_of(vector: dict[str, Any]) -> bytes:
    return bytes.fromhex(vector["encryption" if "encryption" in vector else "session"]["sessionKeyHex"])


def envelope(version: Version, session_id: int = 9) -> Envelope:
    return Envelope(version=version, suggested=NEWEST, session_id=session_id, request_id=0x01020304, message_size=0)


def test_19_messages_are_signed_and_17_are_maced() -> None:
    assert (len(SIGNED), len(MACED)) == (19, 17)
    assert all(vector["credential"]["verifiesWithServerKey"] for vector in SIGNED)


@pytest.mark.parametrize("vector", CAPTURED, ids=lambda vector: vector["name"])
def test_the_prefix_of_a_captured_message_is_as_described(vector: dict[str, Any]) -> None:
    message, told = message_of(vector), vector["credential"]
    octets = signed_octets(message.envelope, told["signerIndexOrSessionCounter"], message.signed_part)
    assert octets == bytes.fromhex(told["signedPrefixHex"]) + message.signed_part


@pytest.mark.parametrize("vector", SIGNED, ids=lambda vector: vector["name"])
def test_a_captured_signature_verifies_and_is_made_alike(vector: dict[str, Any]) -> None:
    message, credential = message_of(vector), credential_of(vector)
    assert signature_is_valid(credential, SERVER_KEY, message.envelope, message.signed_part)
    assert signed(private("server"), message.envelope, message.signed_part) == credential


@pytest.mark.parametrize("vector", SIGNED, ids=lambda vector: vector["name"])
def test_a_captured_signature_fits_no_other_message_and_no_other_key(vector: dict[str, Any]) -> None:
    message, credential = message_of(vector), credential_of(vector)
    assert not signature_is_valid(credential, SERVER_KEY, message.envelope, message.signed_part + b"\0")
    for name in ("admin RSA", "admin DSA"):
        other = read_public_key(captured_keys()[name][1])
        assert not signature_is_valid(credential, other, message.envelope, message.signed_part)
    if message.envelope.version.at_least(Version(2, 6)):
        later = replace(credential, counter=1)
        assert not signature_is_valid(later, SERVER_KEY, message.envelope, message.signed_part)


@pytest.mark.parametrize("vector", MACED, ids=lambda vector: vector["name"])
def test_a_captured_mac_verifies_and_is_made_alike(vector: dict[str, Any]) -> None:
    message, credential, key = message_of(vector), credential_of(vector), session_key_of(vector)
    assert mac_is_valid(credential, key, message.envelope, message.signed_part)
    assert maced(key, message.envelope, message.signed_part, counter=credential.counter) == credential


@pytest.mark.parametrize("vector", MACED, ids=lambda vector: vector["name"])
def test_a_captured_mac_fits_no_other_message_and_no_other_key(vector: dict[str, Any]) -> None:
    message, credential, key = message_of(vector), credential_of(vector), session_key_of(vector)
    part = message.signed_part
    assert not mac_is_valid(credential, bytes(len(key)), message.envelope, part)
    assert not mac_is_valid(credential, key, message.envelope, part[:-1] + bytes([part[-1] ^ 1]))
    assert not mac_is_valid(replace(credential, counter=credential.counter + 1), key, message.envelope, part)
    assert not mac_is_valid(replace(credential, signature=b""), key, message.envelope, part)
    for other in ({"session_id": 1}, {"request_id": 1}, {"suggested": Version(2, 10)}, {"version": Version(2, 10)}):
        assert not mac_is_valid(credential, key, replace(message.envelope, **other), part)


@pytest.mark.parametrize(
    ("minor", "section"),
    [
        (4, "0000001d 00000001 02 00000014 a91de4f5e22fb731ac16ee67e05103faa7102def"),
        (5, "0000001d 00000001 02 00000014 01960cfdde82f4f3e1f761005b55f84bf3637de8"),
        (6, "00000020 00000004 53484131 00000014 01960cfdde82f4f3e1f761005b55f84bf3637de8"),
        (
            7,
            "00000033 0000000b 484d41432d534841323536 00000020"
            "862e7fddf464cc4ecf93ee944c6157a4f937f268c016beccf5086b854bea9f77",
        ),
        (
            8,
            "00000033 0000000b 484d41432d534841323536 00000020"
            "7e46a5fa0064ee6e72a49262eb206f2cda599da2b48821540f16f605968c5b55",
        ),
        (
            11,
            "00000033 0000000b 484d41432d534841323536 00000020"
            "57bc411e6261fdc54bbcaff77848727638d5a1fd6be82905e688066e4e78ab41",
        ),
    ],
)
def test_the_macs_of_the_specs_examples_are_made_and_verify(minor: int, section: str) -> None:
    sent = envelope(Version(2, minor))
    octets = bytes.fromhex("00000000 00000000 00000001 00000006 48535f4d4143" + section)
    credential = maced(KEY, sent, DELETE, counter=1)
    assert credential.to_bytes() == octets
    assert Credential.read(octets) == credential
    assert mac_is_valid(credential, KEY, sent, DELETE)
    assert not mac_is_valid(credential, KEY[::-1], sent, DELETE)


def as_the_spec_lays_it_out(key: bytes, sent: Envelope, counter: int, message: bytes) -> bytes:
    """The broken layout of 2.5 and 2.6, written step by step into one buffer (spec, security: section 6.4)."""
    buffer = bytearray(2 * len(key) + len(message) + 14)

    def write(place: int, octets: bytes) -> None:
        buffer[place : place + len(octets)] = octets

    write(0, key)
    write(len(key), bytes(sent.version))
    write(len(key) + 2, sent.session_id.to_bytes(4, "big"))
    write(4, sent.request_id.to_bytes(4, "big"))
    write(4, counter.to_bytes(4, "big"))
    write(4, message)
    write(4 + len(message), key)
    return sha1(buffer, usedforsecurity=False).digest()


@given(
    key=st.binary(min_size=8, max_size=64),
    minor=st.sampled_from([5, 6]),
    session_id=st.integers(0, 2**32 - 1),
    counter=st.integers(0, 2**32 - 1),
    message=st.binary(min_size=24, max_size=80),
)
def test_the_broken_layout_hashes_what_the_spec_writes_into_its_buffer(
    key: bytes, minor: int, session_id: int, counter: int, message: bytes
) -> None:
    sent = envelope(Version(2, minor), session_id=session_id)
    expected = as_the_spec_lays_it_out(key, sent, counter, message)
    assert message_mac(MacForm.SHA1, key, sent, counter, message) == expected


@pytest.mark.parametrize("form", [MacForm.HMAC_SHA1, MacForm.HMAC_SHA256])
@pytest.mark.parametrize("minor", [5, 6])
def test_the_broken_layout_has_no_hmac(form: MacForm, minor: int) -> None:
    sent = envelope(Version(2, minor))
    credential = Credential(type=HS_MAC, algorithm=bytes([form]), signature=mac(form, KEY, DELETE))
    assert message_mac(form, KEY, sent, 0, DELETE) is None
    assert not mac_is_valid(credential, KEY, sent, DELETE)


@pytest.mark.parametrize(
    ("version", "prefix"),
    [
        (Version(5, 0), ""),
        (Version(2, 0), ""),
        (Version(2, 5), ""),
        (Version(2, 6), "0206 a1a2 0a0b0c0d 000000000000"),
        (Version(2, 7), "0207 a1a2a3a4 01020304 0a0b0c0d"),
        (Version(2, 8), "0208 020b a1a2a3a4 01020304 0a0b0c0d"),
        (Version(2, 11), "020b 020b a1a2a3a4 01020304 0a0b0c0d"),
        (Version(3, 0), "0300 020b a1a2a3a4 01020304 0a0b0c0d"),
    ],
)
def test_each_version_signs_its_own_part_of_the_envelope(version: Version, prefix: str) -> None:
    sent = envelope(version, session_id=0xA1A2A3A4)
    assert signed_octets(sent, 0x0A0B0C0D, DELETE) == bytes.fromhex(prefix) + DELETE


def test_flags_of_the_envelope_are_not_signed() -> None:
    sent = envelope(Version(2, 11))
    assert signed_octets(replace(sent, flags=0x40), 1, DELETE) == signed_octets(sent, 1, DELETE)


@pytest.mark.parametrize(
    ("name", "version", "digest"),
    [
        ("admin RSA", Version(2, 6), "SHA1"),
        ("admin RSA", Version(2, 7), "SHA-256"),
        ("admin RSA", Version(5, 1), "SHA1"),
        ("admin DSA", Version(2, 7), "SHA1"),
        ("admin DSA", Version(2, 10), "SHA1"),
        ("admin DSA", Version(2, 11), "SHA-256"),
    ],
)
def test_version_and_kind_of_key_choose_the_digest(name: str, version: Version, digest: str) -> None:
    key, sent = private(name), envelope(version)
    credential = signed(key, sent, DELETE, counter=3)
    assert signing_digest(version, key) == digest
    assert (credential.type, credential.algorithm, credential.counter) == (HS_SIGNED, digest.encode(), 3)
    assert signature_is_valid(credential, public_of(key), sent, DELETE)


def test_the_older_type_of_a_signature_is_accepted_and_no_other() -> None:
    key, sent = private("admin DSA"), envelope(Version(2, 11))
    credential = signed(key, sent, DELETE)
    assert signature_is_valid(replace(credential, type=HS_DSAPUBKEY), public_of(key), sent, DELETE)
    assert not signature_is_valid(replace(credential, type=HS_MAC), public_of(key), sent, DELETE)
    assert not signature_is_valid(replace(credential, algorithm=b"SHA-512"), public_of(key), sent, DELETE)


def test_a_mac_of_another_type_or_algorithm_proves_nothing() -> None:
    sent = envelope(Version(2, 11))
    credential = maced(KEY, sent, DELETE, counter=1)
    assert not mac_is_valid(replace(credential, type=HS_SIGNED), KEY, sent, DELETE)
    assert not mac_is_valid(replace(credential, algorithm=b"HMAC-MD5"), KEY, sent, DELETE)


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        (b"MD5", "MD5"),
        (b"\x01", "MD5"),
        (b"SHA1", "SHA1"),
        (b"SHA-1", "SHA1"),
        (b"\x02", "SHA1"),
        (b"SHA256", "SHA-256"),
        (b"SHA-256", "SHA-256"),
        (b"\x03", "SHA-256"),
        (b"sha1", None),
        (b"\x00", None),
        (b"", None),
    ],
)
def test_digests_are_known_by_every_name_that_peers_write(name: bytes, digest: str | None) -> None:
    assert named_digest(name) == digest


@pytest.mark.parametrize(
    ("name", "form"),
    [
        (b"\x01", MacForm.MD5),
        (b"\x02", MacForm.SHA1),
        (b"\x03", MacForm.SHA256),
        (b"\x12", MacForm.HMAC_SHA1),
        (b"\x13", MacForm.HMAC_SHA256),
        (b"SHA1", MacForm.SHA1),
        (b"HMAC-SHA1", MacForm.HMAC_SHA1),
        (b"HMAC-SHA256", MacForm.HMAC_SHA256),
        (b"HmacSHA256", MacForm.HMAC_SHA256),
        (b"hmac-sha-256", MacForm.HMAC_SHA256),
        (b"\x22", None),
        (b"", None),
        (b"HMAC", None),
    ],
)
def test_macs_are_known_by_every_name_that_peers_write(name: bytes, form: MacForm | None) -> None:
    assert mac_form(name) == form


@pytest.mark.parametrize("form", MacForm)
@pytest.mark.parametrize("minor", [4, 7, 11])
def test_every_form_that_a_peer_may_choose_verifies(form: MacForm, minor: int) -> None:
    sent = envelope(Version(2, minor))
    octets = message_mac(form, KEY, sent, 5, DELETE)
    assert octets is not None
    assert len(octets) == mac_size(form)
    credential = Credential(type=HS_MAC, algorithm=bytes([form]), signature=octets, counter=5)
    assert mac_is_valid(credential, KEY, sent, DELETE)
    assert not mac_is_valid(replace(credential, signature=octets[:-1]), KEY, sent, DELETE)


@given(
    kind=st.sampled_from([HS_SIGNED, HS_MAC, HS_DSAPUBKEY]),
    algorithm=st.sampled_from([b"SHA1", b"SHA-256", b"MD5", b"HMAC-SHA256", b"\x02", b"\x12"]) | st.binary(max_size=12),
    octets=st.binary(max_size=300),
    counter=st.integers(0, 2**32 - 1),
    version=st.sampled_from([Version(5, 0), Version(2, 4), Version(2, 6), Version(2, 7), Version(2, 11)]),
)
def test_no_made_up_credential_is_valid_and_none_raises(
    kind: bytes, algorithm: bytes, octets: bytes, counter: int, version: Version
) -> None:
    credential = Credential(type=kind, algorithm=algorithm, signature=octets, counter=counter)
    sent = envelope(version)
    assert not mac_is_valid(credential, KEY, sent, DELETE)
    assert not signature_is_valid(credential, SERVER_KEY, sent, DELETE)
    assert not signature_is_valid(credential, read_public_key(captured_keys()["admin DSA"][1]), sent, DELETE)
