"""What a session does to a message: open it, see that it is proven and new, and prove and seal the reply.

Sources: spec, security: sections 6.3, 8.3, 8.4 and 8.6; behaviours 26 to 30.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from protocol.codec import Message
from protocol.codes import CERTIFY, ENCRYPT, ENCRYPTED, OpCode, ResponseCode
from protocol.envelope import Envelope
from protocol.errors import SessionFailed, SessionKeyWrong, SessionUnknown
from protocol.responses import ReferralResponse, StoredValuesResponse
from protocol.trust.credential import HS_MAC
from protocol.trust.session import iv_size, opened, sealed
from protocol.trust.signature import mac_is_valid, maced
from protocol.value_list import all_public, count
from protocol.version import V_SUGGESTION_SIGNED
from resolver.authority import Said
from resolver.replies import Asked
from resolver.sessions import NO_SESSION, Session, Sessions

CLOSED: Final = "the session's key does not open these octets"


def clear(sessions: Sessions, envelope: Envelope, blob: bytes) -> bytes:
    """Header, body and credential of an encrypted message; `SessionFailed` where no key opens it."""
    if envelope.session_id == 0:
        raise SessionFailed("encrypted without a session")
    session = sessions.find(envelope.session_id)
    if session is None:
        raise SessionUnknown(f"session {envelope.session_id}", told=NO_SESSION)
    if not session.key.key:
        raise SessionFailed("encrypted before the session has its key")
    return opened(session.key.key, session.key.algorithm, session.version, blob)


def heard(sessions: Sessions, session: Session, asked: Asked) -> tuple[Session, bool]:
    """The session after this message, and whether the message proved to be of the session.

    A wrong MAC is `SessionKeyWrong`, a counter that came before `Replayed`. Of an encrypted message all that can be
    wrong is told as octets that do not open: whoever could tell the two apart could decrypt what they overheard.
    """
    credential, envelope = asked.credential, asked.message.envelope
    is_encrypted = bool(envelope.flags & ENCRYPTED)
    if credential is None or credential.type != HS_MAC:
        if is_encrypted:
            raise SessionFailed(CLOSED)
        return session, False
    key = session.key.key
    if not key or not mac_is_valid(credential, key, envelope, asked.message.signed_part):
        raise SessionFailed(CLOSED) if is_encrypted else SessionKeyWrong("a wrong MAC", told="Invalid session key.")
    return sessions.heard(session.id, credential.counter), True


def proven_reply(message: Message, session: Session) -> Message:
    """The reply with the session's MAC, and the flag that says so."""
    header = message.header.flagged(message.header.flags | CERTIFY)
    credential = maced(session.key.key, message.envelope, header.to_bytes() + message.body, counter=session.sent)
    return Message(envelope=message.envelope, header=header, body=message.body, credential=credential.to_bytes())


def wants_secrecy(asked: Asked, said: Said) -> bool:
    """Whether the reply is encrypted: on wish, and from 2.8 on for a value that is not public, but in TLS."""
    if asked.message.header.flags & ENCRYPT:
        return True
    if asked.peer.is_secure or not asked.version.at_least(V_SUGGESTION_SIGNED) or asked.row.opcode != OpCode.RESOLUTION:
        return False
    body = said.body
    if isinstance(body, StoredValuesResponse):
        return count(body.value_list) > 0 and not all_public(body.value_list)
    if isinstance(body, ReferralResponse) and said.code != ResponseCode.SUCCESS:
        return any(not value.is_public for value in body.values or ())
    return False


def sealed_reply(message: Message, session: Session, random_octets: Callable[[int], bytes]) -> bytes:
    """The octets of a reply that only the session's client can read."""
    algorithm, version = session.key.algorithm, session.version
    iv = random_octets(iv_size(algorithm, version))
    blob = sealed(session.key.key, algorithm, version, message.plain(), iv)
    envelope = replace(message.envelope, flags=message.envelope.flags | ENCRYPTED, message_size=len(blob))
    return envelope.to_bytes() + blob
