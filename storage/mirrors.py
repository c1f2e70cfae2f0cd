"""Which mirrors follow the journal, and how far they are: kept as one fact, so that pruning leaves them what they need.

Pure: the octets of the fact in, octets or a number out.
"""

from typing import Any, Final

import msgpack

from storage.base import NoteMirror, StoreCorrupt

MIRRORS: Final = b"mirrors"
"""The name of the fact."""

MIRRORS_MAX: Final = 256
"""So many are remembered; of more, the one heard of longest ago goes. Real primaries have a few."""


def read_mirrors(octets: bytes | None) -> dict[str, tuple[int | None, int]]:
    """Name to the last number that a mirror has, None where it never said, and when it was heard of, in ms."""
    if octets is None:
        return {}
    try:
        found: dict[str, Any] = msgpack.unpackb(octets)
        return {name: (number, heard_ms) for name, (number, heard_ms) in found.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise StoreCorrupt(f"the list of mirrors cannot be read: {error}") from error


def noted(octets: bytes | None, change: NoteMirror, *, now_ms: int) -> bytes:
    """The fact after a mirror was heard of."""
    mirrors = read_mirrors(octets)
    before = mirrors.pop(change.name, (None, 0))[0]
    mirrors[change.name] = (before if change.number is None else change.number, now_ms)
    if len(mirrors) > MIRRORS_MAX:
        del mirrors[min(mirrors, key=lambda name: mirrors[name][1])]
    packed: bytes = msgpack.packb(mirrors)
    return packed


def prunable(octets: bytes | None, *, last_number: int, heard_since_ms: int) -> int:
    """The greatest number of a row that nobody needs: below the last row, and below all that a known mirror has last.

    A mirror that never said where it is needs all.
    """
    needed = [last_number]
    for number, heard_ms in read_mirrors(octets).values():
        if heard_ms >= heard_since_ms:
            needed.append(number or 0)
    return min(needed) - 1
