"""A session from the client's side: its key agreed on, each message proven and counted, encrypted where it must be.

Sends nothing: `client_calls` does. Sources: spec, security: section 8; behaviours 26 to 31.
"""

import secrets
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final, Self

from protocol import codec
from protocol.codec import Message
from protocol.codes import CERTIFY, ENCRYPT, ENCRYPTED, REQUEST, OpCode
from protocol.errors import Malformed, SessionFailed
from protocol.requests import Body, KeyExchange, SessionSetupRequest, ValuesRequest
from protocol.responses import SessionSetupResponse
from protocol.trust.credential import HS_MAC
from protocol.trust.gm import Sm2PrivateKey
from protocol.trust.keys import PrivateKey, PublicKey, public_key_octets, public_of, read_public_key
from protocol.trust.session import (
    DH_GENERATOR,
    DH_PRIME,
    DH_PRIVATE_BITS,
    V_ALGORITHM_WRAPPED,
    CounterWindow,
    SessionCipher,
    SessionKey,
    dh_public_key,
    iv_size,
    opened,
    read_dh_response,
    sealed,
    session_key,
    shared_secret,
    unwrapped_key,
    wrapped_key,
)
from protocol.trust.signature import mac_is_valid, maced
from protocol.value import Reference
from protocol.version import V_OWN_CODES, V_SUGGESTION_SIGNED, Version
from resolver import sm2_keys
from resolver.client_errors import TOLD_WITHOUT_PROOF, NotProven
from resolver.client_proof import credential_of

TIMEOUT_S: Final = 86_400
"""What we ask a server to keep an idle session for: the wish of deployed clients."""

_KEY_SIZE: Final = 16  # Octets of a session's key that one side makes (spec, security: section 8.1).
_DES_KEY_SIZE: Final = 8


class Mode(Enum):
    """How the key of a session comes about, as a person names it."""

    DH = "dh"
    CLIENT_KEY = "client-key"
    SERVER_KEY = "server-key"
    HANDLE_KEY = "handle-key"


@dataclass(slots=True)
class Session:
    """An open session. `is_proven`: the server has seen our proof in it and asks for no other.

    Several tasks may send in it at a time: counters of both directions may overtake each other (CounterWindow).
    """

    id: int
    key: SessionKey
    version: Version
    mode: Mode
    timeout_s: int = TIMEOUT_S
    is_proven: bool = False
    sent: int = 0
    _heard: CounterWindow = field(default_factory=CounterWindow)

    @property
    def cipher(self) -> SessionCipher:
        """The cipher that encrypted messages use."""
        return SessionCipher(self.key.algorithm)

    def written(self, message: Message, *, iv: bytes | None = None) -> bytes:
        """The octets of a request in this session, with the next counter and its MAC; encrypted where its flag is set.

        `iv` are fresh random octets unless they are given.
        """
        self.sent += 1
        credential = maced(self.key.key, message.envelope, message.signed_part, counter=self.sent)
        message = replace(message, credential=credential.to_bytes())
        if not message.header.flags & ENCRYPT:
            return message.to_bytes()
        if iv is None:
            iv = secrets.token_bytes(iv_size(self.key.algorithm, self.version))
        blob = sealed(self.key.key, self.key.algorithm, self.version, message.plain(), iv)
        envelope = replace(message.envelope, flags=message.envelope.flags | ENCRYPTED, message_size=len(blob))
        return envelope.to_bytes() + blob

    def read(self, octets: bytes) -> Message:
        """The reply in the clear, its MAC and counter checked; `NotProven` where they do not hold.

        A few refusals need no proof (`TOLD_WITHOUT_PROOF`): a server that lost the session has none.
        """
        envelope, plain = codec.split(octets)
        if envelope.flags & ENCRYPTED:
            try:
                plain = opened(self.key.key, self.key.algorithm, self.version, plain)
            except SessionFailed as error:
                raise NotProven("the session's key does not open the answer") from error
            envelope = replace(envelope, flags=envelope.flags & ~ENCRYPTED, message_size=len(plain))
        message = Message.opened(envelope, plain)
        self._expect_proven(message)
        return message

    def _expect_proven(self, message: Message) -> None:
        credential = credential_of(message)
        if credential is None or credential.type != HS_MAC:
            if message.header.code in TOLD_WITHOUT_PROOF:  # At most signed with the server's key.
                return
            raise NotProven("the answer bears no MAC of the session")
        if message.envelope.session_id != self.id or not mac_is_valid(
            credential, self.key.key, message.envelope, message.signed_part
        ):
            raise NotProven("the answer's MAC is not of the session's key")
        window = self._heard.after(credential.counter)
        if window is None and self.version.at_least(V_OWN_CODES):
            raise NotProven("the answer came before, or is too old: its counter was seen")
        self._heard = window or self._heard

    def flags(self, flags: int, body: Body) -> int:
        """The flags of a request in this session: certified, and encrypted where a value is not for everybody.

        Source: spec, security: section 8.6. The server encrypts its replies by the same rule.
        """
        has_secrets = isinstance(body, ValuesRequest) and not all(value.is_public for value in body.values)
        if has_secrets and self.version.at_least(V_SUGGESTION_SIGNED):
            flags |= ENCRYPT
        return flags | CERTIFY


@dataclass(frozen=True, slots=True)
class ExchangeKey:
    """A key of ours that a server encrypts the session's key for, and the value that holds its public half, if any."""

    private_key: PrivateKey | Sm2PrivateKey
    reference: Reference | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Agreement:
    """Our half of a key exchange by Diffie-Hellman: the secret exponent and the group."""

    private: int
    p: int = DH_PRIME
    g: int = DH_GENERATOR

    @classmethod
    def fresh(cls) -> Self:
        """A fresh secret in the group of 2,048 bits: the server takes the group that it is sent."""
        return cls(secrets.randbits(DH_PRIVATE_BITS) | 1 << (DH_PRIVATE_BITS - 1))

    def public_octets(self) -> bytes:
        """What the request carries. It takes milliseconds."""
        return public_key_octets(dh_public_key(self.private, self.p, self.g))

    def agreed(self, data: bytes, version: Version) -> SessionKey:
        """The key, from what the server sent; `version` is what the request suggested. It takes milliseconds."""
        algorithm, theirs = read_dh_response(data, version)
        mine = dh_public_key(self.private, self.p, self.g)
        return SessionKey(algorithm, session_key(algorithm, shared_secret(self.private, mine, theirs)))


def setup_request(
    mode: Mode,
    identity: Reference,
    *,
    timeout_s: int = TIMEOUT_S,
    agreement: Agreement | None = None,
    exchange_key: ExchangeKey | None = None,
) -> SessionSetupRequest:
    """What opens a session: with Diffie-Hellman an `agreement`, with a key of the client's an `exchange_key`."""
    if mode is Mode.DH:
        assert agreement is not None
        public = agreement.public_octets()
        number = KeyExchange.DIFFIE_HELLMAN
        return SessionSetupRequest(mode=number, timeout_s=timeout_s, identity=identity, public_key=public)
    if mode is Mode.CLIENT_KEY:
        assert exchange_key is not None
        key = exchange_key.private_key
        public = public_key_octets(key.public_key if isinstance(key, Sm2PrivateKey) else public_of(key))
        number = KeyExchange.CLIENT_KEY
        return SessionSetupRequest(mode=number, timeout_s=timeout_s, identity=identity, public_key=public)
    if mode is Mode.HANDLE_KEY:
        assert exchange_key is not None
        number, named = KeyExchange.KEY_IN_HANDLE, exchange_key.reference
        return SessionSetupRequest(mode=number, timeout_s=timeout_s, identity=identity, key=named)
    return SessionSetupRequest(mode=KeyExchange.SERVER_KEY, timeout_s=timeout_s, identity=identity)


def fresh_key(version: Version) -> SessionKey:
    """The key that we make where the server's own key brings it there: AES, or DES below 2.2."""
    if version.at_least(V_ALGORITHM_WRAPPED):
        return SessionKey(SessionCipher.AES, secrets.token_bytes(_KEY_SIZE))
    return SessionKey(SessionCipher.DES, secrets.token_bytes(_DES_KEY_SIZE))


def wrapped_for(data: bytes, key: SessionKey, version: Version, expected: tuple[PublicKey, ...]) -> bytes:
    """The key encrypted for the server that sent its public key; `NotProven` where that is none of those expected."""
    public = read_public_key(data)
    if expected and public not in expected:
        raise NotProven("the server wants the session's key under another key than its own")
    return wrapped_key(public, key, version)


def unwrapped(private_key: PrivateKey | Sm2PrivateKey, data: bytes, version: Version) -> SessionKey:
    """The key that the server made and encrypted for us; `NotProven` where ours does not open it.

    `NotInstalled` for an SM2 key where the extra `hnode[gm]` is missing.
    """
    try:
        if isinstance(private_key, Sm2PrivateKey):
            return sm2_keys.unwrapped_key(private_key, data)
        return unwrapped_key(private_key, data, version)
    except SessionFailed as error:
        raise NotProven("our key does not open the session's key that the server sent") from error


def setup_reply(reply: Message, mode: int) -> SessionSetupResponse:
    """The body of a set-up's reply; `Malformed` where it is another mode's, or opens no session."""
    assert reply.header.code != REQUEST
    _, body = codec.read_response(reply)
    if not isinstance(body, SessionSetupResponse) or reply.header.opcode != OpCode.SESSION_SETUP:
        raise Malformed("the reply to a session's set-up is none")
    if body.mode != mode or not reply.envelope.session_id:
        raise Malformed(f"the reply to a session's set-up is of mode {body.mode}, session {reply.envelope.session_id}")
    return body
