"""Private key files as Handle servers and tools keep them (`privkey.bin`), read and written. Touches no disk.

Source: spec, records: section 6.3. The old ciphers stand here because files made with them are in service; AES is for
new ones. What must be random (salt, initialisation vector) is an argument.
"""

from enum import IntEnum
from hashlib import md5, pbkdf2_hmac
from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB
from cryptography.hazmat.primitives.padding import PKCS7

from protocol.errors import Malformed
from protocol.limits import STRING_SIZE_MAX
from protocol.trust.keys import PrivateKey, WrongPassphrase, private_key_octets, read_private_key
from protocol.wire import Reader, Writer


class FileEncryption(IntEnum):
    """The number that a key file begins with."""

    DES_ECB = 0
    NONE = 1
    DES_CBC = 2
    TRIPLE_DES = 3
    AES = 4


SALT_SIZE: Final = 16
"""Octets of salt that `TRIPLE_DES` and `AES` want."""

IV_SIZES: Final = {FileEncryption.DES_CBC: 8, FileEncryption.TRIPLE_DES: 8, FileEncryption.AES: 16}
"""Octets of the initialisation vector, by encryption; the others want none."""

_ITERATIONS: Final = 10_000
_ITERATIONS_MAX: Final = 1_000_000  # Half a second of work: a file must not hold us up for longer.
_DES_KEY_SIZE: Final = 8
_SALT_SIZE_MAX: Final = 1_024  # Deployed files have 16.
_KEY_BITS: Final = {FileEncryption.TRIPLE_DES: 192, FileEncryption.AES: 128}
_BLOCK_BITS: Final = dict.fromkeys(FileEncryption, TripleDES.block_size) | {FileEncryption.AES: AES.block_size}
_KEY_BITS_READ: Final = {FileEncryption.TRIPLE_DES: (192,), FileEncryption.AES: (128, 192, 256)}


def read_key_file(octets: bytes, passphrase: bytes | None = None) -> PrivateKey:
    """The key of a file of any of the five encryptions; one in the clear ignores the passphrase.

    `WrongPassphrase` where it does not open the file or is missing; `Malformed` where the octets are no key file.
    """
    reader = Reader(octets)
    number = reader.u32()
    if number == FileEncryption.NONE:
        return read_private_key(reader.rest())
    if number not in FileEncryption.__members__.values():
        raise Malformed(f"key files of encryption {number} are not known")
    if not passphrase:
        raise WrongPassphrase("the key file is encrypted: a passphrase is needed")
    clear = _decrypted(reader, FileEncryption(number), passphrase)
    try:
        return read_private_key(clear)
    except Malformed as error:
        raise WrongPassphrase("the passphrase is wrong, or the key file is damaged") from error


def key_file(
    key: PrivateKey,
    *,
    encryption: int = FileEncryption.AES,
    passphrase: bytes | None = None,
    salt: bytes = b"",
    iv: bytes = b"",
) -> bytes:
    """The file's octets; `encryption` is a number of `FileEncryption`.

    `salt` (`SALT_SIZE`) and `iv` (`IV_SIZES`) are fresh random octets where the encryption wants them, else empty;
    another size is our own mistake: `ValueError`. `WrongPassphrase` where a passphrase is wanted and missing.
    """
    encryption = FileEncryption(encryption)
    octets = Writer()
    octets.u32(encryption)
    clear = private_key_octets(key)
    if encryption is FileEncryption.NONE:
        octets.octets(clear)
        return octets.to_bytes()
    if not passphrase:
        raise WrongPassphrase("an encrypted key file needs a passphrase")
    bits = _KEY_BITS.get(encryption)
    if len(salt) != (SALT_SIZE if bits else 0) or len(iv) != IV_SIZES.get(encryption, 0):
        raise ValueError(f"a salt of {len(salt)} and a vector of {len(iv)} octets do not fit {encryption.name}")
    if bits is None:
        octets.octets(iv)
        octets.octets(_encrypted(_des_cipher(passphrase, iv), encryption, clear))
        return octets.to_bytes()
    octets.counted(salt)
    octets.u32(_ITERATIONS)
    octets.u32(bits)
    octets.counted(iv)
    cipher = _derived_cipher(encryption, _derived_key(passphrase, salt, _ITERATIONS, bits), iv)
    octets.counted(_encrypted(cipher, encryption, clear))
    return octets.to_bytes()


def _decrypted(reader: Reader, encryption: FileEncryption, passphrase: bytes) -> bytes:
    iv_size = IV_SIZES.get(encryption, 0)
    if encryption in _KEY_BITS:
        salt = reader.counted(size_max=_SALT_SIZE_MAX)
        iterations, bits = reader.u32(), reader.u32()
        iv = reader.counted(size_max=iv_size)
        sealed = reader.counted(size_max=STRING_SIZE_MAX)
        reader.expect_end("a key file")
        if not 0 < iterations <= _ITERATIONS_MAX or bits not in _KEY_BITS_READ[encryption] or len(iv) != iv_size:
            raise Malformed(f"a key file of {iterations} rounds, a key of {bits} bits and a vector of {len(iv)} octets")
        cipher = _derived_cipher(encryption, _derived_key(passphrase, salt, iterations, bits), iv)
    else:
        cipher = _des_cipher(passphrase, reader.octets(iv_size))
        sealed = reader.rest()
    decryptor, padding = cipher.decryptor(), PKCS7(_BLOCK_BITS[encryption]).unpadder()
    try:
        padded = decryptor.update(sealed) + decryptor.finalize()
        return padding.update(padded) + padding.finalize()
    except ValueError as error:
        raise WrongPassphrase("the passphrase is wrong, or the key file is damaged") from error


def _encrypted(cipher: Cipher[CBC | ECB], encryption: FileEncryption, clear: bytes) -> bytes:
    encryptor, padding = cipher.encryptor(), PKCS7(_BLOCK_BITS[encryption]).padder()
    return encryptor.update(padding.update(clear) + padding.finalize()) + encryptor.finalize()


def _des_cipher(passphrase: bytes, iv: bytes) -> Cipher[CBC | ECB]:
    """DES is triple DES with one key three times; the library has no other way to it."""
    key = md5(passphrase, usedforsecurity=False).digest()[:_DES_KEY_SIZE]
    return Cipher(TripleDES(key * 3), CBC(iv) if iv else ECB())  # noqa: S305  # what old files are sealed with


def _derived_cipher(encryption: FileEncryption, key: bytes, iv: bytes) -> Cipher[CBC | ECB]:
    return Cipher(AES(key) if encryption is FileEncryption.AES else TripleDES(key), CBC(iv))


def _derived_key(passphrase: bytes, salt: bytes, iterations: int, bits: int) -> bytes:
    # Deployed software takes each octet of the passphrase as a character and derives the key from their UTF-8.
    return pbkdf2_hmac("sha1", passphrase.decode("latin-1").encode(), salt, iterations, bits // 8)
