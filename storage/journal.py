"""Journal rows ⇄ octets. Numbers are the keys, big-endian, so that the rows lie in order."""

from struct import Struct
from typing import Any, Final

import msgpack

from storage.base import Action, JournalRow, StoreCorrupt

_NUMBER: Final = Struct(">Q")
_ACTIONS: Final = {action.value: action for action in Action}


def row_key(number: int) -> bytes:
    """The key of a row."""
    return _NUMBER.pack(number)


def row_number(key: bytes) -> int:
    """The number of a row's key; `StoreCorrupt` for a key that is none."""
    if len(key) != _NUMBER.size:
        raise StoreCorrupt(f"{key!r} is no number of a journal row")
    number: int = _NUMBER.unpack(key)[0]
    return number


def row_octets(action: Action, handle: bytes, date_ms: int, who: str) -> bytes:
    """The octets of a row without its number."""
    packed: bytes = msgpack.packb((action.value, handle, date_ms, who))
    return packed


def read_row(key: bytes, octets: bytes) -> JournalRow:
    """The row; `StoreCorrupt` for octets that no row has."""
    try:
        fields: Any = msgpack.unpackb(octets)
        action, handle, date_ms, who = fields
        return JournalRow(row_number(key), _ACTIONS[action], bytes(handle), int(date_ms), str(who))
    except (ValueError, TypeError, KeyError) as error:
        raise StoreCorrupt(f"journal row {key.hex()} cannot be read: {error}") from error
