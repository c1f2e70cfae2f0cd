"""One file to import, opened as what it is: JSON lines or CSV. It can be read more than once. Knows no store."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from admin.importing.csv_rows import CsvRows
from admin.importing.jsonl import JsonLines
from admin.importing.lines import BOM, UTF_8, encoding_of, opened
from admin.importing.rows import ROW_SIZE_MAX, Row, RowError, RowLimits
from admin.importing.templates import Templates, load_templates
from admin.importing.values import ValueOctets

AUTO: Final = "auto"
JSONL: Final = "jsonl"
CSV: Final = "csv"
FORMATS: Final = (AUTO, JSONL, CSV)

_SUFFIXES: Final = {".jsonl": JSONL, ".ndjson": JSONL, ".json": JSONL, ".csv": CSV}


@dataclass(frozen=True, slots=True)
class Source:
    """What is read, and how."""

    path: Path
    file_format: str
    encoding: str
    size: int
    limits: RowLimits
    timestamp: int
    templates: Templates | None = None

    @classmethod
    def of(cls, path: Path, *, file_format: str, template: Path | None, limits: RowLimits, timestamp: int) -> "Source":
        """The file, its format and encoding found out; `FileRefused` where it or the template file cannot be used."""
        with opened(path) as file:
            size = path.stat().st_size
            if file_format == AUTO:
                file_format = _SUFFIXES.get(path.suffix.lower()) or _looks_like(file)
        encoding = encoding_of(path, size_max=ROW_SIZE_MAX) if file_format == CSV else UTF_8
        templates = load_templates(template) if template else None
        return cls(path, file_format, encoding, size, limits, timestamp, templates)

    def open(self) -> BinaryIO:
        """The file, from its start."""
        return opened(self.path)

    def rows(self, file: BinaryIO) -> Iterator[Row | RowError]:
        """The rows of the open file; `FileRefused` where a CSV header cannot be used."""
        octets = ValueOctets(timestamp=self.timestamp, limits=self.limits)
        if self.file_format == JSONL:
            return JsonLines(octets, limits=self.limits, templates=self.templates).rows(file)
        return CsvRows(
            octets, limits=self.limits, encoding=self.encoding, file_name=self.path.name, templates=self.templates
        ).rows(file)


def _looks_like(file: BinaryIO) -> str:
    start = file.read(4096).removeprefix(BOM).lstrip()
    return JSONL if start.startswith((b"{", b"[")) else CSV
