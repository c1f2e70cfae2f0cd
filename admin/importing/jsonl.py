"""Rows of a JSON-lines file: `{"handle", "values": […]}` or `{"handle", "fields": {name: value}}`, one a line.

Fields become values of type = name; a number becomes the text that the file has for it.
"""

from collections.abc import Collection, Iterator, Mapping
from json import JSONDecodeError, JSONDecoder
from typing import Any, BinaryIO, Final, NoReturn

from pydantic_core import from_json

from admin.importing.lines import bounded_lines
from admin.importing.rows import (
    FIRST_INDEX,
    ROW_SIZE_MAX,
    SEPARATOR,
    Row,
    RowError,
    RowFault,
    RowLimits,
    checked_handle,
    checked_row,
    quoted,
    refused,
)
from admin.importing.templates import Templates
from admin.importing.values import ValueOctets, encoded

_PLANS_MAX: Final = 1_000  # Different sets of fields whose heads are kept.
_PLAN_ROW_SIZE_MAX: Final = 16_384  # Octets of a row whose fields' heads are kept.


class LiteralNumber(str):
    """A number with a fraction or an exponent, as the file wrote it: `1.10` stays `1.10`."""

    __slots__ = ()


def _no_number(text: str) -> NoReturn:
    raise RowFault(f"{text} is no number of JSON")


# The quick parser reads what is usual; the slow ones say what is wrong, and know how a number was written.
_DECODER: Final = JSONDecoder(parse_constant=_no_number)
_LITERAL_DECODER: Final = JSONDecoder(parse_float=LiteralNumber, parse_constant=_no_number)


class JsonLines:
    """Reads the rows of one file."""

    def __init__(self, octets: ValueOctets, *, limits: RowLimits, templates: Templates | None = None) -> None:
        self._octets = octets
        self._limits = limits
        self._templates = templates
        self._plans: dict[tuple[object, ...], dict[str, bytes]] = {}

    def rows(self, file: BinaryIO) -> Iterator[Row | RowError]:
        """Each line as a row or as what is wrong with it, in order; empty lines make none."""
        for number, line in bounded_lines(file, size_max=ROW_SIZE_MAX):
            if line is None:
                yield RowError(number, "", "", f"a line of more than {ROW_SIZE_MAX:,} octets")
                continue
            line = line.strip()
            if not line:
                continue
            record: Any = None
            try:
                record = _parsed(line)
                yield self._row(number, record, line)
            except RowFault as fault:
                yield refused(number, fault, _handle_of(record))

    def _row(self, number: int, record: Any, line: bytes) -> Row:
        if type(record) is not dict:
            raise RowFault(f"{quoted(record)} is no record: one object a line, with handle and values or fields")
        name = record.get("handle")
        if type(name) is not str:
            raise RowFault("the handle is missing" if name is None else "the handle must be a text", "handle")
        handle = checked_handle(encoded(name, "handle"))
        if "values" in record:
            if "fields" in record:
                raise RowFault("a record has values or fields, not both")
            return checked_row(number, handle, self._octets.of_json(record["values"]))
        if "fields" not in record:
            raise RowFault("the record has neither values nor fields")
        return checked_row(number, handle, self._fields(record["fields"], record.get("template"), line))

    def _fields(self, fields: Any, template: object, line: bytes) -> bytes:
        if type(fields) is not dict:
            raise RowFault("fields must be an object of names and texts", "fields")
        if float in map(type, fields.values()):
            fields = _parsed_slowly(line, _LITERAL_DECODER)["fields"]
        heads = self._heads(fields, template if type(template) is str else None, len(line))
        try:
            texts = [item.encode() if type(item := fields[name]) is str else _text(name, item) for name in heads]
        except UnicodeEncodeError:
            raise RowFault("text with half a surrogate pair, which no UTF-8 can say", "fields") from None
        self._check_texts(heads, texts, len(line))
        return self._octets.of_texts(heads.values(), texts)

    def _heads(self, fields: Mapping[str, object], template: str | None, size: int) -> dict[str, bytes]:
        """The head of each field's value by the field's name, in the order of their indexes."""
        key = (template, *fields)
        heads = self._plans.get(key)
        if heads is None:
            heads = self._plan(fields, template)
            if size <= _PLAN_ROW_SIZE_MAX:
                if len(self._plans) >= _PLANS_MAX:
                    self._plans.clear()
                self._plans[key] = heads
        return heads

    def _plan(self, fields: Mapping[str, object], template: str | None) -> dict[str, bytes]:
        if "" in fields:
            raise RowFault("a field without a name", "fields")
        indexes = self._indexes(fields, template)
        return {name: self._octets.text_head(indexes[name], name) for name in sorted(indexes, key=indexes.__getitem__)}

    def _indexes(self, fields: Mapping[str, object], template: str | None) -> dict[str, int]:
        if self._templates is None:
            return {name: FIRST_INDEX + position for position, name in enumerate(fields)}
        if template is None:
            found = self._templates.covering(fields)
        else:
            named = self._templates.by_handle(template)
            if named is None:
                raise RowFault(f"template {quoted(template)} is not in {self._templates.source}", "template")
            found = named
        for name in fields:
            if name not in found.indexes:
                raise RowFault(f"template {found.handle} has no such field", f"fields.{name}")
        return {name: found.indexes[name] for name in fields}

    def _check_texts(self, names: Collection[str], texts: list[bytes], size: int) -> None:
        if size > self._limits.value_size:  # Escapes only lengthen a text: a short line holds no long one.
            for name, text in zip(names, texts, strict=True):
                self._octets.check_size(text, f"fields.{name}")
        if any(b"\0" in text for text in texts):
            name = next(name for name, text in zip(names, texts, strict=True) if b"\0" in text)
            raise RowFault("a NUL character, which no text has", f"fields.{name}")


def _parsed(line: bytes) -> Any:
    try:
        return from_json(line, allow_inf_nan=False)
    except ValueError:
        return _parsed_slowly(line)


def _parsed_slowly(line: bytes, decoder: JSONDecoder = _DECODER) -> Any:
    try:
        text = line.decode()
        record, end = decoder.raw_decode(text)
    except UnicodeDecodeError as error:
        raise RowFault(f"not UTF-8 at octet {error.start + 1}: JSON has no other encoding") from None
    except RecursionError:
        raise RowFault("JSON that is nested too deep") from None
    except JSONDecodeError as error:
        raise RowFault(f"not JSON: {error.msg} at character {error.pos + 1}") from None
    except ValueError as error:  # A whole number of more digits than Python takes.
        raise RowFault(f"not JSON that can be read: {error}") from None
    if end != len(text):
        raise RowFault(f"not one JSON value: more follows at character {end + 1}")
    return record


def _text(name: str, item: object) -> bytes:
    """The text of a field that is none in JSON; `RowFault` where it is an object or a list of such."""
    if item is None:
        return b""
    if item is True or item is False:
        return b"true" if item else b"false"
    if type(item) is int or type(item) is LiteralNumber:
        return str(item).encode()
    if type(item) is list and all(type(member) is str for member in item):
        if any(SEPARATOR in member for member in item):
            raise RowFault(f"a member of the list holds {SEPARATOR!r}, which joins the members", f"fields.{name}")
        return SEPARATOR.join(item).encode()
    raise RowFault(f"{quoted(item)}: a field is a text, a number or a list of texts", f"fields.{name}")


def _handle_of(record: Any) -> str:
    name = record.get("handle") if type(record) is dict else None
    return name if type(name) is str else ""
