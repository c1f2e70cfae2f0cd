"""What became of each command of a batch, as the lines of the log that tools of the software in service read."""

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum


class Outcome(Enum):
    """How a command ended, as the log calls it."""

    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    INVALID = "INVALID"


@dataclass(frozen=True, slots=True)
class Event:
    """One command's end. `word` and `handle` are empty for lines that are no command."""

    outcome: Outcome
    line: int
    word: str = ""
    handle: str = ""
    reason: str = ""

    def text(self) -> str:
        """The line of the log: `==>SUCCESS[12]: create:88.100/A1`."""
        said = [f"{self.word}:{self.handle}"] if self.word else []
        said += [self.reason] if self.reason else []
        return f"==>{self.outcome.value}[{self.line}]: {': '.join(said)}"

    def members(self) -> dict[str, object]:
        """The same for a program."""
        facts: dict[str, object] = {"line": self.line, "result": self.outcome.value.lower()}
        facts |= {"operation": self.word, "handle": self.handle} if self.word else {}
        return facts | ({"reason": self.reason} if self.reason else {})


@dataclass(slots=True)
class Totals:
    """How many commands ended how, by their words; `stopped` says why the run ended before its file did."""

    succeeded: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    invalid: int = 0
    stopped: str = ""

    @property
    def success_count(self) -> int:
        """Commands that did what they say."""
        return self.succeeded.total()

    @property
    def failure_count(self) -> int:
        """Commands that did not, and lines that are none."""
        return self.failed.total() + self.invalid

    def count(self, event: Event) -> None:
        """Take one more."""
        if event.outcome is Outcome.SUCCESS:
            self.succeeded[event.word] += 1
        elif event.outcome is Outcome.FAILURE:
            self.failed[event.word] += 1
        else:
            self.invalid += 1

    def lines(self) -> list[str]:
        """The end of the log: each word with how many of its commands succeeded, then all of them."""
        words = sorted({*self.succeeded, *self.failed})
        found = [
            f"{word}: {self.succeeded[word]} of {self.succeeded[word] + self.failed[word]} succeeded" for word in words
        ]
        found += [f"invalid: {self.invalid}"] if self.invalid else []
        found += [f"stopped: {self.stopped}"] if self.stopped else []
        return [*found, f"total: {self.success_count} succeeded, {self.failure_count} failed"]
