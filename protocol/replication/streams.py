"""What follows a reply on its connection: blocks of records, signed or not, as they arrive. Holds bytes, signs nothing.

A stream is its type, then records. In a signed one each record is a block: a signature follows that covers the record's
octets, and them alone. What the records say is in `dump_stream` and `transaction_stream`. To make and check signatures
is the caller's work: a block is worth nothing before. Source: spec, resolution: section 7.1.

Readers are generators that ask for a number of octets and are given them: so a record may come in any pieces, and no
octet is looked at twice.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Final, Generic, TypeAlias, TypeVar

from protocol.errors import Malformed
from protocol.limits import LIST_COUNT_MAX, MESSAGE_SIZE_MAX, STRING_SIZE_MAX
from protocol.trust.credential import NAME_SIZE_MAX, SIGNATURE_SIZE_MAX
from protocol.value import HandleValue
from protocol.wire import Reader, Writer

# Deployed servers keep records that no message of today could carry or ask for, and one of these must not end a mirror:
# so these bounds are above those of messages. Whether such a record can be kept is for the mirror to say.
STREAM_HANDLE_SIZE_MAX: Final = MESSAGE_SIZE_MAX  # A handle was once made by a message.
STREAM_VALUE_COUNT_MAX: Final = LIST_COUNT_MAX  # More than a message of the greatest size could make.
STREAM_RECORD_SIZE_MAX: Final = 4 * STRING_SIZE_MAX  # 4 MiB: sixteen of the longest messages.
SIGNED_DIGEST_NAME: Final = b"SHA1"
"""The digest of signed streams, whatever the version."""

T = TypeVar("T")
Steps: TypeAlias = Generator[int, bytes, T]
"""Something that is read: yields how many octets it wants next, is sent them, returns what they say."""


class StreamKind(IntEnum):
    """The first four octets of a stream: how its records are protected."""

    SIGNED = 0
    UNSIGNED = 0xFFFFFFFF
    """Only over HTTPS."""

    TLS = 0x544C5300
    """A TLS handshake follows on the same connection; the records, unsigned, are inside."""


class StreamRecord(ABC):
    """One record. `is_last`: the stream ends behind it. `is_signed`: in a signed stream a signature follows."""

    __slots__ = ()
    is_last: ClassVar[bool] = False
    is_signed: ClassVar[bool] = True

    @abstractmethod
    def write(self, octets: Writer) -> None:
        """The record's octets: what its signature covers."""

    def to_bytes(self) -> bytes:
        """The record's octets: what its signature covers."""
        octets = Writer()
        self.write(octets)
        return octets.to_bytes()


R = TypeVar("R", bound=StreamRecord)


@dataclass(frozen=True, slots=True)
class StreamHead:
    """The start of a stream. `digest_name` is there in signed ones alone. No signature covers it."""

    kind: StreamKind
    digest_name: bytes = b""

    def __post_init__(self) -> None:
        if len(self.digest_name) > NAME_SIZE_MAX or (self.digest_name and self.kind is not StreamKind.SIGNED):
            raise Malformed(f"a digest name of {len(self.digest_name)} octets in a stream of kind {self.kind:#x}")

    @classmethod
    def steps(cls) -> "Steps[StreamHead]":
        """Reads INT4 type and, of a signed stream, the digest's name."""
        number = yield from u32()
        try:
            kind = StreamKind(number)
        except ValueError:
            raise Malformed(f"a stream of kind {number:#x}") from None
        if kind is not StreamKind.SIGNED:
            return cls(kind)
        return cls(kind, (yield from counted(size_max=NAME_SIZE_MAX)))

    def to_bytes(self) -> bytes:
        """The octets in front of the first block."""
        octets = Writer()
        octets.u32(self.kind)
        if self.kind is StreamKind.SIGNED:
            octets.counted(self.digest_name)
        return octets.to_bytes()


@dataclass(frozen=True, slots=True)
class Block(Generic[R]):
    """A record, the octets that it was read from, and the signature that covers them; None where there is none."""

    record: R
    octets: bytes
    signature: bytes | None


def written(record: StreamRecord, sign: Callable[[bytes], bytes] | None = None) -> bytes:
    """A record's octets; in a signed stream with `sign`, which makes the signature of octets, and what it made."""
    octets = record.to_bytes()
    if sign is None or not record.is_signed:
        return octets
    block = Writer()
    block.octets(octets)
    block.counted(sign(octets))
    return block.to_bytes()


class StreamReader(Generic[R]):
    """Octets of one stream, in any pieces → its blocks.

    `read_record` reads one record; it is given the first of the stream, or None while that one is still to come.
    With a `kind` the octets begin with the first record (as inside TLS), else with the stream's head.
    """

    def __init__(self, read_record: Callable[[R | None], Steps[R]], *, kind: StreamKind | None = None) -> None:
        self.head: StreamHead | None = None
        self._read_record = read_record
        self._kind = kind
        self._buffer = bytearray()
        self._position = 0  # Octets of the buffer that were read.
        self._begin = 0  # Where the block that is being read begins.
        self._found: list[Block[R]] = []
        self._error: Malformed | None = None
        self._is_finished = False
        self._steps = self._stream()
        self._wanted = next(self._steps)

    @property
    def is_finished(self) -> bool:
        """Whether nothing more is read: the last record came, or TLS begins."""
        return self._is_finished

    def feed(self, data: bytes) -> None:
        """Take what the connection brought."""
        if self._error is None:
            self._buffer += data

    def blocks(self) -> list[Block[R]]:
        """The blocks that became whole since the last call, in order.

        `Malformed` where the next octets are none. Whole blocks before them are given first, and the error comes with
        the next call and each one after: so call until nothing is given.
        """
        while not self._is_finished and self._error is None and self._position + self._wanted <= len(self._buffer):
            self._step()
        found, self._found = self._found, []
        if self._error is not None and not found:
            raise Malformed(str(self._error))
        del self._buffer[: self._begin]
        self._position -= self._begin
        self._begin = 0
        return found

    def rest(self) -> bytes:
        """What came behind the end; of a TLS stream, what belongs to TLS already. Empty before."""
        if not self._is_finished:
            return b""
        octets = bytes(self._buffer[self._position :])
        self._buffer.clear()
        self._position = self._begin = 0
        return octets

    def _step(self) -> None:
        end = self._position + self._wanted
        octets = bytes(self._buffer[self._position : end])
        self._position = end
        try:
            self._wanted = self._steps.send(octets)
            if self._position + self._wanted - self._begin > STREAM_RECORD_SIZE_MAX:
                raise Malformed(f"a record of more than {STREAM_RECORD_SIZE_MAX} octets")
        except StopIteration:
            self._is_finished = True
        except Malformed as error:
            self._error = error

    def _stream(self) -> Steps[None]:
        if self._kind is None:
            self.head = yield from StreamHead.steps()
            if self.head.kind is StreamKind.TLS:
                return
            self._kind = self.head.kind
            self._begin = self._position
        first: R | None = None
        is_last = False
        while not is_last:
            record = yield from self._read_record(first)
            octets = bytes(self._buffer[self._begin : self._position])
            signature: bytes | None = None
            if self._kind is StreamKind.SIGNED and record.is_signed:
                signature = yield from counted(size_max=SIGNATURE_SIZE_MAX)
            self._found.append(Block(record, octets, signature))
            self._begin = self._position
            first = first or record
            is_last = record.is_last


def u8() -> Steps[int]:
    """Reads one octet."""
    return (yield 1)[0]


def u32() -> Steps[int]:
    """Reads four octets, unsigned."""
    return int.from_bytes((yield 4), "big")


def i32() -> Steps[int]:
    """Reads four octets, signed."""
    return int.from_bytes((yield 4), "big", signed=True)


def i64() -> Steps[int]:
    """Reads eight octets, signed."""
    return int.from_bytes((yield 8), "big", signed=True)


def counted(*, size_max: int) -> Steps[bytes]:
    """Reads a length of four octets, then that many; a length over `size_max` is refused at once."""
    size = yield from u32()
    if size > size_max:
        raise Malformed(f"{size} octets announced, at most {size_max} allowed")
    return (yield size)


def handle() -> Steps[bytes]:
    """Reads INT4 n and a handle of n octets."""
    return counted(size_max=STREAM_HANDLE_SIZE_MAX)


def values() -> Steps[tuple[HandleValue, ...]]:
    """Reads INT4 count, then that many values, each with its size in front. An empty one, a null, is left out."""
    count = yield from u32()
    if count > STREAM_VALUE_COUNT_MAX:
        raise Malformed(f"{count} values announced, at most {STREAM_VALUE_COUNT_MAX} allowed")
    found: list[HandleValue] = []
    for _ in range(count):
        octets = yield from counted(size_max=STREAM_RECORD_SIZE_MAX)
        if octets:
            reader = Reader(octets)
            found.append(HandleValue.read(reader))
            reader.expect_end("a value")
    return tuple(found)


def write_values(found: tuple[HandleValue, ...], octets: Writer) -> None:
    """INT4 count, then the values, each with its size in front."""
    octets.u32(len(found))
    for value in found:
        octets.counted(value.to_bytes())
