"""What a row of a file is: one record ready for the store, or what is wrong with it. Reads no file and no store."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from protocol.identifier import is_utf8
from protocol.json_form.fields import described
from protocol.limits import ENVELOPE_SIZE, HANDLE_SIZE_MAX, HEADER_SIZE, MESSAGE_SIZE_MAX, VALUE_COUNT_MAX

ROW_SIZE_MAX: Final = 16 * 1024 * 1024
"""Octets of one row in a file: 64 times an answer, so that a cell of 10 MB is still named by its column."""

INDEX_MAX: Final = 0x7FFFFFFF
FIRST_INDEX: Final = 2000
"""Where the values of named fields begin when neither a header nor a template says otherwise."""

UNVALUED: Final = frozenset(("prefix", "template", "version", "industry", "kind"))
"""Columns that describe a row and make no value."""

SEPARATOR: Final = "|"
"""Joins the members of a list in one value."""

_REASON_SIZE_MAX: Final = 120  # Characters of a stranger's text that a reason quotes.

_COLUMN_SIZE_MAX: Final = 300


class Row(NamedTuple):
    """One record: `values` are the octets of its value list. `line` counts from 1, where the row begins."""

    line: int
    handle: bytes
    values: bytes


class RowError(NamedTuple):
    """A row that cannot be taken. `column` is the CSV column or the JSON field at fault, empty for the whole row."""

    line: int
    column: str
    handle: str
    reason: str


class RowFault(Exception):
    """Raised while a row is read: `column` at fault and the reason. The reader adds line and handle."""

    def __init__(self, reason: str, column: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.column = column


def refused(line: int, fault: RowFault, handle: str) -> RowError:
    """What is told of a row; texts of a stranger are cut, so that thousands of such rows take little memory."""
    return RowError(line, fault.column[:_COLUMN_SIZE_MAX], handle[:HANDLE_SIZE_MAX], fault.reason)


class FileRefused(Exception):
    """Nothing of the file can be taken: it is missing, empty, its header or template unusable. The text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowLimits:
    """What one record may hold: octets of a value's data, and values."""

    value_size: int = MESSAGE_SIZE_MAX
    value_count: int = VALUE_COUNT_MAX


def quoted(text: object) -> str:
    """Something of a stranger's for a message: a text with its quotes, cut to what a line bears; else what it is."""
    if not isinstance(text, str):
        return described(text)
    shown = repr(text[:_REASON_SIZE_MAX])
    return shown if len(shown) <= _REASON_SIZE_MAX else shown[:_REASON_SIZE_MAX] + "…"


def checked_handle(handle: bytes) -> bytes:
    """The handle, where a record may have it; `RowFault` where it is empty, too long, without prefix or not UTF-8."""
    if not handle:
        raise RowFault("the handle is missing", "handle")
    if len(handle) > HANDLE_SIZE_MAX:
        raise RowFault(f"a handle of {len(handle):,} octets, at most {HANDLE_SIZE_MAX:,} are allowed", "handle")
    slash = handle.find(b"/")
    if slash <= 0:
        missing = "slash" if slash < 0 else "prefix before its slash"
        shown = quoted(handle.decode(errors="replace"))
        raise RowFault(f"{shown} has no {missing}: a handle is prefix/suffix, such as 88.100/A1", "handle")
    if not is_utf8(handle):
        raise RowFault("a handle that is not UTF-8", "handle")
    return handle


def checked_row(line: int, handle: bytes, values: bytes) -> Row:
    """The row, where an answer can carry it whole."""
    if ENVELOPE_SIZE + HEADER_SIZE + len(handle) + len(values) > MESSAGE_SIZE_MAX:
        raise RowFault(f"a record of {len(values):,} octets: an answer holds at most {MESSAGE_SIZE_MAX:,}")
    return Row(line, handle, values)


def checked_index(index: int, column: str = "") -> int:
    """The index, where a stored value may have it."""
    if not 0 < index <= INDEX_MAX:
        raise RowFault(f"index {quoted(index)} is outside 1 to {INDEX_MAX:,}", column)
    return index
