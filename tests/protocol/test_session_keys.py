"""How a session's key comes about: the captured exchanges, the examples of the spec, and what a stranger may bend."""

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import codec
from protocol.codec import Message
from protocol.errors import Malformed, SessionFailed
from protocol.requests import ExchangeKeyRequest, SessionSetupRequest
from protocol.responses import SessionSetupResponse
from protocol.trust.keys import DhPublicKey, PrivateKey, from_pem, public_key_octets, read_public_key
from protocol.trust.session import (
    DH_BITS_MAX,
    DH_GENERATOR,
    DH_PRIME,
    DH_PRIVATE_BITS,
    SessionCipher,
    SessionKey,
    dh_public_key,
    dh_response,
    read_dh_key,
    read_dh_response,
    session_key,
    shared_secret,
    unwrapped_key,
    wrapped_key,
)
from protocol.version import NEWEST, Version
from tests.support.keys import captured_keys
from tests.support.vectors import octets, vectors

KEYS: dict[str, str] = vectors()["keys"]["session"]
OLD = Version(2, 3)
CHAINED = Version(2, 4)
KEY = bytes(range(1, 33))


@cache
def private(name: str) -> PrivateKey:
    key = from_pem(captured_keys()[name][0])
    assert isinstance(key, PrivateKey)
    return key


def setup_data(name: str) -> bytes:
    _, body = codec.read_response(Message.read(octets(name)))
    assert isinstance(body, SessionSetupResponse)
    return body.data


def client_dh_key() -> bytes:
    body = codec.read_request(Message.read(octets("session.dh.setup.request")))
    assert isinstance(body, SessionSetupRequest)
    assert body.public_key is not None
    return body.public_key


# Diffie-Hellman


def test_the_captured_exchange_gives_the_captured_secret_and_key() -> None:
    client, x = read_dh_key(client_dh_key()), int(KEYS["clientDhPrivateX"], 16)
    data = setup_data("session.dh.setup.response")
    algorithm, server = read_dh_response(data, NEWEST)
    assert client_dh_key().hex() == KEYS["clientDhPublicKeyHex"]
    assert public_key_octets(client) == client_dh_key()
    assert dh_public_key(x, client.p, client.g) == client
    assert algorithm == SessionCipher.AES
    assert dh_response(algorithm, server, NEWEST) == data
    secret = shared_secret(x, client, server)
    assert secret.hex() == KEYS["dhSharedSecretHex"]
    assert session_key(algorithm, secret).hex() == KEYS["dhSessionKeyHex"]


def test_both_sides_agree_in_our_own_group() -> None:
    client = dh_public_key(1 << DH_PRIVATE_BITS - 1 | 12345)
    server = dh_public_key(1 << DH_PRIVATE_BITS - 2 | 6789, client.p, client.g)
    secret = shared_secret(1 << DH_PRIVATE_BITS - 1 | 12345, client, server)
    assert secret == shared_secret(1 << DH_PRIVATE_BITS - 2 | 6789, server, client)
    assert len(secret) == 256


def test_our_own_group_has_no_small_subgroups() -> None:
    assert DH_PRIME.bit_length() == 2048
    assert DH_PRIME % 8 == 7  # So 2 is a square: it generates the subgroup whose order is the prime (p - 1) / 2.
    order = (DH_PRIME - 1) // 2
    for number, bases in ((DH_PRIME, (3, 5, 7, 11, 13)), (order, (2, 3, 5, 7, 11))):
        assert all(pow(base, number - 1, number) == 1 for base in bases)
    assert pow(DH_GENERATOR, order, DH_PRIME) == 1


def test_the_secret_is_as_long_as_the_group_whatever_its_first_octets() -> None:
    p = (1 << 512) - 569  # The greatest prime of 512 bits.
    mine, peer = DhPublicKey(pow(2, 3, p), p, 2), DhPublicKey(4, p, 2)
    assert shared_secret(3, mine, peer) == bytes(63) + b"\x40"


EXAMPLE = bytes.fromhex("5b6bd6a9c1bf98132874626df204f3f2403429bc968bcf3b82a9249bfc202fd2") + bytes(96)


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        (SessionCipher.DES, "5b6bd6a8c1bf9813"),
        (SessionCipher.DESEDE, "5b6bd6a8c1bf98132975626df204f2f2403429bc978ace3b"),
        (SessionCipher.AES, "5b6bd6a9c1bf98132874626df204f3f2403429bc968bcf3b82a9249bfc202fd2"),
    ],
)
def test_the_keys_of_the_specs_example_are_derived(algorithm: int, key: str) -> None:
    assert session_key(algorithm, EXAMPLE).hex() == key


def test_zeros_in_front_of_the_secret_are_dropped_for_aes_alone_and_as_long_as_32_octets_stay() -> None:
    assert session_key(SessionCipher.AES, bytes(5) + EXAMPLE) == EXAMPLE[:32]
    assert session_key(SessionCipher.AES, bytes(60) + b"\7" * 4) == bytes(28) + b"\7" * 4
    assert session_key(SessionCipher.DES, bytes(5) + EXAMPLE) == b"\1" * 5 + bytes.fromhex("5b6bd6")
    assert session_key(SessionCipher.DESEDE, bytes(64)) == b"\1" * 24


def test_nobody_agrees_on_a_key_of_sm4() -> None:
    with pytest.raises(Malformed, match="session cipher 4"):
        read_dh_response(b"\0\0\0\4" + client_dh_key(), NEWEST)


def test_below_24_a_response_carries_the_key_alone_and_means_des() -> None:
    key = read_dh_key(client_dh_key())
    assert dh_response(SessionCipher.DES, key, OLD) == client_dh_key()
    assert read_dh_response(client_dh_key(), OLD) == (SessionCipher.DES, key)
    assert dh_response(SessionCipher.DESEDE, key, CHAINED) == b"\0\0\0\2" + client_dh_key()


@pytest.mark.parametrize("algorithm", [0, 4, 2**32 - 1])
def test_a_response_with_an_unknown_cipher_is_refused(algorithm: int) -> None:
    with pytest.raises(Malformed):
        read_dh_response(algorithm.to_bytes(4, "big") + client_dh_key(), NEWEST)


def test_a_response_cut_anywhere_is_refused() -> None:
    data = setup_data("session.dh.setup.response")
    for end in range(len(data)):
        with pytest.raises(Malformed):
            read_dh_response(data[:end], NEWEST)


@pytest.mark.parametrize(
    "changes",
    [
        {"y": 0},
        {"y": 1},
        {"y": DH_PRIME - 1},
        {"y": DH_PRIME},
        {"g": 1},
        {"g": 0},
        {"g": DH_PRIME - 1},
        {"p": 0},
        {"p": 23},
        {"p": DH_PRIME - 1},
        {"p": (1 << 511) - 1},
        {"p": (1 << DH_BITS_MAX) + 1},
    ],
)
def test_a_key_that_gives_the_secret_away_or_costs_too_much_is_refused(changes: dict[str, int]) -> None:
    mine = dh_public_key(12345)
    bent = replace(mine, **changes)
    with pytest.raises(Malformed):
        read_dh_key(public_key_octets(bent))
    with pytest.raises(Malformed):
        shared_secret(12345, mine, bent)


def test_a_peer_that_answers_in_another_group_is_refused() -> None:
    client = read_dh_key(client_dh_key())
    with pytest.raises(Malformed):
        shared_secret(12345, dh_public_key(12345), client)


@pytest.mark.parametrize(("y", "secret"), [(3, 0), (1 + 3**399, 1), (3**400 - 1 - 3**399, 1)])
def test_a_secret_that_the_peers_group_fixes_is_refused(y: int, secret: int) -> None:
    p, private_exponent = 3**400, 600  # A stranger need not send a prime.
    assert pow(y, private_exponent, p) == secret
    mine = dh_public_key(private_exponent, p, 2)
    with pytest.raises(Malformed):
        shared_secret(private_exponent, mine, DhPublicKey(y, p, 2))


@pytest.mark.parametrize("name", ["server", "admin DSA"])
def test_a_key_of_another_kind_is_no_part_of_the_exchange(name: str) -> None:
    with pytest.raises(Malformed):
        read_dh_key(captured_keys()[name][1])


@given(st.binary(max_size=120), st.sampled_from([OLD, CHAINED, NEWEST]))
def test_any_octets_are_a_response_or_malformed(data: bytes, version: Version) -> None:
    with pytest.raises(Malformed):  # A usable key alone has more octets.
        read_dh_response(data, version)


# Keys encrypted with RSA


@pytest.mark.parametrize(
    ("name", "key_name", "plain"),
    [
        ("session.client-key.setup.response", "session client", "clientPlainSessionKeyHex"),
        ("session.server-key.exchange-key.request", "server", "serverPlainSessionKeyHex"),
        ("session.handle-key.setup.response", "admin RSA", "hdlPlainSessionKeyHex"),
    ],
)
def test_the_captured_encrypted_keys_are_opened(name: str, key_name: str, plain: str) -> None:
    if name.endswith("request"):
        body = codec.read_request(Message.read(octets(name)))
        assert isinstance(body, ExchangeKeyRequest)
        blob = body.encrypted_key
    else:
        blob = setup_data(name)
    found = unwrapped_key(private(key_name), blob, NEWEST)
    assert found.algorithm.to_bytes(4, "big") + found.key == bytes.fromhex(KEYS[plain])
    for other in {"session client", "server", "admin RSA", "admin DSA"} - {key_name}:
        with pytest.raises(SessionFailed):
            unwrapped_key(private(other), blob, NEWEST)


@pytest.mark.parametrize(
    ("session", "version"),
    [
        (SessionKey(SessionCipher.AES, KEY[:16]), NEWEST),
        (SessionKey(SessionCipher.AES, KEY), NEWEST),
        (SessionKey(SessionCipher.SM4, KEY[:16]), NEWEST),
        (SessionKey(SessionCipher.DESEDE, KEY[:24]), OLD),
        (SessionKey(SessionCipher.DES, KEY[:16]), Version(2, 2)),
        (SessionKey(SessionCipher.DES, KEY[:8]), Version(2, 2)),
        (SessionKey(SessionCipher.DES, KEY[:8]), Version(2, 1)),
        (SessionKey(SessionCipher.DES, KEY[:8]), Version(5, 0)),
    ],
)
def test_an_encrypted_key_is_opened_by_its_owner_at_its_version(session: SessionKey, version: Version) -> None:
    blob = wrapped_key(read_public_key(captured_keys()["server"][1]), session, version)
    assert unwrapped_key(private("server"), blob, version) == session


def test_a_key_of_the_other_form_or_a_wrong_size_fails() -> None:
    public = read_public_key(captured_keys()["server"][1])
    bare = wrapped_key(public, SessionKey(SessionCipher.DES, KEY[:8]), Version(2, 1))
    named = wrapped_key(public, SessionKey(SessionCipher.AES, KEY[:16]), NEWEST)
    with pytest.raises(SessionFailed):
        unwrapped_key(private("server"), bare, NEWEST)
    with pytest.raises(SessionFailed):
        unwrapped_key(private("server"), named, Version(2, 1))


def test_all_failures_to_open_a_key_read_alike() -> None:
    public = read_public_key(captured_keys()["server"][1])
    blob = wrapped_key(public, SessionKey(SessionCipher.AES, KEY[:16]), NEWEST)
    texts = set()
    for bent in (b"", blob[:-1], blob + b"\0", bytes(256), b"\xff" * 256, blob[:-1] + bytes([blob[-1] ^ 1])):
        with pytest.raises(SessionFailed) as failure:
            unwrapped_key(private("server"), bent, NEWEST)
        texts.add((str(failure.value), failure.value.told))
    assert len(texts) == 1


@pytest.mark.parametrize("octets_of_key", ["admin DSA", "dh", "unknown", "short"])
def test_a_strangers_key_that_cannot_encrypt_is_malformed(octets_of_key: str) -> None:
    key = {
        "admin DSA": read_public_key(captured_keys()["admin DSA"][1]),
        "dh": read_public_key(client_dh_key()),
        "unknown": read_public_key(b"\0\0\0\x0bSM2_PUB_KEY\0\0rest"),
        "short": read_public_key(b"\0\0\0\x0bRSA_PUB_KEY\0\0\0\0\0\x01\x03\0\0\0\x01\x0f"),
    }[octets_of_key]
    with pytest.raises(Malformed):
        wrapped_key(key, SessionKey(SessionCipher.AES, KEY[:16]), NEWEST)


@given(st.binary(max_size=256))
def test_any_octets_open_no_key(blob: bytes) -> None:
    with pytest.raises(SessionFailed):
        unwrapped_key(private("server"), blob, Version(2, 2))
