"""The 24 octets that begin every message (RFC 3652, section 2.2.2; spec, protocol: section 2.2)."""

from dataclasses import dataclass
from struct import Struct
from typing import Final, Self

from protocol.codes import REQUEST, SITE_SERIAL_UNKNOWN
from protocol.errors import Malformed
from protocol.limits import HEADER_SIZE

_LAYOUT: Final = Struct(">IIIHBBiI")

assert _LAYOUT.size == HEADER_SIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Operation, outcome and flags; `expiration` is in seconds since 1970, `body_size` in octets."""

    opcode: int
    code: int = REQUEST
    flags: int
    site_serial: int = SITE_SERIAL_UNKNOWN
    recursion_count: int = 0
    reserved: int = 0
    expiration: int
    body_size: int

    @property
    def is_request(self) -> bool:
        """Whether the message asks; otherwise it answers."""
        return self.code == REQUEST

    def flagged(self, flags: int) -> "Header":
        """The same with other flags: `dataclasses.replace` takes twice as long."""
        return Header(
            opcode=self.opcode,
            code=self.code,
            flags=flags,
            site_serial=self.site_serial,
            recursion_count=self.recursion_count,
            reserved=self.reserved,
            expiration=self.expiration,
            body_size=self.body_size,
        )

    @classmethod
    def read(cls, octets: bytes) -> Self:
        """The header at the start of a message; `Malformed` where there are fewer than 24 octets."""
        if len(octets) < HEADER_SIZE:
            raise Malformed(f"{len(octets)} octets are no header", told="Invalid message length")
        opcode, code, flags, serial, recursion_count, reserved, expiration, size = _LAYOUT.unpack_from(octets)
        return cls(
            opcode=opcode,
            code=code,
            flags=flags,
            site_serial=serial,
            recursion_count=recursion_count,
            reserved=reserved,
            expiration=expiration,
            body_size=size,
        )

    def to_bytes(self) -> bytes:
        """The 24 octets."""
        return _LAYOUT.pack(
            self.opcode,
            self.code,
            self.flags,
            self.site_serial,
            self.recursion_count,
            self.reserved,
            self.expiration,
            self.body_size,
        )
