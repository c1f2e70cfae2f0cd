"""Forgets the oldest rows of a journal by a cursor: whole groups, and of the last one the front."""

from typing import Any

from storage.journal import cut_group, read_group


def prune(cursor: Any, *, through: int, before_ms: int, rows_max: int) -> bool:
    """Forget rows up to the number `through` and dated before `before_ms`, at most `rows_max`; whether there were any.

    The rows of a group share their date.
    """
    left = rows_max
    while left > 0 and cursor.first():
        key, octets = cursor.item()
        rows = read_group(key, octets)
        going = min(len(rows), left, through - rows[0].number + 1)
        if rows[0].date_ms >= before_ms or going <= 0:
            break
        if going == len(rows):
            cursor.delete()
        else:
            cursor.put(key, cut_group(octets, going))
        left -= going
    return left < rows_max
