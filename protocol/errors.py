"""The family of errors that a request can end in. Each class knows its wire code; the text is for our log.

`told` is what the peer gets in the error body: deployed clients match on some of these texts (spec, protocol:
section 5).
"""

from typing import ClassVar

from protocol.codes import ResponseCode


class HandleError(Exception):
    """A request that we understood well enough to answer with a refusal."""

    code: ClassVar[ResponseCode] = ResponseCode.ERROR

    def __init__(self, text: str = "", *, told: str = "") -> None:
        super().__init__(text or told)
        self.told = told


class Malformed(HandleError):
    """The octets break the wire format. Only readers and constructors of `protocol` raise this."""

    code = ResponseCode.PROTOCOL_ERROR


class NotSupported(HandleError):
    """An operation that this node does not offer."""

    code = ResponseCode.OPERATION_NOT_SUPPORTED


class HandleNotFound(HandleError):
    """The handle is at home here and does not exist."""

    code = ResponseCode.HANDLE_NOT_FOUND


class HandleExists(HandleError):
    """A handle that was to be made stands already."""

    code = ResponseCode.HANDLE_ALREADY_EXISTS


class InvalidHandle(HandleError):
    """Not UTF-8, empty, longer than allowed, or no prefix handle where one is needed."""

    code = ResponseCode.INVALID_HANDLE


class ValuesNotFound(HandleError):
    """None of the values that were asked for exists, or none that the asker may see."""

    code = ResponseCode.VALUES_NOT_FOUND


class ValueExists(HandleError):
    """A value with that index stands already."""

    code = ResponseCode.VALUE_ALREADY_EXISTS


class InvalidValue(HandleError):
    """An index that is not positive, or an empty list of values."""

    code = ResponseCode.INVALID_VALUE


class NotResponsible(HandleError):
    """The prefix is not homed here, or another server of the site holds the handle."""

    code = ResponseCode.SERVER_NOT_RESP


class NotReadable(HandleError):
    """A value that nobody may read stands among those that were asked for."""

    code = ResponseCode.INSUFFICIENT_PERMISSIONS


class ChallengeUnknown(HandleError):
    """An answer to a challenge that is not pending: never made, used, or too old."""

    code = ResponseCode.AUTHEN_TIMEOUT


class SessionUnknown(HandleError):
    """A session id that names no session."""

    code = ResponseCode.SESSION_TIMEOUT


class SessionFailed(HandleError):
    """Encrypted octets without a session, or octets that the session key does not open."""

    code = ResponseCode.SESSION_FAILED


class TooBusy(HandleError):
    """More asks to be computed, kept or written than this node takes at a time: ask again later."""

    code = ResponseCode.SERVER_TOO_BUSY


class NotAuthorized(HandleError):
    """The one who asks is no administrator with the rights that are needed."""

    code = ResponseCode.INVALID_ADMIN


class AuthenticationFailed(HandleError):
    """A proof that proves nothing: a wrong signature or MAC, or no such key."""

    code = ResponseCode.AUTHENTICATION_FAILED


class InvalidCredential(HandleError):
    """A session's message without a MAC, an unknown kind of proof, or a session where one is needed."""

    code = ResponseCode.INVALID_CREDENTIAL


class SessionKeyWrong(HandleError):
    """A MAC that the session's key does not bear out."""

    code = ResponseCode.INVALID_SESSION_KEY


class Replayed(HandleError):
    """A session counter that was seen before, or that is too old to tell."""

    code = ResponseCode.SESSION_MESSAGE_REJECTED


class LoginRepeated(HandleError):
    """A login on a connection that has one already."""

    code = ResponseCode.LOGIN_REPEATED


class LoginNeeded(HandleError):
    """A request of a peer that logs in, before it did."""

    code = ResponseCode.LOGIN_NEEDED


class DailyLimit(HandleError):
    """The requests that one user has for a day are used up."""

    code = ResponseCode.DAILY_REQUEST_LIMIT


class RegistrationLimit(HandleError):
    """The handles that one user may register are registered."""

    code = ResponseCode.REGISTER_COUNT_LIMIT


class PrefixLimit(HandleError):
    """The handles that may stand under the prefix stand there."""

    code = ResponseCode.PREFIX_LIMIT


class CredentialCheckFailed(HandleError):
    """A login whose credential was checked and is not right."""

    code = ResponseCode.CREDENTIAL_CHECK_FAILED


class Changed(HandleError):
    """The record was changed while it was decided whether the change is allowed: decide again, or ask again later."""

    code = ResponseCode.SERVER_TOO_BUSY


class ValueSealed(HandleError):
    """A value that is to be changed, and that not even an administrator may write."""

    code = ResponseCode.INSUFFICIENT_PERMISSIONS
