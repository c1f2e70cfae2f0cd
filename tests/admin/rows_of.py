"""What a file is read as, for tests of the import's readers: no store is involved."""

from pathlib import Path

from admin.importing.rows import Row, RowError, RowLimits
from admin.importing.source import Source
from protocol.value import HandleValue, read_values
from protocol.wire import Reader

NOW_S = 1_700_000_000
LIMITS = RowLimits(value_size=65_536)


def read(
    path: Path, content: bytes | str, *, template: Path | None = None, file_format: str = "auto"
) -> list[Row | RowError]:
    """Write the content to the path and read it as an import does."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    source = Source.of(path, file_format=file_format, template=template, limits=LIMITS, timestamp=NOW_S)
    with source.open() as file:
        return list(source.rows(file))


def rows(found: list[Row | RowError]) -> list[Row]:
    """The rows alone, where all of them are good."""
    bad = [row for row in found if isinstance(row, RowError)]
    assert not bad
    return [row for row in found if isinstance(row, Row)]


def errors(found: list[Row | RowError]) -> list[RowError]:
    """What is wrong with the rows that are not good."""
    return [row for row in found if isinstance(row, RowError)]


def values(row: Row | RowError) -> tuple[HandleValue, ...]:
    """The values of a good row."""
    assert isinstance(row, Row), row
    return read_values(Reader(row.values))


def texts(row: Row | RowError) -> list[tuple[int, str, str]]:
    """Index, type and data of each value of a good row."""
    return [(value.index, value.type.decode(), value.data.decode()) for value in values(row)]
