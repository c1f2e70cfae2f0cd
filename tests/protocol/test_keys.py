"""Keys: captured ones both ways, what they sign and refuse, PEM, and whatever octets and numbers a stranger sends."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import HandleError, Malformed
from protocol.trust.key_values import KEY_BITS_MAX
from protocol.trust.keys import (
    MD5,
    SHA1,
    SHA256,
    SHA384,
    SHA512,
    DhPublicKey,
    DsaPrivateKey,
    DsaPublicKey,
    PublicKey,
    RsaPrivateKey,
    RsaPublicKey,
    RsaShortPrivateKey,
    UnknownPublicKey,
    UnusableKey,
    WrongPassphrase,
    fingerprint,
    from_pem,
    generate_rsa,
    hashed_secret,
    private_key_octets,
    private_pem,
    public_key_octets,
    public_of,
    public_pem,
    read_private_key,
    read_public_key,
    signature,
    verifies,
)
from tests.support.keys import PRIVATE_KEYS, captured_keys
from tests.support.vectors import vectors

KEYS = captured_keys()
USED_ELSEWHERE = {"adminSecretKeyText", "dhSharedSecretHex", "dhSessionKeyHex"} | {
    f"{who}PlainSessionKeyHex" for who in ("client", "server", "hdl")
}
"""Secrets that are no key values: challenge and session tests open messages with them."""

digests = pytest.mark.parametrize("digest", [MD5, SHA1, SHA256, SHA384, SHA512])
each_key = pytest.mark.parametrize("name", PRIVATE_KEYS)
number = st.integers(0, 2**200)
key_values = st.one_of(
    st.builds(RsaPublicKey, number, number),
    st.builds(DsaPublicKey, number, number, number, number),
    st.builds(DhPublicKey, number, number, number),
    st.builds(UnknownPublicKey, st.just(b"SM2_PUB_KEY"), st.binary(max_size=30), st.integers(0, 0xFFFF)),
)


def private(name: str) -> RsaPrivateKey | DsaPrivateKey:
    key = from_pem(KEYS[name][0])
    assert isinstance(key, RsaPrivateKey | DsaPrivateKey)
    return key


def rsa() -> RsaPrivateKey:
    key = private("server")
    assert isinstance(key, RsaPrivateKey)
    return key


def test_every_captured_key_is_used() -> None:
    entries = set(vectors()["keys"]) - {"session"} | set(vectors()["keys"]["session"])
    used = {entry for pair in PRIVATE_KEYS.values() for entry in pair} | {"clientDhPublicKeyHex", "clientDhPrivateX"}
    assert len(entries) == 16
    assert len(used) == 10
    assert used | USED_ELSEWHERE == entries


@each_key
def test_a_captured_public_key_belongs_to_its_private_key_and_is_written_alike(name: str) -> None:
    octets = KEYS[name][1]
    assert public_of(private(name)) == read_public_key(octets)
    assert public_key_octets(read_public_key(octets)) == octets


@each_key
def test_a_captured_private_key_survives_the_wire_form_and_pem(name: str) -> None:
    key = private(name)
    assert read_private_key(private_key_octets(key)) == key
    assert private_pem(key) == KEYS[name][0]


def test_the_captured_diffie_hellman_key_is_the_power_of_its_secret() -> None:
    session = vectors()["keys"]["session"]
    octets = bytes.fromhex(session["clientDhPublicKeyHex"])
    key = read_public_key(octets)
    assert isinstance(key, DhPublicKey)
    assert pow(key.g, int(session["clientDhPrivateX"], 16), key.p) == key.y
    assert public_key_octets(key) == octets


@each_key
@digests
def test_what_a_key_signs_its_public_half_verifies_and_nothing_else(name: str, digest: str) -> None:
    key = private(name)
    signed, public = signature(key, digest, b"octets"), public_of(key)
    assert verifies(public, digest, b"octets", signed)
    assert not verifies(public, digest, b"Octets", signed)
    assert not verifies(public, SHA1 if digest != SHA1 else MD5, b"octets", signed)
    others = [read_public_key(octets) for who, (_, octets) in KEYS.items() if who != name]
    assert not any(verifies(other, digest, b"octets", signed) for other in others)


@each_key
def test_a_signature_with_any_octet_changed_is_refused(name: str) -> None:
    key = private(name)
    signed, public = signature(key, SHA256, b"octets"), public_of(key)
    for at in range(len(signed)):
        changed = signed[:at] + bytes([signed[at] ^ 1]) + signed[at + 1 :]
        assert not verifies(public, SHA256, b"octets", changed)
    assert not verifies(public, SHA256, b"octets", signed + b"\x00")


@each_key
@given(garbage=st.binary(max_size=300))
def test_any_signature_is_refused_without_an_error(name: str, garbage: bytes) -> None:
    assert not verifies(read_public_key(KEYS[name][1]), SHA1, b"octets", garbage)


@given(key_values, st.sampled_from(["MD5", "SHA1", "SHA-256", "SHA", ""]), st.binary(max_size=64))
def test_any_key_refuses_without_an_error(key: PublicKey, digest: str, garbage: bytes) -> None:
    assert not verifies(key, digest, b"octets", garbage)


ONE_AND_ONE = bytes.fromhex("3006020101020101")
ABSURD = [
    RsaPublicKey(0, 0),
    RsaPublicKey(2**1023, 3),
    RsaPublicKey(2**1024 + 1, 2),
    RsaPublicKey(2**KEY_BITS_MAX - 1, 2**KEY_BITS_MAX - 1),
    RsaPublicKey(2**KEY_BITS_MAX - 1, 65537),
    RsaPublicKey(2**512 + 75, 3),
    DsaPublicKey(0, 0, 0, 0),
    DsaPublicKey(2**159, 2**1023, 2, 2),
    DsaPublicKey(2**159 + 1, 2**1023 + 1, 2**1022, 2**2000),
    DsaPublicKey(2**159 + 1, 2**1023 + 1, 1, 1),
    DsaPublicKey(2**255 + 1, 2**4095 + 1, 2, 3),
    DsaPublicKey(2**KEY_BITS_MAX - 1, 2**KEY_BITS_MAX - 1, 2, 3),
    DhPublicKey(1, 2, 3),
    UnknownPublicKey(b"SM2_PUB_KEY", b""),
]


@pytest.mark.parametrize("key", ABSURD, ids=lambda key: type(key).__name__)
def test_an_absurd_key_verifies_nothing_and_has_no_pem(key: PublicKey) -> None:
    size = (key.modulus.bit_length() + 7) // 8 if isinstance(key, RsaPublicKey) else 0
    for garbage in (b"", ONE_AND_ONE, b"\x00" * size, b"\x00" * (size - 1) + b"\x01", b"\xff" * size):
        assert not verifies(key, SHA256, b"octets", garbage)
    if not isinstance(key, RsaPublicKey | DsaPublicKey):
        with pytest.raises(UnusableKey):
            public_pem(key)


@given(key_values)
def test_every_public_key_is_read_as_it_was_written(key: PublicKey) -> None:
    assert read_public_key(public_key_octets(key)) == key


def test_a_number_with_its_top_bit_set_gets_a_zero_octet_and_is_read_without_one_too() -> None:
    key = RsaPublicKey(0x80, 3)
    assert public_key_octets(key).hex() == "0000000b5253415f5055425f4b4559000000000001030000000200800000" + "0000"
    bare = bytes.fromhex("0000000b5253415f5055425f4b45590000000000010300000001" + "80")
    assert read_public_key(bare) == read_public_key(bare + bytes(4)) == key


@pytest.mark.parametrize("end", [b"\x00", b"\x00" * 3, b"\x00" * 5, b"\x00\x00\x00\x01"])
def test_an_rsa_key_ends_with_four_zero_octets_or_with_none(end: bytes) -> None:
    whole = public_key_octets(RsaPublicKey(5, 3))
    assert read_public_key(whole[:-4]) == read_public_key(whole)
    with pytest.raises(Malformed):
        read_public_key(whole[:-4] + end)


def test_a_key_of_an_unknown_type_is_kept_as_it_came() -> None:
    octets = b"\x00\x00\x00\x0bSM2_PUB_KEY\x00\x07\x00\x00\x00\x03PEM"
    key = read_public_key(octets)
    assert key == UnknownPublicKey(b"SM2_PUB_KEY", b"\x00\x00\x00\x03PEM", 7)
    assert public_key_octets(key) == octets
    with pytest.raises(Malformed):
        UnknownPublicKey(b"RSA_PUB_KEY", b"")


def test_a_number_below_zero_or_beyond_16384_bits_makes_no_key() -> None:
    for wrong in (-1, 2**KEY_BITS_MAX):
        with pytest.raises(Malformed):
            RsaPublicKey(wrong, 3)
    assert read_public_key(public_key_octets(RsaPublicKey(2**KEY_BITS_MAX - 1, 3)))
    longer = b"\x00\x00\x08\x01" + b"\x80" * 2049  # Fits the size of a field, but not with a zero octet in front.
    with pytest.raises(Malformed):
        read_public_key(public_key_octets(RsaPublicKey(5, 3)).replace(b"\x00\x00\x00\x01\x05", longer))


PRIVATE_OCTETS = [private_key_octets(private(name)) for name in ("server", "admin DSA")]


@pytest.mark.parametrize("octets", PRIVATE_OCTETS, ids=["RSA", "DSA"])
def test_a_private_key_cut_anywhere_or_longer_is_malformed(octets: bytes) -> None:
    for wrong in [octets[:end] for end in range(len(octets))] + [octets + b"\x00"]:
        with pytest.raises(Malformed):
            read_private_key(wrong)


@given(st.binary(max_size=120))
def test_any_octets_are_read_as_a_private_key_or_malformed(octets: bytes) -> None:
    for head in (b"", b"\x00\x00\x00\x0cRSA_PRIV_KEY", b"\x00\x00\x00\x0cDSA_PRIV_KEY"):
        try:
            key = read_private_key(head + octets)
        except Malformed:
            continue
        assert read_private_key(private_key_octets(key)) == key


def test_an_rsa_key_without_its_primes_signs_once_they_are_found() -> None:
    full = rsa()
    short = RsaShortPrivateKey(full.modulus, full.private_exponent)
    assert read_private_key(private_key_octets(short)) == short
    assert public_of(short) == public_of(full)
    assert signature(short, SHA256, b"octets") == signature(full, SHA256, b"octets")


@pytest.mark.parametrize(
    "key",
    [
        RsaShortPrivateKey(2**1024 + 1, 7),
        RsaShortPrivateKey(0, 0),
        RsaPrivateKey(15, 3, 3, 3, 5, 1, 3, 2),
        RsaPrivateKey(2**1024 + 1, 3, 5, 7, 11, 13, 17, 19),
        RsaPrivateKey(0, 0, 0, 0, 0, 0, 0, 0),
        DsaPrivateKey(0, 0, 0, 0),
        DsaPrivateKey(x=5, p=23, q=11, g=4),
    ],
    ids=lambda key: type(key).__name__,
)
def test_private_numbers_that_make_no_key_are_told_on_use(
    key: RsaPrivateKey | RsaShortPrivateKey | DsaPrivateKey,
) -> None:
    for use in (public_of, private_pem, lambda key: signature(key, SHA1, b"octets")):
        with pytest.raises(UnusableKey, match="cannot be used"):
            use(key)


@each_key
def test_a_public_key_survives_pem(name: str) -> None:
    key = public_of(private(name))
    pem = public_pem(key)
    assert pem.startswith(b"-----BEGIN PUBLIC KEY-----\n")
    assert from_pem(pem) == key


@each_key
def test_an_encrypted_pem_opens_with_its_passphrase_alone(name: str) -> None:
    pem = private_pem(private(name), b"pass phrase")
    assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    assert from_pem(pem, b"pass phrase") == private(name)
    with pytest.raises(WrongPassphrase, match="passphrase is wrong"):
        from_pem(pem, b"Pass phrase")
    for missing in (None, b""):
        with pytest.raises(WrongPassphrase, match="a passphrase is needed"):
            from_pem(pem, missing)


def test_a_passphrase_that_is_not_needed_is_ignored() -> None:
    assert from_pem(KEYS["server"][0], b"whatever") == rsa()


def test_a_pem_of_another_kind_of_key_is_unusable() -> None:
    ed25519 = b"MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="
    octets = b"-----BEGIN PUBLIC KEY-----\n" + ed25519 + b"\n-----END PUBLIC KEY-----\n"
    with pytest.raises(UnusableKey, match="RSA and DSA"):
        from_pem(octets)


@given(st.one_of(st.binary(max_size=100), st.text(max_size=60).map(lambda text: text.encode())))
def test_what_is_no_pem_is_refused(octets: bytes) -> None:
    for wrapped in (octets, b"-----BEGIN PRIVATE KEY-----\n" + octets + b"\n-----END PRIVATE KEY-----\n"):
        with pytest.raises(HandleError):
            from_pem(wrapped, b"x")


def test_a_pem_of_a_megabyte_is_refused_unread() -> None:
    with pytest.raises(Malformed, match="no PEM of one key"):
        from_pem(KEYS["server"][0] + b"\n" * 1_048_576)


def test_a_fresh_key_has_the_size_that_was_asked_for_and_signs() -> None:
    key = generate_rsa(1024)
    assert (key.modulus.bit_length(), key.exponent) == (1024, 65537)
    assert verifies(public_of(key), SHA1, b"octets", signature(key, SHA1, b"octets"))


def test_a_fingerprint_is_the_digest_of_the_wire_form() -> None:
    octets = KEYS["server"][1]
    assert fingerprint(read_public_key(octets)) == f"SHA256:{sha256(octets).hexdigest()}"


def test_the_text_of_a_key_is_its_kind_and_size_and_never_a_secret() -> None:
    assert repr(rsa()) == "<RsaPrivateKey of 2048 bits>"
    assert repr(private("admin DSA")) == "<DsaPrivateKey of 1024 bits>"
    assert repr(RsaPublicKey(2**KEY_BITS_MAX - 1, 3)) == "<RsaPublicKey of 16384 bits>"


def test_a_hashed_secret_is_the_hexadecimal_text_of_its_sha1() -> None:
    assert hashed_secret(b"secret") == b"e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4"
