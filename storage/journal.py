"""Journal rows ⇄ octets. Rows that one transaction wrote lie together in groups, so that a row costs little more than
its handle.

A group's key is the number of its last row, big-endian: the group that holds a number is the first whose key is not
below it. Its octets are msgpack: the date, who, then action and handle of each row.
"""

from collections.abc import Iterable, Iterator
from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import Any, Final

import msgpack

from storage.base import Action, JournalRow, StoreCorrupt

GROUP_SIZE_MAX: Final = 4_040
"""So many octets of rows fill one page of the engine together with its head, the date and a short name."""

_ROW_SIZE: Final = 3  # What a row takes beside its handle, if that is not long: the action and the handle's size.
_NUMBER: Final = Struct(">Q")
_NUMBER_MAX: Final = 2**64 - 1
_ACTIONS: Final = {action.value: action for action in Action}


def row_key(number: int) -> bytes:
    """The key of the group that ends with this row; where a look for the row begins."""
    return _NUMBER.pack(min(number, _NUMBER_MAX))


def groups(number: int, rows: Iterable[tuple[Action, bytes, str]], *, date_ms: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and octets of the groups that hold rows (action, handle, who), the first of which has this number."""
    group: list[Any] = []
    size, name = 0, ""
    for action, handle, who in rows:
        if group and (who != name or size + len(handle) > GROUP_SIZE_MAX):
            yield row_key(number - 1), msgpack.packb([date_ms, name, *group])
            group, size = [], 0
        if not group:
            size, name = len(who), who
        group += (action.value, handle)
        size += len(handle) + _ROW_SIZE
        number += 1
    if group:
        yield row_key(number - 1), msgpack.packb([date_ms, name, *group])


def cut_group(octets: bytes, rows: int) -> bytes:
    """The group without its first `rows` rows, of which at least one stays: its key is that of the last."""
    date_ms, who, *rest = msgpack.unpackb(octets)
    cut: bytes = msgpack.packb([date_ms, who, *rest[2 * rows :]])
    return cut


def read_group(key: bytes, octets: bytes) -> list[JournalRow]:
    """The rows of a group, at least one; `StoreCorrupt` for octets that no group has."""
    try:
        (last,) = _NUMBER.unpack(key)
        date_ms, who, *rest = msgpack.unpackb(octets)
        handles = rest[1::2]
        first = last - len(handles) + 1
        if not handles or first < 1 or len(rest) % 2 or not isinstance(date_ms, int) or not isinstance(who, str):
            raise StoreCorrupt(f"the journal's rows that end with {last} cannot be read")
        if not all(isinstance(handle, bytes) for handle in handles):
            raise StoreCorrupt(f"the journal's rows that end with {last} name no handles")
        actions = [_ACTIONS[number] for number in rest[::2]]
    except (ValueError, TypeError, KeyError, StructError) as error:
        raise StoreCorrupt(f"the journal's rows at {key.hex()} cannot be read: {error}") from error
    return [
        JournalRow(number, action, handle, date_ms, who)
        for number, action, handle in zip(range(first, last + 1), actions, handles, strict=True)
    ]
