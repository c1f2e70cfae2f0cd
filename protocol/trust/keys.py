"""What keys do: sign, verify, and stand in PEM. Knows no challenge, no message and no key file.

The keys as values and octets are those of `protocol.trust.key_values`, given on from here.
Source: spec, security: section 3.
RSA signs by PKCS#1 v1.5 (RFC 8017, section 8.2), DSA gives the DER sequence of r and s. `cryptography` does the
arithmetic; its errors stop here.
"""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from protocol.errors import HandleError, Malformed
from protocol.limits import STRING_SIZE_MAX
from protocol.trust.key_values import (
    DhPublicKey,
    DsaPrivateKey,
    DsaPublicKey,
    PrivateKey,
    PublicKey,
    RsaPrivateKey,
    RsaPublicKey,
    RsaShortPrivateKey,
    UnknownPublicKey,
    fingerprint,
    hashed_secret,
    key_bits,
    private_key_octets,
    public_key_octets,
    read_private_key,
    read_public_key,
)

__all__ = [
    "MD5",
    "SHA1",
    "SHA256",
    "SHA384",
    "SHA512",
    "DhPublicKey",
    "DsaPrivateKey",
    "DsaPublicKey",
    "PrivateKey",
    "PublicKey",
    "RsaPrivateKey",
    "RsaPublicKey",
    "RsaShortPrivateKey",
    "UnknownPublicKey",
    "UnusableKey",
    "WrongPassphrase",
    "fingerprint",
    "from_pem",
    "generate_rsa",
    "hashed_secret",
    "key_bits",
    "private_key_octets",
    "private_pem",
    "public_key_octets",
    "public_of",
    "public_pem",
    "read_private_key",
    "read_public_key",
    "signature",
    "verifies",
]

MD5: Final = "MD5"
SHA1: Final = "SHA1"
SHA256: Final = "SHA-256"
SHA384: Final = "SHA-384"  # No message of the wire names this one and the next: signed claims do.
SHA512: Final = "SHA-512"

_DIGESTS: Final[Mapping[str, hashes.HashAlgorithm]] = MappingProxyType(
    {
        MD5: hashes.MD5(),  # noqa: S303  # peers choose; old ones know no other
        SHA1: hashes.SHA1(),  # noqa: S303  # the same
        SHA256: hashes.SHA256(),
        SHA384: hashes.SHA384(),
        SHA512: hashes.SHA512(),
    }
)

_RSA_BITS_MIN: Final = 1_024  # Shorter ones are broken within hours.
_EXPONENT_BITS_MAX: Final = 64  # Checking a signature must stay cheap, whatever key a stranger publishes.
_DSA_BITS_MAX: Final = 4_096  # The library's bound, asked here before the arithmetic.
_EXPONENTS: Final = (65_537, 3, 17, 257, 5)  # Public exponents in use, most usual first.


class UnusableKey(HandleError):
    """A key that was read well and cannot do what was asked: another kind, or numbers that do not belong together."""


class WrongPassphrase(Malformed):
    """An encrypted key that this passphrase does not open, or that needs one; or its octets are damaged."""


@lru_cache(maxsize=256)
def _engine_public(key: RsaPublicKey | DsaPublicKey) -> rsa.RSAPublicKey | dsa.DSAPublicKey:
    """`ValueError` where the numbers are no key, or one that is costly or too weak to check with."""
    if isinstance(key, RsaPublicKey):
        if key.modulus.bit_length() < _RSA_BITS_MIN or key.exponent.bit_length() > _EXPONENT_BITS_MAX:
            raise ValueError("a modulus that is too short, or an exponent that is too long")
        return rsa.RSAPublicNumbers(key.exponent, key.modulus).public_key()
    if not (key.p & 1 and key.q & 1 and 1 < key.g < key.p and 1 < key.y < key.p):
        raise ValueError("numbers that belong to no key")
    return dsa.DSAPublicNumbers(key.y, dsa.DSAParameterNumbers(key.p, key.q, key.g)).public_key()


@lru_cache(maxsize=16)
def _engine_private(key: PrivateKey) -> rsa.RSAPrivateKey | dsa.DSAPrivateKey:
    """`UnusableKey` where the numbers make no key: that is checked here, which takes 50 ms for an RSA key."""
    try:
        if isinstance(key, RsaPrivateKey | RsaShortPrivateKey):
            if key.modulus.bit_length() < _RSA_BITS_MIN:
                raise ValueError("its modulus is too short")
            full = _completed(key) if isinstance(key, RsaShortPrivateKey) else key
            public = rsa.RSAPublicNumbers(full.exponent, full.modulus)
            return rsa.RSAPrivateNumbers(
                full.p, full.q, full.private_exponent, full.dp, full.dq, full.qinv, public
            ).private_key()
        if key.p.bit_length() > _DSA_BITS_MAX or not 0 < key.x < key.q:
            raise ValueError("a secret or a modulus out of range")
        y = pow(key.g, key.x, key.p)
        return dsa.DSAPrivateNumbers(
            key.x, dsa.DSAPublicNumbers(y, dsa.DSAParameterNumbers(key.p, key.q, key.g))
        ).private_key()
    except ValueError as error:
        raise UnusableKey(f"the private key cannot be used: {error}") from error


def _completed(key: RsaShortPrivateKey) -> RsaPrivateKey:
    """The key with its primes, found by trying the public exponents in use; `ValueError` where none fits."""
    n, d = key.modulus, key.private_exponent
    if n < 3 or not n & 1:
        raise ValueError("the modulus is no product of two primes")
    signed = pow(2, d, n)
    for exponent in _EXPONENTS:
        if pow(signed, exponent, n) == 2:
            p, q = rsa.rsa_recover_prime_factors(n, exponent, d)
            dp, dq, qinv = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
            return RsaPrivateKey(n, exponent, d, p, q, dp, dq, qinv)
    raise ValueError("no public exponent in use belongs to it")


def public_of(key: PrivateKey) -> PublicKey:
    """The public half; `UnusableKey` where the numbers make no key."""
    found = _from_engine(_engine_private(key).public_key())
    assert isinstance(found, RsaPublicKey | DsaPublicKey)
    return found


def signature(key: PrivateKey, digest: str, octets: bytes) -> bytes:
    """The signature over the octets, hashed by one of the five digests above; `UnusableKey` where the key is none.

    Another digest name is our own mistake: `KeyError`.
    """
    algorithm, engine = _DIGESTS[digest], _engine_private(key)
    if isinstance(engine, rsa.RSAPrivateKey):
        return engine.sign(octets, padding.PKCS1v15(), algorithm)
    return engine.sign(octets, algorithm)


def verifies(key: PublicKey, digest: str, octets: bytes, signature: bytes) -> bool:
    """Whether the key's owner signed the octets. Any key, digest name and signature may come: False, never an error."""
    algorithm = _DIGESTS.get(digest)
    if algorithm is None or not isinstance(key, RsaPublicKey | DsaPublicKey):
        return False
    try:
        engine = _engine_public(key)
        if isinstance(engine, rsa.RSAPublicKey):
            engine.verify(signature, octets, padding.PKCS1v15(), algorithm)
        else:
            engine.verify(signature, octets, algorithm)
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return False
    return True


def generate_rsa(bits: int) -> RsaPrivateKey:
    """A fresh key pair of that many bits, at least 1,024, with the public exponent 65,537."""
    key = _from_engine(rsa.generate_private_key(_EXPONENTS[0], bits))
    assert isinstance(key, RsaPrivateKey)
    return key


def _from_engine(key: PrivateKeyTypes | PublicKeyTypes) -> RsaPrivateKey | DsaPrivateKey | RsaPublicKey | DsaPublicKey:
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()
        n, e = numbers.public_numbers.n, numbers.public_numbers.e
        return RsaPrivateKey(n, e, numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp)
    if isinstance(key, dsa.DSAPrivateKey):
        secret = key.private_numbers()
        group = secret.public_numbers.parameter_numbers
        return DsaPrivateKey(secret.x, group.p, group.q, group.g)
    if isinstance(key, rsa.RSAPublicKey):
        return RsaPublicKey(key.public_numbers().n, key.public_numbers().e)
    if isinstance(key, dsa.DSAPublicKey):
        group = key.public_numbers().parameter_numbers
        return DsaPublicKey(group.q, group.p, group.g, key.public_numbers().y)
    raise UnusableKey("the Handle protocol knows RSA and DSA keys; this is of another kind")


def from_pem(octets: bytes, passphrase: bytes | None = None) -> PrivateKey | PublicKey:
    """The key of a PEM text, private (PKCS#8 or the older forms) or public. A passphrase it does not need is ignored.

    `Malformed` where it is no PEM, `WrongPassphrase` where it stays closed, `UnusableKey` for other kinds of keys.
    """
    if len(octets) > STRING_SIZE_MAX:
        raise Malformed(f"{len(octets)} octets are no PEM of one key")
    try:
        if b"PRIVATE KEY-----" in octets:
            return _from_engine(_opened(octets, passphrase or None))
        return _from_engine(serialization.load_pem_public_key(octets))
    except UnsupportedAlgorithm as error:
        raise UnusableKey("the PEM holds a kind of key or of encryption that is not known") from error
    except ValueError as error:
        if b"ENCRYPTED" in octets:
            raise WrongPassphrase("the passphrase is wrong, or the PEM is damaged") from error
        raise Malformed(f"not a PEM of a key: {error}") from error


def _opened(octets: bytes, passphrase: bytes | None) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(octets, passphrase)
    except TypeError as error:  # How the library says that a passphrase is missing, or that there is one too many.
        if passphrase is None:
            raise WrongPassphrase("the key is encrypted: a passphrase is needed") from error
        return serialization.load_pem_private_key(octets, None)


def private_pem(key: PrivateKey, passphrase: bytes | None = None) -> bytes:
    """The key as PKCS#8 in PEM, encrypted where a passphrase of at least one octet is given."""
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    return _engine_private(key).private_bytes(pem, serialization.PrivateFormat.PKCS8, encryption)


def public_pem(key: PublicKey) -> bytes:
    """The key as SubjectPublicKeyInfo in PEM; `UnusableKey` for types that have no such form, or bad numbers."""
    if not isinstance(key, RsaPublicKey | DsaPublicKey):
        raise UnusableKey("only RSA and DSA keys are written as PEM")
    try:
        engine = _engine_public(key)
    except ValueError as error:
        raise UnusableKey(f"the public key cannot be used: {error}") from error
    return engine.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
