"""Messages in and out of transports: TCP stream → messages, message ⇄ datagrams. Holds bytes, neither socket nor clock.

Sources: spec, protocol: sections 2.1, 8.1 and 8.2; behaviours 32, 33 and 35.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum
from struct import Struct
from typing import Final

from protocol.codes import TRUNCATED
from protocol.envelope import Envelope
from protocol.errors import Malformed
from protocol.limits import (
    DATAGRAM_SIZE_MAX,
    ENVELOPE_SIZE,
    FRAGMENT_SIZE,
    MESSAGE_SIZE_MAX,
    REASSEMBLY_AGE_MAX_S,
    REASSEMBLY_MESSAGES_A_SOURCE_MAX,
    REASSEMBLY_MESSAGES_MAX,
    REASSEMBLY_OCTETS_A_SOURCE_MAX,
    REASSEMBLY_OCTETS_MAX,
)

# Where an envelope has the fields that framing looks at (RFC 3652, section 2.2.1).
_FLAGS_AT: Final = 2
_REQUEST_ID_AT: Final = 8
_SEQUENCE_AT: Final = 12
_SIZE_AT: Final = 16
_U32: Final = Struct(">I")
_NUMBERS: Final = Struct(">III")  # Request id, sequence, size of the whole message.
_SEQUENCE_0: Final = bytes(4)


class MessageTooLong(Malformed):
    """A message is announced that passes the limit. `envelope` is its envelope: whom a refusal is for."""

    def __init__(self, envelope: Envelope, *, size_max: int) -> None:
        super().__init__(
            f"{envelope.message_size} octets announced, at most {size_max} allowed", told="Invalid message length"
        )
        self.envelope = envelope


class Framer:
    """Cuts a TCP stream into whole messages. `message_size_max` counts octets behind the envelope.

    What is announced is not reserved: only octets that came are held, and at most one unfinished message of them where
    `frames` is called after each `feed`.
    """

    __slots__ = ("_buffer", "_fresh", "_refused", "_size_max")

    def __init__(self, message_size_max: int = MESSAGE_SIZE_MAX) -> None:
        self._size_max = message_size_max
        self._fresh = b""  # What came while nothing older waits: cut without a copy.
        self._buffer = bytearray()
        self._refused: Envelope | None = None

    @property
    def is_between_messages(self) -> bool:
        """Whether every octet that came was given out: a stream may end here."""
        return not self._buffer and not self._fresh

    @property
    def pending_envelope(self) -> Envelope | None:
        """The envelope of the message that is under way or was refused; None before its 20 octets are here."""
        if self._refused is not None:
            return self._refused
        octets = self._fresh or bytes(self._buffer[:ENVELOPE_SIZE])
        return Envelope.read(octets) if len(octets) >= ENVELOPE_SIZE else None

    def is_whole(self, data: bytes) -> bool:
        """Whether data that was not fed is just one message, with nothing before it: it need not be fed at all."""
        size = len(data) - ENVELOPE_SIZE
        return (
            size >= 0
            and not self._buffer
            and not self._fresh
            and self._refused is None
            and size <= self._size_max
            and _U32.unpack_from(data, _SIZE_AT)[0] == size
        )

    def feed(self, data: bytes) -> None:
        """Take what the stream brought. Behind an announcement that was refused nothing is kept."""
        if self._refused is not None:
            return
        if self.is_between_messages:
            self._fresh = data
        else:
            self._buffer += self._fresh
            self._fresh = b""
            self._buffer += data

    def frames(self) -> list[bytes]:
        """The whole messages that came since the last call, envelopes included, in order.

        `MessageTooLong` where the next one passes the limit. Whole ones before it are given first, and the error comes
        with the next call and each one after: so call until nothing is given.
        """
        found: list[bytes] = []
        if self._fresh:
            position = self._cut(self._fresh, found)
            self._buffer += self._fresh[position:]
            self._fresh = b""
        elif len(self._buffer) >= ENVELOPE_SIZE:
            with memoryview(self._buffer) as octets:
                position = self._cut(octets, found)
            del self._buffer[:position]
        if self._refused is not None and not found:
            raise MessageTooLong(self._refused, size_max=self._size_max)
        return found

    def _cut(self, octets: bytes | memoryview, found: list[bytes]) -> int:
        """Add the whole messages at the start of the octets; how many octets they were."""
        position = 0
        left = len(octets)
        while left >= ENVELOPE_SIZE:
            (size,) = _U32.unpack_from(octets, position + _SIZE_AT)
            if size > self._size_max:
                self._refused = Envelope.read(bytes(octets[position : position + ENVELOPE_SIZE]))
                break
            size += ENVELOPE_SIZE
            if size > left:
                break
            found.append(bytes(octets[position : position + size]))  # All of a bytes object: itself, no copy.
            position += size
            left -= size
        return position


def datagrams(message: bytes, *, truncated: bool = False) -> list[bytes]:
    """A whole message, envelope included, as datagrams of at most 512 octets; its envelope tells its true size.

    One that fits stays one and is left as it is, unless `truncated`: a reply to a request that came in pieces says that
    it is a piece even where it is the only one (behaviours 32).
    """
    if len(message) <= DATAGRAM_SIZE_MAX and not truncated:
        return [message]
    before = b"".join(
        (message[:_FLAGS_AT], bytes((message[_FLAGS_AT] | TRUNCATED,)), message[_FLAGS_AT + 1 : _SEQUENCE_AT])
    )
    behind = message[_SIZE_AT:ENVELOPE_SIZE]
    starts = range(ENVELOPE_SIZE, max(len(message), ENVELOPE_SIZE + 1), FRAGMENT_SIZE)
    return [
        b"".join((before, _U32.pack(sequence), behind, message[start : start + FRAGMENT_SIZE]))
        for sequence, start in enumerate(starts)
    ]


class Dropped(Enum):
    """Why pieces were dropped."""

    MALFORMED = "malformed"
    """A datagram that can be no piece: no envelope, an impossible length, number or total."""

    DISAGREED = "disagreed"
    """A piece that contradicts one that came before."""

    EXPIRED = "expired"
    """A message whose other pieces did not come in time."""

    SOURCE_FULL = "source_full"
    """The oldest message of a source that began too many or too large ones."""

    FULL = "full"
    """The oldest message of all, as too many or too large ones are unfinished."""


@dataclass(slots=True)
class _Unfinished:
    """A message of which pieces are missing. `envelope` is that of the whole message."""

    key: tuple[str, int]
    envelope: bytes
    piece_count: int
    since: float
    pieces: dict[int, bytes] = field(default_factory=dict)
    size: int = 0

    def whole(self) -> bytes:
        return b"".join([self.envelope, *[self.pieces[number] for number in range(self.piece_count)]])


_InOrder = OrderedDict[tuple[str, int], _Unfinished]


@dataclass(slots=True)
class _Source:
    """What one address has begun, oldest first, and the octets of it."""

    messages: _InOrder = field(default_factory=OrderedDict)
    size: int = 0


class Reassembly:
    """Unfinished messages of all sources. `now` is in seconds and never falls; a message is as old as its first piece.

    Pieces come from whoever sends them, so every bound is kept whatever arrives: of too much, the oldest goes. A flood
    pushes an honest message out only where it is faster than that message's own pieces follow each other.
    `dropped` counts what was lost: messages, or single datagrams that belong to none.
    """

    def __init__(self, message_size_max: int = MESSAGE_SIZE_MAX) -> None:
        self._size_max = message_size_max
        self._messages: _InOrder = OrderedDict()  # Oldest first, which it finds in constant time, unlike a dict.
        self._sources: dict[str, _Source] = {}
        self._size = 0
        self.dropped: dict[Dropped, int] = dict.fromkeys(Dropped, 0)

    @property
    def message_count(self) -> int:
        """Messages of which pieces are missing."""
        return len(self._messages)

    @property
    def octet_count(self) -> int:
        """Octets of all pieces that wait, without their envelopes."""
        return self._size

    def add(self, source: str, datagram: bytes, *, now: float) -> bytes | None:
        """The whole message, where this datagram was the last of it that was missing.

        Its envelope looks as if it had never been cut: sequence 0, TC clear. `source` is the sender's address without
        the port. A piece that came already changes nothing; one that cannot belong to its message, or says something
        else than one before, takes the message with it.
        """
        self.expire(now=now)
        if len(datagram) < ENVELOPE_SIZE:
            self.dropped[Dropped.MALFORMED] += 1
            return None
        request_id, sequence, total = _NUMBERS.unpack_from(datagram, _REQUEST_ID_AT)
        key = (source, request_id)
        if total > self._size_max or len(datagram) - ENVELOPE_SIZE != _piece_size(sequence, total):
            self._lose(key, Dropped.MALFORMED)
            return None
        envelope = _whole_envelope(datagram)
        piece = datagram[ENVELOPE_SIZE:]
        message = self._messages.get(key)
        if message is None:
            if len(piece) == total:
                return envelope + piece
            message = self._begin(key, envelope, total, now)
        elif message.envelope != envelope or message.pieces.get(sequence, piece) != piece:
            self._lose(key, Dropped.DISAGREED)
            return None
        return self._accept(message, sequence, piece)

    def expire(self, *, now: float) -> None:
        """Drop what has waited too long; `add` does so, too."""
        while self._messages:
            oldest = _oldest(self._messages)
            if now - oldest.since <= REASSEMBLY_AGE_MAX_S:
                return
            self._drop(oldest, Dropped.EXPIRED)

    def _begin(self, key: tuple[str, int], envelope: bytes, total: int, now: float) -> _Unfinished:
        known = self._sources.get(key[0])
        if known is not None and len(known.messages) >= REASSEMBLY_MESSAGES_A_SOURCE_MAX:
            self._drop(_oldest(known.messages), Dropped.SOURCE_FULL)
        if len(self._messages) >= REASSEMBLY_MESSAGES_MAX:
            self._drop(_oldest(self._messages), Dropped.FULL)
        message = _Unfinished(key=key, envelope=envelope, piece_count=-(-total // FRAGMENT_SIZE), since=now)
        self._messages[key] = message
        self._sources.setdefault(key[0], _Source()).messages[key] = message
        return message

    def _accept(self, message: _Unfinished, sequence: int, piece: bytes) -> bytes | None:
        if sequence in message.pieces:
            return None
        message.pieces[sequence] = piece
        message.size += len(piece)
        source = self._sources[message.key[0]]
        source.size += len(piece)
        self._size += len(piece)
        if len(message.pieces) == message.piece_count:
            self._remove(message)
            return message.whole()
        while source.size > REASSEMBLY_OCTETS_A_SOURCE_MAX:
            self._drop(_oldest(source.messages), Dropped.SOURCE_FULL)
        while self._size > REASSEMBLY_OCTETS_MAX:
            self._drop(_oldest(self._messages), Dropped.FULL)
        return None

    def _lose(self, key: tuple[str, int], why: Dropped) -> None:
        message = self._messages.get(key)
        if message is None:
            self.dropped[why] += 1
        else:
            self._drop(message, why)

    def _drop(self, message: _Unfinished, why: Dropped) -> None:
        self._remove(message)
        self.dropped[why] += 1

    def _remove(self, message: _Unfinished) -> None:
        del self._messages[message.key]
        source = self._sources[message.key[0]]
        del source.messages[message.key]
        source.size -= message.size
        self._size -= message.size
        if not source.messages:
            del self._sources[message.key[0]]


def _oldest(messages: _InOrder) -> _Unfinished:
    return next(iter(messages.values()))


def _piece_size(sequence: int, total: int) -> int:
    """Octets that a piece must have, or -1 where there is no such piece. An empty message is one piece of none."""
    start = sequence * FRAGMENT_SIZE
    return min(FRAGMENT_SIZE, total - start) if start < total or sequence == 0 else -1


def _whole_envelope(datagram: bytes) -> bytes:
    """The envelope of the message that a piece belongs to: the same for all its pieces, whether or not they set TC."""
    flags = bytes((datagram[_FLAGS_AT] & ~TRUNCATED,))
    return b"".join(
        (
            datagram[:_FLAGS_AT],
            flags,
            datagram[_FLAGS_AT + 1 : _SEQUENCE_AT],
            _SEQUENCE_0,
            datagram[_SIZE_AT:ENVELOPE_SIZE],
        )
    )
