"""Loggers whose lines strangers cause: each kind of line at most once a second, the next one with how many were not.

A kind is the text before its arguments are put in, so that there are as many as the program has. What refusals tell is
bounded a source, too: `resolver.refusals`.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

INTERVAL_S: Final = 1.0  # Whoever reads sees that it goes on; a day has at most 86,400 lines of a kind and a process.


class OnceASecond(logging.Filter):
    """Lets a line through unless one of its kind went through within the interval; `monotonic` gives seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._told: dict[str, float] = {}
        self._kept_back: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is told; one that is tells how many of its kind were not since the last."""
        kind, now = str(record.msg), self._monotonic()
        told = self._told.get(kind)
        if told is not None and now - told < INTERVAL_S:
            self._kept_back[kind] = self._kept_back.get(kind, 0) + 1
            return False
        self._told[kind] = now
        count = self._kept_back.pop(kind, 0)
        if count:
            record.msg = f"{kind} (and {count} times more since the last such line)"
        return True


def limited(name: str) -> logging.Logger:
    """The logger of a module whose lines strangers cause."""
    log = logging.getLogger(name)
    if not any(isinstance(found, OnceASecond) for found in log.filters):
        log.addFilter(OnceASecond())
    return log
