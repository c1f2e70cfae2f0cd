"""A client's session with a real node by hand: its counter, MAC and cipher are the test's to choose."""

import secrets
from dataclasses import dataclass, replace
from typing import cast

from protocol import codec
from protocol.codec import Message
from protocol.codes import ENCRYPTED, OpCode, ResponseCode
from protocol.envelope import Envelope
from protocol.limits import ENVELOPE_SIZE
from protocol.requests import ANONYMOUS, KeyExchange, SessionSetupRequest
from protocol.responses import SessionSetupResponse
from protocol.trust.credential import Credential
from protocol.trust.keys import public_key_octets
from protocol.trust.session import (
    SessionKey,
    dh_public_key,
    iv_size,
    opened,
    read_dh_response,
    sealed,
    session_key,
    shared_secret,
)
from protocol.trust.signature import mac_is_valid, maced
from protocol.value import Reference
from protocol.version import NEWEST, Version
from tests.support.callers import Caller


def decrypted(whole: bytes, key: SessionKey, version: Version = NEWEST) -> Message:
    """A message, opened with the session's key where it is encrypted."""
    envelope, blob = Envelope.read(whole), whole[ENVELOPE_SIZE:]
    if envelope.flags & ENCRYPTED:
        blob = opened(key.key, key.algorithm, version, blob)
    return Message.opened(replace(envelope, flags=0), blob)


@dataclass
class WireSession:
    """The client's end of a session."""

    caller: Caller
    number: int
    key: SessionKey
    version: Version = NEWEST
    counter: int = 0

    def octets_of(self, message: Message, *, counter: int | None = None, seal: bool = False) -> bytes:
        """A request with a MAC, by the next counter or a wished one, encrypted on wish."""
        if counter is None:
            self.counter = counter = self.counter + 1
        message = replace(message, envelope=replace(message.envelope, session_id=self.number))
        proof = maced(self.key.key, message.envelope, message.signed_part, counter=counter)
        message = replace(message, credential=proof.to_bytes())
        if not seal:
            return message.to_bytes()
        iv = secrets.token_bytes(iv_size(self.key.algorithm, self.version))
        blob = sealed(self.key.key, self.key.algorithm, self.version, message.plain(), iv)
        return replace(message.envelope, flags=ENCRYPTED, message_size=len(blob)).to_bytes() + blob

    def sent(self, octets: bytes) -> Message:
        """What is said to octets, in the clear."""
        return decrypted(self.caller.octets(octets), self.key, self.version)

    def said(self, message: Message, *, counter: int | None = None, seal: bool = False) -> Message:
        """What is said to a request of the session."""
        return self.sent(self.octets_of(message, counter=counter, seal=seal))

    def is_proven(self, reply: Message) -> bool:
        """Whether the reply has the session's MAC."""
        credential = Credential.read(reply.credential)
        return credential is not None and mac_is_valid(credential, self.key.key, reply.envelope, reply.signed_part)


def opened_session(caller: Caller, identity: Reference = ANONYMOUS, *, version: Version = NEWEST) -> WireSession:
    """A session by Diffie-Hellman in the name of somebody, who has proven nothing yet."""
    private = secrets.randbits(500) | 1 << 500
    mine = dh_public_key(private)
    asked = codec.request(
        SessionSetupRequest(
            mode=KeyExchange.DIFFIE_HELLMAN, timeout_s=60, identity=identity, public_key=public_key_octets(mine)
        ),
        opcode=OpCode.SESSION_SETUP,
        request_id=7,
        flags=0,
        expiration=0,
        version=version,
        suggested=version,
    )
    reply = caller.said(asked)
    assert reply.header.code == ResponseCode.SUCCESS, reply
    body = cast(SessionSetupResponse, codec.read_response(reply)[1])
    algorithm, theirs = read_dh_response(body.data, version)
    key = session_key(algorithm, shared_secret(private, mine, theirs))
    return WireSession(caller, reply.envelope.session_id, SessionKey(algorithm, key), version)
