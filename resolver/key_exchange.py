"""How a session's key comes about: Diffie-Hellman, a key of the client, of the server, or of a handle.

Sources: behaviours 27, 28 and 31; spec, security: sections 8.1 and 8.2; for the sector's SM2 and SM4, spec, snms-api:
section 13.5.
"""

import secrets
from collections.abc import Callable
from typing import Final

from protocol.dialect import Speaker, read_any_public_key
from protocol.errors import HandleError, Malformed, SessionFailed
from protocol.requests import ExchangeKeyRequest, KeyExchange, SessionSetupRequest
from protocol.responses import SessionSetupResponse
from protocol.trust.keys import (
    PrivateKey,
    PublicKey,
    RsaPrivateKey,
    UnknownPublicKey,
    public_key_octets,
    public_of,
    read_public_key,
)
from protocol.trust.session import (
    DH_PRIVATE_BITS,
    V_ALGORITHM_WRAPPED,
    SessionCipher,
    SessionKey,
    dh_public_key,
    dh_response,
    read_dh_key,
    session_key,
    shared_secret,
    unwrapped_key,
    wrapped_key,
)
from protocol.trust.sm2_values import SM2_PUB
from protocol.value import Reference
from protocol.version import V_CHAINED_CIPHER, Version
from resolver import sm2_keys
from resolver.finding import Finder
from resolver.log_limits import limited
from resolver.signing import Pool

log = limited(__name__)

KEY_SIZE: Final = 16  # Octets of a key that one side makes and sends: both the cipher's and the MAC's (vectors).
_DES_KEY_SIZE: Final = 8
_PUBLIC_KEY: Final = b"HS_PUBKEY"
_NO_KEY: Final = SessionKey(SessionCipher.AES, b"")
_SENT_TO_US: Final = frozenset((SessionCipher.DES, SessionCipher.DESEDE, SessionCipher.AES))
"""Ciphers of keys that clients make: of SM4 no client does (spec, snms-api: section 13.5)."""

RandomOctets = Callable[[int], bytes]


class KeyExchanges:
    """Makes the keys of sessions. `private_key` is the node's own."""

    def __init__(
        self, private_key: PrivateKey, finder: Finder, pool: Pool, random_octets: RandomOctets = secrets.token_bytes
    ) -> None:
        self._private_key = private_key
        self._finder = finder
        self._pool = pool
        self._random = random_octets

    async def begun(
        self,
        request: SessionSetupRequest,
        version: Version,
        *,
        by: Speaker = Speaker.HANDLE,
        keeps: Callable[[bytes], bool] = lambda _: True,
    ) -> tuple[SessionKey, SessionSetupResponse]:
        """The key of a new session, of no octets where the client still has to send it, and what the client is told.

        `SessionFailed` where the exchange cannot be done as it was wished; `NotSupported` where it wants SM2 and the
        extra is not installed. Only software of the sector (`by`) has SM2 keys. `keeps` says of which handles' keys the
        one who asks may name: nothing is proven yet, so a stranger must not choose whom we ask.
        """
        try:
            if request.mode == KeyExchange.KEY_IN_HANDLE:
                key, data = await self._sent(await self._key_of(request.key, keeps), version, by)
            else:
                key, data = await self._by_mode(request, version, by)
        except SessionFailed:
            raise
        except HandleError as error:
            if error.code == SessionFailed.code or isinstance(error, Malformed):
                raise SessionFailed(f"a session's set-up: {error}", told="Session key exchange failed") from error
            raise
        return key, SessionSetupResponse(mode=request.mode, data=data)

    async def _by_mode(self, request: SessionSetupRequest, version: Version, by: Speaker) -> tuple[SessionKey, bytes]:
        if request.mode == KeyExchange.DIFFIE_HELLMAN:
            octets = request.public_key or b""
            return await self._pool.run(lambda: self._agreed(octets, version))
        if request.mode == KeyExchange.CLIENT_KEY:
            return await self._sent(read_public_key(request.public_key or b""), version, by)
        if request.mode == KeyExchange.SERVER_KEY:
            if not isinstance(self._private_key, RsaPrivateKey):
                raise SessionFailed("the server has no RSA key", told="The server's key cannot encrypt a session's key")
            return _NO_KEY, public_key_octets(public_of(self._private_key))
        raise SessionFailed(f"key exchange mode {request.mode}", told=f"Key exchange mode {request.mode} is not known")

    def _agreed(self, octets: bytes, version: Version) -> tuple[SessionKey, bytes]:
        theirs = read_dh_key(octets)
        private = int.from_bytes(self._random(DH_PRIVATE_BITS // 8), "big") | 1 << (DH_PRIVATE_BITS - 1)
        mine = dh_public_key(private, theirs.p, theirs.g)
        algorithm = SessionCipher.AES if version.at_least(V_CHAINED_CIPHER) else SessionCipher.DES
        key = session_key(algorithm, shared_secret(private, mine, theirs))
        return SessionKey(algorithm, key), dh_response(algorithm, mine, version)

    async def _sent(self, public_key: PublicKey, version: Version, by: Speaker) -> tuple[SessionKey, bytes]:
        """A key that we make and encrypt for its owner: of SM4 for an SM2 key, else of AES, and of DES below 2.2."""
        if by is not Speaker.HANDLE and isinstance(public_key, UnknownPublicKey) and public_key.type == SM2_PUB:
            made = SessionKey(SessionCipher.SM4, self._random(KEY_SIZE))
            return made, await self._pool.run(lambda: sm2_keys.wrapped_key(public_key, made))
        key = self._fresh(version)
        return key, await self._pool.run(lambda: wrapped_key(public_key, key, version))

    def _fresh(self, version: Version) -> SessionKey:
        if version.at_least(V_ALGORITHM_WRAPPED):
            return SessionKey(SessionCipher.AES, self._random(KEY_SIZE))
        return SessionKey(SessionCipher.DES, self._random(_DES_KEY_SIZE))

    async def _key_of(self, reference: Reference | None, keeps: Callable[[bytes], bool]) -> PublicKey:
        if reference is None:
            raise SessionFailed("no handle is named whose key is meant")
        if not keeps(reference.handle):
            told = "The key of the exchange is kept elsewhere: use another mode"
            raise SessionFailed(f"a stranger names {reference.handle[:64]!r}, which is kept elsewhere", told=told)
        values = await self._finder.values(reference.handle) or ()
        for value in values:
            if value.type == _PUBLIC_KEY and reference.index in (0, value.index):
                return read_any_public_key(value.data)
        raise SessionFailed(
            f"no public key {reference.index}:{reference.handle!r}", told="The key of the exchange was not found"
        )

    async def received(self, request: ExchangeKeyRequest, version: Version) -> SessionKey:
        """The key that the client encrypted for us.

        One that cannot be read becomes random octets, so that nobody learns from the answer what was wrong with it:
        the session's next message fails instead (RFC 5246, section 7.4.7.1).
        """
        try:
            key = await self._pool.run(lambda: unwrapped_key(self._private_key, request.encrypted_key, version))
        except SessionFailed:
            key = _NO_KEY
        if key.algorithm in _SENT_TO_US and key.key:
            return key
        log.info("a session's key could not be read")
        return self._fresh(version)
