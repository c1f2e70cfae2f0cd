"""Take typed fields out of parsed JSON, whatever it holds. Knows no format of the protocol.

Everything here takes the thing found and the place it was found at, and raises `InvalidValue` alone, with a text for
the person who wrote the JSON: place, what stands there, what is expected.
"""

import binascii
import re
from typing import Final

from protocol.errors import InvalidValue
from protocol.limits import STRING_SIZE_MAX

I32_MIN: Final = -(2**31)
I32_MAX: Final = 2**31 - 1
U16_MAX: Final = 2**16 - 1
U8_MAX: Final = 2**8 - 1

_DIGITS: Final = re.compile(r"[+-]?[0-9]{1,20}")  # Longer ones fit no field, and cost.
_SHOWN_MAX: Final = 40


def wrong(place: str, found: object, expected: str) -> InvalidValue:
    """The error to raise: `ttl: 'soon', expected a whole number`."""
    return InvalidValue(f"{place}: {described(found)}, expected {expected}")


def described(found: object) -> str:
    """What stands there, short, whatever it is: no depth, size or number makes this fail."""
    if found is None:
        return "missing"
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, int):
        return str(found) if found.bit_length() <= 64 else f"a number of {found.bit_length()} bits"
    if isinstance(found, float):
        return repr(found)
    if isinstance(found, str):
        return repr(found) if len(found) <= _SHOWN_MAX else f"{found[:_SHOWN_MAX]!r}..."
    if isinstance(found, list):
        return f"a list of {len(found)}"
    return "an object" if isinstance(found, dict) else f"a {type(found).__name__}"


def integer(found: object, place: str, low: int = I32_MIN, high: int = I32_MAX) -> int:
    """A whole number within the bounds, also as a string of digits: some clients write indexes so."""
    number = found
    if isinstance(number, str) and _DIGITS.fullmatch(number):
        number = int(number)
    if isinstance(number, int) and not isinstance(number, bool) and low <= number <= high:
        return int(number)
    raise wrong(place, found, f"a whole number from {low} to {high}")


def truth(found: object, place: str) -> bool:
    """true or false; absent is false."""
    if found is None or isinstance(found, bool):
        return bool(found)
    raise wrong(place, found, "true or false")


def octets(found: object, place: str, expected: str = "a string") -> bytes:
    """The UTF-8 of a string."""
    if not isinstance(found, str):
        raise wrong(place, found, expected)
    try:
        return bounded(found.encode(), place)
    except UnicodeEncodeError:
        raise InvalidValue(f"{place}: half of a surrogate pair, expected whole characters") from None


def bounded(found: bytes, place: str) -> bytes:
    """The octets, refused where no message can carry them."""
    if len(found) > STRING_SIZE_MAX:
        raise InvalidValue(f"{place}: {len(found)} octets, expected at most {STRING_SIZE_MAX}")
    return found


def mapping(found: object, place: str, expected: str = "an object") -> dict[object, object]:
    """A JSON object."""
    if isinstance(found, dict):
        return found
    raise wrong(place, found, expected)


def items(found: object, place: str, count_max: int, expected: str = "a list") -> list[object]:
    """A list of at most that many items."""
    if not isinstance(found, list):
        raise wrong(place, found, expected)
    if len(found) > count_max:
        raise wrong(place, found, f"a list of at most {count_max}")
    return found


def hex_octets(found: object, place: str) -> bytes:
    """The octets of hexadecimal digits in either case; white space between octets is ignored."""
    expected = "an even number of hexadecimal digits"
    if not isinstance(found, str):
        raise wrong(place, found, expected)
    try:
        return bounded(bytes.fromhex(found), place)
    except ValueError:
        raise wrong(place, found, expected) from None


def base64_octets(found: object, place: str) -> bytes:
    """The octets of base64, standard or for URLs, with or without padding; white space is ignored."""
    if not isinstance(found, str):
        raise wrong(place, found, "base64 text")
    text = "".join(found.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return bounded(binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True), place)
    except ValueError:  # binascii.Error is one; so is what a sign outside ASCII gives.
        raise wrong(place, found, "base64 text") from None


def base64_text(found: bytes) -> str:
    """Standard base64 with padding."""
    return binascii.b2a_base64(found, newline=False).decode()


def shown(found: bytes) -> str:
    """Text of the wire for JSON; what is no UTF-8 becomes U+FFFD."""
    return found.decode(errors="replace")
