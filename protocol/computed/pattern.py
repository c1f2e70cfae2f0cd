"""A stranger's regular expression, held against a whole string in bounded time. Knows no template; alone imports re2.

The expressions are Java's (spec, records: section 7.2), the matcher is RE2, whose time grows with the input alone. What
the two read differently is refused: look-around, back references, possessive repeats (RE2 does not know them), nested
and intersected classes (RE2 would take them for characters).
"""

from functools import lru_cache
from typing import Any, Final

import re2

from protocol.limits import PATTERN_INPUT_MAX, PATTERN_MEMORY_MAX, PATTERN_SIZE_MAX

PATTERN_GROUPS_MAX: Final = 32  # The matcher carries all groups along at each octet; templates use under ten.
PATTERN_WORK_MAX: Final = 1_000_000  # Steps of a program times octets, for one handle: 20 ms at the very most.
COMPILE_WORK: Final = 100  # What it costs to make one step of a program, counted in octets that the step looks at.
CACHED_MAX: Final = 64  # Patterns kept ready: a node has few templates, each with few patterns.

_BACKSLASH: Final = ord("\\")
_OPENS: Final = ord("[")
_CLOSES: Final = ord("]")


class Pattern:
    """A pattern that is within the bounds."""

    __slots__ = ("_regexp",)

    def __init__(self, regexp: Any) -> None:
        self._regexp = regexp

    def work(self, text: bytes) -> int:
        """What holding it against the text costs at most, in the units of `PATTERN_WORK_MAX`."""
        size: int = self._regexp.programsize
        return size * (COMPILE_WORK + len(text))

    def groups(self, text: bytes) -> tuple[bytes, ...] | None:
        """The text and its groups, b"" for one that took no part; None where the text as a whole does not match."""
        assert len(text) <= PATTERN_INPUT_MAX, "the caller bounds what a pattern is held against"
        match = self._regexp.fullmatch(text)
        return None if match is None else (text, *match.groups(b""))


def pattern(expression: bytes, *, case_sensitive: bool) -> Pattern | None:
    """The pattern of a UTF-8 expression; None where it is beyond the bounds, or is not what RE2 and Java read alike."""
    if len(expression) > PATTERN_SIZE_MAX:
        return None
    return _pattern(expression, case_sensitive=case_sensitive)


@lru_cache(maxsize=CACHED_MAX)  # Refusals are remembered, too: finding out that a pattern is too large costs 15 ms.
def _pattern(expression: bytes, *, case_sensitive: bool) -> Pattern | None:
    if _has_javas_classes(expression):
        return None
    options = re2.Options()
    options.log_errors = False
    options.max_mem = PATTERN_MEMORY_MAX
    options.case_sensitive = case_sensitive
    try:
        regexp = re2.compile(expression, options)
    except re2.error:
        return None
    return Pattern(regexp) if regexp.groups <= PATTERN_GROUPS_MAX else None


def _has_javas_classes(expression: bytes) -> bool:
    """Whether a class of characters holds a class or an intersection."""
    in_class = False
    position = 0
    while position < len(expression):
        octet = expression[position]
        if octet == _BACKSLASH:
            position = _behind_escape(expression, position)
            continue
        if not in_class and octet == _OPENS:
            in_class = True
            position += expression[position + 1 : position + 2] == b"^"
            position += expression[position + 1 : position + 2] == b"]"  # Right at the start it closes nothing.
        elif in_class and octet == _CLOSES:
            in_class = False
        elif in_class and (octet == _OPENS or expression.startswith(b"&&", position)):
            return True
        position += 1
    return False


def _behind_escape(expression: bytes, position: int) -> int:
    if not expression.startswith(b"\\Q", position):
        return position + 2
    end = expression.find(b"\\E", position)
    return len(expression) if end < 0 else end
