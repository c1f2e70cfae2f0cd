"""How the sector's own clients are told apart from plain Handle clients, and which codes each of them understands.

Two client libraries are in service beside those of the Handle System: an identifier pointer SDK and an identifier SDK.
Both log in by key (`OpCode.LOGIN_ID_SYSTEM`) and know codes that others do not. Source: spec, snms-api: section 13.
"""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from protocol.codes import ResponseCode
from protocol.errors import HandleError, Malformed
from protocol.trust.keys import PrivateKey, PublicKey, UnknownPublicKey, from_pem, read_public_key
from protocol.trust.sm2_values import sm2_key_of_text
from protocol.version import Version

POINTER_SENDS: Final = Version(2, 10)
"""The version that the pointer SDK writes."""

POINTER_SUGGESTS: Final = Version(2, 11)
"""The version that the pointer SDK suggests; whoever suggests less knows none of 603 to 605."""


class Speaker(Enum):
    """Whose software a peer is, as far as answers depend on it."""

    HANDLE = "plain Handle software"
    POINTER = "the pointer SDK"
    SDK = "the identifier SDK"


def speaker(version: Version, suggested: Version, *, has_tried_login: bool) -> Speaker:
    """Who sent an envelope with these versions; `has_tried_login`: its connection has asked to log in.

    Software of the Handle System writes the version that it suggests, or an older one than 2.10.
    """
    if suggested.at_least(POINTER_SUGGESTS):
        is_pointer = has_tried_login or version == POINTER_SENDS
        return Speaker.POINTER if is_pointer else Speaker.HANDLE
    return Speaker.SDK if has_tried_login else Speaker.HANDLE


_PLAIN: Final[Mapping[int, ResponseCode]] = MappingProxyType(
    {
        ResponseCode.LOGIN_REPEATED: ResponseCode.AUTHENTICATION_NEEDED,
        ResponseCode.LOGIN_NEEDED: ResponseCode.AUTHENTICATION_NEEDED,
        ResponseCode.CREDENTIAL_CHECK_FAILED: ResponseCode.AUTHENTICATION_FAILED,
        # A day passes, so "too busy"; the other limits do not, so "not permitted".
        ResponseCode.DAILY_REQUEST_LIMIT: ResponseCode.SERVER_TOO_BUSY,
        ResponseCode.REGISTER_COUNT_LIMIT: ResponseCode.INSUFFICIENT_PERMISSIONS,
        ResponseCode.PREFIX_LIMIT: ResponseCode.INSUFFICIENT_PERMISSIONS,
    }
)
_POINTER: Final[Mapping[int, ResponseCode]] = MappingProxyType(
    {
        code: heard
        for code, heard in _PLAIN.items()
        if code not in (ResponseCode.DAILY_REQUEST_LIMIT, ResponseCode.REGISTER_COUNT_LIMIT, ResponseCode.PREFIX_LIMIT)
    }
)
# Every other number is an exception in that client, whatever it means: so the nearest one that it knows.
_SDK: Final[Mapping[int, ResponseCode]] = MappingProxyType(
    {
        ResponseCode.RECURSION_COUNT_TOO_HIGH: ResponseCode.ERROR,
        ResponseCode.SERVER_BACKUP: ResponseCode.SERVER_TOO_BUSY,
        ResponseCode.OUT_OF_DATE_SITE_INFO: ResponseCode.ERROR,
        ResponseCode.SERVER_NOT_RESP: ResponseCode.ERROR,
        ResponseCode.AUTHEN_ERROR: ResponseCode.AUTHENTICATION_FAILED,
        ResponseCode.SESSION_TIMEOUT: ResponseCode.ERROR,
        ResponseCode.SESSION_FAILED: ResponseCode.ERROR,
        ResponseCode.INVALID_SESSION_KEY: ResponseCode.ERROR,
        ResponseCode.NEED_RSAKEY_FOR_SESSIONEXCHANGE: ResponseCode.ERROR,
        ResponseCode.INVALID_SESSIONSETUP_REQUEST: ResponseCode.ERROR,
        ResponseCode.SESSION_MESSAGE_REJECTED: ResponseCode.ERROR,
        ResponseCode.DAILY_REQUEST_LIMIT: ResponseCode.INSUFFICIENT_PERMISSIONS,
        ResponseCode.REGISTER_COUNT_LIMIT: ResponseCode.INSUFFICIENT_PERMISSIONS,
        ResponseCode.PREFIX_LIMIT: ResponseCode.INSUFFICIENT_PERMISSIONS,
    }
)
_HEARD: Final[Mapping[Speaker, Mapping[int, ResponseCode]]] = MappingProxyType(
    {Speaker.HANDLE: _PLAIN, Speaker.POINTER: _POINTER, Speaker.SDK: _SDK}
)

_NEVER_SENT: Final = frozenset((ResponseCode.CLIENT_CHANNEL_ERROR, ResponseCode.CLIENT_TIMEOUT))
"""What clients tell themselves of their own troubles."""


def heard(code: ResponseCode, by: Speaker) -> ResponseCode:
    """The code that this peer is sent where any peer would be meant to hear `code`; most are heard as they are.

    `AUTHENTICATION_NEEDED` for a code that says "log in" means that the peer is challenged, as plain software is.
    """
    assert code not in _NEVER_SENT, "only clients say that, and to themselves"
    return _HEARD[by].get(code, code)


def read_any_public_key(octets: bytes) -> PublicKey:
    """The key in the data of an HS_PUBKEY value: the usual encoding, or the text (PEM) that the sector's tools store.

    `Malformed` for all else, a private key and kinds of keys that nobody checks signatures with included.
    """
    if not octets.lstrip().startswith(b"-----BEGIN"):
        return read_public_key(octets)
    sm2 = sm2_key_of_text(octets)
    if sm2 is not None:
        return sm2
    try:
        found = from_pem(octets)
    except HandleError as error:
        raise Malformed(f"the PEM of a public key: {error}") from error
    if isinstance(found, PrivateKey | UnknownPublicKey):
        raise Malformed("a PEM that holds no public key")
    return found
