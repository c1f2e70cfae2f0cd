"""Keys as values and as octets of the wire. Signs and checks nothing: that is `protocol.trust.keys`.

Source: spec, records: section 6. Numbers are big-endian, unsigned, with a zero octet in front where the top bit is set.
"""

from dataclasses import dataclass
from hashlib import sha1, sha256
from typing import Final

from protocol.errors import Malformed
from protocol.limits import KEY_NUMBER_SIZE_MAX
from protocol.wire import Reader, Writer

RSA_PUB: Final = b"RSA_PUB_KEY"
DSA_PUB: Final = b"DSA_PUB_KEY"
DH_PUB: Final = b"DH_PUB_KEY"
_RSA_PRIVATE: Final = b"RSA_PRIV_KEY"
_RSA_PRIVATE_CRT: Final = b"RSA_PRIVCRT_KEY"
_DSA_PRIVATE: Final = b"DSA_PRIV_KEY"

KEY_BITS_MAX: Final = 8 * (KEY_NUMBER_SIZE_MAX - 1)  # One octet of each number is its sign.
_TYPE_SIZE_MAX: Final = 64  # Octets of a key type: known ones have at most 15.
_RSA_END: Final = bytes(4)  # Deployed encoders append these, and deployed readers compare keys octet by octet.


def _check(*numbers: int) -> None:
    for number in numbers:
        if number < 0 or number.bit_length() > KEY_BITS_MAX:
            raise Malformed(f"a key number of {number.bit_length()} bits, at most {KEY_BITS_MAX} allowed")


def key_bits(key: "KnownKey") -> int:
    """Bits of the modulus, which tell how strong the key is."""
    return (key.p if isinstance(key, DsaPublicKey | DsaPrivateKey | DhPublicKey) else key.modulus).bit_length()


def _shown(key: "KnownKey") -> str:
    """No secret gets into a log this way, and no number that is too long for Python to turn into text."""
    return f"<{type(key).__name__} of {key_bits(key)} bits>"


@dataclass(frozen=True, slots=True)
class RsaPublicKey:
    """Modulus and public exponent."""

    modulus: int
    exponent: int

    def __post_init__(self) -> None:
        _check(self.modulus, self.exponent)

    __repr__ = _shown


@dataclass(frozen=True, slots=True)
class DsaPublicKey:
    """The numbers of FIPS 186 in the order of the wire."""

    q: int
    p: int
    g: int
    y: int

    def __post_init__(self) -> None:
        _check(self.q, self.p, self.g, self.y)

    __repr__ = _shown


@dataclass(frozen=True, slots=True)
class DhPublicKey:
    """One side of a Diffie-Hellman exchange: only session set-ups carry it. It signs nothing."""

    y: int
    p: int
    g: int

    def __post_init__(self) -> None:
        _check(self.y, self.p, self.g)

    __repr__ = _shown


@dataclass(frozen=True, slots=True)
class UnknownPublicKey:
    """A key of a type that other software made up, such as `SM2_PUB_KEY`: `octets` is all that follows the flags."""

    type: bytes
    octets: bytes
    flags: int = 0

    def __post_init__(self) -> None:
        if self.type in (RSA_PUB, DSA_PUB, DH_PUB) or len(self.type) > _TYPE_SIZE_MAX:
            raise Malformed(f"{self.type[:_TYPE_SIZE_MAX]!r} is no unknown key type")


@dataclass(frozen=True, slots=True)
class RsaPrivateKey:
    """All numbers of RFC 8017, section 3.2, in the order of the wire."""

    modulus: int
    exponent: int
    private_exponent: int
    p: int
    q: int
    dp: int
    dq: int
    qinv: int

    def __post_init__(self) -> None:
        _check(self.modulus, self.exponent, self.private_exponent, self.p, self.q, self.dp, self.dq, self.qinv)

    __repr__ = _shown


@dataclass(frozen=True, slots=True)
class RsaShortPrivateKey:
    """An RSA key without its primes and its public exponent: old files hold such. Use completes it."""

    modulus: int
    private_exponent: int

    def __post_init__(self) -> None:
        _check(self.modulus, self.private_exponent)

    __repr__ = _shown


@dataclass(frozen=True, slots=True)
class DsaPrivateKey:
    """The secret x with the public numbers it belongs to, in the order of the wire."""

    x: int
    p: int
    q: int
    g: int

    def __post_init__(self) -> None:
        _check(self.x, self.p, self.q, self.g)

    __repr__ = _shown


KnownKey = RsaPublicKey | DsaPublicKey | DhPublicKey | RsaPrivateKey | RsaShortPrivateKey | DsaPrivateKey
PublicKey = RsaPublicKey | DsaPublicKey | DhPublicKey | UnknownPublicKey
PrivateKey = RsaPrivateKey | RsaShortPrivateKey | DsaPrivateKey


def _numbers(octets: Reader, count: int) -> list[int]:
    """That many numbers, always taken as unsigned: some encoders leave out the zero octet of the sign."""
    return [int.from_bytes(octets.counted(size_max=KEY_NUMBER_SIZE_MAX), "big") for _ in range(count)]


def _joined(kind: bytes, flags: int | None, *numbers: int) -> bytes:
    octets = Writer()
    octets.counted(kind)
    if flags is not None:
        octets.u16(flags)
    for number in numbers:
        octets.counted(number.to_bytes(number.bit_length() // 8 + 1, "big"))  # A zero octet where the top bit is set.
    return octets.to_bytes()


def read_public_key(octets: bytes) -> PublicKey:
    """The key of an HS_PUBKEY value, of a server or of a session set-up; `Malformed` for anything else.

    The four zero octets behind an RSA key may be missing. The flags of a known type mean nothing and are not kept.
    """
    reader = Reader(octets)
    kind, flags = reader.counted(size_max=_TYPE_SIZE_MAX), reader.u16()
    key: PublicKey
    if kind == RSA_PUB:
        exponent, modulus = _numbers(reader, 2)
        key = RsaPublicKey(modulus, exponent)
        if reader.remaining and reader.octets(len(_RSA_END)) != _RSA_END:
            raise Malformed("an RSA key that ends in other octets than zeros")
    elif kind == DSA_PUB:
        key = DsaPublicKey(*_numbers(reader, 4))
    elif kind == DH_PUB:
        key = DhPublicKey(*_numbers(reader, 3))
    else:
        key = UnknownPublicKey(kind, reader.rest(), flags)
    reader.expect_end("a public key")
    return key


def public_key_octets(key: PublicKey) -> bytes:
    """The wire form, as the software in service writes it: clients compare keys octet by octet."""
    match key:
        case RsaPublicKey(modulus, exponent):
            return _joined(RSA_PUB, 0, exponent, modulus) + _RSA_END
        case DsaPublicKey(q, p, g, y):
            return _joined(DSA_PUB, 0, q, p, g, y)
        case DhPublicKey(y, p, g):
            return _joined(DH_PUB, 0, y, p, g)
        case UnknownPublicKey():
            return _joined(key.type, key.flags) + key.octets


def read_private_key(octets: bytes) -> PrivateKey:
    """A private key in the clear; `Malformed` for anything else, other key types included."""
    reader = Reader(octets)
    kind = reader.counted(size_max=_TYPE_SIZE_MAX)
    key: PrivateKey
    if kind == _RSA_PRIVATE_CRT:
        key = RsaPrivateKey(*_numbers(reader, 8))
    elif kind == _RSA_PRIVATE:
        key = RsaShortPrivateKey(*_numbers(reader, 2))
    elif kind == _DSA_PRIVATE:
        key = DsaPrivateKey(*_numbers(reader, 4))
    else:
        raise Malformed(f"private keys of type {kind!r} are not known")
    reader.expect_end("a private key")
    return key


def private_key_octets(key: PrivateKey) -> bytes:
    """The wire form, in the clear."""
    match key:
        case RsaPrivateKey():
            numbers = (key.modulus, key.exponent, key.private_exponent, key.p, key.q, key.dp, key.dq, key.qinv)
            return _joined(_RSA_PRIVATE_CRT, None, *numbers)
        case RsaShortPrivateKey(modulus, private_exponent):
            return _joined(_RSA_PRIVATE, None, modulus, private_exponent)
        case DsaPrivateKey(x, p, q, g):
            return _joined(_DSA_PRIVATE, None, x, p, q, g)


def fingerprint(key: PublicKey) -> str:
    """`SHA256:` and 64 hexadecimal digits over the wire form."""
    return f"SHA256:{sha256(public_key_octets(key)).hexdigest()}"


def hashed_secret(secret: bytes) -> bytes:
    """What tools store as HS_SECKEY instead of the secret itself: the hexadecimal digits of its SHA-1."""
    return sha1(secret, usedforsecurity=False).hexdigest().encode()
