"""The records behind a reply to DUMP_HANDLES: all that a server holds, and what to ask for next. Reads no store.

Source: spec, resolution: section 9.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Final, NamedTuple

from protocol.errors import Malformed
from protocol.limits import STRING_SIZE_MAX
from protocol.replication.streams import Steps, StreamRecord, counted, handle, i32, i64, u8, u32, values, write_values
from protocol.value import HandleValue
from protocol.wire import Writer

DUMP_VERSION: Final = 2
"""What is written. Older streams end with their position."""


class StartType(IntEnum):
    """Of what the key is that a resumed dump begins behind."""

    HANDLE_DATE = 0
    PREFIX_DATE = 1
    HANDLE = 2
    HOMED_PREFIX = 3


class ResumePoint(NamedTuple):
    """What to send as `start` and `start_type` of a dump request, so that a broken dump goes on."""

    start: bytes
    start_type: StartType


class DumpRecord(StreamRecord):
    """A record of a dump."""

    __slots__ = ()

    @property
    def resume_point(self) -> ResumePoint | None:
        """Where a dump that broke behind this record goes on; None where it goes on where it would have before."""
        return None


@dataclass(frozen=True, slots=True)
class DumpStart(DumpRecord):
    """The version of the stream."""

    version: int = DUMP_VERSION

    def write(self, octets: Writer) -> None:
        """INT4 version."""
        octets.u32(self.version)


@dataclass(frozen=True, slots=True)
class OtherSources(DumpRecord):
    """How far the source had followed others: a text that `stream_table` reads."""

    text: bytes

    def write(self, octets: Writer) -> None:
        """05 STRING text."""
        octets.u8(5)
        octets.counted(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpPosition(DumpRecord):
    """The last date (ms since 1970) and transaction of the source when the dump began: what to retrieve after it."""

    date_ms: int
    number: int

    def write(self, octets: Writer) -> None:
        """00 INT8 date, INT8 number."""
        octets.u8(0)
        octets.i64(self.date_ms)
        octets.i64(self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class OldDumpEnd(DumpPosition):
    """The position where it ends the stream: below version 2."""

    is_last: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class HandleDate(DumpRecord):
    """When a handle last changed, also one that is gone; `priority` decides between equal dates of several sources."""

    handle: bytes
    date_ms: int
    priority: int

    @property
    def resume_point(self) -> ResumePoint:
        """Behind this handle's date."""
        return ResumePoint(self.handle, StartType.HANDLE_DATE)

    def write(self, octets: Writer) -> None:
        """03 HANDLE, INT8 date, INT4 priority."""
        _write_date(3, self.handle, self.date_ms, self.priority, octets)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixDate(DumpRecord):
    """When a prefix was last homed or unhomed. `handle` is its prefix handle."""

    handle: bytes
    date_ms: int
    priority: int

    @property
    def resume_point(self) -> ResumePoint:
        """Behind this prefix's date."""
        return ResumePoint(self.handle, StartType.PREFIX_DATE)

    def write(self, octets: Writer) -> None:
        """04 HANDLE, INT8 date, INT4 priority."""
        _write_date(4, self.handle, self.date_ms, self.priority, octets)


@dataclass(frozen=True, slots=True)
class DumpedHandle(DumpRecord):
    """One handle and all its values."""

    handle: bytes
    values: tuple[HandleValue, ...]

    @property
    def resume_point(self) -> ResumePoint:
        """Behind this handle."""
        return ResumePoint(self.handle, StartType.HANDLE)

    def write(self, octets: Writer) -> None:
        """01 HANDLE, the values."""
        octets.u8(1)
        octets.counted(self.handle)
        write_values(self.values, octets)


@dataclass(frozen=True, slots=True)
class HomedPrefix(DumpRecord):
    """A prefix that the source serves, by its prefix handle."""

    handle: bytes

    @property
    def resume_point(self) -> ResumePoint:
        """Behind this prefix."""
        return ResumePoint(self.handle, StartType.HOMED_PREFIX)

    def write(self, octets: Writer) -> None:
        """02 HANDLE."""
        octets.u8(2)
        octets.counted(self.handle)


@dataclass(frozen=True, slots=True)
class DumpEnd(DumpRecord):
    """The end. A dump that stops without it is broken. No signature covers it."""

    is_last: ClassVar[bool] = True
    is_signed: ClassVar[bool] = False

    def write(self, octets: Writer) -> None:
        """ff."""
        octets.u8(0xFF)


def read_dump_record(first: DumpRecord | None) -> Steps[DumpRecord]:
    """Reads the start where `first` is None, else one record of the stream that began with it."""
    if first is None:
        version = yield from u32()
        if version > DUMP_VERSION:
            raise Malformed(f"a dump stream of version {version}")
        return DumpStart(version)
    assert isinstance(first, DumpStart), "a stream's first record is its start"
    kind = yield from u8()
    match kind:
        case 0:
            position = DumpPosition if first.version >= DUMP_VERSION else OldDumpEnd
            return position(date_ms=(yield from i64()), number=(yield from i64()))
        case 1:
            return DumpedHandle((yield from handle()), (yield from values()))
        case 2:
            return HomedPrefix((yield from handle()))
        case 3 | 4:
            date = HandleDate if kind == 3 else PrefixDate
            return date(handle=(yield from handle()), date_ms=(yield from i64()), priority=(yield from i32()))
        case 5:
            return OtherSources((yield from counted(size_max=STRING_SIZE_MAX)))
        case 0xFF:
            return DumpEnd()
    raise Malformed(f"a record {kind} in a dump stream")


def _write_date(kind: int, name: bytes, date_ms: int, priority: int, octets: Writer) -> None:
    octets.u8(kind)
    octets.counted(name)
    octets.i64(date_ms)
    octets.i32(priority)
