"""One line of a batch file as a handle value: `100 HS_ADMIN 86400 1110 ADMIN 300:111111111111:0.NA/88.100`.

Source: spec, software-in-service: section 5.3. Permissions of an administrator stand there in an order of their own:
the other way round than in JSON, and with reading where its bit does not stand.
"""

import re
from pathlib import Path
from typing import Final

from protocol.administrator import Administrator, Permission, vlist_octets
from protocol.codes import ADMIN_READ, ADMIN_WRITE, PUBLIC_READ, PUBLIC_WRITE
from protocol.limits import MESSAGE_SIZE_MAX
from protocol.value import HandleValue, Reference

INDEX_MAX: Final = 0x7FFFFFFF
_FIELDS: Final = 5  # Index, type, time to live, permissions, kind of data; the rest of the line is the data.
_PERMISSIONS: Final = (ADMIN_READ, ADMIN_WRITE, PUBLIC_READ, PUBLIC_WRITE)
_ADMIN_ORDER: Final = (
    Permission.ADD_HANDLE,
    Permission.DELETE_HANDLE,
    Permission.ADD_DERIVED_PREFIX,
    Permission.DELETE_DERIVED_PREFIX,
    Permission.MODIFY_VALUE,
    Permission.REMOVE_VALUE,
    Permission.ADD_VALUE,
    Permission.READ_VALUE,
    Permission.MODIFY_ADMIN,
    Permission.REMOVE_ADMIN,
    Permission.ADD_ADMIN,
    Permission.LIST_HANDLES,
)
_ADMIN_PERMISSIONS: Final = re.compile(r"[01]{12}")
_NUMBER: Final = re.compile(r"[0-9]{1,10}")


class LineFault(Exception):
    """A line that is not what it should be, and why."""


def value_of(line: str, now_s: int) -> HandleValue:
    """The value that a line describes; `LineFault` says what is wrong with it."""
    parts = line.split(" ", _FIELDS)
    if len(parts) < _FIELDS:
        raise LineFault("a value has the form: INDEX TYPE TTL PERMISSIONS KIND DATA")
    index, name, ttl, permissions, kind, data = (*parts, "")[: _FIELDS + 1]
    return HandleValue(
        index=number_of(index, "index", least=1),
        type=name.encode(),
        data=_data(kind, data),
        ttl=number_of(ttl, "time to live"),
        permissions=_bits(permissions),
        timestamp=now_s,
    )


def number_of(text: str, what: str, *, least: int = 0) -> int:
    """The number that a text writes; `LineFault` where it is none, or too great for its field."""
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= INDEX_MAX:
        raise LineFault(f"{text[:20]!r} is no {what}")
    return int(text)


def reference_of(text: str) -> Reference:
    """The value that `INDEX:HANDLE` names; `LineFault` where it names none."""
    index, colon, handle = text.partition(":")
    if not colon or not handle:
        raise LineFault(f"{text[:60]!r} names no value: it has the form INDEX:HANDLE")
    return Reference(number_of(index, "index"), handle.encode())


def _bits(text: str) -> int:
    if len(text) != len(_PERMISSIONS) or text.strip("01"):
        raise LineFault(f"permissions are four digits 0 and 1, such as 1110, and not {text[:20]!r}")
    return sum(bit for digit, bit in zip(text, _PERMISSIONS, strict=True) if digit == "1")


def _data(kind: str, text: str) -> bytes:
    kind = kind.upper()
    if kind == "UTF8":
        return text.encode()
    if kind == "ADMIN":
        return _administrator(text)
    if kind == "LIST":
        return vlist_octets([reference_of(member.strip()) for member in text.split(";") if member.strip()])
    if kind == "FILE":
        return file_octets(Path(text))
    raise LineFault(f"{kind[:20]!r} is no kind of data: UTF8, ADMIN, LIST or FILE")


def _administrator(text: str) -> bytes:
    index, _, rest = text.partition(":")
    permissions, _, handle = rest.partition(":")
    if not _ADMIN_PERMISSIONS.fullmatch(permissions) or not handle:
        raise LineFault("an administrator has the form INDEX:PERMISSIONS:HANDLE, with twelve digits 0 and 1")
    bits = sum(bit for digit, bit in zip(permissions, _ADMIN_ORDER, strict=True) if digit == "1")
    return Administrator(bits, handle.encode(), number_of(index, "index")).to_bytes()


def file_octets(path: Path) -> bytes:
    """What a file holds; `LineFault` where it cannot be read, or is longer than any message."""
    try:
        with path.open("rb") as file:
            octets = file.read(MESSAGE_SIZE_MAX + 1)
    except (OSError, ValueError) as error:
        raise LineFault(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(octets) > MESSAGE_SIZE_MAX:
        raise LineFault(f"{path} has more than {MESSAGE_SIZE_MAX:,} octets, which no message carries")
    return octets
