"""The two forms of an SM2 ciphertext, turned into each other: the octets C1 ‖ C3 ‖ C2, and a DER sequence.

C1 is a point (0x04, x, y), C3 a digest of 32 octets, C2 as long as the clear text. Deployed clients send the first
form (spec, snms-api: section 13.5), the library takes the second (GM/T 0009-2012, section 7.2).
"""

from typing import Final

from protocol.errors import Malformed
from protocol.trust.sm2_values import COORDINATE_SIZE, POINT_SIZE, UNCOMPRESSED

CLEAR_SIZE_MAX: Final = 255
"""Octets of clear text: the library's bound. A session's key has at most 36."""

_DIGEST_SIZE: Final = 32
_HEAD_SIZE: Final = 1 + POINT_SIZE + _DIGEST_SIZE
_SEQUENCE: Final = 0x30
_INTEGER: Final = 0x02
_OCTETS: Final = 0x04
_LONG: Final = 0x80


def _element(tag: int, octets: bytes) -> bytes:
    size = len(octets)
    if size < _LONG:
        return bytes([tag, size]) + octets
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, _LONG | len(length)]) + length + octets


def _integer(octets: bytes) -> bytes:
    number = int.from_bytes(octets, "big")
    return _element(_INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def der_ciphertext(octets: bytes) -> bytes:
    """The DER form of a ciphertext in either form; `Malformed` where it is neither."""
    if octets[:1] == bytes([_SEQUENCE]):
        return octets
    if octets[:1] != bytes([UNCOMPRESSED]) or not _HEAD_SIZE < len(octets) <= _HEAD_SIZE + CLEAR_SIZE_MAX:
        raise Malformed(f"an SM2 ciphertext of {len(octets)} octets")
    x, y = octets[1 : 1 + COORDINATE_SIZE], octets[1 + COORDINATE_SIZE : 1 + POINT_SIZE]
    parts = _integer(x) + _integer(y) + _element(_OCTETS, octets[1 + POINT_SIZE : _HEAD_SIZE])
    return _element(_SEQUENCE, parts + _element(_OCTETS, octets[_HEAD_SIZE:]))


def raw_ciphertext(octets: bytes) -> bytes:
    """C1 ‖ C3 ‖ C2 of a DER form; `Malformed` where it is none."""
    tag, inner, rest = _read(octets)
    if tag != _SEQUENCE or rest:
        raise Malformed("an SM2 ciphertext that is no sequence")
    found = []
    for wanted in (_INTEGER, _INTEGER, _OCTETS, _OCTETS):
        tag, part, inner = _read(inner)
        if tag != wanted:
            raise Malformed(f"tag {tag} in an SM2 ciphertext, {wanted} wanted")
        found.append(part)
    x, y, digest, text = found
    if inner or len(digest) != _DIGEST_SIZE:
        raise Malformed("an SM2 ciphertext of other parts")
    return bytes([UNCOMPRESSED]) + _coordinate(x) + _coordinate(y) + digest + text


def _coordinate(octets: bytes) -> bytes:
    number = int.from_bytes(octets, "big")
    if number.bit_length() > 8 * COORDINATE_SIZE:
        raise Malformed("a coordinate that is too long")
    return number.to_bytes(COORDINATE_SIZE, "big")


def _read(octets: bytes) -> tuple[int, bytes, bytes]:
    """Tag and content of the element in front, and what is behind it."""
    if len(octets) < 2:
        raise Malformed("an SM2 ciphertext that ends within")
    size, start = octets[1], 2
    if size & _LONG:
        start += size & ~_LONG
        size = int.from_bytes(octets[2:start], "big")
    if start > 2 + 2 or start + size > len(octets):  # No part is longer than two octets can tell.
        raise Malformed("an SM2 ciphertext that ends within")
    return octets[0], octets[start : start + size], octets[start + size :]
