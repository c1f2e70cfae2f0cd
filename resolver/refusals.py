"""Refusals in the log: what somebody tried who may not, so that an operator sees it. Bounded, whoever tries how often.

A line says operation, source, code and why, and nothing that was sent as a proof. What the ordinary client hears every
day (no such handle, a value that stands already) is none of it.
"""

import logging
from collections import Counter as Tally
from typing import Final

from protocol.codes import OpCode, ResponseCode
from protocol.errors import HandleError, Malformed
from protocol.operations import OPERATIONS

log = logging.getLogger(__name__)

WINDOW_S: Final = 10  # Lines are counted within such a time.
LINES_A_SOURCE_MAX: Final = 20  # Of one source in a window: enough to see what it tries, and others keep their room.
LINES_MAX: Final = 200  # Of all in a window: some megabytes an hour at worst, of each process.
TEXT_MAX: Final = 200  # Signs of a reason: it may quote what a stranger sent.

TOLD: Final = frozenset(
    (
        ResponseCode.SERVER_TOO_BUSY,
        ResponseCode.SERVER_NOT_RESP,
        ResponseCode.INVALID_ADMIN,
        ResponseCode.INSUFFICIENT_PERMISSIONS,
        ResponseCode.AUTHENTICATION_FAILED,
        ResponseCode.INVALID_CREDENTIAL,
        ResponseCode.AUTHEN_TIMEOUT,
        ResponseCode.AUTHEN_ERROR,
        ResponseCode.SESSION_TIMEOUT,
        ResponseCode.SESSION_FAILED,
        ResponseCode.INVALID_SESSION_KEY,
        ResponseCode.INVALID_SESSIONSETUP_REQUEST,
        ResponseCode.SESSION_MESSAGE_REJECTED,
    )
)
"""Codes that somebody hears who tried what they may not, or a client that has lost its way."""


class AdminElsewhere(Malformed):
    """An admin request on an interface that takes none."""


class Refusals:
    """Writes the lines of one process."""

    def __init__(self) -> None:
        self._window = 0
        self._lines = 0
        self._kept_back = 0
        self._sources: Tally[str] = Tally()

    def note(self, error: HandleError, *, source: str, opcode: int | None, now_s: int) -> None:
        """Tell a refusal, if it is of those that are told and there is room for a line.

        `source` is who asked, `opcode` what for (None where that was not to be read), `now_s` seconds since 1970.
        """
        code = ResponseCode(error.code)
        if code not in TOLD and not isinstance(error, AdminElsewhere):
            return
        if code is ResponseCode.SERVER_NOT_RESP and opcode == OpCode.RESOLUTION:
            return  # Who asks for a handle of elsewhere has done nothing wrong.
        self._begin_window(now_s // WINDOW_S)
        if self._lines >= LINES_MAX or self._sources[source] >= LINES_A_SOURCE_MAX:
            self._kept_back += 1
            return
        self._lines += 1
        self._sources[source] += 1
        log.info("refused %s of %s with %d %s: %s", _name(opcode), source, code, code.name, _shown(str(error)))

    def _begin_window(self, window: int) -> None:
        if window == self._window:
            return
        if self._kept_back:
            log.warning("%d more refusals were not told: too many came at once", self._kept_back)
        self._window, self._lines, self._kept_back = window, 0, 0
        self._sources.clear()


def _name(opcode: int | None) -> str:
    if opcode is None:
        return "octets"
    row = OPERATIONS.get(opcode)
    return f"opcode {opcode}" if row is None else row.opcode.name


def _shown(text: str) -> str:
    """A reason without what would break a line or fill it: it may quote what a stranger sent."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:TEXT_MAX])
