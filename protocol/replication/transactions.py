"""The records behind a reply to RETRIEVE_TXN_LOG: what changed, in order of commit. Reads no journal.

Sources: spec, resolution: sections 7.2 and 8; behaviours 36.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Final

from protocol.errors import Malformed
from protocol.replication.streams import Steps, StreamRecord, counted, handle, i64, u8, u32, values, write_values
from protocol.value import HandleValue
from protocol.wire import Writer

QUEUE_NAME_SIZE_MAX: Final = 4_096  # `<number>:<index>:<handle>`: a handle of the greatest size and two numbers.


class TransactionFormat(IntEnum):
    """Whose changes a stream tells."""

    ONE_SOURCE = 1
    ALL_SOURCES = 2


class TransactionStatus(IntEnum):
    """Whether the changes since the asker's last one can still be told."""

    NEED_TO_REDUMP = 1
    SENDING = 2


class Action(IntEnum):
    """What a transaction did. Others may come from a peer, and carry nothing."""

    PLACEHOLDER = 0
    CREATE = 1
    DELETE = 2
    UPDATE = 3
    HOME = 4
    UNHOME = 5
    DELETE_ALL = 6


WITH_VALUES: Final = frozenset((Action.CREATE, Action.UPDATE))
"""The actions that carry the record's values."""


@dataclass(frozen=True, slots=True)
class TransactionStart(StreamRecord):
    """How the stream is built and whether it brings anything."""

    format: TransactionFormat
    status: TransactionStatus

    def write(self, octets: Writer) -> None:
        """INT4 format, INT4 status."""
        octets.u32(self.format)
        octets.u32(self.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction(StreamRecord):
    """One committed change. `action` is an `Action` as a rule, `date_ms` since 1970.

    The values are those that the source held when it sent them, not when the change was made.
    """

    number: int
    handle: bytes
    action: int
    date_ms: int
    values: tuple[HandleValue, ...] = ()

    def __post_init__(self) -> None:
        if self.values and self.action not in WITH_VALUES:
            raise Malformed(f"a transaction of action {self.action} with values")

    def write(self, octets: Writer) -> None:
        """01 INT8 number, HANDLE, INT1 action, INT8 date, and of a create or update the values."""
        octets.u8(1)
        octets.i64(self.number)
        octets.counted(self.handle)
        octets.u8(self.action)
        octets.i64(self.date_ms)
        if self.action in WITH_VALUES:
            write_values(self.values, octets)


@dataclass(frozen=True, slots=True)
class QueueName(StreamRecord):
    """Whose transactions follow, in a stream of all sources: `<server number>:<index>:<handle>`."""

    name: bytes

    def write(self, octets: Writer) -> None:
        """02 STRING name."""
        octets.u8(2)
        octets.counted(self.name)


@dataclass(frozen=True, slots=True)
class QueueEnd(StreamRecord):
    """The last date of a queue, in a stream of all sources."""

    date_ms: int

    def write(self, octets: Writer) -> None:
        """03 INT8 date."""
        octets.u8(3)
        octets.i64(self.date_ms)


@dataclass(frozen=True, slots=True)
class TransactionEnd(StreamRecord):
    """The end. `date_ms`, in a stream of one source, is what the asker sends as its last date next time; else None."""

    is_last: ClassVar[bool] = True
    date_ms: int | None

    def write(self, octets: Writer) -> None:
        """00, and of one source INT8 date."""
        octets.u8(0)
        if self.date_ms is not None:
            octets.i64(self.date_ms)


TransactionRecord = TransactionStart | Transaction | QueueName | QueueEnd | TransactionEnd


def read_transaction_record(first: TransactionRecord | None) -> Steps[TransactionRecord]:
    """Reads the start where `first` is None, else one record of the stream that began with it."""
    if first is None:
        return (yield from _start())
    assert isinstance(first, TransactionStart), "a stream's first record is its start"
    kind = yield from u8()
    match kind, first.format:
        case 0, TransactionFormat.ONE_SOURCE:
            return TransactionEnd((yield from i64()))
        case 0, _:
            return TransactionEnd(None)
        case 1, _:
            return (yield from _transaction())
        case 2, TransactionFormat.ALL_SOURCES:
            return QueueName((yield from counted(size_max=QUEUE_NAME_SIZE_MAX)))
        case 3, TransactionFormat.ALL_SOURCES:
            return QueueEnd((yield from i64()))
    raise Malformed(f"a record {kind} in a transaction stream of format {first.format}")


def _start() -> Steps[TransactionStart]:
    form, status = (yield from u32()), (yield from u32())
    try:
        return TransactionStart(TransactionFormat(form), TransactionStatus(status))
    except ValueError:
        raise Malformed(f"a transaction stream of format {form} and status {status}") from None


def _transaction() -> Steps[Transaction]:
    number = yield from i64()
    name = yield from handle()
    action = yield from u8()
    date_ms = yield from i64()
    found = (yield from values()) if action in WITH_VALUES else ()
    return Transaction(number=number, handle=name, action=action, date_ms=date_ms, values=found)
