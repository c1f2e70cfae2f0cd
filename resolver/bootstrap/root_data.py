"""The file `bootstrap_handles`: the root's records as JSON, read and written. Opens no file and believes no signature.

Source: spec, resolution: section 2.1.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from protocol.errors import InvalidValue, Malformed
from protocol.identifier import ROOT_PREFIX_HANDLE, prefix_folded
from protocol.json_form.fields import items, mapping, octets, wrong
from protocol.json_form.values import value_from_json, value_to_json
from protocol.limits import HANDLE_SIZE_MAX, VALUE_COUNT_MAX
from protocol.value import HandleValue, read_values
from protocol.wire import Reader

SIZE_MAX: Final = 8 << 20
"""Octets of `bootstrap_handles`: that of the public network has about 100,000."""

HANDLES_MAX: Final = 1_024
"""Handles in it: that of the public network has about a dozen."""

_TIME_MAX: Final = 2**53 - 1  # What every JSON reader takes exactly.


@dataclass(frozen=True, slots=True)
class RootRecord:
    """A handle as it is spelled, and its public values."""

    handle: bytes
    values: tuple[HandleValue, ...]


@dataclass(frozen=True, slots=True)
class RootData:
    """Records by their folded handles, and when they were asked for, in milliseconds since 1970 (0: unknown)."""

    updated_ms: int = 0
    records: Mapping[bytes, RootRecord] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def of(cls, updated_ms: int, records: Mapping[bytes, tuple[HandleValue, ...]]) -> "RootData":
        """The data of handles as they are spelled, with their values."""
        found = {prefix_folded(handle): RootRecord(handle, values) for handle, values in records.items()}
        return cls(updated_ms, MappingProxyType(found))

    def values(self, handle: bytes) -> tuple[HandleValue, ...] | None:
        """The values of a handle in any spelling, or None."""
        found = self.records.get(prefix_folded(handle))
        return None if found is None else found.values


def read_root_data(text: bytes) -> RootData:
    """What the file says; `InvalidValue` for anything else, with a text for the person who wrote it."""
    if len(text) > SIZE_MAX:
        raise InvalidValue(f"{len(text):,} octets, expected at most {SIZE_MAX:,}")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidValue(f"no JSON: {error}") from None
    fields = mapping(found, "the file", 'an object with "handles"')
    handles = mapping(fields.get("handles"), "handles")
    if len(handles) > HANDLES_MAX:
        raise InvalidValue(f"handles: {len(handles):,} of them, expected at most {HANDLES_MAX:,}")
    records = [_record(name, record) for name, record in handles.items()]
    return RootData.of(_time(fields.get("lastUpdate")), {record.handle: record.values for record in records})


def _time(found: object) -> int:
    if found is None:
        return 0
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= _TIME_MAX:
        raise wrong("lastUpdate", found, "milliseconds since 1970")
    return found


def _record(name: object, record: object) -> RootRecord:
    place = f"handles[{str(name)[:60]!r}]"
    fields = mapping(record, place, 'an object with "values"')
    handle = octets(fields.get("handle", name), f"{place}.handle")
    if not 0 < len(handle) <= HANDLE_SIZE_MAX:
        raise InvalidValue(f"{place}: a handle of {len(handle)} octets, expected 1 to {HANDLE_SIZE_MAX}")
    values = []
    for number, value in enumerate(items(fields.get("values"), f"{place}.values", VALUE_COUNT_MAX)):
        try:
            values.append(value_from_json(value))
        except InvalidValue as error:
            raise InvalidValue(f"{place}.values[{number}].{error}") from error
    return RootRecord(handle, tuple(values))


def write_root_data(data: RootData) -> bytes:
    """The file's octets: every value is read back octet for octet."""
    handles = {
        record.handle.decode(errors="replace"): {
            "handle": record.handle.decode(errors="replace"),
            "values": [value_to_json(value, exact=True) for value in record.values],
        }
        for record in data.records.values()
    }
    return (
        json.dumps({"lastUpdate": data.updated_ms, "handles": handles}, ensure_ascii=False, indent=1).encode() + b"\n"
    )


def read_root_info(text: bytes) -> RootData:
    """The older form `root_info`: the values of `0.NA/0.NA` alone. `Malformed` where it is none."""
    return RootData.of(0, {ROOT_PREFIX_HANDLE: read_counted_values(text)})


def read_counted_values(text: bytes) -> tuple[HandleValue, ...]:
    """INT4 length of the rest (not used), then a value list, as `root_info` and `resolver_service` hold it."""
    reader = Reader(text)
    reader.u32()
    values = read_values(reader)
    reader.expect_end("a list of values")
    if not values:
        raise Malformed("a list without values")
    return values
