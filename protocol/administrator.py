"""HS_ADMIN and HS_VLIST: who may change a record, as values and octets. Decides about no request.

Sources: RFC 3651, section 3.2; spec, records: sections 3 and 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import Final, Self

from protocol.errors import InvalidValue, Malformed
from protocol.limits import STRING_SIZE_MAX
from protocol.value import Reference, read_references, write_references
from protocol.wire import Reader, Writer


class Permission(IntFlag):
    """What an administrator may do, one bit each (spec, records: section 3)."""

    ADD_HANDLE = 0x0001
    DELETE_HANDLE = 0x0002
    ADD_DERIVED_PREFIX = 0x0004
    DELETE_DERIVED_PREFIX = 0x0008
    MODIFY_VALUE = 0x0010
    REMOVE_VALUE = 0x0020
    ADD_VALUE = 0x0040
    MODIFY_ADMIN = 0x0080
    REMOVE_ADMIN = 0x0100
    ADD_ADMIN = 0x0200
    READ_VALUE = 0x0400
    LIST_HANDLES = 0x0800
    LIST_DERIVED_PREFIXES = 0x1000  # Version 3 of the protocol alone; the text form has no place of its own for it.


ALL_PERMISSIONS: Final = 0x0FFF
"""Every permission of protocol version 2."""

_TEXT_SIZE: Final = 12
_BITS: Final = 16
_LEGACY_END: Final = bytes(2)


@dataclass(frozen=True, slots=True)
class Administrator:
    """The data of one HS_ADMIN value: what the key `index:handle` may do; index 0 means any key of that handle.

    `permissions` keeps all 16 bits, known or not. `legacy` marks the old form with two zero octets at its end, which
    is written back as it was read.
    """

    permissions: int
    handle: bytes
    index: int
    legacy: bool = False

    @property
    def reference(self) -> Reference:
        """The administrator itself: a key, or a group of keys."""
        return Reference(self.index, self.handle)

    def may(self, permission: Permission) -> bool:
        """Whether all bits of `permission` are given."""
        return self.permissions & permission == permission

    @classmethod
    def from_bytes(cls, octets: bytes) -> Self:
        """All of a value's data; `Malformed` where anything but the two octets of the legacy form follows."""
        reader = Reader(octets)
        permissions, handle, index = reader.u16(), reader.counted(size_max=STRING_SIZE_MAX), reader.i32()
        end = reader.rest()
        if end not in (b"", _LEGACY_END):
            raise Malformed(f"{len(end)} octets after the end of an administrator")
        return cls(permissions, handle, index, bool(end))

    def to_bytes(self) -> bytes:
        """INT2 permissions, HANDLE, INT4 index, and the two zero octets of the legacy form."""
        octets = Writer()
        octets.u16(self.permissions)
        octets.counted(self.handle)
        octets.i32(self.index)
        if self.legacy:
            octets.octets(_LEGACY_END)
        return octets.to_bytes()


def permission_text(permissions: int) -> str:
    """Twelve binary digits, the last for adding handles. Where a bit above them is set, as many digits as it needs."""
    return format(permissions, f"0{_TEXT_SIZE}b")


def permissions_from_text(text: str) -> int:
    """The bits of a text of binary digits, read from its right end; `InvalidValue` for more than 16 or other signs."""
    if len(text) > _BITS or text.strip("01"):
        raise InvalidValue(f"{text[:_BITS]!r} is not up to {_BITS} digits 0 and 1")
    return int(text or "0", 2)


def read_vlist(octets: bytes) -> tuple[Reference, ...]:
    """The members of a group, keys or groups: all of an HS_VLIST value's data; `Malformed` where octets follow."""
    reader = Reader(octets)
    members = read_references(reader)
    reader.expect_end("a group")
    return members


def vlist_octets(members: Sequence[Reference]) -> bytes:
    """The data of an HS_VLIST value: INT4 count, then the references."""
    octets = Writer()
    write_references(members, octets)
    return octets.to_bytes()
