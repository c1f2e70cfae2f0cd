"""How a command ends: the exit codes, and the one place where an exception becomes a sentence and a code.

A sentence says what failed, why, and the next command. No traceback reaches a user; with HNODE_DEBUG=1 in the
environment a developer gets it nevertheless (`admin.cli`).
"""

import errno
import shlex
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

from admin.texts import text
from protocol.codes import ResponseCode
from protocol.errors import HandleError
from resolver.config_problems import ConfigError
from resolver.sockets import PortTaken
from storage.base import StoreError, StoreInUse, StoreMissing


class ExitCode(IntEnum):
    """What scripts may rely on."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    DENIED = 4
    UNREACHABLE = 5
    PARTLY = 6
    CONFLICT = 7
    THRESHOLD = 8
    CONFIG = 78
    INTERRUPTED = 130


class Failure(Exception):
    """A command that cannot do its work, in words: `what` failed, `why`, and `then` the next command to give."""

    def __init__(self, what: str, why: str = "", then: str = "", *, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(f"{what}: {why}" if why else what)
        self.what = what
        self.why = why
        self.then = then
        self.code = code


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the user reads on standard error, and the code that the process ends with."""

    lines: tuple[str, ...]
    code: ExitCode


_UNREACHABLE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.EHOSTDOWN})


def exit_code_of(code: int) -> ExitCode:
    """The exit code for a response code of the protocol, as a node sent it."""
    if code == ResponseCode.SUCCESS:
        return ExitCode.OK
    if code in (ResponseCode.HANDLE_NOT_FOUND, ResponseCode.VALUES_NOT_FOUND, ResponseCode.SERVER_NOT_RESP):
        return ExitCode.NOT_FOUND
    if code in (ResponseCode.HANDLE_ALREADY_EXISTS, ResponseCode.VALUE_ALREADY_EXISTS):
        return ExitCode.CONFLICT
    if 400 <= code <= 499:
        return ExitCode.DENIED
    return ExitCode.FAILED


def explained(error: BaseException, lang: str) -> Explanation:
    """The sentence and the exit code of any exception that a command may raise."""
    if isinstance(error, Failure):
        return _said(lang, error.what, error.why, error.then, error.code)
    if isinstance(error, ConfigError):
        return _of_config(error, lang)
    if isinstance(error, StoreError):
        return _of_store(error, lang)
    if isinstance(error, HandleError):
        name = error.code.name.replace("_", " ").lower()
        return _said(lang, f"{error.code:d} {name}", str(error), "", exit_code_of(error.code))
    if isinstance(error, PortTaken):
        return _said(lang, str(error), "", "", ExitCode.FAILED)
    if isinstance(error, OSError):
        return _of_system(error, lang)
    if isinstance(error, KeyboardInterrupt):
        return Explanation((text("interrupted", lang),), ExitCode.INTERRUPTED)
    fault = f"{type(error).__name__}: {error}"
    return _said(lang, text("fault", lang), fault, text("fault.next", lang), ExitCode.FAILED)


def _said(lang: str, what: str, why: str, then: str, code: ExitCode) -> Explanation:
    first = text("error", lang) + (f"{what} — {why}" if why else what)
    return Explanation((first, text("next", lang) + then) if then else (first,), code)


def _of_config(error: ConfigError, lang: str) -> Explanation:
    head = text("config.bad", lang, path=error.path, count=len(error.problems))
    lines = [text("error", lang) + head, *(f"  {problem}" for problem in error.problems)]
    lines.append(text("next", lang) + f"hnode --config {error.path} config check")
    return Explanation(tuple(lines), ExitCode.CONFIG)


def _of_store(error: StoreError, lang: str) -> Explanation:
    then = "hnode doctor"
    if isinstance(error, StoreMissing):
        then = "hnode init DIR --prefix PREFIX"
    elif isinstance(error, StoreInUse):
        then = "hnode status"
    return _said(lang, str(error), "", then, ExitCode.FAILED)


def _of_system(error: OSError, lang: str) -> Explanation:
    reason = error.strerror or str(error)
    if isinstance(error, (ConnectionError, TimeoutError)) or error.errno in _UNREACHABLE:
        why = text("unreachable.why", lang) if error.strerror else ""
        return _said(lang, reason or text("unreachable", lang), why, "hnode status", ExitCode.UNREACHABLE)
    where = f"{error.filename}: " if error.filename else ""
    then = {errno.ENOSPC: "df -h", errno.EACCES: "ls -l", errno.EADDRINUSE: "hnode doctor"}.get(error.errno or 0, "")
    if error.errno == errno.ENOENT and isinstance(error.filename, (str, Path)):
        then = f"check the path: ls {shlex.quote(str(Path(error.filename).parent))}"
    return _said(lang, f"{where}{reason}", "", then, ExitCode.FAILED)
