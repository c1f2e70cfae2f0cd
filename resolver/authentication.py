"""Who proves to be whom: answers to challenges held against keys, here or at the server that keeps a secret.

Sources: behaviours 16, 21 and 22; spec, security: sections 3 to 5.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from protocol.dialect import read_any_public_key
from protocol.errors import HandleError, InvalidCredential, Malformed
from protocol.requests import ChallengeAnswer, VerifyChallengeRequest
from protocol.trust.challenge import (
    PublicKeyAnswer,
    RequestDigest,
    challenge_input,
    public_key_answer_is_valid,
    public_key_answer_is_weak,
    secret_key_answer_is_valid,
    secret_key_answer_is_weak,
)
from protocol.trust.keys import DsaPublicKey, PublicKey, UnknownPublicKey
from protocol.value import HandleValue, Reference
from protocol.version import V_SHA256, Version
from resolver.finding import Finder
from resolver.log_limits import limited
from resolver.signing import Pool

log = limited(__name__)

PUBLIC_KEY: Final = b"HS_PUBKEY"
SECRET_KEY: Final = b"HS_SECKEY"
KEYS_MAX: Final = 16  # Keys of one handle that an answer for "any of them" is held against: real ones have under four.


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What the server that keeps a secret said: whether the answer fits, its version, and the one it suggests."""

    is_valid: bool
    version: Version
    suggested: Version


Verify = Callable[[VerifyChallengeRequest], Awaitable[Elsewhere | None]]
"""Asks the server responsible for a secret key; None where nobody can be asked."""


async def nobody(request: VerifyChallengeRequest) -> None:
    """No other server is asked."""


class DialectKeys(Protocol):
    """Proofs of the sector's dialect, for kinds of keys that plain software does not know."""

    def __call__(self, answer: PublicKeyAnswer, key: UnknownPublicKey, data: bytes, user: bytes) -> bool:
        """Whether the answer proves the key."""
        ...


@dataclass(frozen=True, slots=True)
class Proof:
    """How an answer ended. `index` is that of the key that bore it out. `older` asks for another form of the answer."""

    is_valid: bool
    index: int = 0
    older: Version | None = None


class Authenticator:
    """Holds answers against keys. `keeps` says whether a handle is homed here; `verify` asks for those that are not."""

    def __init__(
        self,
        *,
        finder: Finder,
        keeps: Callable[[bytes], bool],
        pool: Pool,
        verify: Verify = nobody,
        dialect: DialectKeys | None = None,
    ) -> None:
        self._finder = finder
        self._keeps = keeps
        self._pool = pool
        self._verify = verify
        self._dialect = dialect

    async def proof(self, answer: ChallengeAnswer, nonce: bytes, digest: RequestDigest, version: Version) -> Proof:
        """Whether the answer proves its key; `version` is the form that was asked for.

        One by MD5 proves nothing where better was asked for: who stands between may have weakened it.
        `InvalidCredential` for a kind of proof that nobody knows.
        """
        if answer.type == PUBLIC_KEY:
            return await self._by_public_key(answer, challenge_input(nonce, digest), version)
        if answer.type == SECRET_KEY:
            if secret_key_answer_is_weak(answer.answer, version):
                return _weak(answer, version)
            request = VerifyChallengeRequest(key=answer.key, nonce=nonce, digest=digest, answer=answer.answer)
            if self._keeps(answer.key.handle):
                return await self.by_secret(request)
            return await self._by_other_server(request, version)
        raise InvalidCredential(f"proof of kind {answer.type[:32]!r}", told="Unknown authentication type")

    async def _keys(self, reference: Reference, is_kind: Callable[[HandleValue], bool]) -> list[HandleValue]:
        """The values that may be the key: the one at the index, or all in order of their indexes."""
        values = await self._finder.values(reference.handle) or ()
        found = [value for value in values if is_kind(value) and reference.index in (0, value.index)]
        return sorted(found, key=lambda value: value.index)[:KEYS_MAX]

    async def _by_public_key(self, answer: ChallengeAnswer, data: bytes, version: Version) -> Proof:
        for value in await self._keys(answer.key, lambda found: found.type == PUBLIC_KEY):
            try:
                key = read_any_public_key(value.data)
            except HandleError:
                continue
            if public_key_answer_is_weak(answer.answer):
                _weak(answer, version)
            elif await self._fits(answer, key, data):
                return Proof(True, value.index)
        return Proof(False)

    async def _fits(self, answer: ChallengeAnswer, key: PublicKey, data: bytes) -> bool:
        if isinstance(key, UnknownPublicKey):
            return self._dialect is not None and await self._by_dialect(self._dialect, answer, key, data)
        if isinstance(key, DsaPublicKey):  # Ten times the cost of RSA's check, which is less than a change of threads.
            return await self._pool.run(lambda: public_key_answer_is_valid(answer.answer, key, data))
        return public_key_answer_is_valid(answer.answer, key, data)

    async def _by_dialect(
        self, dialect: DialectKeys, answer: ChallengeAnswer, key: UnknownPublicKey, data: bytes
    ) -> bool:
        try:
            found = PublicKeyAnswer.read(answer.answer)
        except Malformed:
            return False
        return await self._pool.run(lambda: dialect(found, key, data, answer.key.handle))

    async def by_secret(self, request: VerifyChallengeRequest) -> Proof:
        """Whether the answer proves a secret that is kept here: at the index, or any of the handle with index 0."""
        data = challenge_input(request.nonce, request.digest)
        for value in await self._keys(request.key, _is_secret):
            if await self._pool.run(partial(secret_key_answer_is_valid, request.answer, value.data, data)):
                return Proof(True, value.index)
        return Proof(False)

    async def _by_other_server(self, request: VerifyChallengeRequest, version: Version) -> Proof:
        said = await self._verify(request)
        if said is None:
            log.info("no server could be asked for the secret %d:%r", request.key.index, request.key.handle[:64])
            return Proof(False)
        if said.is_valid:
            return Proof(True, request.key.index)
        is_newer = bool(request.answer) and request.answer[0] > _OLD_FORMS and len(request.answer) != _BARE_SIZE
        is_old_server = (
            version.at_least(said.version) and version != said.version and not said.version.at_least(V_SHA256)
        )
        is_known = said.suggested.major == V_SHA256.major and not said.suggested.at_least(V_SHA256)
        return Proof(False, older=said.suggested if is_newer and is_old_server and is_known else None)


def _weak(answer: ChallengeAnswer, version: Version) -> Proof:
    log.info("an answer of %d:%r is weaker than %s asks for", answer.key.index, answer.key.handle[:64], version)
    return Proof(False)


_OLD_FORMS: Final = 2
_BARE_SIZE: Final = 16


def _is_secret(value: HandleValue) -> bool:
    kind = value.type.upper()
    return kind == SECRET_KEY or kind.startswith(SECRET_KEY + b".")
