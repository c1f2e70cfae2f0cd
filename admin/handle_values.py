"""Values as a command line writes them: `URL=https://…`, `5:DESC=text`, a JSON file. Makes records, stores none."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from admin.errors import ExitCode, Failure
from admin.importing.rows import Row, RowFault, RowLimits, checked_handle, checked_row
from admin.importing.values import ValueOctets
from protocol.errors import HandleError, HandleNotFound, InvalidValue, ValuesNotFound
from protocol.identifier import is_prefix_handle, prefix_handle
from protocol.json_form.values import value_from_json
from protocol.value import HandleValue, read_values, value_list
from protocol.wire import Reader
from storage.base import Record

ADMIN_INDEX: Final = 100
ADMIN_KEY_INDEX: Final = 300
ADMIN_PERMISSIONS: Final = "011111110011"
"""All but listing handles and making or deleting derived prefixes: what an identifier's administrator needs."""

_NUMBERED: Final = re.compile(r"([0-9]{1,10}):(.+)", re.DOTALL)
_FILE_SIZE_MAX: Final = 16 * 1024 * 1024
_TEXT_FORMATS: Final = ("string", "base64", "hex")


def texts_to_json(texts: Sequence[str], *, reserved: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """Values of `TYPE=DATA` or `INDEX:TYPE=DATA`; those without an index take free ones from 1, beside `reserved`."""
    split = [_split(text) for text in texts]
    taken = {index for index, _, _ in split if index is not None} | _indexes(reserved) | {ADMIN_INDEX}
    found = []
    free = 1
    for index, name, data in split:
        if index is None:
            while free in taken:
                free += 1
            index = free
            taken.add(free)
        found.append({"index": index, "type": name, "data": {"format": "string", "value": data}})
    return found


def _indexes(values: Sequence[Any]) -> set[int]:
    indexes = [value.get("index") for value in values if isinstance(value, dict)]
    return {index for index in indexes if type(index) is int}


def _split(text: str) -> tuple[int | None, str, str]:
    name, equals, data = text.partition("=")
    if not equals or not name:
        why = "a value is TYPE=DATA or INDEX:TYPE=DATA"
        raise Failure(f"{text!r} is no value", why, "URL=https://example.com/", code=ExitCode.USAGE)
    numbered = _NUMBERED.fullmatch(name)
    return (int(numbered[1]), numbered[2], data) if numbered else (None, name, data)


def file_to_json(path: Path) -> list[Any]:
    """The values of a JSON file: a list, one value, or a record with `values`."""
    try:
        with path.open("rb") as file:
            octets = file.read(_FILE_SIZE_MAX + 1)
        if len(octets) > _FILE_SIZE_MAX:
            raise ValueError(f"more than {_FILE_SIZE_MAX:,} octets")
        found = json.loads(octets)
    except (ValueError, RecursionError) as error:
        raise Failure(f"{path} holds no JSON", str(error), code=ExitCode.USAGE) from error
    if isinstance(found, dict):
        found = found.get("values", [found])
    if not isinstance(found, list):
        raise Failure(f"{path} holds no list of values", "", code=ExitCode.USAGE)
    return found


def new_record(handle: bytes, values: list[Any], limits: RowLimits, *, now_s: int, with_admin: bool) -> Row:
    """The record to create; a usage `Failure` names the value at fault.

    `with_admin` adds the administrator of its prefix at 100, or the next free index, unless the values name one.
    """
    if with_admin and not any(isinstance(value, dict) and value.get("type") == "HS_ADMIN" for value in values):
        values = [*values, _administrator(handle, _indexes(values))]
    try:
        row = checked_row(0, checked_handle(handle), ValueOctets(timestamp=now_s, limits=limits).of_json(values))
    except RowFault as fault:
        where = f"{fault.column}: " if fault.column else ""
        raise Failure("the record cannot be made", f"{where}{fault.reason}", code=ExitCode.USAGE) from fault
    if not values:
        raise Failure("the record cannot be made", "it has no values", "URL=https://…", code=ExitCode.USAGE)
    return row


def _administrator(handle: bytes, taken: set[int]) -> dict[str, Any]:
    index = ADMIN_INDEX
    while index in taken:
        index += 1
    prefix = handle if is_prefix_handle(handle) else prefix_handle(handle)
    data = {"handle": prefix.decode(), "index": ADMIN_KEY_INDEX, "permissions": ADMIN_PERMISSIONS}
    return {"index": index, "type": "HS_ADMIN", "data": {"format": "admin", "value": data}}


def one_value(
    index: int, name: str, data: str, *, data_format: str, ttl: str | None, permissions: str | None, now_s: int
) -> HandleValue:
    """The value that `set-value` describes; formats beyond text, base64 and hex are JSON."""
    content: Any = data
    try:
        if data_format not in _TEXT_FORMATS:
            content = json.loads(data)
        described: dict[str, Any] = {"index": index, "type": name, "data": {"format": data_format, "value": content}}
        if ttl is not None:
            described["ttl"] = int(ttl) if ttl.isascii() and ttl.isdigit() else ttl
        if permissions is not None:
            described["permissions"] = permissions
        value = value_from_json(described)
    except (HandleError, ValueError, RecursionError) as error:
        raise Failure("that is no value", str(error), code=ExitCode.USAGE) from error
    if value.index < 1:
        raise Failure("that is no value", "an index is 1 or more", code=ExitCode.USAGE)
    return replace(value, timestamp=now_s)


def with_value(
    record: Record | None, value: HandleValue, limits: RowLimits, *, keep_ttl: bool, keep_permissions: bool
) -> Record:
    """The record with the value in place of the one at its index, else behind the others.

    What was not said (`keep_…`) and the references stay as they are at that index. An equal value changes nothing.
    """
    values = list(_values_of(record))
    place = next((at for at, old in enumerate(values) if old.index == value.index), None)
    if place is None:
        if len(values) >= limits.value_count:
            raise InvalidValue(f"the record has {len(values):,} values: no more are allowed")
        values.append(value)
    else:
        old = values[place]
        if keep_ttl:
            value = replace(value, ttl_type=old.ttl_type, ttl=old.ttl)
        if keep_permissions:
            value = replace(value, permissions=old.permissions)
        value = replace(value, references=old.references)
        if replace(value, timestamp=old.timestamp) == old and record is not None:
            return record
        values[place] = value
    return _record(record, values)


def without_values(record: Record | None, indexes: Sequence[int]) -> Record:
    """The record without the values at these indexes; `ValuesNotFound` where one of them is not there."""
    values = _values_of(record)
    missing = sorted(set(indexes) - {value.index for value in values})
    if missing:
        raise ValuesNotFound(f"there is no value at {', '.join(map(str, missing))}")
    return _record(record, [value for value in values if value.index not in indexes])


def _values_of(record: Record | None) -> tuple[HandleValue, ...]:
    if record is None:
        raise HandleNotFound("the handle does not exist")
    return read_values(Reader(record.values))


def _record(record: Record | None, values: Sequence[HandleValue]) -> Record:
    assert record is not None
    octets = value_list(values)
    try:
        checked_row(0, record.handle, octets)
    except RowFault as fault:
        raise InvalidValue(fault.reason) from fault
    return Record(record.handle, octets)
