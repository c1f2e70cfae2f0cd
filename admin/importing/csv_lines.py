"""Records of a CSV file as cells (RFC 4180, comma, double quotes). Knows no column.

A quote that is never closed would swallow the rest of the file into one cell. So a record that cannot be read whole
costs its first line alone: reading goes on at the next line.
"""

import csv
from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from admin.importing.lines import UNREADABLE, UTF_8, Line
from admin.importing.rows import ROW_SIZE_MAX

_LINES_MAX: Final = 10_000  # Lines of one record: a cell of text has a few.


class Cells(NamedTuple):
    """One record: its cells in UTF-8, or (`cells` None) the reason that it has none. `line` is where it begins."""

    line: int
    cells: list[bytes] | None
    reason: str = ""


class _TooLong(Exception):
    """A record took more lines or octets than one may."""


class CsvLines:
    """Cuts lines into records. `encoding` is that of the file; cells are given in UTF-8 whatever it is."""

    def __init__(self, lines: Iterator[Line], *, encoding: str) -> None:
        self._lines = lines
        self._encoding = encoding
        self._ahead: deque[Line] = deque()  # Lines that a broken record had taken and gave back.
        csv.field_size_limit(ROW_SIZE_MAX)  # Of the whole process; its default stops at 128 KiB.

    def records(self) -> Iterator[Cells]:
        """Each record, in order; empty lines make none."""
        while (line := self._next()) is not None:
            number, octets = line
            if octets is None:
                yield Cells(number, None, f"a line of more than {ROW_SIZE_MAX:,} octets")
            elif b'"' in octets:
                yield self._quoted(line)
            elif octets:
                yield self._plain(number, octets)

    def _next(self) -> Line | None:
        return self._ahead.popleft() if self._ahead else next(self._lines, None)

    def _plain(self, number: int, octets: bytes) -> Cells:
        if not octets.isascii():
            text = self._decoded(octets)
            if text is None:
                return Cells(number, None, f"the line {UNREADABLE}")
            if self._encoding != UTF_8:
                octets = text.encode()
        return Cells(number, octets.split(b","))

    def _decoded(self, octets: bytes) -> str | None:
        try:
            return octets.decode(self._encoding)
        except UnicodeDecodeError:
            return None

    def _quoted(self, first: Line) -> Cells:
        """A record that begins on `first` and holds quotes; a cell may go on over following lines."""
        taken: list[Line] = []
        reader = csv.reader(self._texts(first, taken), strict=True)
        try:
            cells = next(reader)
        except csv.Error as error:
            reason = "a quote is not closed" if "end of data" in str(error) else f"quotes that do not fit ({error})"
        except _TooLong:
            reason = f"a quote is not closed: no record has over {_LINES_MAX:,} lines or {ROW_SIZE_MAX:,} octets"
        except UnicodeDecodeError:
            reason = f"the line {UNREADABLE}" if not taken else "a quote is open where a line cannot be read"
        else:
            return Cells(first.number, [cell.encode() for cell in cells])
        self._ahead.extendleft(reversed(taken))
        return Cells(first.number, None, reason)

    def _texts(self, first: Line, taken: list[Line]) -> Iterator[str]:
        """The text of `first`, then of further lines as the reader asks for them; each of those stands in `taken`."""
        size = 0
        line: Line | None = first
        while line is not None:
            if line is not first:
                taken.append(line)
            size += ROW_SIZE_MAX + 1 if line.octets is None else len(line.octets)
            if line.octets is None or size > ROW_SIZE_MAX or len(taken) > _LINES_MAX:
                raise _TooLong
            yield line.octets.decode(self._encoding) + "\n"
            line = self._next()
