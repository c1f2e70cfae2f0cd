"""Messages of a session: the captured ones, every cipher, what does not open, and replays."""

import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import codec
from protocol.codec import Message
from protocol.codes import ENCRYPTED
from protocol.envelope import Envelope
from protocol.errors import Malformed, SessionFailed
from protocol.trust.credential import Credential
from protocol.trust.session import REPLAY_WINDOW, CounterWindow, SessionCipher, iv_size, opened, sealed
from protocol.trust.signature import mac_is_valid
from protocol.version import NEWEST, Version
from tests.support.vectors import messages, octets

ENCRYPTED_MESSAGES: list[dict[str, Any]] = [vector for vector in messages() if "encryption" in vector]
IN_SESSION: list[dict[str, Any]] = [vector for vector in messages() if "session" in vector]
OLD = Version(2, 3)
CHAINED = Version(2, 4)
CIPHERS = list(SessionCipher)
KEY = bytes(range(1, 33))
MESSAGE = bytes(range(100))
ALL_VERSIONS = st.sampled_from([Version(5, 0), Version(2, 1), OLD, CHAINED, NEWEST])


def encrypted_with(vector: dict[str, Any]) -> tuple[bytes, int, bytes, Envelope, bytes]:
    """Key, cipher, initialisation vector, envelope and the encrypted octets of a captured message."""
    told = vector["encryption"]
    envelope, blob = codec.split(octets(vector["name"]))
    return bytes.fromhex(told["sessionKeyHex"]), told["algorithmCode"], bytes.fromhex(told["ivHex"]), envelope, blob


# Encrypted messages


def test_11_encrypted_messages_and_8_in_sessions_are_here() -> None:
    assert (len(ENCRYPTED_MESSAGES), len(IN_SESSION)) == (11, 8)


@pytest.mark.parametrize("vector", ENCRYPTED_MESSAGES, ids=lambda vector: vector["name"])
def test_a_captured_message_is_opened_and_sealed_alike(vector: dict[str, Any]) -> None:
    key, algorithm, iv, envelope, blob = encrypted_with(vector)
    plain = bytes.fromhex(vector["encryption"]["plainMessageHex"])
    assert envelope.flags & ENCRYPTED
    assert opened(key, algorithm, envelope.version, blob) == plain
    assert sealed(key, algorithm, envelope.version, plain, iv) == blob
    message = Message.opened(envelope, plain)
    credential = Credential.read(message.credential)
    assert credential is not None
    assert mac_is_valid(credential, key, envelope, message.signed_part)


@pytest.mark.parametrize("vector", ENCRYPTED_MESSAGES, ids=lambda vector: vector["name"])
def test_a_captured_message_cut_anywhere_stays_closed_or_gives_no_message(vector: dict[str, Any]) -> None:
    key, algorithm, _, envelope, blob = encrypted_with(vector)
    for end in range(len(blob)):
        with pytest.raises((SessionFailed, Malformed)):
            Message.opened(envelope, opened(key, algorithm, envelope.version, blob[:end]))


@pytest.mark.parametrize("vector", IN_SESSION, ids=lambda vector: vector["name"])
def test_a_captured_message_of_the_session_is_proven_by_its_key_where_it_has_a_mac(vector: dict[str, Any]) -> None:
    message = Message.read(octets(vector["name"]))
    credential, key = Credential.read(message.credential), bytes.fromhex(vector["session"]["sessionKeyHex"])
    if vector["name"] == "session.dh.create.answer":  # The client in service leaves the MAC out here.
        assert credential is None
        return
    assert credential is not None
    proven = vector["name"] != "session.dh.terminate.response"  # Signed with the server's key (behaviours 30).
    assert mac_is_valid(credential, key, message.envelope, message.signed_part) is proven


@pytest.mark.parametrize("algorithm", CIPHERS)
@pytest.mark.parametrize("version", [OLD, CHAINED, NEWEST, Version(5, 0)])
def test_each_cipher_opens_what_it_sealed(algorithm: int, version: Version) -> None:
    iv = bytes(range(iv_size(algorithm, version)))
    for size in range(40):
        blob = sealed(KEY, algorithm, version, MESSAGE[:size], iv)
        assert blob.startswith(iv)
        assert len(blob) % (8 if algorithm in (SessionCipher.DES, SessionCipher.DESEDE) else 16) == 0
        assert opened(KEY, algorithm, version, blob) == MESSAGE[:size]


@pytest.mark.parametrize(
    ("algorithm", "block", "sealed_block"),
    [
        # FIPS 81, table B1; SP 800-67 with three keys; FIPS 197, appendix C.1.
        (SessionCipher.DES, b"Now is t", "3fa40e8a984d4815"),
        (SessionCipher.DESEDE, b"The qufc", "a826fd8ce53b855f"),
        (SessionCipher.AES, bytes.fromhex("00112233445566778899aabbccddeeff"), "69c4e0d86a7b0430d8cdb78070b4c55a"),
    ],
)
def test_the_ciphers_are_those_of_the_standards(algorithm: int, block: bytes, sealed_block: str) -> None:
    key = bytes.fromhex(
        {
            SessionCipher.DES: "0123456789abcdef",
            SessionCipher.DESEDE: "0123456789abcdef23456789abcdef01456789abcdef0123",
            SessionCipher.AES: "000102030405060708090a0b0c0d0e0f",
        }[SessionCipher(algorithm)]
    )
    assert sealed(key, algorithm, OLD, block, b"")[: len(block)].hex() == sealed_block
    chained = sealed(key, algorithm, CHAINED, block, bytes(len(block)))
    assert chained[len(block) : 2 * len(block)].hex() == sealed_block


@pytest.mark.parametrize(("algorithm", "size"), [(SessionCipher.DES, 8), (SessionCipher.DESEDE, 24), (3, 16), (4, 16)])
def test_a_cipher_takes_the_head_of_a_longer_key(algorithm: int, size: int) -> None:
    iv = bytes(iv_size(algorithm, NEWEST))
    assert sealed(KEY, algorithm, NEWEST, MESSAGE, iv) == sealed(KEY[:size], algorithm, NEWEST, MESSAGE, iv)


@pytest.mark.parametrize("version", [OLD, NEWEST])
def test_sm4_is_that_of_the_standard_with_the_key_as_vector(version: Version) -> None:
    # A first block of zeros becomes the key itself when the vector is added: the example of GB/T 32907, annex A.
    key = bytes.fromhex("0123456789abcdeffedcba9876543210")
    assert sealed(key, SessionCipher.SM4, version, bytes(16), b"")[:16].hex() == "681edf34d206965e86b3e94f536e4246"
    with pytest.raises(ValueError, match="initialisation vector"):
        sealed(key, SessionCipher.SM4, version, bytes(16), bytes(16))


def test_only_from_24_on_there_is_an_initialisation_vector() -> None:
    assert [iv_size(algorithm, OLD) for algorithm in CIPHERS] == [0, 0, 0, 0]
    assert [iv_size(algorithm, CHAINED) for algorithm in CIPHERS] == [8, 8, 16, 0]
    for version, iv in ((OLD, bytes(16)), (NEWEST, b""), (NEWEST, bytes(8))):
        with pytest.raises(ValueError, match="initialisation vector"):
            sealed(KEY, SessionCipher.AES, version, MESSAGE, iv)


def test_all_failures_to_open_a_message_read_alike() -> None:
    blob = sealed(KEY, SessionCipher.AES, NEWEST, MESSAGE, bytes(16))
    texts = set()
    for bent in (b"", bytes(15), bytes(16), blob[:-1], blob + b"\0", blob[:-16], blob[:-1] + bytes([blob[-1] ^ 1])):
        with pytest.raises(SessionFailed) as failure:
            opened(KEY, SessionCipher.AES, NEWEST, bent)
        texts.add((str(failure.value), failure.value.told))
    assert len(texts) == 1


@given(st.binary(max_size=200), st.sampled_from(CIPHERS), ALL_VERSIONS)
def test_any_octets_are_opened_or_fail(blob: bytes, algorithm: int, version: Version) -> None:
    try:
        plain = opened(KEY, algorithm, version, blob)
    except SessionFailed:
        return
    assert sealed(KEY, algorithm, version, plain, blob[: iv_size(algorithm, version)]) == blob


def test_the_old_ciphers_raise_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for algorithm in CIPHERS:
            opened(KEY, algorithm, OLD, sealed(KEY, algorithm, OLD, MESSAGE, b""))


# Replays


def accepted(*counters: int) -> list[bool]:
    window, found = CounterWindow(), []
    for counter in counters:
        later = window.after(counter)
        found.append(later is not None)
        window = later or window
    return found


def test_counters_may_skip_and_overtake_but_not_come_twice() -> None:
    assert accepted(1, 2, 2, 5, 3, 5, 4, 1) == [True, True, False, True, True, False, True, False]


def test_counter_0_is_not_checked() -> None:
    assert accepted(0, 0, 1, 0) == [True] * 4
    assert CounterWindow((1,)).after(0) == CounterWindow((1,))


def test_a_counter_older_than_all_that_are_remembered_is_refused_once_the_window_is_full() -> None:
    full = range(2, 2 + REPLAY_WINDOW)
    assert accepted(*full, 1) == [True] * REPLAY_WINDOW + [False]
    assert accepted(*full, 500, 2, 3, 300) == [True] * REPLAY_WINDOW + [True, False, False, True]


def test_a_counter_far_ahead_shuts_out_none_of_the_others() -> None:
    assert accepted(2**32 - 1, 1, 2, 3) == [True] * 4


@given(st.lists(st.integers(0, 600), max_size=500))
def test_no_counter_is_accepted_twice_and_the_window_stays_small(counters: list[int]) -> None:
    window, used = CounterWindow(), set[int]()
    for counter in counters:
        later = window.after(counter)
        if later is None:
            assert counter in used or counter < min(window.seen)
            continue
        assert counter == 0 or counter not in used
        used.add(counter)
        window = later
        assert len(window.seen) <= REPLAY_WINDOW
        assert list(window.seen) == sorted(set(window.seen))
