"""Public keys in their JSON form, which is RFC 7517's for RSA and the deployed tools' own for DSA and SM2.

Sources: spec, records: section 6.1; spec, protocol: section 11 (`"kty":"SM2"`). Numbers are unsigned, big-endian, in
base64url without padding, and without leading zeros but for SM2's, which have 32 octets as in RFC 7518, section 6.2.
"""

import binascii
from collections.abc import Mapping
from typing import Final

from protocol.errors import InvalidValue, Malformed
from protocol.json_form.fields import base64_octets, base64_text, hex_octets, mapping, wrong
from protocol.trust.keys import (
    DsaPublicKey,
    PublicKey,
    RsaPublicKey,
    UnknownPublicKey,
    public_key_octets,
    read_public_key,
)
from protocol.trust.sm2_values import COORDINATE_SIZE, sm2_point, sm2_public_key

_EXPECTED: Final = 'an object with "format" and "value"'


def key_to_json(key: PublicKey) -> dict[str, str] | None:
    """The key as an object, or None for a kind of key that JSON has no form for."""
    match key:
        case RsaPublicKey(modulus, exponent):
            return {"kty": "RSA", "n": _text(modulus), "e": _text(exponent)}
        case DsaPublicKey(q, p, g, y):
            return {"kty": "DSA", "y": _text(y), "p": _text(p), "q": _text(q), "g": _text(g)}
        case UnknownPublicKey():
            return _sm2_to_json(key)
        case _:
            return None


def _sm2_to_json(key: UnknownPublicKey) -> dict[str, str] | None:
    try:
        point = sm2_point(key)
    except Malformed:
        return None
    if sm2_public_key(point) != key:  # In another encoding, which JSON would not keep.
        return None
    x, y = int.from_bytes(point[:COORDINATE_SIZE], "big"), int.from_bytes(point[COORDINATE_SIZE:], "big")
    return {"kty": "SM2", "x": _text(x, COORDINATE_SIZE), "y": _text(y, COORDINATE_SIZE)}


def key_from_json(found: object, place: str) -> PublicKey:
    """The key of such an object; standard base64 is taken as well. `InvalidValue` for anything else."""
    fields = mapping(found, place, 'an object with "kty"')
    kind = fields.get("kty")
    if kind == "SM2":
        return _sm2_from_json(fields, place)
    if kind not in ("RSA", "DSA"):
        raise wrong(f"{place}.kty", kind, '"RSA", "DSA" or "SM2"')
    numbers = [_number(fields.get(name), f"{place}.{name}") for name in ("ne" if kind == "RSA" else "qpgy")]
    try:
        return RsaPublicKey(*numbers) if kind == "RSA" else DsaPublicKey(*numbers)
    except Malformed as error:
        raise InvalidValue(f"{place}: {error}") from error


def _sm2_from_json(fields: Mapping[object, object], place: str) -> UnknownPublicKey:
    x, y = (_number(fields.get(name), f"{place}.{name}") for name in "xy")
    try:
        return sm2_public_key(x.to_bytes(COORDINATE_SIZE, "big") + y.to_bytes(COORDINATE_SIZE, "big"))
    except (Malformed, OverflowError) as error:
        raise InvalidValue(f"{place}: x and y are no point of the curve of SM2") from error


def key_data_to_json(octets: bytes) -> dict[str, object]:
    """An encoded key as a server entry carries it: format `key`, or base64 where it is empty, unknown or broken."""
    try:
        key = key_to_json(read_public_key(octets))
    except Malformed:
        key = None
    if key is None:
        return {"format": "base64", "value": base64_text(octets)}
    return {"format": "key", "value": key}


def key_data_from_json(found: object, place: str) -> bytes:
    """The encoded key of a server entry: formats `key`, `base64` and `hex`, or hexadecimal digits alone (old files)."""
    if isinstance(found, str):
        return hex_octets(found, place)
    fields = mapping(found, place, _EXPECTED)
    form, value = fields.get("format"), fields.get("value")
    match form.lower() if isinstance(form, str) else form:
        case "key":
            return public_key_octets(key_from_json(value, f"{place}.value"))
        case "base64":
            return base64_octets(value, f"{place}.value")
        case "hex":
            return hex_octets(value, f"{place}.value")
        case _:
            raise wrong(f"{place}.format", form, '"key", "base64" or "hex"')


def _text(number: int, size: int = 1) -> str:
    octets = number.to_bytes(max(size, (number.bit_length() + 7) // 8), "big")
    return binascii.b2a_base64(octets, newline=False).decode().rstrip("=").replace("+", "-").replace("/", "_")


def _number(found: object, place: str) -> int:
    octets = base64_octets(found, place)
    if not octets:
        raise wrong(place, found, "a number in base64")
    return int.from_bytes(octets, "big")
