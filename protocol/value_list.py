"""A value list as octets: walked, filtered and compared without making values of it.

An answer is a copy of stored octets; what stands here finds which of them. The list is INT4 count, then the values.
"""

import struct
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Final, NamedTuple

from protocol.codes import PUBLIC_READ
from protocol.errors import Malformed
from protocol.limits import VALUE_COUNT_MAX

_COUNT: Final = Struct(">I")
_HEAD: Final = Struct(">iiBiBI")  # index, timestamp, ttl type, ttl, permissions, size of the type
_PERMISSIONS: Final = Struct(">BI")  # Permissions, size of the type
_PERMISSIONS_AT: Final = 13
_TIMESTAMP_AT: Final = 4
_TIMESTAMP_END: Final = 8
EMPTY: Final = _COUNT.pack(0)


class Span(NamedTuple):
    """Where one value stands in a list's octets, and what filters look at. The type is folded to upper case."""

    start: int
    end: int
    value_index: int
    permissions: int
    type: bytes


def spans(octets: bytes) -> list[Span]:
    """The values of a list, in its order; `Malformed` where the octets are no value list."""
    found: list[Span] = []
    try:
        (count,) = _COUNT.unpack_from(octets)
        if count > VALUE_COUNT_MAX:
            raise Malformed(f"{count} values announced, at most {VALUE_COUNT_MAX} allowed")
        position = _COUNT.size
        for _ in range(count):
            span = _span(octets, position)
            found.append(span)
            position = span.end
    except struct.error:
        raise Malformed("a value list ends within a value") from None
    if position != len(octets):
        raise Malformed(f"a value list of {position} octets in {len(octets)}")
    return found


def _span(octets: bytes, start: int) -> Span:
    index, _, _, _, permissions, type_size = _HEAD.unpack_from(octets, start)
    type_start = start + _HEAD.size
    type_end = type_start + type_size
    (data_size,) = _COUNT.unpack_from(octets, type_end)
    position = type_end + _COUNT.size + data_size
    (references,) = _COUNT.unpack_from(octets, position)
    position += _COUNT.size
    position = _behind_references(octets, position, references)
    if position > len(octets):
        raise Malformed("a value list ends within a value")
    return Span(start, position, index, permissions, octets[type_start:type_end].upper())


def _behind_references(octets: bytes, position: int, references: int) -> int:
    if references * 8 > len(octets) - position:
        raise Malformed(f"{references} references announced in {len(octets) - position} octets")
    for _ in range(references):
        (handle_size,) = _COUNT.unpack_from(octets, position)
        position += 8 + handle_size
    return position


def matcher(indexes: Sequence[int], types: Sequence[bytes]) -> Callable[[Span], bool]:
    """Whether a value is among those asked for: its index or its type is listed; empty lists ask for all.

    Types compare without ASCII case; one that ends in a dot takes the bare type and all subtypes (behaviours 9).
    Index 0 matches nothing by itself (spec, protocol: section 6.4). The lists are a stranger's and may be long: what
    is done for each value does not grow with them.
    """
    if not indexes and not types:
        return lambda _: True
    numbers = frozenset(indexes) - {0}
    names = frozenset([wanted.upper() for wanted in types])
    dotted = frozenset([name for name in names if name.endswith(b".")])
    longest = max(map(len, dotted), default=0)

    def is_wanted(span: Span) -> bool:
        if span.value_index in numbers or span.type in names:
            return True
        whole = span.type + b"."
        dot = whole.find(b".")
        while 0 <= dot < longest:
            if whole[: dot + 1] in dotted:
                return True
            dot = whole.find(b".", dot + 1)
        return False

    return is_wanted


def joined(octets: bytes, kept: Sequence[Span]) -> bytes:
    """The list of just those values, their octets copied."""
    return _COUNT.pack(len(kept)) + b"".join([octets[span.start : span.end] for span in kept])


def count(octets: bytes) -> int:
    """How many values the list announces."""
    found: int = _COUNT.unpack_from(octets)[0]
    return found


def all_public(octets: bytes) -> bool:
    """Whether there is a value and everybody may read every one; `Malformed` just where `spans` says so.

    A walk of its own, as light as it can be: each record is looked at so when it is written.
    """
    size_at, end = _COUNT.unpack_from, len(octets)
    every = 0xFF
    try:
        (count,) = size_at(octets)
        if count > VALUE_COUNT_MAX:
            raise Malformed(f"{count} values announced, at most {VALUE_COUNT_MAX} allowed")
        position = _COUNT.size
        for _ in range(count):
            permissions, type_size = _PERMISSIONS.unpack_from(octets, position + _PERMISSIONS_AT)
            every &= permissions
            position += _HEAD.size + type_size
            position += size_at(octets, position)[0] + _COUNT.size
            (references,) = size_at(octets, position)
            position += _COUNT.size
            if references:
                position = _behind_references(octets, position, references)
    except struct.error:
        raise Malformed("a value list ends within a value") from None
    if position != end:
        raise Malformed(f"a value list of {position} octets in {end}")
    return count > 0 and bool(every & PUBLIC_READ)


def without_timestamps(octets: bytes) -> tuple[bytes, ...]:
    """The values with their timestamps left out: equal where only the time of writing differs."""
    return tuple(
        [
            octets[span.start : span.start + _TIMESTAMP_AT] + octets[span.start + _TIMESTAMP_END : span.end]
            for span in spans(octets)
        ]
    )
