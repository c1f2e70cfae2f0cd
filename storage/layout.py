"""Where things lie in the store: databases, names of facts, and the number of this layout. Opens nothing."""

from struct import Struct
from typing import Final

FORMAT_VERSION: Final = 1
"""Raised when a program of before could not read what a program of after writes."""

HANDLES: Final = b"handles"
JOURNAL: Final = b"journal"
HOMED: Final = b"homed"
META: Final = b"meta"
DATABASES: Final = (HANDLES, JOURNAL, HOMED, META)

FORMAT: Final = b"format"
CASE_SENSITIVE: Final = b"case_sensitive"
GENERATION: Final = b"homed_generation"
LAST_NUMBER: Final = b"last_number"
LAST_DATE: Final = b"last_date"
FACT: Final = b"fact:"
"""What the names of `SetMeta` stand behind."""

_NUMBER: Final = Struct(">Q")


def number_octets(number: int) -> bytes:
    """A number that is not negative, as eight octets."""
    return _NUMBER.pack(number)


def read_number(octets: bytes | None) -> int:
    """The number, 0 where nothing stands."""
    if octets is None:
        return 0
    number: int = _NUMBER.unpack(octets)[0]
    return number
