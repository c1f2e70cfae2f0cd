"""SM2 public keys as values: the forms that are in use, read to a point of the curve, and written.

Does no arithmetic but what shows that a point is one. Sources: spec, protocol: section 11; spec, snms-api: section
13.6; the curve: GB/T 32918.5-2017 (RFC 8998 names it curveSM2).
"""

import binascii
from typing import Final

from protocol.errors import Malformed
from protocol.trust.key_values import UnknownPublicKey
from protocol.wire import Reader, Writer

SM2_PUB: Final = b"SM2_PUB_KEY"
"""The type that an SM2 key has on the wire."""

POINT_SIZE: Final = 64
"""Octets of a point: x and y, without the octet in front that tells the form."""

COORDINATE_SIZE: Final = 32
UNCOMPRESSED: Final = 0x04
_COMPRESSED: Final = (0x02, 0x03)
_KEY_SIZE_MAX: Final = 1_024  # Octets of a key in its longest form, a text of about 180.

_P: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
_A: Final = _P - 3
_B: Final = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93

# SubjectPublicKeyInfo (RFC 5480) of a key of this curve, up to the octet in front of the point: id-ecPublicKey, and the
# curve's own number 1.2.156.10197.1.301. Every encoder writes these same octets, as DER allows no others.
_INFO_HEAD: Final = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d03420004")
_TEXT_BEGINS: Final = b"-----BEGIN PUBLIC KEY-----"
_TEXT_ENDS: Final = b"-----END PUBLIC KEY-----"


def _is_point(x: int, y: int) -> bool:
    return x < _P and y < _P and (y * y - (x * x + _A) * x - _B) % _P == 0


def checked_point(point: bytes) -> bytes:
    """The point itself, x and y of 32 octets each; `Malformed` where it is none of the curve."""
    x, y = point[:COORDINATE_SIZE], point[COORDINATE_SIZE:]
    if len(point) != POINT_SIZE or not _is_point(int.from_bytes(x, "big"), int.from_bytes(y, "big")):
        raise Malformed("an SM2 key that is no point of its curve")
    return point


def _decompressed(octets: bytes) -> bytes:
    x = int.from_bytes(octets[1:], "big")
    y = pow((x * x + _A) * x + _B, (_P + 1) // 4, _P)
    y = y if y & 1 == octets[0] & 1 else _P - y
    return octets[1:] + y.to_bytes(COORDINATE_SIZE, "big")


def _point_of(octets: bytes) -> bytes:
    """The point of a key in any form: uncompressed with or without its first octet, compressed, DER or PEM."""
    if octets.lstrip().startswith(_TEXT_BEGINS):
        octets = _untexted(octets)
    if octets.startswith(_INFO_HEAD):
        return octets[len(_INFO_HEAD) :]
    if len(octets) == 1 + POINT_SIZE and octets[0] == UNCOMPRESSED:
        return octets[1:]
    if len(octets) == 1 + COORDINATE_SIZE and octets[0] in _COMPRESSED:
        return _decompressed(octets)
    return octets


def _untexted(octets: bytes) -> bytes:
    lines = octets.strip().removeprefix(_TEXT_BEGINS).partition(_TEXT_ENDS)[0]
    try:
        return binascii.a2b_base64(lines)
    except binascii.Error:
        return b""


def sm2_point(key: UnknownPublicKey) -> bytes:
    """x and y of an SM2 key, 64 octets; `Malformed` where it is of another type or no point of the curve."""
    if key.type != SM2_PUB:
        raise Malformed(f"{key.type!r} is no SM2 key")
    reader = Reader(key.octets)
    octets = reader.counted(size_max=_KEY_SIZE_MAX)
    reader.expect_end("an SM2 key")
    return checked_point(_point_of(octets))


def sm2_public_key(point: bytes) -> UnknownPublicKey:
    """The key of a point as we write it: no flags, the point in uncompressed form; `Malformed` where it is none."""
    octets = Writer()
    octets.counted(bytes([UNCOMPRESSED]) + checked_point(point))
    return UnknownPublicKey(SM2_PUB, octets.to_bytes())


def sm2_key_of_text(octets: bytes) -> UnknownPublicKey | None:
    """The key of a PEM text, or None where it holds another kind of key; `Malformed` for a point that is none."""
    if not octets.lstrip().startswith(_TEXT_BEGINS) or not _untexted(octets).startswith(_INFO_HEAD):
        return None
    return sm2_public_key(_point_of(octets))
