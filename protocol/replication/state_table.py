"""StreamTable, a text form of tables and lists, and the replication state that is kept in it. Opens no file.

Sources: spec, resolution: section 9; spec, software in service: section 4. Read is what that grammar allows; that the
deployed reader loses the character behind an unquoted word is not copied. Written is as deployed servers write.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from protocol.errors import Malformed
from protocol.limits import STRING_SIZE_MAX

STREAM_TABLE_SIZE_MAX: Final = STRING_SIZE_MAX  # Octets of a text: some 5,000 sources.
STREAM_TABLE_DEPTH_MAX: Final = 16  # Tables and lists in each other: the replication state has three.
_NUMBER_DIGITS_MAX: Final = 19  # Of the greatest number of eight octets.
_I64_MAX: Final = 0x7FFFFFFFFFFFFFFF

_SEPARATORS: Final = re.compile(r"[ \t\r\n,;]*+")
_STRING: Final = re.compile(r'"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
_WORD: Final = re.compile(r'[^ \t\r\n,;={}()"]++')
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)

Entry = str | list["Entry"] | dict[str, "Entry"]
"""What a table or a list holds."""


@dataclass(frozen=True, slots=True)
class SourceState:
    """How far one server of a source was followed: its last transaction and its last date, in ms since 1970."""

    number: int = 0
    date_ms: int = 0


ReplicationState = Mapping[str, tuple[SourceState, ...]]
"""Site name (`index:handle`, or `sources`) → the state of its servers by their number."""


def read_replication_state(text: bytes) -> dict[str, tuple[SourceState, ...]]:
    """The state in a text. What a server's entry lacks is 0; `Malformed` where the text tells something else."""
    return {site: tuple([_state(entry) for entry in _list(entries)]) for site, entries in read_table(text).items()}


def write_replication_state(state: ReplicationState) -> bytes:
    """The text of a state, laid out as deployed servers write it."""
    return ("{\n" + "".join([_site_text(site, servers) for site, servers in state.items()]) + "}").encode()


def read_table(text: bytes) -> dict[str, Entry]:
    """The table that a text is; of two equal keys the later counts. `Malformed` for everything else."""
    if len(text) > STREAM_TABLE_SIZE_MAX:
        raise Malformed(f"a table of {len(text)} octets, at most {STREAM_TABLE_SIZE_MAX} allowed")
    try:
        parser = _Parser(text.decode())
    except UnicodeDecodeError:
        raise Malformed("a table that is not UTF-8") from None
    found = parser.entry(STREAM_TABLE_DEPTH_MAX)
    if not isinstance(found, dict) or parser.next_character():
        raise Malformed("a text that is not one table")
    return found


class _Parser:
    """A position in a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    def next_character(self) -> str:
        """The next character that is no separator, unread; empty at the end."""
        found = _SEPARATORS.match(self._text, self._position)
        assert found is not None, "no separator is a match, too"
        self._position = found.end()
        return self._text[self._position : self._position + 1]

    def entry(self, depth_left: int) -> Entry:
        character = self.next_character()
        if character not in ("{", "("):
            return self._string()
        if depth_left == 0:
            raise Malformed(f"tables nested deeper than {STREAM_TABLE_DEPTH_MAX}")
        self._position += 1
        return self._table(depth_left - 1) if character == "{" else self._list(depth_left - 1)

    def _table(self, depth_left: int) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        while not self._closed("}"):
            key = self._string()
            if self.next_character() != "=":
                raise Malformed("a key without a value")
            self._position += 1
            found[key] = self.entry(depth_left)
        return found

    def _list(self, depth_left: int) -> list[Entry]:
        found: list[Entry] = []
        while not self._closed(")"):
            found.append(self.entry(depth_left))
        return found

    def _closed(self, bracket: str) -> bool:
        is_closed = self.next_character() == bracket
        self._position += is_closed
        return is_closed

    def _string(self) -> str:
        quoted = self.next_character() == '"'
        found = (_STRING if quoted else _WORD).match(self._text, self._position)
        if found is None:
            raise Malformed(f"no string at {self._position} of a table")
        self._position = found.end()
        return _ESCAPED.sub(_unescaped, found[1]) if quoted else found[0]


def _unescaped(found: re.Match[str]) -> str:
    return "\n" if found[1] == "n" else found[1]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _site_text(site: str, servers: tuple[SourceState, ...]) -> str:
    return f'  "{_escaped(site)}" = (\n' + "".join(map(_server_text, servers)) + "  )\n\n"


def _server_text(state: SourceState) -> str:
    return (
        "{\n"
        f'      "last_timestamp" = "{state.date_ms}"\n'
        f'      "last_txn_id" = "{state.number}"\n'
        "    }\n"
    )  # fmt: skip


def _list(entry: Entry) -> list[Entry]:
    if not isinstance(entry, list):
        raise Malformed("a site without a list of servers")
    return entry


def _state(entry: Entry) -> SourceState:
    if not isinstance(entry, dict):
        raise Malformed("a server whose state is no table")
    return SourceState(_number(entry.get("last_txn_id", "0")), _number(entry.get("last_timestamp", "0")))


def _number(entry: Entry) -> int:
    if not isinstance(entry, str) or len(entry) > _NUMBER_DIGITS_MAX + 1 or not re.fullmatch(r"-?[0-9]+", entry):
        raise Malformed("a state that is no number")
    number = int(entry)
    if not -_I64_MAX - 1 <= number <= _I64_MAX:
        raise Malformed(f"a state of {number}")
    return number
