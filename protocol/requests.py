"""What can be asked: the body of every request as a frozen value, read and written (spec, protocol: section 6).

A body says nothing of its opcode: the table in `operations` joins the two. Octets behind what a body needs are ignored,
as deployed clients append some. Rules of meaning (an index above 0, a handle that is not empty) belong to the engine.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, Self

from protocol.errors import Malformed
from protocol.limits import LIST_COUNT_MAX, NONCE_SIZE_MAX, STRING_SIZE_MAX
from protocol.trust.challenge import RequestDigest
from protocol.value import HandleValue, Reference, read_values, write_values
from protocol.version import V_ALL_SOURCES, Version
from protocol.wire import Reader, Writer

_STRING_SIZE_MIN = 4
_INDEX_SIZE = 4


class Body(Protocol):
    """Anything that can stand between header and credential."""

    def write(self, body: Writer, version: Version) -> None:
        """The body's octets in a message of that version."""
        ...


def read_indexes(body: Reader) -> tuple[int, ...]:
    """INTARRAY: INT4 count, then that many signed numbers."""
    count = body.count(count_max=LIST_COUNT_MAX, item_size_min=_INDEX_SIZE)
    return tuple([body.i32() for _ in range(count)])


def write_indexes(indexes: tuple[int, ...], body: Writer) -> None:
    """INTARRAY."""
    body.u32(len(indexes))
    for index in indexes:
        body.i32(index)


def read_strings(body: Reader) -> tuple[bytes, ...]:
    """STRINGARRAY: INT4 count, then that many counted strings."""
    count = body.count(count_max=LIST_COUNT_MAX, item_size_min=_STRING_SIZE_MIN)
    return tuple([body.counted(size_max=STRING_SIZE_MAX) for _ in range(count)])


def write_strings(strings: tuple[bytes, ...], body: Writer) -> None:
    """STRINGARRAY."""
    body.u32(len(strings))
    for string in strings:
        body.counted(string)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolutionRequest:
    """The values of one handle (RFC 3652, section 3.2.1): those whose index or type is listed, all where nothing is."""

    handle: bytes
    indexes: tuple[int, ...] = ()
    types: tuple[bytes, ...] = ()

    @classmethod
    def read(cls, body: Reader, version: Version) -> Self:
        """HANDLE, INTARRAY indexes, STRINGARRAY types."""
        handle = body.counted(size_max=STRING_SIZE_MAX)
        return cls(handle=handle, indexes=read_indexes(body), types=read_strings(body))

    def write(self, body: Writer, version: Version) -> None:
        """HANDLE, INTARRAY indexes, STRINGARRAY types."""
        body.counted(self.handle)
        write_indexes(self.indexes, body)
        write_strings(self.types, body)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandleRequest:
    """Only a handle: site information, delete, list, home, terminate and others (spec, protocol: section 6.1)."""

    handle: bytes

    @classmethod
    def read(cls, body: Reader, version: Version) -> Self:
        """HANDLE."""
        return cls(handle=body.counted(size_max=STRING_SIZE_MAX))

    def write(self, body: Writer, version: Version) -> None:
        """HANDLE."""
        body.counted(self.handle)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValuesRequest:
    """A handle with values: create, add, modify (spec, protocol: sections 6.7 and 6.9)."""

    handle: bytes
    values: tuple[HandleValue, ...]

    @classmethod
    def read(cls, body: Reader, version: Version) -> Self:
        """HANDLE, INT4 count, values."""
        handle = body.counted(size_max=STRING_SIZE_MAX)
        return cls(handle=handle, values=read_values(body))

    def write(self, body: Writer, version: Version) -> None:
        """HANDLE, INT4 count, values."""
        body.counted(self.handle)
        write_values(self.values, body)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveValuesRequest:
    """A handle with the indexes of the values to remove (spec, protocol: section 6.10)."""

    handle: bytes
    indexes: tuple[int, ...]

    @classmethod
    def read(cls, body: Reader, version: Version) -> Self:
        """HANDLE, INTARRAY indexes."""
        handle = body.counted(size_max=STRING_SIZE_MAX)
        return cls(handle=handle, indexes=read_indexes(body))

    def write(self, body: Writer, version: Version) -> None:
        """HANDLE, INTARRAY indexes."""
        body.counted(self.handle)
        write_indexes(self.indexes, body)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeAnswer:
    """Who answers a challenge, and the proof (spec, protocol: section 6.12). `answer` is read by `challenge`."""

    type: bytes
    key: Reference
    answer: bytes

    @classmethod
    def read(cls, body: Reader, version: Version) -> Self:
        """STRING type, HANDLE and INT4 index of the key, BYTES answer."""
        authentication = body.counted(size_max=STRING_SIZE_MAX)
        return cls(type=authentication, key=Reference.read(body), answer=body.counted(size_max=STRING_SIZE_MAX))

    def write(self, body: Writer, version: Version) -> None:
        """STRING type, HANDLE and INT4 index of the key, BYTES answer."""
        body.counted(self.type)
        self.key.write(body)
        body.counted(self.answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyChallengeRequest:
    """Does this secret-key answer fit that key? Asked by the server that challenged (spec, protocol: section 6.13)."""

    key: Reference
    nonce: bytes
    digest: RequestDigest
    answer: bytes

    @classmethod
    def read(cls, body: Reader, version: Version) -> Self:
        """HANDLE, INT4 index, BYTES nonce, digest, BYTES answer."""
        key = Reference.read(body)
        nonce = body.counted(size_max=NONCE_SIZE_MAX)
        digest = RequestDigest.read(body)
        return cls(key=key, nonce=nonce, digest=digest, answer=body.counted(size_max=STRING_SIZE_MAX))

    def write(self, body: Writer, version: Version) -> None:
        """HANDLE, INT4 index, BYTES nonce, digest, BYTES answer."""
        self.key.write(body)
        body.counted(self.nonce)
        self.digest.write(body)
        body.counted(self.answer)


class KeyExchange(IntEnum):
    """How the session key comes about (spec, security: section 8.1)."""

    CLIENT_KEY = 1
    SERVER_KEY = 2
    KEY_IN_HANDLE = 3
    DIFFIE_HELLMAN = 4


ANONYMOUS = Reference(-1, b"")
"""The identity of a session that nobody vouches for."""

SESSION_PADDING = b"\0\0"
"""Two octets that deployed encoders append to session set-up bodies; they count in digests and MACs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSetupRequest:
    """Open a session (spec, protocol: section 6.14). `public_key` goes with modes 1 and 4, `key` with mode 3.

    A mode is kept as the number that came: which ones are offered is the engine's rule.
    """

    mode: int
    timeout_s: int
    identity: Reference = ANONYMOUS
    public_key: bytes | None = None
    key: Reference | None = None
    padding: bytes = SESSION_PADDING

    @classmethod
    def read(cls, body: Reader, version: Version) -> Self:
        """INT2 mode, INT4 seconds, identity, then what the mode needs, then the padding or nothing."""
        mode, timeout_s, identity = body.u16(), body.i32(), Reference.read(body)
        public_key = key = None
        if mode in (KeyExchange.CLIENT_KEY, KeyExchange.DIFFIE_HELLMAN):
            public_key = body.counted(size_max=STRING_SIZE_MAX)
        elif mode == KeyExchange.KEY_IN_HANDLE:
            key = Reference.read(body)
        padding = body.rest()[: len(SESSION_PADDING)]
        return cls(mode=mode, timeout_s=timeout_s, identity=identity, public_key=public_key, key=key, padding=padding)

    def write(self, body: Writer, version: Version) -> None:
        """INT2 mode, INT4 seconds, identity, then what the mode needs, then the padding."""
        body.u16(self.mode)
        body.i32(self.timeout_s)
        self.identity.write(body)
        if self.public_key is not None:
            body.counted(self.public_key)
        if self.key is not None:
            self.key.write(body)
        body.octets(self.padding)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeKeyRequest:
    """The session key, encrypted for the server (spec, protocol: section 6.15)."""

    encrypted_key: bytes

    @classmethod
    def read(cls, body: Reader, version: Version) -> Self:
        """BYTES."""
        return cls(encrypted_key=body.counted(size_max=STRING_SIZE_MAX))

    def write(self, body: Writer, version: Version) -> None:
        """BYTES."""
        body.counted(self.encrypted_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRequest:
    """Who a channel belongs to, in the sector's dialect (spec, protocol: section 11)."""

    user: Reference

    @classmethod
    def read(cls, body: Reader, version: Version) -> Self:
        """HANDLE, INT4 index."""
        return cls(user=Reference.read(body))

    def write(self, body: Writer, version: Version) -> None:
        """HANDLE, INT4 index."""
        self.user.write(body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Which share of the handles a mirror keeps: how it hashes, of how many servers it is which (from 0)."""

    hash_option: int
    server_count: int
    server_number: int

    @classmethod
    def read(cls, body: Reader) -> Self:
        """INT1 hash option, INT4 number of servers, INT4 server number."""
        return cls(hash_option=body.u8(), server_count=body.i32(), server_number=body.i32())

    def write(self, body: Writer) -> None:
        """INT1 hash option, INT4 number of servers, INT4 server number."""
        body.u8(self.hash_option)
        body.i32(self.server_count)
        body.i32(self.server_number)


_ONE_SOURCE = 0
_ALL_SOURCES = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrieveTransactionsRequest:
    """The changes since a number and a date in ms (spec, protocol: section 6.17).

    From 2.9 on `state` may stand in their place: JSON that tells how far the mirror is with every source.
    """

    receiver: Receiver
    last_number: int = 0
    last_date_ms: int = 0
    state: bytes | None = None

    @classmethod
    def read(cls, body: Reader, version: Version) -> Self:
        """From 2.9 on INT1 form; then BYTES state, or INT8 number and INT8 date; then the receiver."""
        form = body.u8() if version.at_least(V_ALL_SOURCES) else _ONE_SOURCE
        if form == _ALL_SOURCES:
            state = body.counted(size_max=STRING_SIZE_MAX)
            return cls(state=state, receiver=Receiver.read(body))
        if form != _ONE_SOURCE:
            raise Malformed(f"form {form} of a request for transactions")
        number, date_ms = body.i64(), body.i64()
        return cls(last_number=number, last_date_ms=date_ms, receiver=Receiver.read(body))

    def write(self, body: Writer, version: Version) -> None:
        """As it is read; `state` cannot be written below 2.9 (`Malformed`)."""
        if version.at_least(V_ALL_SOURCES):
            body.u8(_ONE_SOURCE if self.state is None else _ALL_SOURCES)
        elif self.state is not None:
            raise Malformed(f"the state of all sources cannot be asked for in version {version}")
        if self.state is None:
            body.i64(self.last_number)
            body.i64(self.last_date_ms)
        else:
            body.counted(self.state)
        self.receiver.write(body)


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpRequest:
    """All records of a share, from the start or from behind a key (spec, protocol: section 6.18).

    `start_type` 0 is a handle's date, 1 a prefix's date, 2 a handle, 3 a homed prefix.
    """

    receiver: Receiver
    start: bytes | None = None
    start_type: int = 0

    @classmethod
    def read(cls, body: Reader, version: Version) -> Self:
        """The receiver; where the body goes on, BYTES start and INT4 its type."""
        receiver = Receiver.read(body)
        if not body.remaining:
            return cls(receiver=receiver)
        start = body.counted(size_max=STRING_SIZE_MAX)
        return cls(receiver=receiver, start=start, start_type=body.i32())

    def write(self, body: Writer, version: Version) -> None:
        """The receiver, then the start where there is one."""
        self.receiver.write(body)
        if self.start is not None:
            body.counted(self.start)
            body.i32(self.start_type)
