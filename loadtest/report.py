"""What the benchmark tells: tables for a reader while it runs, facts as JSON at the end. Measures nothing."""

import json
import sys
from collections.abc import Sequence
from typing import Final, TextIO

Facts = dict[str, object]

_GAP: Final = "  "
_DIGITS: Final = 3


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, names: int = 1) -> str:
    """Rows under their headers; the first columns, which name a row, to the left, the others to the right."""
    lines = [headers, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    return "\n".join(
        _GAP.join(
            word.ljust(width) if column < names else word.rjust(width)
            for column, (word, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


class Report:
    """Prints as it goes and keeps the facts, by section."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self.facts: dict[str, Facts] = {}

    def say(self, text: str) -> None:
        """One line, at once: a run takes minutes."""
        print(text, file=self._stream, flush=True)

    def section(self, title: str) -> None:
        """A heading."""
        self.say(f"\n== {title}")

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[str]], *, names: int = 1) -> None:
        """A table."""
        self.say(table(headers, rows, names=names))

    def keep(self, section: str, **facts: object) -> None:
        """Facts for the JSON object and for the targets."""
        self.facts.setdefault(section, {}).update(facts)

    def fact(self, section: str, name: str) -> float | None:
        """A number that was kept, or None where that section did not run."""
        found = self.facts.get(section, {}).get(name)
        return float(found) if isinstance(found, int | float) else None

    def finish(self) -> None:
        """The JSON object."""
        self.section("facts")
        self.say(json.dumps(_rounded(self.facts), ensure_ascii=False, sort_keys=True))


def _rounded(fact: object) -> object:
    if isinstance(fact, dict):
        return {name: _rounded(part) for name, part in fact.items()}
    return round(fact, _DIGITS) if isinstance(fact, float) else fact
