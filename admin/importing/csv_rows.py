"""Rows of a CSV file: the first column is the handle, each other column makes one value of a row.

A column's value has the column's name as type. Its index is what the header says (`name:index`), else what the row's
template says, else its place among the columns, counted from 2000. Columns that describe the row make no value.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from admin.importing.csv_lines import CsvLines
from admin.importing.lines import bounded_lines
from admin.importing.rows import (
    FIRST_INDEX,
    INDEX_MAX,
    ROW_SIZE_MAX,
    UNVALUED,
    FileRefused,
    Row,
    RowError,
    RowFault,
    RowLimits,
    checked_handle,
    checked_row,
    quoted,
    refused,
)
from admin.importing.templates import Template, Templates
from admin.importing.values import ValueOctets

HANDLE: Final = "handle"
TEMPLATE: Final = "template"
_PLANS_MAX: Final = 10_000  # Templates of one file whose heads are kept: a file that names more is refused row by row.


@dataclass(frozen=True, slots=True)
class Column:
    """A column that may make values. `index` is None where only a template can say it."""

    position: int
    name: str
    index: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What the rows of one template become: by position the head of a cell's value, in the order of the indexes.

    Cells of `foreign` columns must be empty; of the columns in a group of `shared`, which have one index, all but one.
    """

    heads: dict[int, bytes]
    foreign: tuple[Column, ...]
    shared: tuple[tuple[Column, ...], ...]


class CsvRows:
    """Reads the rows of one file. `file_name` chooses a template where the rows name none."""

    def __init__(
        self,
        octets: ValueOctets,
        *,
        limits: RowLimits,
        encoding: str,
        file_name: str,
        templates: Templates | None = None,
    ) -> None:
        self._octets = octets
        self._limits = limits
        self._encoding = encoding
        self._file_name = file_name
        self._templates = templates
        self._names: list[str] = []
        self._columns: tuple[Column, ...] = ()
        self._template_at: int | None = None
        self._plans: dict[bytes, Plan] = {}

    def rows(self, file: BinaryIO) -> Iterator[Row | RowError]:
        """Each record as a row or as what is wrong with it; `FileRefused` where the header cannot be used."""
        records = CsvLines(bounded_lines(file, size_max=ROW_SIZE_MAX), encoding=self._encoding).records()
        self._read_header(records)
        for number, cells, reason in records:
            if cells is None:
                yield RowError(number, "", "", reason)
                continue
            if not any(cells):  # Spreadsheets write their empty rows as commas.
                continue
            try:
                yield self._row(number, cells)
            except RowFault as fault:
                yield refused(number, fault, cells[0].decode(errors="replace"))

    def _read_header(self, records: Iterator[tuple[int, list[bytes] | None, str]]) -> None:
        _, cells, reason = next(records, (0, None, "the file holds no header"))
        if cells is None:
            raise FileRefused(f"{self._file_name}: no header can be read: {reason}")
        self._names = [cell.decode().strip() for cell in cells]
        first = self._names[0]
        if first.lower() != HANDLE:
            hint = " (cells are separated by commas)" if ";" in first or "\t" in first else ""
            raise FileRefused(f"{self._file_name}: the first column must be `handle`, not {quoted(first)}{hint}")
        try:
            self._columns = _columns(self._names, from_template=self._templates is not None)
            if self._templates is not None:
                self._choose(self._templates)
            else:
                self._plans[b""] = self._plan(None)
        except RowFault as fault:
            where = f", column {quoted(fault.column)}" if fault.column else ""
            raise FileRefused(f"{self._file_name}{where}: {fault.reason}") from None

    def _choose(self, templates: Templates) -> None:
        """Which template: that of each row, else that for a file of this name, else the only one with these fields."""
        if TEMPLATE in self._names:
            self._template_at = self._names.index(TEMPLATE)
            return
        template = templates.by_file(self._file_name)
        if template is None:
            named = [column.name for column in self._columns if column.index is None and column.name not in UNVALUED]
            template = templates.covering(named)
        plan = self._plans[b""] = self._plan(template)
        if plan.foreign:
            raise RowFault(f"template {template.handle} has no such field", plan.foreign[0].name)

    def _plan(self, template: Template | None) -> Plan:
        foreign = []
        columns_at: dict[int, list[Column]] = {}
        for column in self._columns:
            index = column.index if template is None or column.index else template.indexes.get(column.name)
            if index is None:
                if column.name not in UNVALUED:
                    foreign.append(column)
                continue
            columns_at.setdefault(index, []).append(column)
        heads = {
            column.position: self._octets.text_head(index, column.name)
            for index in sorted(columns_at)
            for column in columns_at[index]
        }
        return Plan(heads, tuple(foreign), tuple(tuple(group) for group in columns_at.values() if len(group) > 1))

    def _row(self, number: int, cells: list[bytes]) -> Row:
        if len(cells) != len(self._names):
            raise RowFault(f"{len(cells):,} cells where the header has {len(self._names):,}")
        handle = _csv_handle(cells[0])
        self._check_cells(cells)
        plan = self._plan_of(cells)
        for column in plan.foreign:
            if cells[column.position]:
                raise RowFault("the row's template has no such field", column.name)
        for group in plan.shared:
            filled = [column.name for column in group if cells[column.position]]
            if len(filled) > 1:
                raise RowFault(f"its index is that of column {quoted(filled[0])}, which has a value, too", filled[1])
        return checked_row(number, handle, self._octets.of_texts(plan.heads.values(), [cells[at] for at in plan.heads]))

    def _plan_of(self, cells: list[bytes]) -> Plan:
        if self._templates is None or self._template_at is None:
            return self._plans[b""]
        name = cells[self._template_at]
        plan = self._plans.get(name)
        if plan is None:
            template = self._templates.by_handle(name.decode()) if len(self._plans) < _PLANS_MAX else None
            if template is None:
                shown = quoted(name.decode())
                raise RowFault(f"template {shown} is not in {self._templates.source}", TEMPLATE)
            plan = self._plans[name] = self._plan(template)
        return plan

    def _check_cells(self, cells: list[bytes]) -> None:
        size_max = self._limits.value_size
        for position, cell in enumerate(cells):
            if len(cell) > size_max:
                self._octets.check_size(cell, self._names[position])
            if b"\0" in cell:
                raise RowFault("a NUL character, which no text has", self._names[position])


def _columns(names: list[str], *, from_template: bool) -> tuple[Column, ...]:
    """The columns that may make values. Without a template each has an index, with one only if the header says it."""
    columns = []
    index = FIRST_INDEX
    for position, whole in enumerate(names[1:], 1):
        name, colon, digits = whole.rpartition(":")
        explicit = bool(colon) and digits.isascii() and digits.isdigit()
        if not explicit:
            name = whole
            if name in UNVALUED and not from_template:
                continue
        if not name:
            raise RowFault(f"column {position + 1} has no name", whole)
        if explicit and not 0 < int(digits[:20]) <= INDEX_MAX:
            raise RowFault(f"an index is 1 to {INDEX_MAX:,}", whole)
        columns.append(Column(position, name, int(digits) if explicit else None if from_template else index))
        index += 1
    if all(column.index is None and column.name in UNVALUED for column in columns):
        raise RowFault("no column makes a value: only `handle` and descriptions of rows stand there")
    return tuple(columns)


def _csv_handle(cell: bytes) -> bytes:
    handle = checked_handle(cell)
    text = handle.decode()
    if not text.isprintable():
        raise RowFault(f"{quoted(text)} holds a control character", HANDLE)
    if text != text.strip():
        raise RowFault(f"{quoted(text)} begins or ends with white space", HANDLE)
    return handle
