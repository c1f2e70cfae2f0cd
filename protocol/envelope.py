"""The 20 octets in front of every message and datagram (RFC 3652, section 2.2.1; spec, protocol: section 2.1)."""

from dataclasses import dataclass
from struct import Struct
from typing import Final, Self

from protocol.errors import Malformed
from protocol.limits import ENVELOPE_SIZE
from protocol.version import Version

_LAYOUT: Final = Struct(">BBBBIIII")
_FLAGS: Final = 0xE0
_MAJOR: Final = 0x1F

assert _LAYOUT.size == ENVELOPE_SIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Version, session, request id, fragment number and the length of the whole message; numbers unsigned."""

    version: Version
    suggested: Version
    flags: int = 0
    session_id: int = 0
    request_id: int
    sequence: int = 0
    message_size: int

    @classmethod
    def read(cls, octets: bytes) -> Self:
        """The envelope at the start of the octets; `Malformed` where there are fewer than 20."""
        if len(octets) < ENVELOPE_SIZE:
            raise Malformed(f"{len(octets)} octets are no envelope")
        major, minor, mixed, suggested_minor, session_id, request_id, sequence, size = _LAYOUT.unpack_from(octets)
        return cls(
            version=Version(major, minor),
            suggested=Version(mixed & _MAJOR, suggested_minor),
            flags=mixed & _FLAGS,
            session_id=session_id,
            request_id=request_id,
            sequence=sequence,
            message_size=size,
        )

    def to_bytes(self) -> bytes:
        """The 20 octets."""
        return self.before(self.message_size)

    def before(self, message_size: int) -> bytes:
        """The 20 octets in front of a message of another length."""
        major, minor = self.version
        suggested_major, suggested_minor = self.suggested
        return _LAYOUT.pack(
            major,
            minor,
            self.flags | suggested_major,
            suggested_minor,
            self.session_id,
            self.request_id,
            self.sequence,
            message_size,
        )
