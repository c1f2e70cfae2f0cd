"""SM2 for a process that has a log: the library's own words stay out of it, and a missing extra is told once.

The library writes the places in its source to C's standard error for everything that it refuses, where they would
stand between the lines of the log, as many as a stranger likes. So C's stream is another while it works.
"""

import ctypes
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final

from protocol.trust import gm
from protocol.trust.challenge import PublicKeyAnswer
from protocol.trust.key_values import UnknownPublicKey
from protocol.trust.session import SessionKey

log = logging.getLogger(__name__)

_one_at_a_time: Final = threading.Lock()
"""Two that changed the stream at once could leave it changed; it is held for 3 ms at most."""


def answer_is_valid(answer: PublicKeyAnswer, key: UnknownPublicKey, data: bytes, user: bytes) -> bool:
    """Whether the answer proves an SM2 key: `protocol.trust.gm.sm2_answer_is_valid`, in silence."""
    if not gm.is_installed():
        _tell_that_it_is_missing()
        return False
    with _quiet():
        return gm.sm2_answer_is_valid(answer, key, data, user)


def wrapped_key(key: UnknownPublicKey, session: SessionKey) -> bytes:
    """A session's key for the owner of an SM2 key: `protocol.trust.gm.sm2_wrapped_key`, in silence."""
    with _quiet():
        return gm.sm2_wrapped_key(key, session)


def unwrapped_key(private: gm.Sm2PrivateKey, octets: bytes) -> SessionKey:
    """A session's key that was encrypted for us: `protocol.trust.gm.sm2_unwrapped_key`, in silence."""
    with _quiet():
        return gm.sm2_unwrapped_key(private, octets)


@cache
def _tell_that_it_is_missing() -> None:
    log.warning("a client proved an SM2 key, which is refused here: pip install 'hnode[gm]' and restart the node")


@cache
def _streams() -> tuple[ctypes.c_void_p, int | None, int] | None:
    """C's variable of its error stream, the stream, and one that leads nowhere; None where there is no such thing."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):  # Elsewhere the variable is a constant that nobody may change.
        return None
    libc.fopen.restype = ctypes.c_void_p
    nowhere = libc.fopen(b"/dev/null", b"w")
    variable = ctypes.c_void_p.in_dll(libc, "stderr")
    return (variable, variable.value, nowhere) if nowhere else None


@contextmanager
def _quiet() -> Iterator[None]:
    """Python's own standard error is no C stream and stays what it is, and so does the file behind both."""
    with _one_at_a_time:
        streams = _streams()
        if streams is None:
            yield
            return
        variable, usual, nowhere = streams
        variable.value = nowhere
        try:
            yield
        finally:
            variable.value = usual
