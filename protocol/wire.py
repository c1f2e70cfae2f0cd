"""Read and write the primitive types: big-endian numbers and counted octets. Knows no message.

INT1, INT2, INT4, INT8 and BYTES of the spec (protocol: section 1) are u8, u16, u32 or i32, i64 and `counted`.
"""

from struct import Struct
from typing import Any, Final

from protocol.errors import Malformed

_U16: Final = Struct(">H")
_U32: Final = Struct(">I")
_I32: Final = Struct(">i")
_I64: Final = Struct(">q")


class Reader:
    """A position in octets that cannot pass their end: every read past it is `Malformed`."""

    __slots__ = ("_octets", "_position")

    def __init__(self, octets: bytes, position: int = 0) -> None:
        self._octets = octets
        self._position = position

    @property
    def position(self) -> int:
        """Octets read so far, counted from the start of the octets given."""
        return self._position

    @property
    def remaining(self) -> int:
        """Octets that are left."""
        return len(self._octets) - self._position

    def _advance(self, size: int) -> int:
        position = self._position
        if size > len(self._octets) - position:
            raise Malformed(f"{size} octets wanted at {position}, {self.remaining} left")
        self._position = position + size
        return position

    def fields(self, layout: Struct) -> tuple[Any, ...]:
        """Fields of fixed size that stand together, in one step: a call for each would cost several times as much."""
        return layout.unpack_from(self._octets, self._advance(layout.size))

    def u8(self) -> int:
        """One octet."""
        return self._octets[self._advance(1)]

    def u16(self) -> int:
        """Two octets, unsigned."""
        found: int = _U16.unpack_from(self._octets, self._advance(2))[0]
        return found

    def u32(self) -> int:
        """Four octets, unsigned."""
        found: int = _U32.unpack_from(self._octets, self._advance(4))[0]
        return found

    def i32(self) -> int:
        """Four octets, signed: indexes, timestamps and times to live."""
        found: int = _I32.unpack_from(self._octets, self._advance(4))[0]
        return found

    def i64(self) -> int:
        """Eight octets, signed: transaction numbers and milliseconds."""
        found: int = _I64.unpack_from(self._octets, self._advance(8))[0]
        return found

    def octets(self, size: int) -> bytes:
        """Exactly `size` octets."""
        position = self._advance(size)
        return self._octets[position : position + size]

    def counted(self, *, size_max: int) -> bytes:
        """A length of four octets, then that many octets; a length over `size_max` is refused unread."""
        octets, start = self._octets, self._advance(4) + 4
        (size,) = _U32.unpack_from(octets, start - 4)
        if size > size_max:
            raise Malformed(f"{size} octets announced, at most {size_max} allowed")
        end = start + size
        if end > len(octets):
            self._advance(size)  # Which says what is wrong.
        self._position = end
        return octets[start:end]

    def count(self, *, count_max: int, item_size_min: int) -> int:
        """A number of items, refused where it passes `count_max` or what the rest can hold of the smallest items."""
        count = self.u32()
        if count > count_max or count * item_size_min > self.remaining:
            raise Malformed(f"{count} items announced in {self.remaining} octets, at most {count_max} allowed")
        return count

    def peek(self) -> int | None:
        """The next octet, unread, or None at the end."""
        return self._octets[self._position] if self.remaining else None

    def rest(self) -> bytes:
        """All octets that are left."""
        return self.octets(self.remaining)

    def expect_end(self, what: str) -> None:
        """`Malformed` where octets are left of something that must end here."""
        if self.remaining:
            raise Malformed(f"{self.remaining} octets after the end of {what}")


class Writer:
    """Octets that grow. A number that its field cannot hold is our own mistake: `struct.error`."""

    __slots__ = ("_octets",)

    def __init__(self) -> None:
        self._octets = bytearray()

    def fields(self, layout: Struct, *numbers: int) -> None:
        """Fields of fixed size that stand together, in one step."""
        self._octets += layout.pack(*numbers)

    def u8(self, number: int) -> None:
        """One octet."""
        self._octets.append(number)

    def u16(self, number: int) -> None:
        """Two octets, unsigned."""
        self._octets += _U16.pack(number)

    def u32(self, number: int) -> None:
        """Four octets, unsigned."""
        self._octets += _U32.pack(number)

    def i32(self, number: int) -> None:
        """Four octets, signed."""
        self._octets += _I32.pack(number)

    def i64(self, number: int) -> None:
        """Eight octets, signed."""
        self._octets += _I64.pack(number)

    def octets(self, octets: bytes) -> None:
        """The octets as they are."""
        self._octets += octets

    def counted(self, octets: bytes) -> None:
        """Their number in four octets, then the octets."""
        self._octets += _U32.pack(len(octets))
        self._octets += octets

    def __len__(self) -> int:
        return len(self._octets)

    def to_bytes(self) -> bytes:
        """All that was written."""
        return bytes(self._octets)
