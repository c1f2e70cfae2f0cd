"""Private key files: the captured ones both ways, every encryption, wrong passphrases and broken files."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import Malformed
from protocol.trust.key_files import IV_SIZES, SALT_SIZE, FileEncryption, key_file, read_key_file
from protocol.trust.keys import (
    DsaPrivateKey,
    PrivateKey,
    RsaPrivateKey,
    WrongPassphrase,
    from_pem,
    private_key_octets,
    private_pem,
    read_private_key,
)
from tests.support.keys import pkcs8_pem
from tests.support.vectors import vectors

FILES: list[dict[str, Any]] = vectors()["privateKeyFiles"]
ENCRYPTED = FILES[1:4]
SMALL = DsaPrivateKey(x=5, p=23, q=11, g=4)


def captured(file: dict[str, Any]) -> bytes:
    return bytes.fromhex(file["fileHex"])


def passphrase(file: dict[str, Any]) -> bytes | None:
    return None if file["passphrase"] is None else file["passphrase"].encode()


def key_of_the_files() -> PrivateKey:
    key = from_pem(pkcs8_pem(FILES[4]["pkcs8Hex"]))
    assert isinstance(key, RsaPrivateKey)
    return key


def sealed(encryption: FileEncryption, key: PrivateKey = SMALL, phrase: bytes = b"pass") -> bytes:
    salt = bytes(range(SALT_SIZE)) if encryption in (FileEncryption.TRIPLE_DES, FileEncryption.AES) else b""
    vector = bytes(range(IV_SIZES.get(encryption, 0)))
    return key_file(key, encryption=encryption, passphrase=phrase, salt=salt, iv=vector)


def test_all_five_captured_files_are_here() -> None:
    assert len(FILES) == 5
    assert [file["encryptionType"] for file in FILES[:4]] == [1, 2, 3, 4]


@pytest.mark.parametrize("file", FILES[:4], ids=lambda file: file["encryptionType"])
def test_a_captured_file_opens_to_its_key_and_is_sealed_to_the_same_octets(file: dict[str, Any]) -> None:
    octets, encryption = captured(file), FileEncryption(file["encryptionType"])
    key = read_key_file(octets, passphrase(file))
    assert key == key_of_the_files()
    size = IV_SIZES.get(encryption, 0)
    salt = octets[8 : 8 + SALT_SIZE] if encryption in (FileEncryption.TRIPLE_DES, FileEncryption.AES) else b""
    start = 36 if salt else 4
    again = key_file(
        key, encryption=encryption, passphrase=passphrase(file), salt=salt, iv=octets[start : start + size]
    )
    assert again == octets


def test_the_captured_key_in_the_clear_is_read_and_written_alike() -> None:
    octets = captured(FILES[4])
    key = read_private_key(octets)
    assert key == key_of_the_files()
    assert private_key_octets(key) == octets
    assert private_pem(key) == pkcs8_pem(FILES[4]["pkcs8Hex"])


@pytest.mark.parametrize("encryption", FileEncryption)
def test_every_encryption_gives_back_the_key(encryption: FileEncryption) -> None:
    octets = sealed(encryption, key_of_the_files())
    assert int.from_bytes(octets[:4], "big") == encryption
    assert read_key_file(octets, b"pass") == key_of_the_files()


def test_a_passphrase_outside_ascii_is_taken_octet_by_octet_and_spelled_in_utf8() -> None:
    # Ciphertext of the command `openssl`: PBKDF2 over c3 83 c2 a9, then AES-128-CBC.
    octets = sealed(FileEncryption.AES, phrase=b"\xc3\xa9")
    assert read_key_file(octets, b"\xc3\xa9") == SMALL
    assert octets[56:72].hex() == "3da5a882ac08e9300aa648215761b7c7"


@pytest.mark.parametrize("file", ENCRYPTED, ids=lambda file: file["encryptionType"])
@pytest.mark.parametrize("phrase", [b"Pass phrase", b"pass phrase ", b"x", b"\xff"])
def test_a_wrong_passphrase_is_told_as_such(file: dict[str, Any], phrase: bytes) -> None:
    with pytest.raises(WrongPassphrase, match="passphrase is wrong, or the key file is damaged"):
        read_key_file(captured(file), phrase)


@pytest.mark.parametrize("file", ENCRYPTED, ids=lambda file: file["encryptionType"])
@pytest.mark.parametrize("phrase", [None, b""])
def test_a_missing_passphrase_is_told_as_such(file: dict[str, Any], phrase: bytes | None) -> None:
    with pytest.raises(WrongPassphrase, match="a passphrase is needed"):
        read_key_file(captured(file), phrase)


def test_a_file_in_the_clear_ignores_the_passphrase() -> None:
    assert read_key_file(captured(FILES[0]), b"whatever") == key_of_the_files()


@pytest.mark.parametrize("encryption", FileEncryption)
def test_a_file_cut_anywhere_is_refused(encryption: FileEncryption) -> None:
    octets = sealed(encryption)
    for end in range(len(octets)):
        with pytest.raises(Malformed):
            read_key_file(octets[:end], b"pass")


@pytest.mark.parametrize("encryption", [FileEncryption.TRIPLE_DES, FileEncryption.AES])
@pytest.mark.parametrize(("at", "number"), [(24, 0), (24, 1_000_001), (24, 2**32 - 1), (28, 0), (28, 64), (28, 2**31)])
def test_a_file_that_asks_for_absurd_work_is_malformed(encryption: FileEncryption, at: int, number: int) -> None:
    octets = bytearray(sealed(encryption))
    octets[at : at + 4] = number.to_bytes(4, "big")
    with pytest.raises(Malformed) as caught:
        read_key_file(bytes(octets), b"pass")
    assert not isinstance(caught.value, WrongPassphrase)


def test_a_file_with_a_short_vector_is_malformed() -> None:
    octets = sealed(FileEncryption.AES)
    changed = octets[:32] + b"\x00\x00\x00\x08" + octets[36:44] + octets[52:]
    with pytest.raises(Malformed, match="vector of 8 octets"):
        read_key_file(changed, b"pass")


def test_an_unknown_encryption_is_malformed() -> None:
    with pytest.raises(Malformed, match="encryption 5"):
        read_key_file(b"\x00\x00\x00\x05" + bytes(64), b"pass")


def test_a_salt_or_vector_of_the_wrong_size_and_a_missing_passphrase_are_refused_before_anything_is_sealed() -> None:
    with pytest.raises(ValueError, match="do not fit AES"):
        key_file(SMALL, encryption=FileEncryption.AES, passphrase=b"x", salt=bytes(8), iv=bytes(16))
    with pytest.raises(ValueError, match="do not fit DES_CBC"):
        key_file(SMALL, encryption=FileEncryption.DES_CBC, passphrase=b"x", iv=bytes(16))
    with pytest.raises(WrongPassphrase):
        key_file(SMALL, encryption=FileEncryption.DES_CBC, iv=bytes(8))


@settings(deadline=None)
@given(st.sampled_from(FileEncryption), st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=3))
def test_a_file_with_changed_octets_is_read_or_malformed(
    encryption: FileEncryption, changes: list[tuple[int, int]]
) -> None:
    octets = bytearray(sealed(encryption))
    for position, octet in changes:
        if position % len(octets) not in range(24, 28):  # The iterations have a test of their own: they cost time.
            octets[position % len(octets)] = octet
    try:
        key = read_key_file(bytes(octets), b"pass")
    except Malformed:
        return
    assert private_key_octets(read_private_key(private_key_octets(key))) == private_key_octets(key)


@given(st.binary(max_size=100))
def test_any_octets_in_the_clear_are_read_or_malformed(octets: bytes) -> None:
    try:
        key = read_key_file(b"\x00\x00\x00\x01" + octets)
    except Malformed:
        return
    assert read_key_file(key_file(key, encryption=FileEncryption.NONE)) == key
