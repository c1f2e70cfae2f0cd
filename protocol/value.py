"""One handle value, and lists of them, as values and as octets (RFC 3651, section 3.1; spec, records: section 2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final, Self

from protocol.codes import (
    ADMIN_READ,
    ADMIN_WRITE,
    DEFAULT_PERMISSIONS,
    DEFAULT_TTL_S,
    PUBLIC_READ,
    PUBLIC_WRITE,
    TTL_RELATIVE,
)
from protocol.limits import REFERENCE_COUNT_MAX, STRING_SIZE_MAX, VALUE_COUNT_MAX
from protocol.wire import Reader, Writer

_HEAD: Final = Struct(">iiBiB")  # index, timestamp, ttl type, ttl, permissions

REFERENCE_SIZE_MIN = 8
"""Octets of a reference with an empty handle."""

VALUE_SIZE_MIN = 26
"""Octets of a value with empty type and data and no reference."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One value of one handle, written `index:handle`: a key, a group member, an administrator."""

    index: int
    handle: bytes

    @classmethod
    def read(cls, octets: Reader) -> Self:
        """HANDLE, then INT4 index."""
        handle = octets.counted(size_max=STRING_SIZE_MAX)
        return cls(octets.i32(), handle)

    def write(self, octets: Writer) -> None:
        """HANDLE, then INT4 index."""
        octets.counted(self.handle)
        octets.i32(self.index)


def read_references(octets: Reader) -> tuple[Reference, ...]:
    """INT4 count, then that many references."""
    count = octets.count(count_max=REFERENCE_COUNT_MAX, item_size_min=REFERENCE_SIZE_MIN)
    return tuple([Reference.read(octets) for _ in range(count)])


def write_references(references: Sequence[Reference], octets: Writer) -> None:
    """INT4 count, then the references."""
    octets.u32(len(references))
    for reference in references:
        reference.write(octets)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandleValue:
    """Index, type and data with who may read it and how long it keeps; `timestamp` in seconds since 1970.

    `ttl` is in seconds where `ttl_type` is relative, else a time in seconds since 1970. Readers take every number that
    fits its field: that an index is positive is a rule of the engine, not of the wire.
    """

    index: int
    type: bytes
    data: bytes
    ttl_type: int = TTL_RELATIVE
    ttl: int = DEFAULT_TTL_S
    timestamp: int = 0
    permissions: int = DEFAULT_PERMISSIONS
    references: tuple[Reference, ...] = ()

    @property
    def is_public(self) -> bool:
        """Whether everybody may read it."""
        return bool(self.permissions & PUBLIC_READ)

    @property
    def permission_text(self) -> str:
        """Four digits: admin read, admin write, public read, public write."""
        return "".join(
            "1" if self.permissions & bit else "0" for bit in (ADMIN_READ, ADMIN_WRITE, PUBLIC_READ, PUBLIC_WRITE)
        )

    def stamped(self, timestamp: int) -> "HandleValue":
        """The same with another timestamp: `dataclasses.replace` takes three times as long."""
        return HandleValue(
            index=self.index,
            type=self.type,
            data=self.data,
            ttl_type=self.ttl_type,
            ttl=self.ttl,
            timestamp=timestamp,
            permissions=self.permissions,
            references=self.references,
        )

    @classmethod
    def read(cls, octets: Reader) -> Self:
        """One value at the reader's position."""
        index, timestamp, ttl_type, ttl, permissions = octets.fields(_HEAD)
        return cls(
            index=index,
            timestamp=timestamp,
            ttl_type=ttl_type,
            ttl=ttl,
            permissions=permissions,
            type=octets.counted(size_max=STRING_SIZE_MAX),
            data=octets.counted(size_max=STRING_SIZE_MAX),
            references=read_references(octets),
        )

    def write(self, octets: Writer) -> None:
        """The value's octets."""
        octets.fields(_HEAD, self.index, self.timestamp, self.ttl_type, self.ttl, self.permissions)
        octets.counted(self.type)
        octets.counted(self.data)
        write_references(self.references, octets)

    def to_bytes(self) -> bytes:
        """The value's octets."""
        octets = Writer()
        self.write(octets)
        return octets.to_bytes()


def read_values(octets: Reader) -> tuple[HandleValue, ...]:
    """INT4 count, then that many values."""
    count = octets.count(count_max=VALUE_COUNT_MAX, item_size_min=VALUE_SIZE_MIN)
    return tuple([HandleValue.read(octets) for _ in range(count)])


def write_values(values: Sequence[HandleValue], octets: Writer) -> None:
    """INT4 count, then the values."""
    octets.u32(len(values))
    for value in values:
        value.write(octets)


def value_list(values: Sequence[HandleValue]) -> bytes:
    """The octets of a value list, as a resolution response and a stored record carry it."""
    octets = Writer()
    write_values(values, octets)
    return octets.to_bytes()
