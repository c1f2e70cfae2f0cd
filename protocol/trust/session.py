"""Sessions octet for octet: how the key is agreed on, what is encrypted with it, and which messages are replays.

Keeps no session and makes nothing random: private exponents and initialisation vectors are given. The MACs of a session
stand in `protocol.trust.signature`. Sources: behaviours 27 to 31; spec, security: section 8; for SM4, spec, snms-api:
section 13.5, and GB/T 32907.

The old ciphers and ECB stand here because old peers know no others. The arithmetic of a key exchange takes
milliseconds: not for the event loop.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple, Self

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES, SM4
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from protocol.errors import Malformed, SessionFailed
from protocol.trust.key_values import DhPublicKey, PrivateKey, PublicKey, public_key_octets, read_public_key
from protocol.trust.keys import UnusableKey, private_pem, public_pem
from protocol.version import V_CHAINED_CIPHER, Version
from protocol.wire import Reader, Writer

V_ALGORITHM_WRAPPED: Final = Version(2, 2)
"""Since then an encrypted session key has the number of its cipher in front (spec, protocol: section 7.1)."""

DH_BITS_MIN: Final = 512  # Shorter groups were never in use; deployed clients take 1,024.
DH_BITS_MAX: Final = 4_096  # A stranger chooses the group: with `DH_PRIVATE_BITS`, 21 ms of one core at most.
DH_PRIVATE_BITS: Final = 512  # Twice what a group of 4,096 bits is worth, and bounded, for the sake of time.
REPLAY_WINDOW: Final = 200  # Counters that a receiver remembers: what the software in service does.

DH_GENERATOR: Final = 2
DH_PRIME: Final = int(
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404dd"
    "ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed"
    "ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f"
    "83655d23dca3ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b"
    "e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6955817183995497cea956ae515d2261898fa0510"
    "15728e5a8aacaa68ffffffffffffffff",
    16,
)
"""The group that our client sends: 2,048 bits (RFC 3526, section 3). Servers take the group that they are sent."""


class SessionCipher(IntEnum):
    """The number of a session's cipher on the wire (spec, security: section 8.2).

    SM4 is the sector's (spec, snms-api: section 13.5): its keys are sent encrypted, never agreed on.
    """

    DES = 1
    DESEDE = 2
    AES = 3
    SM4 = 4


class SessionKey(NamedTuple):
    """A cipher and its key. The key may be longer than the cipher wants: a MAC takes all of it, the cipher its head."""

    algorithm: int
    key: bytes


_CIPHER_KEY_SIZES: Final[Mapping[int, int]] = MappingProxyType(
    {SessionCipher.DES: 8, SessionCipher.DESEDE: 24, SessionCipher.AES: 16, SessionCipher.SM4: 16}
)
_WRAPPED_KEY_SIZES: Final[Mapping[int, tuple[int, ...]]] = MappingProxyType(
    {SessionCipher.DES: (8, 16), SessionCipher.DESEDE: (24,), SessionCipher.AES: (16, 32), SessionCipher.SM4: (16,)}
)
_AGREED: Final = frozenset((SessionCipher.DES, SessionCipher.DESEDE, SessionCipher.AES))
_AES_KEY_MATERIAL: Final = 32
_CLOSED: Final = "the session's key does not open these octets"  # One text for all that can be wrong with them.

assert set(_CIPHER_KEY_SIZES) == set(_WRAPPED_KEY_SIZES) == set(SessionCipher)
assert DH_BITS_MIN >= 8 * _AES_KEY_MATERIAL, "every cipher finds its key in the shortest shared secret"


# Diffie-Hellman


def _checked_dh_key(key: PublicKey) -> DhPublicKey:
    if not isinstance(key, DhPublicKey):
        raise Malformed("the key of the exchange is no Diffie-Hellman key")
    bits = key.p.bit_length()
    if not DH_BITS_MIN <= bits <= DH_BITS_MAX or not key.p & 1:
        raise Malformed(f"a Diffie-Hellman group of {bits} bits, or an even one")
    if not (1 < key.g < key.p - 1 and 1 < key.y < key.p - 1):
        raise Malformed("a Diffie-Hellman key or generator that gives the secret away")
    return key


def read_dh_key(octets: bytes) -> DhPublicKey:
    """The peer's public key of a session set-up, in a group that may be used; `Malformed` for all else."""
    return _checked_dh_key(read_public_key(octets))


def dh_public_key(private: int, p: int = DH_PRIME, g: int = DH_GENERATOR) -> DhPublicKey:
    """Our public key; `private` has up to `DH_PRIVATE_BITS` fresh random bits.

    A server takes the client's p and g, as `read_dh_key` found them. `Malformed` where they give our secret away.
    """
    assert 1 < private < 1 << DH_PRIVATE_BITS
    return _checked_dh_key(DhPublicKey(pow(g, private, p), p, g))


def shared_secret(private: int, mine: DhPublicKey, peer: DhPublicKey) -> bytes:
    """What both sides alone know, as long as p; `Malformed` where the peer changed the group or spoilt its key."""
    _checked_dh_key(peer)
    if (mine.p, mine.g) != (peer.p, peer.g):
        raise Malformed("the two keys of the exchange are of different groups")
    secret = pow(peer.y, private, peer.p)
    if not 1 < secret < peer.p - 1:
        raise Malformed("a Diffie-Hellman key that gives the secret away")
    return secret.to_bytes(-(-peer.p.bit_length() // 8), "big")


def _odd_parity(octets: bytes) -> bytes:
    return bytes([octet & 0xFE | (octet >> 1).bit_count() + 1 & 1 for octet in octets])


def session_key(algorithm: int, secret: bytes) -> bytes:
    """The session's key from the shared secret of at least 32 octets: 8 for DES, 24 for DESede, 32 for AES."""
    assert len(secret) >= _AES_KEY_MATERIAL
    assert algorithm in _AGREED, "nobody agrees on a key of this cipher"
    cipher = SessionCipher(algorithm)
    if cipher is SessionCipher.AES:
        zeros = len(secret) - len(secret.lstrip(b"\0"))
        start = min(zeros, len(secret) - _AES_KEY_MATERIAL)
        return secret[start : start + _AES_KEY_MATERIAL]
    return _odd_parity(secret[: _CIPHER_KEY_SIZES[cipher]])


def dh_response(algorithm: int, key: DhPublicKey, version: Version) -> bytes:
    """The data of a set-up's response; `version` is what the request suggested. Below 2.4 the cipher is DES, unsaid."""
    octets = Writer()
    if version.at_least(V_CHAINED_CIPHER):
        octets.u32(algorithm)
    else:
        assert algorithm == SessionCipher.DES, "below 2.4 nothing says which cipher it is"
    octets.octets(public_key_octets(key))
    return octets.to_bytes()


def read_dh_response(octets: bytes, version: Version) -> tuple[int, DhPublicKey]:
    """The cipher and the server's public key; `Malformed` for an unknown cipher or a key that may not be used."""
    reader = Reader(octets)
    algorithm: int = SessionCipher.DES
    if version.at_least(V_CHAINED_CIPHER):
        algorithm = reader.u32()
        if algorithm not in _AGREED:
            raise Malformed(f"a session cipher {algorithm}")
    return algorithm, read_dh_key(reader.rest())


# Keys encrypted with RSA


@lru_cache(maxsize=4)
def _opener(key: PrivateKey) -> rsa.RSAPrivateKey | None:
    """The key as the library wants it, or None for DSA; kept, because making it checks its numbers for 50 ms."""
    found = load_pem_private_key(private_pem(key), None)
    return found if isinstance(found, rsa.RSAPrivateKey) else None


def wrapped_key(key: PublicKey, session: SessionKey, version: Version) -> bytes:
    """The session's key, encrypted for the owner of an RSA key; `Malformed` for a key that cannot do that.

    The padding's random octets are the library's. Below 2.2 the key is sent bare, and is one of DES.
    """
    assert len(session.key) in _WRAPPED_KEY_SIZES[session.algorithm]
    try:
        engine = load_pem_public_key(public_pem(key))
    except UnusableKey as error:
        raise Malformed(f"a key that encrypts nothing: {error}") from error
    if not isinstance(engine, rsa.RSAPublicKey):
        raise Malformed("only RSA keys encrypt a session's key")
    octets = session.key
    if version.at_least(V_ALGORITHM_WRAPPED):
        octets = session.algorithm.to_bytes(4, "big") + octets
    else:
        assert (session.algorithm, len(octets)) == (SessionCipher.DES, 8), "below 2.2 only a key of DES can be sent"
    return engine.encrypt(octets, padding.PKCS1v15())


def unwrapped_key(key: PrivateKey, octets: bytes, version: Version) -> SessionKey:
    """The session's key that was encrypted for us; `SessionFailed` for all else, without telling why.

    Who tells strangers apart by this error helps them to use the private key (Bleichenbacher's attack), below 2.2 most:
    a server goes on with random octets for a key, so that the next message fails instead (RFC 5246, section 7.4.7.1).
    """
    engine = _opener(key)
    if engine is None:
        raise SessionFailed(_CLOSED)
    try:
        clear = engine.decrypt(octets, padding.PKCS1v15())
    except ValueError:
        raise SessionFailed(_CLOSED) from None
    algorithm: int = SessionCipher.DES
    sizes: tuple[int, ...] = (_CIPHER_KEY_SIZES[SessionCipher.DES],)
    if version.at_least(V_ALGORITHM_WRAPPED):
        algorithm, clear = int.from_bytes(clear[:4], "big"), clear[4:]
        sizes = _WRAPPED_KEY_SIZES.get(algorithm, ())
    if len(clear) not in sizes:
        raise SessionFailed(_CLOSED)
    return SessionKey(algorithm, clear)


# Encrypted messages


def _cipher(key: bytes, algorithm: int, iv: bytes) -> Cipher[CBC | ECB]:
    cipher = SessionCipher(algorithm)
    size = _CIPHER_KEY_SIZES[cipher]
    assert len(key) >= size, "the session's key is shorter than its cipher's"
    head = key[:size]
    if cipher is SessionCipher.SM4:
        return Cipher(SM4(head), CBC(head))
    mode = CBC(iv) if iv else ECB()  # noqa: S305  # below 2.4
    if cipher is SessionCipher.AES:
        return Cipher(AES(head), mode)
    return Cipher(TripleDES(head * 3 if cipher is SessionCipher.DES else head), mode)  # DES: 3DES, one key thrice.


def _block_size(algorithm: int) -> int:
    is_old = algorithm in (SessionCipher.DES, SessionCipher.DESEDE)
    return (TripleDES.block_size if is_old else AES.block_size) // 8  # That of SM4 is as long as that of AES.


def iv_size(algorithm: int, version: Version) -> int:
    """Octets of the initialisation vector in front, in a session of that version: none below 2.4, else 8, with AES 16.

    None with SM4, whose vector is the key: weak, since equal beginnings of messages show, and what deployed clients do.
    """
    if SessionCipher(algorithm) is SessionCipher.SM4 or not version.at_least(V_CHAINED_CIPHER):
        return 0
    return _block_size(algorithm)


def sealed(key: bytes, algorithm: int, version: Version, message: bytes, iv: bytes) -> bytes:
    """Header, body and credential, encrypted, the initialisation vector in front; `version` is the session's.

    `iv` is `iv_size` fresh random octets; another size is our own mistake: `ValueError`.
    """
    if len(iv) != iv_size(algorithm, version):
        raise ValueError(f"an initialisation vector of {len(iv)} octets, {iv_size(algorithm, version)} wanted")
    encryptor = _cipher(key, algorithm, iv).encryptor()
    padder = PKCS7(8 * _block_size(algorithm)).padder()
    clear = padder.update(message) + padder.finalize()
    return iv + encryptor.update(clear) + encryptor.finalize()


def opened(key: bytes, algorithm: int, version: Version, blob: bytes) -> bytes:
    """Header, body and credential of an encrypted message; `SessionFailed` where the key does not open it.

    The octets are proven by nothing but the MAC inside. A missing or wrong MAC in there should be answered just as
    octets that do not open: a peer that can tell the two apart can decrypt what it has overheard.
    """
    size, block = iv_size(algorithm, version), _block_size(algorithm)
    iv, octets = blob[:size], blob[size:]
    if not octets or len(octets) % block:
        raise SessionFailed(_CLOSED)
    decryptor = _cipher(key, algorithm, iv).decryptor()
    clear = decryptor.update(octets) + decryptor.finalize()
    unpadder = PKCS7(8 * block).unpadder()
    try:
        return unpadder.update(clear) + unpadder.finalize()
    except ValueError:
        raise SessionFailed(_CLOSED) from None


# Replays


@dataclass(frozen=True, slots=True)
class CounterWindow:
    """The greatest `REPLAY_WINDOW` counters of a peer in a session, ascending. Counters may skip and overtake."""

    seen: tuple[int, ...] = ()

    def after(self, counter: int) -> Self | None:
        """The window that remembers the counter too; None for a replay, or for what might be one: it is too old.

        To be asked once the MAC has proven the counter. Counter 0 is a message without one: not checked.
        """
        if counter == 0:
            return self
        seen, place = self.seen, bisect_left(self.seen, counter)
        if place < len(seen) and seen[place] == counter:
            return None
        if len(seen) >= REPLAY_WINDOW and place == 0:
            return None
        return type(self)((*seen[:place], counter, *seen[place:])[-REPLAY_WINDOW:])
