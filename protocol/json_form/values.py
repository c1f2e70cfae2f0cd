"""Handle values and records in the JSON form that clients of the deployed HTTP interface know. Sees no HTTP.

Sources: spec, records: section 9; http-api: section 2.3. Whatever comes in, what cannot be taken raises `InvalidValue`
with a text for the person who wrote it.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from protocol.codes import ADMIN_READ, DEFAULT_PERMISSIONS, DEFAULT_TTL_S, TTL_ABSOLUTE, TTL_RELATIVE, ResponseCode
from protocol.json_form.data import data_from_json, data_to_json, references_from_json, references_to_json
from protocol.json_form.fields import I32_MAX, I32_MIN, integer, octets, shown, wrong
from protocol.value import HandleValue

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_ISO: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?([Zz]|[+-][0-9]{2}:?[0-9]{2})?)?"
)

_PERMISSION_BITS: Final = 0x0F
_A_VALUE: Final = 'an object with "index", "type" and "data"'
_A_TIME: Final = 'a time such as "2020-09-13T12:26:40Z", between 1901 and 2038'


def record_to_json(
    handle: bytes, values: Iterable[HandleValue], *, by_index: bool = False, exact: bool = False
) -> dict[str, object]:
    """The answer to a resolution: in the order of the values, or sorted by index. `exact` as in `value_to_json`.

    A record without values gives code 200 and, as deployed software does, the handle last.
    """
    ordered = sorted(values, key=lambda value: value.index) if by_index else list(values)
    if not ordered:
        return {"responseCode": int(ResponseCode.VALUES_NOT_FOUND), "values": [], "handle": shown(handle)}
    return {
        "responseCode": int(ResponseCode.SUCCESS),
        "handle": shown(handle),
        "values": [value_to_json(value, exact=exact) for value in ordered],
    }


def value_to_json(value: HandleValue, *, exact: bool = False) -> dict[str, object]:
    """The value as an object, its keys in the order that deployed software writes.

    With `exact`, `value_from_json` gives back the same data octet for octet and the same four permissions: a structured
    format is used only where nothing of the octets is lost in it, and permissions without admin read take five digits
    (see `_permissions`). Without, it is what deployed software shows.
    """
    found: dict[str, object] = {
        "index": value.index,
        "type": shown(value.type),
        "data": data_to_json(value.type, value.data, exact=exact),
    }
    permissions = value.permissions & _PERMISSION_BITS
    if permissions != DEFAULT_PERMISSIONS:
        found["permissions"] = (
            format(permissions, "05b") if exact and not permissions & ADMIN_READ else value.permission_text
        )
    found["ttl"] = _time_text(value.ttl) if value.ttl_type == TTL_ABSOLUTE else value.ttl
    if value.timestamp:
        found["timestamp"] = _time_text(value.timestamp)
    if value.references:
        found["references"] = references_to_json(value.references)
    return found


def value_from_json(found: object) -> HandleValue:
    """The value of such an object; other keys in it are ignored.

    `data` may be a plain string; the formats string, base64, hex, admin, vlist, site and key are taken in any case.
    Absent are: ttl 86,400 s, permissions 1110, timestamp 0. `ttl` is seconds, or an absolute time as ISO 8601 text.
    """
    if not isinstance(found, dict):
        raise wrong("value", found, _A_VALUE)
    index = found.get("index")
    if type(index) is not int or not I32_MIN <= index <= I32_MAX:
        index = integer(index, "index")
    ttl_type, ttl = TTL_RELATIVE, found.get("ttl")
    if ttl is None:
        ttl = DEFAULT_TTL_S
    elif isinstance(ttl, str):
        ttl_type, ttl = TTL_ABSOLUTE, _time(ttl, "ttl", f"a number of seconds, or {_A_TIME}")
    elif type(ttl) is not int or not I32_MIN <= ttl <= I32_MAX:
        ttl = integer(ttl, "ttl")
    permissions, timestamp, references = found.get("permissions"), found.get("timestamp"), found.get("references")
    return HandleValue(
        index=index,
        type=octets(found.get("type"), "type"),
        data=data_from_json(found.get("data")),
        ttl_type=ttl_type,
        ttl=ttl,
        timestamp=0 if timestamp is None else _time(timestamp, "timestamp"),
        permissions=DEFAULT_PERMISSIONS if permissions is None else _permissions(permissions, "permissions"),
        references=() if references is None else references_from_json(references, "references"),
    )


def _permissions(found: object, place: str) -> int:
    """`*` is all. Else binary digits from the right: public write, public read, admin write, admin read.

    As deployed servers do, admin read is taken from the text only where that is longer than four digits: "0110" leaves
    it on, "00110" takes it away. Digits that are not there leave the default.
    """
    if found == "*":
        return _PERMISSION_BITS
    if not isinstance(found, str) or len(found) > 8 or found.strip("01"):
        raise wrong(place, found, 'four digits 0 or 1 as text, such as "1110", or "*"')
    honoured = _PERMISSION_BITS if len(found) > 4 else (1 << min(len(found), 3)) - 1
    return (DEFAULT_PERMISSIONS & ~honoured) | (int(found or "0", 2) & honoured)


def _time(found: object, place: str, expected: str = _A_TIME) -> int:
    """Seconds since 1970 of ISO 8601 text; without an offset it is UTC. A whole number is taken for the seconds."""
    if not isinstance(found, str):
        return integer(found, place)
    try:
        if not _ISO.fullmatch(found):
            raise ValueError
        moment = datetime.fromisoformat(found.upper())
    except ValueError:
        raise wrong(place, found, expected) from None
    seconds = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _SECOND
    if not I32_MIN <= seconds <= I32_MAX:
        raise wrong(place, found, expected)
    return seconds


def _time_text(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
