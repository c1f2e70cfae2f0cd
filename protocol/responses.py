"""What can be answered: the body of every response as a frozen value, read and written (spec, protocol: section 6).

The request digest that may stand in front of any of them is not part of a body: `codec` reads and writes it.
"""

from dataclasses import dataclass
from typing import Self

from protocol.limits import LIST_COUNT_MAX, NONCE_SIZE_MAX, STRING_SIZE_MAX
from protocol.requests import SESSION_PADDING, read_indexes, write_indexes
from protocol.site import Site
from protocol.value import HandleValue, read_values, write_values
from protocol.version import Version
from protocol.wire import Reader, Writer

_STRING_SIZE_MIN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyResponse:
    """Done, and nothing to say."""

    @classmethod
    def read(cls, body: Reader, version: Version) -> Self:
        """Nothing."""
        return cls()

    def write(self, body: Writer, version: Version) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorResponse:
    """Why not, in words, and the offending indexes where a peer of 3.0 lists them (spec, protocol: section 6.2)."""

    message: bytes = b""
    indexes: tuple[int, ...] = ()

    @classmethod
    def read(cls, body: Reader, version: Version) -> Self:
        """STRING, or nothing at all from old peers; an index list may follow."""
        if not body.remaining:
            return cls()
        message = body.counted(size_max=STRING_SIZE_MAX)
        return cls(message=message, indexes=read_indexes(body) if body.remaining >= _STRING_SIZE_MIN else ())

    def write(self, body: Writer, version: Version) -> None:
        """STRING, then the index list where it is not empty."""
        body.counted(self.message)
        if self.indexes:
            write_indexes(self.indexes, body)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeResponse:
    """Prove who you are over this nonce and the request's digest (spec, protocol: section 6.3)."""

    nonce: bytes

    @classmethod
    def read(cls, body: Reader, version: Version) -> Self:
        """BYTES nonce."""
        return cls(nonce=body.counted(size_max=NONCE_SIZE_MAX))

    def write(self, body: Writer, version: Version) -> None:
        """BYTES nonce."""
        body.counted(self.nonce)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolutionResponse:
    """The handle as it was asked for, and its values in stored order (spec, protocol: section 6.4)."""

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
class StoredValuesResponse:
    """As `ResolutionResponse`, from the octets of a value list: nothing is decoded. Written, never read."""

    handle: bytes
    value_list: bytes

    def write(self, body: Writer, version: Version) -> None:
        """HANDLE, then the list as it is stored."""
        body.counted(self.handle)
        body.octets(self.value_list)


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteResponse:
    """The server's own site (spec, protocol: section 6.5)."""

    site: Site

    @classmethod
    def read(cls, body: Reader, version: Version) -> Self:
        """The HS_SITE record."""
        return cls(site=Site.read(body))

    def write(self, body: Writer, version: Version) -> None:
        """The HS_SITE record."""
        self.site.write(body)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferralResponse:
    """Ask there (spec, protocol: section 6.6). `values` is None where the responder sent no count at all."""

    handle: bytes = b""
    values: tuple[HandleValue, ...] | None = None

    @classmethod
    def read(cls, body: Reader, version: Version) -> Self:
        """HANDLE; where the body goes on, INT4 count and values."""
        handle = body.counted(size_max=STRING_SIZE_MAX)
        return cls(handle=handle, values=read_values(body) if body.remaining else None)

    def write(self, body: Writer, version: Version) -> None:
        """HANDLE; values where there are any to tell."""
        body.counted(self.handle)
        if self.values is not None:
            write_values(self.values, body)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateResponse:
    """The handle that was made; None from servers that do not tell (spec, protocol: section 6.7)."""

    handle: bytes | None = None

    @classmethod
    def read(cls, body: Reader, version: Version) -> Self:
        """HANDLE, or nothing."""
        return cls(handle=body.counted(size_max=STRING_SIZE_MAX) if body.remaining else None)

    def write(self, body: Writer, version: Version) -> None:
        """HANDLE, or nothing."""
        if self.handle is not None:
            body.counted(self.handle)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandleListResponse:
    """Handles; more messages follow where the header says so (spec, protocol: section 6.11)."""

    handles: tuple[bytes, ...]

    @classmethod
    def read(cls, body: Reader, version: Version) -> Self:
        """INT4 count, then that many handles."""
        count = body.count(count_max=LIST_COUNT_MAX, item_size_min=_STRING_SIZE_MIN)
        return cls(handles=tuple([body.counted(size_max=STRING_SIZE_MAX) for _ in range(count)]))

    def write(self, body: Writer, version: Version) -> None:
        """INT4 count, then the handles."""
        body.u32(len(self.handles))
        for handle in self.handles:
            body.counted(handle)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyResponse:
    """Whether the answer fits the key (spec, protocol: section 6.13)."""

    valid: bool

    @classmethod
    def read(cls, body: Reader, version: Version) -> Self:
        """INT1, whose lowest bit counts."""
        return cls(valid=bool(body.u8() & 1))

    def write(self, body: Writer, version: Version) -> None:
        """INT1."""
        body.u8(int(self.valid))


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSetupResponse:
    """The server's part of the key exchange; the session id stands in the envelope (spec, protocol: section 6.14)."""

    mode: int
    data: bytes
    padding: bytes = SESSION_PADDING

    @classmethod
    def read(cls, body: Reader, version: Version) -> Self:
        """INT2 mode, BYTES, then the padding or nothing."""
        mode = body.u16()
        data = body.counted(size_max=STRING_SIZE_MAX)
        return cls(mode=mode, data=data, padding=body.rest()[: len(SESSION_PADDING)])

    def write(self, body: Writer, version: Version) -> None:
        """INT2 mode, BYTES, padding."""
        body.u16(self.mode)
        body.counted(self.data)
        body.octets(self.padding)


@dataclass(frozen=True, slots=True, kw_only=True)
class NextTransactionResponse:
    """The number that the next change will get, from old servers (spec, protocol: section 6.16)."""

    number: int

    @classmethod
    def read(cls, body: Reader, version: Version) -> Self:
        """INT8."""
        return cls(number=body.i64())

    def write(self, body: Writer, version: Version) -> None:
        """INT8."""
        body.i64(self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionStreamResponse:
    """A stream of transactions follows on this connection (spec, protocol: section 6.17)."""

    keep_alive: bool = False

    @classmethod
    def read(cls, body: Reader, version: Version) -> Self:
        """INT1, whose lowest bit counts; old servers may leave it out."""
        return cls(keep_alive=bool(body.u8() & 1) if body.remaining else False)

    def write(self, body: Writer, version: Version) -> None:
        """INT1."""
        body.u8(int(self.keep_alive))
