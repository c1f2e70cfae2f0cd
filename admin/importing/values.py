"""Values of rows as octets, made without a `HandleValue` for each. What `HandleValue.to_bytes` gives is the measure.

Nearly every value of a bulk file is text: its octets are a head that many values share (all up to the size of the
data), the data and an empty reference list. Heads are made by the slow way (`protocol.json_form.values`), and kept.
"""

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Iterable, Sequence
from dataclasses import replace
from struct import Struct
from typing import Any, Final

from admin.importing.rows import RowFault, RowLimits, checked_index, quoted
from protocol.errors import HandleError
from protocol.json_form.values import value_from_json
from protocol.value import HandleValue
from protocol.wire import Reader

COUNT: Final = Struct(">I")
NO_REFERENCES: Final = COUNT.pack(0)
WIRE: Final = "wire"
"""A key of a value whose octets JSON cannot say: all of them in base64. It is taken before the other keys."""

_EMPTY_TAIL_SIZE: Final = 2 * COUNT.size  # No data, no references.
_KEPT_MAX: Final = 10_000  # Heads and structured values that are kept: a file has few, a hostile one many.
_KEPT_SIZE_MAX: Final = 1_024  # Octets of one that is kept: a head is as long as the value's type, and 22 more.
_PARTS: Final = (int, str, type(None))


class ValueOctets:
    """Makes value octets for one run: `timestamp` (seconds since 1970) is that of values which bring none."""

    def __init__(self, *, timestamp: int, limits: RowLimits) -> None:
        self._timestamp = timestamp
        self._limits = limits
        self._heads: dict[tuple[Any, ...], bytes] = {}
        self._usual_heads: dict[tuple[Any, ...], bytes] = {}
        self._structured: dict[tuple[Any, ...], bytes] = {}

    def text_head(self, index: int, name: str) -> bytes:
        """What stands before the data of a value of text: `octets = head + size + data + NO_REFERENCES`."""
        value = HandleValue(index=checked_index(index), type=encoded(name), data=b"", timestamp=self._timestamp)
        return value.to_bytes()[:-_EMPTY_TAIL_SIZE]

    def of_texts(self, heads: Iterable[bytes], texts: Iterable[bytes]) -> bytes:
        """The value list of the texts that are not empty, each behind its head."""
        pack = COUNT.pack
        parts = [head + pack(len(text)) + text + NO_REFERENCES for head, text in zip(heads, texts, strict=True) if text]
        if not parts:
            raise RowFault("no values: every field is empty")
        if len(parts) > self._limits.value_count:
            raise RowFault(f"{len(parts):,} values, at most {self._limits.value_count:,} are allowed")
        return pack(len(parts)) + b"".join(parts)

    def of_json(self, values: object) -> bytes:
        """The value list of a record's `values`, in their order; the fault names the value by its position."""
        if type(values) is not list:
            raise RowFault("values must be a list", "values")
        if len(values) > self._limits.value_count:
            raise RowFault(f"{len(values):,} values, at most {self._limits.value_count:,} are allowed", "values")
        parts: list[bytes] = []
        for value in values:
            try:
                octets = self._usual(value) or self._text(value) or self._any(value)
            except RowFault as fault:
                raise RowFault(fault.reason, f"values[{len(parts)}]{fault.column}") from None
            parts.append(octets)
        if len({octets[:4] for octets in parts}) != len(parts):
            raise _index_twice(parts)
        return COUNT.pack(len(parts)) + b"".join(parts)

    def check_size(self, data: bytes, column: str) -> None:
        """`RowFault` where a value's data is longer than allowed."""
        if len(data) > self._limits.value_size:
            raise RowFault(f"{len(data):,} octets of data, at most {self._limits.value_size:,} are allowed", column)

    def _usual(self, value: Any) -> bytes | None:
        """The octets of `{"index", "type", "data": {"format": "string", "value"}, "ttl"}` with a known head, or None.

        Nearly all values of a large file are such; every doubt is left to the slower ways.
        """
        try:
            index, ttl, data = value["index"], value["ttl"], value["data"]
            text = data["value"]
            if len(value) != 4 or len(data) != 2 or data["format"] != "string":
                return None
            if type(index) is not int or type(ttl) is not int or type(text) is not str:  # True equals 1.
                return None
            octets = text.encode()
            if len(octets) > self._limits.value_size:
                return None
            return self._usual_heads[index, value["type"], ttl] + COUNT.pack(len(octets)) + octets + NO_REFERENCES
        except (KeyError, TypeError, UnicodeEncodeError):
            return None

    def _text(self, value: Any) -> bytes | None:
        """The octets of a value of plain text whose head is known or can be; None where it is another kind."""
        try:
            data = value["data"]
            text: Any = data
            if type(data) is not str:
                if len(data) != 2 or data["format"] != "string":
                    return None
                text = data["value"]
            if type(text) is not str or "references" in value or WIRE in value:
                return None
            get = value.get
            key = (value["index"], value["type"], get("ttl"), get("timestamp"), get("permissions"))
        except (KeyError, TypeError, AttributeError):
            return None
        if not all(type(part) in _PARTS for part in key):  # A list is no key of a dict.
            return None
        head = self._heads.get(key) or self._new_head(key, value)
        octets = encoded(text, ".data")
        self.check_size(octets, ".data")
        return head + COUNT.pack(len(octets)) + octets + NO_REFERENCES

    def _new_head(self, key: tuple[Any, ...], value: dict[str, Any]) -> bytes:
        whole = self._read(value | {"data": {"format": "string", "value": ""}})
        head = whole.to_bytes()[:-_EMPTY_TAIL_SIZE]
        if len(head) > _KEPT_SIZE_MAX:
            return head
        if len(self._heads) >= _KEPT_MAX:
            self._heads.clear()
            self._usual_heads.clear()
        self._heads[key] = head
        if key[3:] == (None, None) and type(key[2]) is int:
            self._usual_heads[key[:3]] = head
        return head

    def _any(self, value: Any) -> bytes:
        """The octets of a value of any kind, by way of a `HandleValue`."""
        if type(value) is not dict:
            raise RowFault(f"{quoted(value)} is no value: an object with index, type and data is one")
        key = _administrator_key(value)
        known = self._structured.get(key) if key else None
        if known is not None:
            return known
        found = _from_wire(value[WIRE]) if WIRE in value else self._read(value)
        self.check_size(found.data, ".data")
        octets = found.to_bytes()
        if key and len(octets) <= _KEPT_SIZE_MAX:
            if len(self._structured) >= _KEPT_MAX:
                self._structured.clear()
            self._structured[key] = octets
        return octets

    def _read(self, value: dict[str, Any]) -> HandleValue:
        try:
            found = value_from_json(value)
        except HandleError as error:
            place, _, reason = str(error).partition(": ")
            raise RowFault(reason, f".{place}") from None
        checked_index(found.index, ".index")
        return found if "timestamp" in value else replace(found, timestamp=self._timestamp)


def encoded(text: str, column: str = "") -> bytes:
    """The text in UTF-8; `RowFault` where it holds half a surrogate pair."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise RowFault("text with half a surrogate pair, which no UTF-8 can say", column) from None


def _index_twice(parts: Sequence[bytes]) -> RowFault:
    seen: dict[bytes, int] = {}
    for position, octets in enumerate(parts):
        first = seen.setdefault(octets[:4], position)
        if first != position:
            index = int.from_bytes(octets[:4], "big")
            return RowFault(f"index {index} stands at values[{first}] already", f"values[{position}].index")
    raise AssertionError("no index stands twice")


def _administrator_key(value: dict[str, Any]) -> tuple[Any, ...] | None:
    """What tells two HS_ADMIN values apart, where all of it is plain: a file says the same few a million times."""
    try:
        data = value["data"]
        inner = data["value"]
        if len(data) != 2 or len(inner) != 3 or "references" in value or WIRE in value:
            return None
        get = value.get
        who = (inner["handle"], inner["index"], inner["permissions"])
        key = (value["index"], value["type"], get("ttl"), get("timestamp"), get("permissions"), data["format"], *who)
    except (KeyError, TypeError):
        return None
    return key if all(type(part) in _PARTS for part in key) else None


def _from_wire(text: object) -> HandleValue:
    try:
        octets = Reader(b64decode(text, validate=True) if type(text) is str else b"")
        found = HandleValue.read(octets)
        octets.expect_end("a value")
    except (HandleError, NotBase64, ValueError) as error:
        raise RowFault(f"not the octets of one value: {error}", ".wire") from None
    checked_index(found.index, ".wire")
    return found
