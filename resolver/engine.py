"""Request → response. Every error of the protocol becomes a code here and nowhere else; nothing here waits.

Sources: spec, protocol: sections 6 and 8.6; behaviours 7, 13, 20, 24 and 35 (whose request id -1 is not copied).
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, NamedTuple, cast

from protocol import codec
from protocol.codes import (
    AUTHORITATIVE,
    CERTIFY,
    DEFAULT_REQUEST_FLAGS,
    ENCRYPTED,
    OVERWRITE,
    REQUEST_DIGEST,
    RESERVED,
    SITE_SERIAL_UNKNOWN,
    OpCode,
    ResponseCode,
)
from protocol.envelope import Envelope
from protocol.errors import ChallengeUnknown, HandleError, Malformed, NotSupported, SessionFailed, SessionUnknown
from protocol.header import Header
from protocol.operations import Interface, Operation, operation
from protocol.requests import Body, ResolutionRequest
from protocol.responses import ChallengeResponse, ErrorResponse, SiteResponse
from protocol.site import Site
from protocol.trust.challenge import RequestDigest, request_digest
from protocol.version import NEWEST, V_DIGEST_IN_FRONT, Version, negotiated
from protocol.wire import Reader
from resolver.authority import Authority, Said
from storage.base import StoreView

log = logging.getLogger(__name__)

ANSWER_LIFETIME_S: Final = 43_200
"""How long a client may take an answer for fresh: what the software in service writes (behaviours 7)."""

_LATEST_S: Final = 0x7FFFFFFF  # The greatest time that the header's field can tell: in January 2038.

NONCE_SIZE: Final = 16
_SESSION_ID_SIZE: Final = 4
_SESSION_ID_MAX: Final = 0x7FFFFFFF

NO_SESSION: Final = "Invalid session id or session time out. Please try again."


def expiration(now_s: int) -> int:
    """When an answer that is given now expires, in seconds since 1970, as far as the header can tell."""
    return min(now_s + ANSWER_LIFETIME_S, _LATEST_S)


class Answer(NamedTuple):
    """A whole reply and the code it carries. `octets` is a message as if it were not cut into datagrams."""

    code: ResponseCode
    octets: bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """A request whose body was read, what the store holds, and the version of the reply."""

    message: codec.Message
    body: Body
    version: Version
    view: StoreView


class Engine:
    """Answers whole messages. `site` is what this server publishes; `random_octets` makes nonces and challenge ids."""

    def __init__(self, *, authority: Authority, site: Site, random_octets: Callable[[int], bytes]) -> None:
        self._authority = authority
        self._site = site
        self._random = random_octets
        self._authoritative = AUTHORITATIVE if site.is_primary else 0
        self._handlers: Mapping[OpCode, Callable[[Asked], Said]] = MappingProxyType(
            {
                OpCode.RESOLUTION: self._resolve,
                OpCode.GET_SITE_INFO: self._site_info,
                OpCode.GET_NEXT_TXN_ID: self._next_transaction,
            }
        )

    def answer(self, octets: bytes, view: StoreView, *, admin: bool, now_s: int) -> Answer | None:
        """The reply to one whole message, or None where silence is right: no envelope, or a response.

        `admin` says whether the interface it came by may administer. Never raises, whatever arrives.
        """
        try:
            envelope = Envelope.read(octets)
        except Malformed:
            return None
        header: Header | None = None
        version = negotiated(envelope.version, envelope.suggested)
        try:
            plain = _clear(envelope, octets)
            header = Header.read(plain)
            if not header.is_request:
                return None
            message = codec.Message.opened(envelope, plain)
            row = _allowed(header, admin=admin)
            body = row.request(Reader(message.body), envelope.version)
        except HandleError as error:
            return refusal(error, envelope, header, version=version, now_s=now_s)
        except Exception:
            log.exception("fault while reading request %d", envelope.request_id)
            return refusal(HandleError(), envelope, header, version=version, now_s=now_s)
        return self._reply(Asked(message, body, version, view), now_s)

    def _reply(self, asked: Asked, now_s: int) -> Answer:
        session_id = 0
        try:
            said = self._said(asked)
        except HandleError as error:
            said = Said(error.code, ErrorResponse(message=error.told.encode()))
            if isinstance(error, ChallengeUnknown | SessionUnknown):
                session_id = asked.message.envelope.session_id
        except Exception:
            log.exception("fault while answering opcode %d", asked.message.header.opcode)
            said = Said(ResponseCode.ERROR, ErrorResponse())
        if said.body is None:  # A challenge: its answer names it by the envelope's session id.
            session_id = int.from_bytes(self._random(_SESSION_ID_SIZE), "big") & _SESSION_ID_MAX or 1
            said = Said(said.code, ChallengeResponse(nonce=self._random(NONCE_SIZE)))
        return self._written(asked, said, session_id, now_s)

    def _said(self, asked: Asked) -> Said:
        envelope, opcode = asked.message.envelope, OpCode(asked.message.header.opcode)
        if opcode == OpCode.RESPONSE_TO_CHALLENGE:
            raise ChallengeUnknown(f"no challenge {envelope.session_id} is pending")
        if envelope.session_id:
            raise SessionUnknown(f"session {envelope.session_id}", told=NO_SESSION)
        handler = self._handlers.get(opcode)
        if handler is None:
            raise NotSupported(f"opcode {opcode}", told=f"{opcode.name} is not supported by this server")
        return handler(asked)

    def _resolve(self, asked: Asked) -> Said:
        request = cast(ResolutionRequest, asked.body)
        flags = asked.message.header.flags
        return self._authority.resolve(asked.view, request, flags=flags, version=asked.version)

    def _site_info(self, asked: Asked) -> Said:
        return Said(ResponseCode.SUCCESS, SiteResponse(site=self._site))

    def _next_transaction(self, asked: Asked) -> Said:
        raise NotSupported("asked for the next transaction", told="Next txn id no longer supported; upgrade required")

    def _written(self, asked: Asked, said: Said, session_id: int, now_s: int) -> Answer:
        header, version = asked.message.header, asked.version
        flags = header.flags & ~(OVERWRITE | REQUEST_DIGEST | CERTIFY) | self._authoritative
        digest: RequestDigest | None = None
        if said.code == ResponseCode.AUTHENTICATION_NEEDED or header.flags & REQUEST_DIGEST:
            digest = request_digest(version, asked.message.signed_part)
            flags |= REQUEST_DIGEST if version.at_least(V_DIGEST_IN_FRONT) else 0
        body = said.body or ErrorResponse()
        return _answer(
            said.code,
            codec.response_body(body, code=said.code, version=version, digest=digest),
            asked.message.envelope,
            version=version,
            session_id=session_id,
            header=replace(header, flags=flags, site_serial=self._site.serial, expiration=expiration(now_s)),
        )


def _clear(envelope: Envelope, octets: bytes) -> bytes:
    _, plain = codec.split(octets)
    if envelope.flags & ENCRYPTED:
        if envelope.session_id == 0:
            raise SessionFailed("encrypted without a session")
        raise SessionUnknown(f"session {envelope.session_id}", told=NO_SESSION)
    return plain


def _allowed(header: Header, *, admin: bool) -> Operation:
    if header.opcode == RESERVED:
        raise Malformed("opcode 0", told="Unknown opCode in message: 0")
    row = operation(header.opcode)
    if row.interface is Interface.ADMIN and not admin:
        raise Malformed("an admin request on a query interface", told="Received admin request on non-admin interface")
    return row


def refusal(error: HandleError, envelope: Envelope, header: Header | None, *, version: Version, now_s: int) -> Answer:
    """The reply to what could not be understood: its request and session id, a negotiated version, the code and why.

    It promises nothing about this server: neither authority nor a site serial (seen in `udpExchanges` of the vectors).
    """
    flags = DEFAULT_REQUEST_FLAGS if header is None else header.flags & ~(AUTHORITATIVE | REQUEST_DIGEST | CERTIFY)
    body = codec.response_body(
        ErrorResponse(message=error.told.encode()), code=error.code, version=version, digest=None
    )
    return _answer(
        error.code,
        body,
        envelope,
        version=version,
        session_id=envelope.session_id,
        header=Header(
            opcode=0 if header is None else header.opcode,
            flags=flags,
            site_serial=SITE_SERIAL_UNKNOWN,
            recursion_count=0 if header is None else header.recursion_count,
            expiration=expiration(now_s),
            body_size=len(body),
        ),
    )


def _answer(
    code: ResponseCode, body: bytes, envelope: Envelope, *, version: Version, session_id: int, header: Header
) -> Answer:
    message = codec.Message(
        envelope=Envelope(
            version=version,
            suggested=NEWEST,
            session_id=session_id,
            request_id=envelope.request_id,
            message_size=0,
        ),
        header=replace(header, code=codec.wire_code(code, version), body_size=len(body), reserved=0),
        body=body,
    )
    return Answer(code, message.to_bytes())


def shortened(answer: Answer) -> Answer:
    """The same refusal without its words: the smallest reply that still tells the code."""
    message = codec.Message.read(answer.octets)
    version = message.envelope.version
    digest, _ = codec.read_response(message)
    body = codec.response_body(ErrorResponse(), code=answer.code, version=version, digest=digest)
    return Answer(
        answer.code, replace(message, header=replace(message.header, body_size=len(body)), body=body).to_bytes()
    )


def refusal_of_frame(error: Malformed, envelope: Envelope | None, *, now_s: int) -> Answer | None:
    """The reply to a message whose end never came or may not come; None where not even its envelope did."""
    if envelope is None:
        return None
    version = negotiated(envelope.version, envelope.suggested)
    return refusal(error, envelope, None, version=version, now_s=now_s)


def failure(octets: bytes, told: str, *, now_s: int) -> Answer | None:
    """The reply to a whole message that was understood and cannot be answered; None where it is no message."""
    try:
        message = codec.Message.read(octets)
    except Malformed:
        return None
    if not message.header.is_request:
        return None
    envelope = message.envelope
    version = negotiated(envelope.version, envelope.suggested)
    return refusal(HandleError(told=told), envelope, message.header, version=version, now_s=now_s)
