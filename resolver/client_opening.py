"""How the client opens a session: by Diffie-Hellman, or by a key of ours, of the server, or of a handle.

Sources: spec, security: sections 8.1 and 8.2; behaviours 27, 28 and 31, and "What the misspelt cipher means".
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Self

from protocol.codec import Message
from protocol.codes import CERTIFY, DEFAULT_REQUEST_FLAGS, OpCode, ResponseCode
from protocol.errors import Malformed
from protocol.requests import ANONYMOUS, ExchangeKeyRequest
from protocol.trust.gm import Sm2PrivateKey
from protocol.trust.keys import RsaPrivateKey, RsaShortPrivateKey
from protocol.trust.session import SessionKey
from protocol.value import Reference
from protocol.version import Version
from resolver.client import NoAnswer
from resolver.client_errors import Refused
from resolver.client_exchange import Asking, succeeded
from resolver.client_proof import Identity
from resolver.client_session import (
    TIMEOUT_S,
    Agreement,
    ExchangeKey,
    Mode,
    Session,
    fresh_key,
    setup_reply,
    setup_request,
    unwrapped,
    wrapped_for,
)

_DECRYPT: Final = (RsaPrivateKey, RsaShortPrivateKey, Sm2PrivateKey)  # Only such keys open what a server sends.


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How sessions are opened: `exchange_key` is our key for the modes that want one; `agreement` makes our half."""

    mode: Mode
    identity: Reference = ANONYMOUS
    exchange_key: ExchangeKey | None = None
    timeout_s: int = TIMEOUT_S
    agreement: Callable[[], Agreement] = Agreement.fresh

    @classmethod
    def by(cls, mode: Mode, identity: Identity | None, *, timeout_s: int = TIMEOUT_S) -> Self:
        """Sessions of an identity, whose own private key is the one of the modes that want one; of nobody for None."""
        if identity is None:
            return cls(mode=mode, timeout_s=timeout_s)
        own = None if identity.private_key is None else ExchangeKey(identity.private_key, identity.key)
        return cls(mode=mode, identity=identity.key, exchange_key=own, timeout_s=timeout_s)

    async def opened(self, asking: Asking) -> Session:
        """A new session; where the server cannot do the mode (501), by Diffie-Hellman: most can nothing else."""
        try:
            return await self._set_up(asking, self.mode)
        except Refused as error:
            if self.mode is Mode.DH or error.code != ResponseCode.SESSION_FAILED:
                raise
        return await self._set_up(asking, Mode.DH)

    async def _set_up(self, asking: Asking, mode: Mode) -> Session:
        own = self.exchange_key
        if mode in (Mode.CLIENT_KEY, Mode.HANDLE_KEY) and (own is None or not isinstance(own.private_key, _DECRYPT)):
            raise Refused(ResponseCode.SESSION_FAILED, f"a session by {mode.value} needs an RSA or SM2 key of our own")
        agreement = self.agreement() if mode is Mode.DH else None
        request = await asyncio.to_thread(
            setup_request, mode, self.identity, timeout_s=self.timeout_s, agreement=agreement, exchange_key=own
        )
        flags = DEFAULT_REQUEST_FLAGS | CERTIFY
        reply = await _reply(asking, asking.question(request, OpCode.SESSION_SETUP, flags))
        try:
            key = await self._key(asking, reply, mode, request.mode, agreement)
        except Malformed as error:
            raise NoAnswer(f"the server's half of the session's key cannot be used: {error}") from error
        return Session(reply.envelope.session_id, key, reply.envelope.version, mode, self.timeout_s)

    async def _key(
        self, asking: Asking, reply: Message, mode: Mode, number: int, agreement: Agreement | None
    ) -> SessionKey:
        data, version = setup_reply(reply, number).data, reply.envelope.version
        if agreement is not None:
            return await asyncio.to_thread(agreement.agreed, data, version)
        if mode is Mode.SERVER_KEY:
            return await _handed_over(asking, data, version, reply.envelope.session_id)
        assert self.exchange_key is not None
        return await asyncio.to_thread(unwrapped, self.exchange_key.private_key, data, version)


async def _handed_over(asking: Asking, data: bytes, version: Version, session_id: int) -> SessionKey:
    """A key of our own making, sent to the server under its public key."""
    key = fresh_key(version)
    octets = await asyncio.to_thread(wrapped_for, data, key, version, asking.keys)
    body = ExchangeKeyRequest(encrypted_key=octets)
    asked = asking.question(body, OpCode.SESSION_EXCHANGEKEY, DEFAULT_REQUEST_FLAGS)
    await _reply(asking, replace(asked, envelope=replace(asked.envelope, session_id=session_id, version=version)))
    return key


async def _reply(asking: Asking, asked: Message) -> Message:
    """The reply of success to a message of a session's set-up."""
    exchange = asking.alone(asked)
    try:
        return succeeded(await exchange.next())
    finally:
        await exchange.close()
