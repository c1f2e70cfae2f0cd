"""Credentials: all captured ones both ways, cut and bent ones refused."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import Malformed
from protocol.limits import HANDLE_SIZE_MAX
from protocol.trust.credential import HS_MAC, HS_SIGNED, NAME_SIZE_MAX, SIGNATURE_SIZE_MAX, Credential
from tests.support.vectors import messages

CAPTURED: list[dict[str, Any]] = [vector for vector in messages() if "credential" in vector]
EXAMPLE = Credential(type=HS_MAC, algorithm=b"SHA1", signature=bytes(range(20)), counter=7, signer=b"0.NA/88.100")


def read(octets: bytes) -> Credential:
    found = Credential.read(octets)
    assert found is not None
    return found


def octets_of(vector: dict[str, Any]) -> bytes:
    return bytes.fromhex(vector["credential"]["hex"])


def test_all_36_credentials_are_here() -> None:
    assert len(CAPTURED) == 36
    assert sum(vector["credential"]["type"] == "HS_SIGNED" for vector in CAPTURED) == 19


@pytest.mark.parametrize("vector", CAPTURED, ids=lambda vector: vector["name"])
def test_a_captured_credential_is_read_as_described_and_written_alike(vector: dict[str, Any]) -> None:
    told, octets = vector["credential"], octets_of(vector)
    credential = read(octets)
    assert credential == Credential(
        type=told["type"].encode(),
        algorithm=told["digestAlgorithm"].encode(),
        signature=bytes.fromhex(told["signatureHex"]),
        counter=told["signerIndexOrSessionCounter"],
        signer=told["signerHandle"].encode(),
        version=told["version"],
        reserved=told["reserved"],
        flags=told["options"],
    )
    assert 8 + len(credential.algorithm) + len(credential.signature) == told["signedInfoLength"]
    assert credential.to_bytes() == octets


@pytest.mark.parametrize("vector", CAPTURED, ids=lambda vector: vector["name"])
def test_a_captured_credential_ends_its_message(vector: dict[str, Any]) -> None:
    octets = octets_of(vector)
    plain = bytes.fromhex(vector["encryption"]["plainMessageHex"] if "encryption" in vector else vector["hex"])
    assert plain.endswith(len(octets).to_bytes(4, "big") + octets)


@pytest.mark.parametrize("vector", CAPTURED, ids=lambda vector: vector["name"])
def test_a_captured_credential_cut_anywhere_is_refused(vector: dict[str, Any]) -> None:
    octets = octets_of(vector)
    for end in range(1, len(octets)):
        with pytest.raises(Malformed):
            Credential.read(octets[:end])


def test_no_octets_are_no_credential() -> None:
    assert Credential.read(b"") is None


def test_a_signer_and_its_index_are_read_as_the_rfc_has_them() -> None:
    octets = bytes.fromhex("00 00 0000 0000000b 302e4e412f38382e313030 00000007") + EXAMPLE.to_bytes()[23:]
    assert read(octets) == EXAMPLE
    assert EXAMPLE.to_bytes() == octets


def test_octets_behind_a_credential_are_refused() -> None:
    with pytest.raises(Malformed):
        Credential.read(EXAMPLE.to_bytes() + b"\0")


@pytest.mark.parametrize("error", [-8, -1, 1, 2**31])
def test_a_section_length_that_disagrees_is_refused(error: int) -> None:
    octets = bytearray(EXAMPLE.to_bytes())
    place = len(octets) - 4 - 8 - len(EXAMPLE.algorithm) - len(EXAMPLE.signature)
    octets[place : place + 4] = (int.from_bytes(octets[place : place + 4], "big") + error).to_bytes(4, "big")
    with pytest.raises(Malformed):
        Credential.read(bytes(octets))


def test_a_section_that_ends_before_its_length_is_refused() -> None:
    whole = replace(EXAMPLE, signature=bytes(8)).to_bytes()
    shorter = whole[:-12] + b"\0\0\0\4" + whole[-8:]  # The section keeps its length, the signature is half as long.
    with pytest.raises(Malformed):
        Credential.read(shorter)


@pytest.mark.parametrize(
    "fields",
    [
        {"type": bytes(NAME_SIZE_MAX + 1)},
        {"algorithm": bytes(NAME_SIZE_MAX + 1)},
        {"signature": bytes(SIGNATURE_SIZE_MAX + 1)},
        {"signer": bytes(HANDLE_SIZE_MAX + 1)},
        {"counter": -1},
        {"counter": 1 << 32},
        {"version": 256},
        {"reserved": -1},
        {"flags": 1 << 16},
    ],
)
def test_a_credential_that_no_message_can_carry_is_not_made(fields: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        replace(EXAMPLE, **fields)


credentials = st.builds(
    Credential,
    type=st.sampled_from([HS_MAC, HS_SIGNED, b""]) | st.binary(max_size=20),
    algorithm=st.binary(max_size=20),
    signature=st.binary(max_size=64),
    counter=st.integers(0, 2**32 - 1),
    signer=st.binary(max_size=30),
    version=st.integers(0, 255),
    reserved=st.integers(0, 255),
    flags=st.integers(0, 2**16 - 1),
)


@given(credentials)
def test_what_is_written_is_read_alike(credential: Credential) -> None:
    assert Credential.read(credential.to_bytes()) == credential


@given(credentials, st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4))
def test_a_credential_with_changed_octets_is_read_or_malformed(
    credential: Credential, changes: list[tuple[int, int]]
) -> None:
    octets = bytearray(credential.to_bytes())
    for place, octet in changes:
        octets[place % len(octets)] = octet
    try:
        found = read(bytes(octets))
    except Malformed:
        return
    assert found.to_bytes() == octets


@given(st.binary(min_size=1, max_size=120))
def test_any_octets_are_read_or_malformed(octets: bytes) -> None:
    try:
        found = read(octets)
    except Malformed:
        return
    assert found.to_bytes() == octets
