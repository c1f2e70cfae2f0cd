"""Record ⇄ octets on disk: a small head, then the value list just as a resolution response carries it.

| octets | what |
|---|---|
| 1 | version of this layout: 1 |
| 1 | codec of the value list: 0, plain |
| 1 | flags |
| 2 + n | the handle as it was spelled, where flag SPELLED is set: it differs from the key |
| rest | the value list |
"""

from struct import Struct
from typing import Final

from protocol import value_list
from storage.base import Record, StoreCorrupt
from storage.keys import is_short

LAYOUT_VERSION: Final = 1
CODEC_PLAIN: Final = 0
ALL_PUBLIC: Final = 0x01  # There is a value, and everybody may read every one.
SPELLED: Final = 0x02  # The handle's spelling is kept beside the key.

PLAIN_PUBLIC_HEAD: Final = bytes((LAYOUT_VERSION, CODEC_PLAIN, ALL_PUBLIC))
"""The head of a record whose rest can be copied into an answer as it is."""

_PLAIN_HEAD: Final = bytes((LAYOUT_VERSION, CODEC_PLAIN, 0))
_SPELLED_PUBLIC_HEAD: Final = bytes((LAYOUT_VERSION, CODEC_PLAIN, ALL_PUBLIC | SPELLED))
_SPELLED_HEAD: Final = bytes((LAYOUT_VERSION, CODEC_PLAIN, SPELLED))
SPELLED_PUBLIC_HEAD: Final = bytes((LAYOUT_VERSION, CODEC_PLAIN, ALL_PUBLIC | SPELLED))
"""The head of a record that, behind its handle, can be copied as well (`public_values`)."""

_SIZE: Final = Struct(">H")
_HEAD_SIZE: Final = 3


def stored(record: Record, key: bytes) -> bytes:
    """The octets to keep under a key; `Malformed` where the values are no value list."""
    return stored_octets(record.handle, record.values, key)


def stored_octets(handle: bytes, values: bytes, key: bytes) -> bytes:
    """The same for a record in its parts."""
    is_public = value_list.all_public(values)
    if handle == key:
        return (PLAIN_PUBLIC_HEAD if is_public else _PLAIN_HEAD) + values
    head = _SPELLED_PUBLIC_HEAD if is_public else _SPELLED_HEAD
    return b"".join((head, _SIZE.pack(len(handle)), handle, values))


def public_values(octets: bytes) -> bytes | None:
    """The value list of a record that is wholly public, whether or not its handle is spelled; None for all others."""
    head = octets[:_HEAD_SIZE]
    if head == PLAIN_PUBLIC_HEAD:
        return octets[_HEAD_SIZE:]
    if head != SPELLED_PUBLIC_HEAD or len(octets) < _HEAD_SIZE + _SIZE.size:
        return None
    return octets[_HEAD_SIZE + _SIZE.size + _SIZE.unpack_from(octets, _HEAD_SIZE)[0] :]


def read_stored(key: bytes, octets: bytes) -> Record:
    """The record that stands under a key; `StoreCorrupt` for octets that no record has."""
    values_at, handle = _opened(key, octets)
    return Record(handle, octets[values_at:])


def stored_handle(key: bytes, octets: bytes) -> bytes:
    """Only the handle, as it was spelled."""
    return _opened(key, octets)[1]


def stored_values(key: bytes, octets: bytes) -> bytes:
    """Only the value list."""
    return octets[_opened(key, octets)[0] :]


def _opened(key: bytes, octets: bytes) -> tuple[int, bytes]:
    """Where the values begin, and the handle."""
    if len(octets) < _HEAD_SIZE or octets[0] != LAYOUT_VERSION or octets[1] != CODEC_PLAIN:
        raise StoreCorrupt(f"the record of {key!r} has no readable head")
    if not octets[2] & SPELLED:
        if not is_short(key):
            raise StoreCorrupt(f"the record of {key!r} does not tell its handle")
        return _HEAD_SIZE, key
    if len(octets) < _HEAD_SIZE + _SIZE.size:
        raise StoreCorrupt(f"the record of {key!r} is cut")
    (size,) = _SIZE.unpack_from(octets, _HEAD_SIZE)
    start = _HEAD_SIZE + _SIZE.size
    if start + size > len(octets):
        raise StoreCorrupt(f"the record of {key!r} is cut")
    return start + size, octets[start : start + size]
