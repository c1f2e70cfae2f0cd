"""How a reply is written: version, flags, digest, serial and times. Decides nothing.

Sources: spec, protocol: sections 2.3, 3 and 7.2; behaviours 2 and 7.
"""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from protocol import codec
from protocol.codes import (
    AUTHORITATIVE,
    CERTIFY,
    CONTINUOUS,
    DEFAULT_REQUEST_FLAGS,
    MINT_SUFFIX,
    OVERWRITE,
    REQUEST_DIGEST,
    SITE_SERIAL_UNKNOWN,
    ResponseCode,
)
from protocol.dialect import Speaker, heard, speaker
from protocol.envelope import Envelope
from protocol.errors import HandleError, Malformed
from protocol.header import Header
from protocol.operations import Operation
from protocol.requests import Body
from protocol.responses import ErrorResponse
from protocol.site import Site
from protocol.trust.challenge import RequestDigest, request_digest
from protocol.trust.credential import Credential
from protocol.version import NEWEST, V_DIGEST_IN_FRONT, Version, negotiated
from resolver.authority import Said
from resolver.peer import Peer

ANSWER_LIFETIME_S: Final = 43_200
"""How long a client may take an answer for fresh: what the software in service writes (behaviours 7)."""

_LATEST_S: Final = 0x7FFFFFFF  # The greatest time that the header's field can tell: in January 2038.


def expiration(now_s: int) -> int:
    """When an answer that is given now expires, in seconds since 1970, as far as the header can tell."""
    return min(now_s + ANSWER_LIFETIME_S, _LATEST_S)


class Answer(NamedTuple):
    """A whole reply and the code it carries. `octets` is a message as if it were not cut into datagrams."""

    code: ResponseCode
    octets: bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """A request whose body was read, its row of the operations table, who asked, and the version of the reply.

    `plain` is header, body and credential in the clear. `credential` is that of the message, where it has one.
    """

    message: codec.Message
    row: Operation
    body: Body
    version: Version
    peer: Peer
    now_s: int
    credential: Credential | None = None

    @property
    def speaker(self) -> Speaker:
        """Whose software asked."""
        envelope = self.message.envelope
        return speaker(envelope.version, envelope.suggested, has_tried_login=self.peer.has_tried_login)


class Replies:
    """Writes the replies of one server, which publishes `site`."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._authoritative = AUTHORITATIVE if site.is_primary else 0

    def message(
        self, asked: Asked, said: Said, *, session_id: int = 0, more: bool = False, is_ours: bool = True
    ) -> codec.Message:
        """The reply without its credential; `more` where further messages follow it, `is_ours` where we keep the data.

        The digest stands in a challenge, and where it was asked for. Codes of the sector, and those that its software
        does not know, are told as this peer understands them (`protocol.dialect`).
        """
        code = said.code if said.code == ResponseCode.SUCCESS else heard(said.code, asked.speaker)
        header, version = asked.message.header, asked.version
        flags = header.flags & ~(OVERWRITE | REQUEST_DIGEST | CERTIFY | CONTINUOUS | AUTHORITATIVE)
        flags |= self._authoritative if is_ours else 0
        flags |= (OVERWRITE if said.overwrote else 0) | (CONTINUOUS if more else 0)
        if code == ResponseCode.AUTHENTICATION_NEEDED:  # There is no suffix yet (seen in the vectors).
            flags &= ~MINT_SUFFIX
        digest: RequestDigest | None = None
        if code == ResponseCode.AUTHENTICATION_NEEDED or header.flags & REQUEST_DIGEST:
            digest = request_digest(version, asked.message.signed_part)
            flags |= REQUEST_DIGEST if version.at_least(V_DIGEST_IN_FRONT) else 0
        body = codec.response_body(said.body or ErrorResponse(), code=code, version=version, digest=digest)
        return _message(
            body,
            asked.message.envelope,
            version=version,
            suggested=said.suggested or NEWEST,
            session_id=session_id,
            header=Header(
                opcode=header.opcode,
                code=codec.wire_code(code, version),
                flags=flags,
                site_serial=self.site.serial,
                recursion_count=header.recursion_count,
                expiration=expiration(asked.now_s),
                body_size=len(body),
            ),
        )


def refused(error: HandleError) -> Said:
    """What is said of a request that was refused."""
    return Said(error.code, ErrorResponse(message=error.told.encode()))


def refusal(error: HandleError, envelope: Envelope, header: Header | None, *, version: Version, now_s: int) -> Answer:
    """The reply to what could not be understood: its request and session id, a negotiated version, the code and why.

    It promises nothing about this server: neither authority nor a site serial (seen in `udpExchanges` of the vectors).
    """
    flags = DEFAULT_REQUEST_FLAGS if header is None else header.flags & ~(AUTHORITATIVE | REQUEST_DIGEST | CERTIFY)
    body = codec.response_body(
        ErrorResponse(message=error.told.encode()), code=error.code, version=version, digest=None
    )
    message = _message(
        body,
        envelope,
        version=version,
        suggested=NEWEST,
        session_id=envelope.session_id,
        header=Header(
            opcode=0 if header is None else header.opcode,
            code=codec.wire_code(error.code, version),
            flags=flags,
            site_serial=SITE_SERIAL_UNKNOWN,
            recursion_count=0 if header is None else header.recursion_count,
            expiration=expiration(now_s),
            body_size=len(body),
        ),
    )
    return Answer(error.code, message.to_bytes())


def _message(
    body: bytes,
    envelope: Envelope,
    *,
    version: Version,
    suggested: Version,
    session_id: int,
    header: Header,
) -> codec.Message:
    return codec.Message(
        envelope=Envelope(
            version=version,
            suggested=suggested,
            session_id=session_id,
            request_id=envelope.request_id,
            message_size=0,
        ),
        header=header,
        body=body,
    )


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
