"""The answers for one handle ⇄ octets, as processes hand them to each other. Reads nothing that it did not write."""

import struct
from collections.abc import Sequence
from struct import Struct
from typing import Final

from protocol import value_list
from protocol.errors import Malformed
from resolver.cache.kept import CODES, Kept

LAYOUT: Final = 1
"""The first octet: octets of another layout are none."""

_HEAD: Final = Struct(">IBQQHHI")  # Code, whether certified, received, fresh until; indexes, types, size of the list.
_INDEX: Final = Struct(">i")
_SIZE: Final = Struct(">I")
_COUNT_MAX: Final = 0xFFFF


def packed(answers: Sequence[Kept]) -> bytes:
    """The octets of the answers for one handle. One that was asked with more types than a list holds is left out."""
    parts = [bytes((LAYOUT,))]
    for kept in answers:
        if len(kept.types) > _COUNT_MAX or len(kept.indexes) > _COUNT_MAX:
            continue
        counts = len(kept.indexes), len(kept.types), len(kept.values)
        parts.append(_HEAD.pack(kept.code, kept.is_certified, kept.received_ms, kept.fresh_until_ms, *counts))
        parts += [_INDEX.pack(index) for index in kept.indexes]
        for name in kept.types:
            parts += [_SIZE.pack(len(name)), name]
        parts.append(kept.values)
    return b"".join(parts)


def unpacked(octets: bytes) -> list[Kept]:
    """The answers, newest first as they were packed; none where the octets are damaged or of another layout."""
    if not octets or octets[0] != LAYOUT:
        return []
    found: list[Kept] = []
    position = 1
    try:
        while position < len(octets):
            kept, position = _read(octets, position)
            found.append(kept)
    except (struct.error, Malformed):
        return []
    return found


def _read(octets: bytes, position: int) -> tuple[Kept, int]:
    code, certified, received, fresh_until, index_count, type_count, size = _HEAD.unpack_from(octets, position)
    position += _HEAD.size
    indexes: list[int] = []
    for _ in range(index_count):
        indexes += _INDEX.unpack_from(octets, position)
        position += _INDEX.size
    types = []
    for _ in range(type_count):
        (length,) = _SIZE.unpack_from(octets, position)
        position += _SIZE.size
        types.append(octets[position : position + length])
        position += length
    values = octets[position : position + size]
    value_list.spans(values)  # It ends where the octets do: a type or a list that is cut is no list.
    if code not in CODES:
        raise Malformed(f"an answer with code {code}")
    kept = Kept(
        code,
        values,
        indexes=indexes,
        types=types,
        is_certified=bool(certified),
        received_ms=received,
        fresh_until_ms=fresh_until,
    )
    return kept, position + size
