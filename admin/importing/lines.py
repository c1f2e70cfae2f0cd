"""Lines of a file with their numbers, each of bounded size, and the encoding that they are in. Knows no format."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from admin.importing.rows import FileRefused

BOM: Final = b"\xef\xbb\xbf"
UTF_8: Final = "utf-8"
GB18030: Final = "gb18030"
UNREADABLE: Final = "is neither UTF-8 nor GB18030"

_CHUNK: Final = 1 << 20  # Octets thrown away at a time of a line that is too long.
_SAMPLE_LINES: Final = 20_000  # Lines beyond ASCII that decide about an encoding.


class Line(NamedTuple):
    """A line without its end; `octets` is None where it was longer than allowed and was passed over."""

    number: int
    octets: bytes | None


def opened(path: Path) -> BinaryIO:
    """The file, open for reading; `FileRefused` says in a sentence why it cannot be read."""
    try:
        if path.is_dir():
            raise FileRefused(f"{path} is a directory: name a file, JSONL or CSV")
        if path.exists() and not path.is_file():  # It is read more than once, which a pipe does not allow.
            raise FileRefused(f"{path} is no regular file: save what it gives, and import that")
        file = path.open("rb")
    except FileNotFoundError:
        raise FileRefused(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise FileRefused(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not file.peek(1):
        file.close()
        raise FileRefused(f"{path} is empty: there is nothing to import")
    return file


def bounded_lines(file: BinaryIO, *, size_max: int) -> Iterator[Line]:
    """The lines from the file's present position, numbered from 1. A byte order mark before the first is left out.

    No line takes more than `size_max` octets of memory: the rest of a longer one is read and forgotten.
    """
    number = 0
    while octets := file.readline(size_max + 2):  # Two more: the line's own end.
        number += 1
        is_cut = len(octets) == size_max + 2 and not octets.endswith(b"\n")
        if is_cut:
            _pass_over(file)
            yield Line(number, None)
            continue
        if number == 1:
            octets = octets.removeprefix(BOM)
        octets = octets.removesuffix(b"\n").removesuffix(b"\r")
        yield Line(number, octets if len(octets) <= size_max else None)


def _pass_over(file: BinaryIO) -> None:
    while chunk := file.readline(_CHUNK):
        if chunk[-1] == 0x0A:
            return


def encoding_of(path: Path, *, size_max: int) -> str:
    """`utf-8` or `gb18030`: what most lines that go beyond ASCII are in, where no byte order mark says it.

    Text in GB18030 is hardly ever good UTF-8, line for line; and a single broken line of a UTF-8 file does not make
    the rest of it GB18030. Lines that are neither are the rows' faults, not the file's.
    """
    utf_8 = other = 0
    with opened(path) as file:
        if file.read(len(BOM)) == BOM:
            return UTF_8
        file.seek(0)
        beyond_ascii = (
            octets for _, octets in bounded_lines(file, size_max=size_max) if octets and not octets.isascii()
        )
        for octets in islice(beyond_ascii, _SAMPLE_LINES):
            try:
                octets.decode()
                utf_8 += 1
            except UnicodeDecodeError:
                other += 1
    return UTF_8 if utf_8 >= other else GB18030
