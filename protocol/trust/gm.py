"""What the sector's Chinese algorithms do: SM3 digests, SM2 signatures and encrypted session keys.

SM2 wants the extra `hnode[gm]`, which is imported when it is first needed; SM3 does not. Where it is missing, no SM2
answer is valid, and whoever needs it to sign or to encrypt is told what to install. SM4 is one of the ciphers in
`protocol.trust.session`. Sources: spec, protocol: section 11; spec, snms-api: sections 13.2 and 13.5; GB/T 32905 (SM3),
GB/T 32918 (SM2).

The SM2 library writes to C's standard error what it refuses: a process that must not calls this through
`resolver.sm2_keys`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from protocol.errors import Malformed, NotSupported, SessionFailed
from protocol.trust.challenge import PublicKeyAnswer
from protocol.trust.key_values import UnknownPublicKey
from protocol.trust.session import SessionCipher, SessionKey
from protocol.trust.sm2_ciphertext import der_ciphertext, raw_ciphertext
from protocol.trust.sm2_values import COORDINATE_SIZE, checked_point, sm2_point, sm2_public_key

SM3_NAME: Final = b"SM3"
"""The name of the digest in an SM2 answer."""

SM4_KEY_SIZE: Final = 16
_KEY_SIZES: Final[Mapping[int, tuple[int, ...]]] = MappingProxyType(
    {SessionCipher.AES: (16, 32), SessionCipher.SM4: (SM4_KEY_SIZE,)}
)
USER_SIZE_MAX: Final = 8_191  # Octets of a user id: its bits are told in two octets (GB/T 32918.2, section 5.5).
SIGNATURE_SIZE_MAX: Final = 72  # Octets of a signature (DER): two numbers of 256 bits with their heads.
_CLOSED: Final = "the session's key does not open these octets"  # One text for all that can be wrong with them.
_INSTALL: Final = "pip install 'hnode[gm]'"


class NotInstalled(NotSupported):
    """SM2 was asked for, and the extra that does it is not installed."""


def is_installed() -> bool:
    """Whether SM2 can be used."""
    try:
        _engine()
    except NotInstalled:
        return False
    return True


def _engine() -> Any:
    try:
        import gmssl_pyx
    except ImportError as error:
        text = f"SM2 needs the optional extra gm ({error}): {_INSTALL}"
        raise NotInstalled(text, told="SM2 is not supported here") from error
    return gmssl_pyx


def sm3(octets: bytes) -> bytes:
    """The SM3 digest, 32 octets; `NotSupported` where this machine's OpenSSL was built without it."""
    try:
        digest = hashes.Hash(hashes.SM3())
    except UnsupportedAlgorithm as error:
        raise NotSupported("OpenSSL has no SM3", told="SM3 is not supported here") from error
    digest.update(octets)
    return digest.finalize()


# Signatures


@dataclass(frozen=True, slots=True)
class Sm2PrivateKey:
    """The secret, 32 octets, and the point that belongs to it, 64; `Malformed` where they cannot be."""

    secret: bytes = field(repr=False)
    point: bytes

    def __post_init__(self) -> None:
        if len(self.secret) != COORDINATE_SIZE or not any(self.secret):
            raise Malformed("an SM2 secret that is none")
        checked_point(self.point)

    @classmethod
    def generate(cls) -> Self:
        """A fresh one; the library draws its own random octets. `NotInstalled` where it is missing."""
        point, secret = _engine().sm2_key_generate()
        return cls(secret, point)

    @property
    def public_key(self) -> UnknownPublicKey:
        """The public half as the wire has it."""
        return sm2_public_key(self.point)


def _signed_forms(data: bytes) -> tuple[bytes, ...]:
    """What a client may have signed: the digest of nonce and request digest, as octets or as hexadecimal digits.

    The two documents differ (spec, protocol: section 11; spec, snms-api: section 13.2), and digits have two cases.
    """
    digest = sm3(data)
    digits = digest.hex()
    return digest, digits.encode(), digits.upper().encode()


def sm2_answer(private: Sm2PrivateKey, data: bytes, user: bytes) -> bytes:
    """The answer that proves an SM2 key: `data` is the challenge's nonce and digest, `user` the user's handle.

    `NotInstalled` where the extra is missing, `Malformed` where the secret is no number that can sign.
    """
    engine = _engine()
    try:
        proof = engine.sm2_sign(private.secret, private.point, sm3(data), signer_id=user)
    except engine.GmsslInnerError as error:
        raise Malformed(f"SM2 cannot sign with this key for a user of {len(user)} octets: {error}") from error
    return PublicKeyAnswer(SM3_NAME, proof).to_bytes()


def sm2_answer_is_valid(answer: PublicKeyAnswer, key: UnknownPublicKey, data: bytes, user: bytes) -> bool:
    """Whether the answer proves the key's private half, for this user. Whatever octets come: False, never an error.

    False as well where the extra is not installed. It takes up to three checks of 1 ms. Not for the event loop.
    """
    if answer.digest_name.upper() != SM3_NAME or not 0 < len(user) <= USER_SIZE_MAX:
        return False
    if not 0 < len(answer.signature) <= SIGNATURE_SIZE_MAX:
        return False
    try:
        engine, point, forms = _engine(), sm2_point(key), _signed_forms(data)
    except (NotSupported, Malformed):
        return False
    return any(_verifies(engine, point, form, answer.signature, user) for form in forms)


def _verifies(engine: Any, point: bytes, octets: bytes, proof: bytes, user: bytes) -> bool:
    try:
        return bool(engine.sm2_verify(point, octets, proof, signer_id=user))
    except engine.GmsslInnerError:
        return False


# Sessions


def sm2_wrapped_key(key: UnknownPublicKey, session: SessionKey) -> bytes:
    """A session's key, its cipher's number in front, encrypted for the owner of an SM2 key: C1 ‖ C3 ‖ C2.

    `NotInstalled` where the extra is missing, `Malformed` for a key that is no point.
    """
    engine, point = _engine(), sm2_point(key)
    clear = session.algorithm.to_bytes(4, "big") + session.key
    return raw_ciphertext(engine.sm2_encrypt(point, clear))


def sm2_unwrapped_key(private: Sm2PrivateKey, octets: bytes) -> SessionKey:
    """The session's key that was encrypted for us, C1 ‖ C3 ‖ C2 or DER; `SessionFailed` for all else, DES too."""
    engine = _engine()
    try:
        clear = engine.sm2_decrypt(private.secret, der_ciphertext(octets))
    except (engine.GmsslInnerError, Malformed):
        raise SessionFailed(_CLOSED) from None
    algorithm, key = int.from_bytes(clear[:4], "big"), clear[4:]
    if len(key) not in _KEY_SIZES.get(algorithm, ()):
        raise SessionFailed(_CLOSED)
    return SessionKey(algorithm, key)
