"""Whether a message is an answer to a question, and what it says. Follows nothing.

Sources: behaviours 3, 10; spec, resolution: section 3.2; protocol: section 8.2.
"""

from typing import Final

from protocol import codec
from protocol.codec import Message
from protocol.codes import (
    AUTHORITATIVE,
    SITE_SERIAL_UNKNOWN,
    ResponseCode,
)
from protocol.errors import Malformed
from protocol.requests import Body, ResolutionRequest
from protocol.responses import ResolutionResponse
from protocol.value import REFERENCE_SIZE_MIN, VALUE_SIZE_MIN
from protocol.version import V_OWN_CODES
from resolver.walk.events import NoReply, Place
from resolver.walk.question import Candidate, Question, Reply

_COUNT_SIZE: Final = 4

_ELSEWHERE: Final = frozenset(
    (
        ResponseCode.ERROR,
        ResponseCode.SERVER_TOO_BUSY,
        ResponseCode.SERVER_BACKUP,
        ResponseCode.OUT_OF_DATE_SITE_INFO,
        ResponseCode.SERVER_NOT_RESP,
    )
)
"""Codes that say something about the server and nothing about the handle: the next site is asked."""

_OF_LOOK_UPS: Final = frozenset(
    (
        ResponseCode.SUCCESS,
        ResponseCode.HANDLE_NOT_FOUND,
        ResponseCode.VALUES_NOT_FOUND,
        ResponseCode.SERVICE_REFERRAL,
        ResponseCode.PREFIX_REFERRAL,
    )
)
"""The codes that answer a look-up: whatever else is said, another site may say better."""

ABSENT: Final = (ResponseCode.HANDLE_NOT_FOUND, ResponseCode.VALUES_NOT_FOUND)


def read(message: Message, question: Question, server: Candidate, place: Place) -> Reply | NoReply:
    """The reply that a message is; UNREADABLE for what answers something else, or cannot be read.

    An answer about another handle, octet for octet, is none: values would stand under a name that nobody asked about.
    """
    header = message.header
    if header.opcode != question.opcode:
        return NoReply.UNREADABLE
    try:
        _, body = codec.read_response(message)
    except Malformed:
        return NoReply.UNREADABLE
    if isinstance(body, ResolutionResponse) and not _is_about(body, question.body):
        return NoReply.UNREADABLE
    return Reply(
        code=_code(message),
        body=body,
        message=message,
        server=server,
        place=place,
        is_authoritative=bool(header.flags & AUTHORITATIVE),
        octets=_list_of(message, body) if isinstance(body, ResolutionResponse) else b"",
    )


def _list_of(message: Message, body: ResolutionResponse) -> bytes:
    """The octets of the list of values; empty where something stands before the handle, or behind the list."""
    start = _COUNT_SIZE + len(body.handle)
    size = _COUNT_SIZE
    for value in body.values:
        size += VALUE_SIZE_MIN + len(value.type) + len(value.data)
        for reference in value.references:
            size += REFERENCE_SIZE_MIN + len(reference.handle)
    return message.body[start:] if len(message.body) == start + size else b""


def _is_about(body: ResolutionResponse, asked: Body) -> bool:
    return isinstance(asked, ResolutionRequest) and body.handle == asked.handle


def _code(message: Message) -> int:
    """The code by its meaning today: from servers below 2.5, 303 says that they are making a backup (behaviours 3)."""
    code = message.header.code
    if code == ResponseCode.PREFIX_REFERRAL and not message.envelope.version.at_least(V_OWN_CODES):
        return ResponseCode.SERVER_BACKUP
    return code


def settles(reply: Reply, question: Question) -> bool:
    """Whether the reply ends the question; else the next site is asked."""
    if question.is_lookup:
        return reply.code in _OF_LOOK_UPS
    return reply.code not in _ELSEWHERE


def tells_that_root_moved(reply: Reply, question: Question) -> bool:
    """Whether a root server says, by its code or its site's serial, that what we know of the root is old."""
    if not question.is_root or reply.server is None or reply.message is None:
        return False
    serial = reply.message.header.site_serial
    is_newer = serial != SITE_SERIAL_UNKNOWN and serial > reply.server.site.serial
    return is_newer or reply.code == ResponseCode.OUT_OF_DATE_SITE_INFO


def is_referral(reply: Reply, *, is_prefix: bool) -> bool:
    """Whether the reply sends us elsewhere; a prefix referral does so for prefix handles alone (resolution, 5.2)."""
    if reply.code == ResponseCode.SERVICE_REFERRAL:
        return True
    return reply.code == ResponseCode.PREFIX_REFERRAL and is_prefix
