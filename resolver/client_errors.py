"""What can go wrong between a client and a server that answers: refusals with their code, and answers without proof."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from protocol import codec
from protocol.codes import ResponseCode
from protocol.responses import ErrorResponse


class Refused(Exception):
    """The server said no: `code` is its response code as it came, `told` its words, `indexes` the values at fault."""

    def __init__(self, code: int, told: str = "", indexes: tuple[int, ...] = ()) -> None:
        super().__init__(f"{named(code)}: {told}" if told else named(code))
        self.code = code
        self.told = told
        self.indexes = indexes


class Missing(Refused):
    """There is no such handle or value, or not at this server."""


class Conflict(Refused):
    """What was to be made stands already."""


class Denied(Refused):
    """Who asks did not prove to be somebody who may do that."""


class SessionLost(Refused):
    """The server does not know the session any more: it ended, or the server restarted."""


class SessionRefused(Refused):
    """The session could not be set up, or one of its messages was turned away."""


class NotProven(Exception):
    """An answer whose signature or MAC is missing or wrong, that is too old, or that answers another request.

    Somebody between here and the server may have made it: nothing in it is to be believed.
    """


_BY_CODE: Final[Mapping[int, type[Refused]]] = MappingProxyType(
    {
        ResponseCode.HANDLE_NOT_FOUND: Missing,
        ResponseCode.VALUES_NOT_FOUND: Missing,
        ResponseCode.SERVER_NOT_RESP: Missing,
        ResponseCode.HANDLE_ALREADY_EXISTS: Conflict,
        ResponseCode.VALUE_ALREADY_EXISTS: Conflict,
        ResponseCode.INVALID_ADMIN: Denied,
        ResponseCode.INSUFFICIENT_PERMISSIONS: Denied,
        ResponseCode.AUTHENTICATION_NEEDED: Denied,
        ResponseCode.AUTHENTICATION_FAILED: Denied,
        ResponseCode.INVALID_CREDENTIAL: Denied,
        ResponseCode.AUTHEN_TIMEOUT: Denied,
        ResponseCode.AUTHEN_ERROR: Denied,
        ResponseCode.SESSION_TIMEOUT: SessionLost,
        ResponseCode.SESSION_FAILED: SessionRefused,
        ResponseCode.INVALID_SESSION_KEY: SessionRefused,
        ResponseCode.SESSION_MESSAGE_REJECTED: SessionRefused,
    }
)

TOLD_WITHOUT_PROOF: Final = frozenset(
    {
        ResponseCode.ERROR,
        ResponseCode.SERVER_TOO_BUSY,
        ResponseCode.PROTOCOL_ERROR,
        ResponseCode.SERVER_BACKUP,
        ResponseCode.SESSION_TIMEOUT,
        ResponseCode.SESSION_FAILED,
        ResponseCode.INVALID_SESSION_KEY,
        ResponseCode.SESSION_MESSAGE_REJECTED,
    }
)
"""Refusals of a server that cannot prove them: it read no message, has no time, or knows no session to do it with.

They say nothing of handles, so that whoever forges one only spoils this one exchange.
"""

_NAMES: Final = {member.value: member.name.replace("_", " ").lower() for member in ResponseCode}


def named(code: int) -> str:
    """A response code with its name: `100 handle not found`."""
    return f"{code} {_NAMES.get(code, 'unknown code')}"


def refusal(message: codec.Message) -> Refused:
    """The error for a reply that is no success. Below 2.5 303 stands for a server that only reads (behaviours 3)."""
    code = message.header.code
    _, body = codec.read_response(message)
    if not isinstance(body, ErrorResponse):
        told = "the server refers to another one" if code in _REFERRALS else ""
        return _BY_CODE.get(code, Refused)(code, told)
    if code == ResponseCode.PREFIX_REFERRAL:
        code = ResponseCode.SERVER_BACKUP
    return _BY_CODE.get(code, Refused)(code, body.message.decode(errors="replace"), body.indexes)


_REFERRALS: Final = (ResponseCode.SERVICE_REFERRAL, ResponseCode.PREFIX_REFERRAL)
