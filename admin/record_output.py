"""How a stored record is shown: a table of its values, or the JSON of a resolution. Reads no store."""

import json
from collections.abc import Sequence
from typing import Any

from admin.context import JSON, CommandContext
from admin.output import note, print_json, print_line, print_rows, printable, say
from protocol.codes import ResponseCode
from protocol.json_form.values import record_to_json
from protocol.value import HandleValue

COLUMNS = ("index", "type", "ttl", "permissions", "timestamp", "data")


def print_told(context: CommandContext, told: dict[str, Any]) -> None:
    """A JSON answer, indented or on one line."""
    (print_json if context.output == JSON else print_line)(told)


def print_missing(context: CommandContext, handle: str, code: ResponseCode) -> None:
    """That the handle, or the values asked for, do not exist: on standard error, or as the JSON answer that says so."""
    told: dict[str, Any] = {"responseCode": int(code)}
    if code == ResponseCode.VALUES_NOT_FOUND:
        told["values"] = []
    told["handle"] = handle
    if context.is_table:
        what = "does not exist" if code == ResponseCode.HANDLE_NOT_FOUND else "has no such value"
        note(context, f"{printable(handle)} {what}")
    else:
        print_told(context, told)


def print_record(context: CommandContext, handle: bytes, values: Sequence[HandleValue]) -> None:
    """The values of one handle, at least one."""
    told: Any = record_to_json(handle, values)
    if not context.is_table:
        print_told(context, told)
        return
    rows = []
    for value in told["values"]:
        data = value["data"]["value"]
        shown = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
        permissions = value.get("permissions", "1110")
        rows.append([value["index"], value["type"], value["ttl"], permissions, value.get("timestamp", ""), shown])
    print_rows(context, COLUMNS, rows)


def print_change(context: CommandContext, told: str, handle: bytes, **facts: object) -> None:
    """What became of a handle: a sentence such as `created 88.100/A1 (3 values: …)`, or JSON with code 1."""
    name = handle.decode(errors="replace")
    if not context.is_table:
        print_told(context, {"responseCode": int(ResponseCode.SUCCESS), "handle": name, "result": told, **facts})
        return
    details = ", ".join(printable(value) for value in facts.values())
    say(context, f"{told} {printable(name)}" + (f"  ({details})" if details else ""))
