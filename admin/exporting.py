"""Records of the store as JSON lines (all of them, fit to be imported again) or as CSV (texts alone). Prints nothing.

CSV carries what a spreadsheet can hold: values of text that everybody may read and only administrators write, without
references. Times to live and timestamps stay behind; other values are left out and counted by their type.
"""

import csv
import json
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TextIO

from admin.importing.values import WIRE
from protocol.codes import DEFAULT_PERMISSIONS, TTL_ABSOLUTE
from protocol.identifier import folded, is_utf8
from protocol.json_form.values import value_to_json
from protocol.value import HandleValue, read_values
from protocol.wire import Reader
from storage.base import Record, StoreView

JSONL: Final = "jsonl"
CSV: Final = "csv"

COLUMNS_MAX: Final = 4_096
"""Columns of a CSV file: spreadsheets take 16,384, and nobody reads as many as these."""

_PAGE: Final = 1_000  # Handles that are listed at a time.
_PERMISSION_BITS: Final = 0x0F
_NEVER: Final = "1970-01-01T00:00:00Z"  # Timestamp 0, which the JSON form of a value leaves out.


class NotExportedError(Exception):
    """Nothing was written: the records do not fit the format. The text is a sentence."""


@dataclass(slots=True)
class Exported:
    """What was written. `left_out` counts values by type, `unnamed` records whose handle is no text."""

    records: int = 0
    values: int = 0
    unnamed: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def records_under(view: StoreView, prefix: str = "") -> Iterator[Record]:
    """Every record under a prefix (`88.100`; empty: all), in the order of the store."""
    start = folded(prefix.encode()) + b"/" if prefix else b""
    after: bytes | None = None
    while page := view.handles(start, after=after, limit=_PAGE):
        for handle in page:
            record = view.get(handle)
            if record is not None:
                yield record
        after = page[-1]


def export_jsonl(view: StoreView, out: TextIO, *, prefix: str = "") -> Exported:
    """One record a line, its values in stored order. Imported again, they are the same octet for octet."""
    done = Exported()
    for record in records_under(view, prefix):
        if not is_utf8(record.handle):
            done.unnamed += 1
            continue
        values = read_values(Reader(record.values))
        line = {"handle": record.handle.decode(), "values": [exact_json(value) for value in values]}
        out.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
        done.records += 1
        done.values += len(values)
    return done


def exact_json(value: HandleValue) -> dict[str, Any]:
    """The value in JSON with nothing lost."""
    found = value_to_json(value, exact=True)
    if not value.timestamp:
        found["timestamp"] = _NEVER
    texts = (value.type, *(reference.handle for reference in value.references))
    is_said = value.ttl_type <= TTL_ABSOLUTE and value.permissions <= _PERMISSION_BITS and all(map(is_utf8, texts))
    if not is_said:
        found[WIRE] = b64encode(value.to_bytes()).decode()
    return found


def export_csv(view: StoreView, out: TextIO, *, prefix: str = "") -> Exported:
    """A header `handle,name:index,…` and one record a line. `NotExportedError` where there are too many columns."""
    done = Exported()
    columns = _columns(view, prefix)
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["handle", *(f"{name}:{index}" for index, name in columns)])
    places = {column: place for place, column in enumerate(columns)}
    for record in records_under(view, prefix):
        cells = [""] * len(columns)
        count = 0
        for value in read_values(Reader(record.values)):
            name = value.type.decode(errors="replace")
            if is_plain(value):
                cells[places[value.index, name]] = value.data.decode()
                count += 1
            else:
                done.left_out[name] += 1
        if not count:
            continue
        if not _is_line(record.handle):
            done.unnamed += 1
            continue
        writer.writerow([record.handle.decode(), *cells])
        done.records += 1
        done.values += count
    return done


def _columns(view: StoreView, prefix: str) -> list[tuple[int, str]]:
    found: set[tuple[int, str]] = set()
    for record in records_under(view, prefix):
        found.update(
            (value.index, value.type.decode()) for value in read_values(Reader(record.values)) if is_plain(value)
        )
        if len(found) > COLUMNS_MAX:
            raise NotExportedError(f"more than {COLUMNS_MAX:,} columns: the records are too various for CSV, use jsonl")
    return sorted(found)


def is_plain(value: HandleValue) -> bool:
    """Whether a CSV cell can hold the value: text, no references, the usual permissions."""
    if value.permissions != DEFAULT_PERMISSIONS or value.references or not value.data or not _is_line(value.type):
        return False
    if b"\0" in value.data or b"\r" in value.data:
        return False
    data: Any = value_to_json(value)["data"]
    return bool(data["format"] == "string")


def _is_line(octets: bytes) -> bool:
    """Whether the octets are a text that a header or a handle's cell can hold and give back."""
    text = octets.decode(errors="replace")
    return bool(text) and is_utf8(octets) and text.isprintable() and text == text.strip()
