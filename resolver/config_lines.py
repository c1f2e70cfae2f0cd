"""Where the keys of a TOML text stand: key path to line number. Works on text that `tomllib` accepted, and judges none.

The parser of the standard library keeps no positions; here it is asked again, a few lines at a time, where a value
ends. A key written in a way that is not understood here (dotted over several tables) merely has no line.
"""

import re
import tomllib
from collections.abc import Sequence
from typing import Final

_LINES_MAX: Final = 400  # Of one value: each further line costs more, and a number is not worth a second's wait.
_HEADER: Final = re.compile(r"""\s*\[\s*["']?([A-Za-z0-9_.-]+)["']?\s*\]""")
_KEY: Final = re.compile(r"""\s*["']?([A-Za-z0-9_.-]+)["']?\s*=""")


def key_lines(text: str) -> dict[str, int]:
    """Line numbers from 1 of `section`, `section.key` and, for lists over several lines, `section.key[0]`."""
    found: dict[str, int] = {}
    lines = text.split("\n")
    section, position = "", 0
    while position < len(lines):
        header, key = _HEADER.match(lines[position]), _KEY.match(lines[position])
        size = 1
        if key:
            path = f"{section}.{key[1]}" if section else key[1]
            found[path] = position + 1
            size = _value_size(lines[position : position + _LINES_MAX], key.end())
            if not size:
                break
            for item, line in enumerate(_item_lines(lines[position : position + size], key.end())):
                found[f"{path}[{item}]"] = position + 1 + line
        elif header:
            section = header[1]
            found[section] = position + 1
        position += size
    return found


def _parsed(text: str) -> object:
    """The value that the text writes, or None where it is not complete."""
    try:
        return tomllib.loads("value = " + text)["value"]
    except ValueError:
        return None


def _value_size(lines: Sequence[str], start: int) -> int:
    """How many lines the value takes that begins at `start` in the first of them; 0 where these are not enough."""
    for size in range(1, len(lines) + 1):
        if _parsed("\n".join(lines[:size])[start:]) is not None:
            return size
    return 0


def _item_lines(lines: Sequence[str], start: int) -> list[int]:
    """For each item of a list, how many lines below the key it ends; nothing for other values."""
    ends: list[int] = []
    for size in range(1, len(lines) + 1):
        part = "\n".join(lines[:size])[start:]
        items = _parsed(part) if size == len(lines) else _parsed(part + "\n]")
        if isinstance(items, list):
            ends.extend([size - 1] * (len(items) - len(ends)))
    return ends
