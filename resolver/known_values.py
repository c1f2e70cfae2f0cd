"""Values from the octets of stored lists, read once where the same lists are asked for again and again.

Whoever administers is looked up with every change: the same few records of prefixes and groups decide about all.
"""

from functools import lru_cache
from typing import Final

from protocol.value import HandleValue, read_values
from protocol.wire import Reader

REMEMBERED_MAX: Final = 256
"""Lists that are remembered: the records of administrators that are at work at a time."""

REMEMBERED_SIZE_MAX: Final = 4_096
"""Octets of a list that is remembered, so that all of them stay below some MiB. Longer ones of one request are, too."""


def values_in(octets: bytes) -> tuple[HandleValue, ...]:
    """The values of a list as a record keeps it; `Malformed` where it is none."""
    return _remembered(octets) if len(octets) <= REMEMBERED_SIZE_MAX else _last(octets)


@lru_cache(maxsize=REMEMBERED_MAX)
def _remembered(octets: bytes) -> tuple[HandleValue, ...]:
    return read_values(Reader(octets))


@lru_cache(maxsize=1)  # All stages of one request read it.
def _last(octets: bytes) -> tuple[HandleValue, ...]:
    return read_values(Reader(octets))
