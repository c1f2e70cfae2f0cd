"""Challenge and answer, octet for octet: the digest of a request, and proofs made with a public or a secret key.

Knows neither who may do what nor which key is whose; nonces and salts are given. Nonce and digest, joined, are what an
answer proves (`challenge_input`). Sources: behaviours 4, 20 and 21; spec, protocol: section 3; spec, security: 2 to 5.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Self

from protocol.codes import DIGEST_MD5, DIGEST_OLD_FORM, DIGEST_SHA1, DIGEST_SHA256
from protocol.envelope import Envelope
from protocol.errors import Malformed
from protocol.limits import KEY_NUMBER_SIZE_MAX
from protocol.trust.keys import MD5, PrivateKey, PublicKey, signature, verifies
from protocol.trust.signature import MacForm, mac, mac_size, named_digest, signing_digest
from protocol.version import V_DIGEST_IN_FRONT, V_SHA256, Version, digest_algorithm
from protocol.wire import Reader, Writer

BARE_MD5: Final = 0
"""The form of an answer below 2.1, in our numbering: an MD5 MAC without an octet in front that names it."""

PBKDF2_HMAC_SHA1: Final = 0x22
"""The form of an answer from 2.7 on: HMAC-SHA1 under a key that PBKDF2 derives from the secret."""

PBKDF2_ITERATIONS: Final = 10_000
"""What deployed clients write, and we with them."""

PBKDF2_KEY_BITS: Final = 160
"""What deployed clients write, and we with them."""

PBKDF2_ITERATIONS_MAX: Final = 100_000  # Ten times what is in use: at most 90 ms of one core for a stranger's answer.
PBKDF2_KEY_BITS_MIN: Final = 128  # Whoever answers chooses it: a key of 8 bits would be guessed without the secret.
PBKDF2_KEY_BITS_MAX: Final = 512  # The block of HMAC-SHA1: more would be hashed down again, and only cost time.
PBKDF2_SALT_SIZE_MAX: Final = 1_024  # Deployed clients send 16 octets.
DIGEST_SIZE_MAX: Final = 64  # A digest in the old form: 16 octets as a rule, 64 with the longest hash of today.
DIGEST_NAME_SIZE_MAX: Final = 64  # The longest known name has 7 octets.
_MD5_SIZE: Final = 16
_SHA1_SIZE: Final = 20

_SIZES: Final[Mapping[int, int]] = MappingProxyType({DIGEST_MD5: 16, DIGEST_SHA1: 20, DIGEST_SHA256: 32})
_HASHES: Final[Mapping[int, str]] = MappingProxyType({16: "md5", 20: "sha1", 32: "sha256"})

assert PBKDF2_ITERATIONS <= PBKDF2_ITERATIONS_MAX
assert PBKDF2_KEY_BITS_MIN <= PBKDF2_KEY_BITS <= PBKDF2_KEY_BITS_MAX


@dataclass(frozen=True, slots=True)
class RequestDigest:
    """The digest of a request's header and body. `algorithm` is 1, 2 or 3, or 0 for the old form: a counted string."""

    algorithm: int
    octets: bytes

    def __post_init__(self) -> None:
        size = len(self.octets)
        if self.algorithm == DIGEST_OLD_FORM:
            if size > DIGEST_SIZE_MAX:
                raise Malformed(f"a digest of {size} octets, at most {DIGEST_SIZE_MAX} allowed")
        elif _SIZES.get(self.algorithm) != size:
            raise Malformed(f"a digest of {size} octets by algorithm {self.algorithm}")

    @classmethod
    def read(cls, body: Reader) -> Self:
        """The digest at this place, in either form: the first octet of the old form's length is 0."""
        if body.peek() == DIGEST_OLD_FORM:
            return cls(DIGEST_OLD_FORM, body.counted(size_max=DIGEST_SIZE_MAX))
        algorithm = body.u8()
        size = _SIZES.get(algorithm)
        if size is None:
            raise Malformed(f"digest algorithm {algorithm}")
        return cls(algorithm, body.octets(size))

    def write(self, body: Writer) -> None:
        """The number of the algorithm and the digest, or the old form's length and the digest."""
        if self.algorithm == DIGEST_OLD_FORM:
            body.counted(self.octets)
            return
        body.u8(self.algorithm)
        body.octets(self.octets)

    def is_of(self, message_part: bytes) -> bool:
        """Whether this is the digest of that header and body; the old form's algorithm shows in its length."""
        name = _HASHES.get(len(self.octets))
        return name is not None and hmac.compare_digest(_hashed(name, message_part), self.octets)


def _hashed(name: str, octets: bytes) -> bytes:
    return hashlib.new(name, octets, usedforsecurity=False).digest()


def request_digest(version: Version, message_part: bytes) -> RequestDigest:
    """The digest of a request's header and body, as a response of that version carries it."""
    algorithm = digest_algorithm(version)
    size = _SIZES.get(algorithm, _MD5_SIZE)
    return RequestDigest(algorithm, _hashed(_HASHES[size], message_part))


def challenge_input(nonce: bytes, digest: RequestDigest) -> bytes:
    """What the answer to a challenge signs or MACs."""
    return nonce + digest.octets


def answer_version(challenge: Envelope) -> Version:
    """The version whose form a secret-key answer takes: the challenge's own or the one it suggests, if that is lower.

    So a server asks for an old form on behalf of an older server that will verify (spec, security: sections 4.2 and 5).
    """
    version, suggested = challenge.version, challenge.suggested
    if suggested.major == 0:
        return version
    return suggested if version.at_least(suggested) else version


@dataclass(frozen=True, slots=True)
class PublicKeyAnswer:
    """The proof of `HS_PUBKEY`: the name of the digest, or its one octet, and the signature of `challenge_input`."""

    digest_name: bytes
    signature: bytes

    def __post_init__(self) -> None:
        if len(self.digest_name) > DIGEST_NAME_SIZE_MAX or len(self.signature) > KEY_NUMBER_SIZE_MAX:
            raise Malformed("a signature, or the name of its digest, that is longer than any")

    @classmethod
    def read(cls, octets: bytes) -> Self:
        """The answer in all of the octets; `Malformed` where they are none."""
        reader = Reader(octets)
        name = reader.counted(size_max=DIGEST_NAME_SIZE_MAX)
        proof = reader.counted(size_max=KEY_NUMBER_SIZE_MAX)
        reader.expect_end("the signed answer")
        return cls(name, proof)

    def to_bytes(self) -> bytes:
        """The octets of the answer."""
        octets = Writer()
        octets.counted(self.digest_name)
        octets.counted(self.signature)
        return octets.to_bytes()


def public_key_answer(key: PrivateKey, version: Version, data: bytes) -> bytes:
    """The answer that proves a private key; `version` is the challenge's, `data` its `challenge_input`."""
    digest = signing_digest(version, key)
    return PublicKeyAnswer(digest.encode(), signature(key, digest, data)).to_bytes()


def public_key_answer_is_valid(answer: bytes, key: PublicKey, data: bytes) -> bool:
    """Whether the answer proves the key's private half. Octets that are no answer prove nothing."""
    try:
        found = PublicKeyAnswer.read(answer)
    except Malformed:
        return False
    digest = named_digest(found.digest_name)
    return digest is not None and verifies(key, digest, data, found.signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretKeyAnswer:
    """The proof of `HS_SECKEY`: `form` is a `MacForm`, `PBKDF2_HMAC_SHA1` or `BARE_MD5`.

    Salt, iterations and the derived key's bits are PBKDF2's, empty and 0 with all other forms.
    """

    form: int
    mac: bytes
    salt: bytes = b""
    iterations: int = 0
    key_bits: int = 0

    def __post_init__(self) -> None:
        if len(self.mac) != _answer_size(self.form):
            raise Malformed(f"a MAC of {len(self.mac)} octets of form {self.form}")
        if self.form != PBKDF2_HMAC_SHA1:
            if self.salt or self.iterations or self.key_bits:
                raise Malformed(f"a salted MAC of form {self.form}")
            return
        if len(self.salt) > PBKDF2_SALT_SIZE_MAX:
            raise Malformed(f"a salt of {len(self.salt)} octets, at most {PBKDF2_SALT_SIZE_MAX} allowed")
        if not 0 < self.iterations <= PBKDF2_ITERATIONS_MAX:
            raise Malformed(f"{self.iterations} iterations, 1 to {PBKDF2_ITERATIONS_MAX} allowed")
        if self.key_bits % 8 or not PBKDF2_KEY_BITS_MIN <= self.key_bits <= PBKDF2_KEY_BITS_MAX:
            raise Malformed(f"a derived key of {self.key_bits} bits")

    @classmethod
    def read(cls, octets: bytes) -> Self:
        """The answer in all of the octets. 16 of them are the bare MAC: no named form is as short."""
        if len(octets) == _MD5_SIZE:
            return cls(form=BARE_MD5, mac=octets)
        reader = Reader(octets)
        form = reader.u8()
        if form == BARE_MD5:
            raise Malformed("a MAC without a form")
        if form != PBKDF2_HMAC_SHA1:
            return cls(form=form, mac=reader.rest())
        salt = reader.counted(size_max=PBKDF2_SALT_SIZE_MAX)
        iterations, key_bits = reader.u32(), reader.u32()
        proof = reader.counted(size_max=_SHA1_SIZE)
        reader.expect_end("the salted answer")
        return cls(form=form, mac=proof, salt=salt, iterations=iterations, key_bits=key_bits)

    def to_bytes(self) -> bytes:
        """The octets of the answer."""
        if self.form == BARE_MD5:
            return self.mac
        octets = Writer()
        octets.u8(self.form)
        if self.form != PBKDF2_HMAC_SHA1:
            octets.octets(self.mac)
            return octets.to_bytes()
        octets.counted(self.salt)
        octets.u32(self.iterations)
        octets.u32(self.key_bits)
        octets.counted(self.mac)
        return octets.to_bytes()


def _answer_size(form: int) -> int | None:
    """Octets of the MAC in an answer of that form; None for a form that nobody knows."""
    if form == BARE_MD5:
        return _MD5_SIZE
    if form == PBKDF2_HMAC_SHA1:
        return _SHA1_SIZE
    return mac_size(MacForm(form)) if form in set(MacForm) else None


def _answer_mac(form: int, secret: bytes, data: bytes, *, salt: bytes, iterations: int, key_bits: int) -> bytes:
    if form == BARE_MD5:
        return mac(MacForm.MD5, secret, data)
    if form != PBKDF2_HMAC_SHA1:
        return mac(MacForm(form), secret, data)
    # Deployed software takes each octet for a character and writes it as UTF-8, in this form alone.
    password = secret.decode("latin-1").encode()
    derived = hashlib.pbkdf2_hmac("sha1", password, salt, iterations, key_bits // 8)
    return mac(MacForm.HMAC_SHA1, derived, data)


def answer_form(version: Version) -> int:
    """The form of a secret-key answer at that version (`answer_version`)."""
    if version.at_least(V_SHA256):
        return PBKDF2_HMAC_SHA1
    return MacForm.SHA1 if version.at_least(V_DIGEST_IN_FRONT) else BARE_MD5


def secret_key_answer_is_weak(answer: bytes, version: Version) -> bool:
    """Whether an answer is MD5's where the challenge's version has better ones (2.7 on).

    Who stands between may have asked the client for it. All other forms are in service and are taken at any version
    (behaviours 21). Octets that are no answer are not weak.
    """
    form = BARE_MD5 if len(answer) == _MD5_SIZE else answer[0] if answer else PBKDF2_HMAC_SHA1
    return version.at_least(V_SHA256) and form in (BARE_MD5, MacForm.MD5)


def public_key_answer_is_weak(answer: bytes) -> bool:
    """Whether an answer's digest is MD5, which no version asks for; the name decides (spec, security: section 3).

    SHA1 is taken at any version, since clients in service that suggest 2.11 sign with it.
    """
    try:
        return named_digest(PublicKeyAnswer.read(answer).digest_name) == MD5
    except Malformed:
        return False


def secret_key_answer(secret: bytes, form: int, data: bytes, *, salt: bytes = b"") -> bytes:
    """The answer that proves a secret, in that form; `salt` (16 random octets) goes into PBKDF2's form alone."""
    iterations, key_bits = PBKDF2_ITERATIONS, PBKDF2_KEY_BITS
    if form != PBKDF2_HMAC_SHA1:
        salt, iterations, key_bits = b"", 0, 0
    proof = _answer_mac(form, secret, data, salt=salt, iterations=iterations, key_bits=key_bits)
    return SecretKeyAnswer(form=form, mac=proof, salt=salt, iterations=iterations, key_bits=key_bits).to_bytes()


def secret_key_answer_is_valid(answer: bytes, secret: bytes, data: bytes) -> bool:
    """Whether the answer proves the secret. Octets that are no answer prove nothing; nor does a secret without octets.

    It takes up to 90 ms: a stranger chooses PBKDF2's iterations. Not for the event loop.
    """
    try:
        found = SecretKeyAnswer.read(answer)
    except Malformed:
        return False
    if not secret:
        return False
    expected = _answer_mac(
        found.form, secret, data, salt=found.salt, iterations=found.iterations, key_bits=found.key_bits
    )
    return hmac.compare_digest(expected, found.mac)
