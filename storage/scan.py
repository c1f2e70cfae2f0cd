"""Walks over a store's databases by cursors: handles under a prefix, journal rows, and the check of everything."""

from typing import Any

from protocol import value_list
from protocol.errors import HandleError
from protocol.identifier import folded, prefix_folded
from storage.base import JournalRow, Record, StoreCorrupt
from storage.changes import homed_key
from storage.journal import read_group, row_key
from storage.keys import scan_start, storage_key
from storage.layout import HANDLES, HOMED, JOURNAL
from storage.records import read_stored, stored, stored_handle

PROBLEMS_MAX = 100
"""So many problems are told; a store that has more is not mended by reading about them."""


def handles_under(cursor: Any, prefix: bytes, *, after: bytes | None, limit: int, case_sensitive: bool) -> list[bytes]:
    """Up to `limit` handles that begin with a folded prefix, in key order, behind `after`."""
    start = scan_start(prefix)
    behind = None if after is None else storage_key(after, case_sensitive=case_sensitive)
    if not cursor.set_range(start if behind is None or behind < start else behind):
        return []
    if behind is not None and cursor.key() == behind and not cursor.next():
        return []
    fold = prefix_folded if case_sensitive else folded
    found: list[bytes] = []
    while len(found) < limit and cursor.key().startswith(start):
        handle = stored_handle(cursor.key(), cursor.value())
        if fold(handle).startswith(prefix):
            found.append(handle)
        if not cursor.next():
            break
    return found


def records_behind(
    cursor: Any, *, after: bytes | None, limit: int, size_max: int, case_sensitive: bool
) -> list[Record]:
    """Up to `limit` records in key order behind a handle, and no more octets than `size_max` and one record."""
    behind = b"" if after is None else storage_key(after, case_sensitive=case_sensitive)
    if limit <= 0 or not cursor.set_range(behind) or (cursor.key() == behind and not cursor.next()):
        return []
    found: list[Record] = []
    size = 0
    for key, octets in cursor.iternext():
        found.append(read_stored(key, octets))
        size += len(octets)
        if len(found) >= limit or size >= size_max:
            break
    return found


def journal_rows(cursor: Any, *, after: int, limit: int) -> list[JournalRow]:
    """Up to `limit` rows with a number above `after`, in order."""
    found: list[JournalRow] = []
    after = max(after, 0)
    if limit <= 0 or not cursor.set_range(row_key(after + 1)):
        return found
    for key, octets in cursor.iternext():
        found += [row for row in read_group(key, octets) if row.number > after]
        if len(found) >= limit:
            break
    return found[:limit]


def journal_size(cursor: Any, *, last_number: int) -> int:
    """How many rows the journal holds: it has no gaps."""
    return last_number - read_group(*cursor.item())[0].number + 1 if cursor.first() else 0


def problems(cursors: dict[bytes, Any], *, last_number: int, case_sensitive: bool) -> list[str]:
    """What is wrong, as sentences: unreadable records or rows, gaps in the journal, homed keys that name no prefix."""
    found = _record_problems(cursors[HANDLES], case_sensitive=case_sensitive)
    found += _journal_problems(cursors[JOURNAL], last_number)
    for key in cursors[HOMED].iternext(keys=True, values=False):
        try:
            homed_key(key)
        except HandleError:
            found.append(f"homed prefix {key!r} is no prefix handle")
    return found[:PROBLEMS_MAX]


def _record_problems(cursor: Any, *, case_sensitive: bool) -> list[str]:
    found: list[str] = []
    for key, octets in cursor.iternext():
        if len(found) >= PROBLEMS_MAX:
            break
        try:
            record = read_stored(key, octets)
            value_list.spans(record.values)
            if storage_key(record.handle, case_sensitive=case_sensitive) != key:
                found.append(f"record {key!r} stands under another handle's key")
            elif stored(record, key) != octets:
                found.append(f"record {key!r} has flags that its values do not bear out")
        except (StoreCorrupt, HandleError) as error:
            found.append(f"record {key!r} cannot be read: {error}")
    return found


def _journal_problems(cursor: Any, last_number: int) -> list[str]:
    found: list[str] = []
    expected: int | None = None
    date_ms = 0
    for key, octets in cursor.iternext():
        if len(found) >= PROBLEMS_MAX:
            return found
        try:
            rows = read_group(key, octets)
        except StoreCorrupt as error:
            found.append(str(error))
            continue
        first, last = rows[0], rows[-1]
        if expected is not None and first.number != expected:
            found.append(f"journal rows {expected} to {first.number - 1} are missing")
        if first.date_ms < date_ms:
            found.append(f"journal row {first.number} is older than the row before it")
        expected, date_ms = last.number + 1, first.date_ms
    if expected is None and last_number:
        found.append(f"the journal is empty, its last number is {last_number}")
    if expected is not None and expected != last_number + 1:
        found.append(f"the journal ends with row {expected - 1}, its last number is {last_number}")
    return found
