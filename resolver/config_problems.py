"""What can be wrong with a configuration, as a value. Imports no validator, so that a command can name it cheaply."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend: `key` is its path (`udp.listen[0]`; empty for the whole file), `hint` what to write instead.

    `origin` says where the value came from: `hnode.toml:12`, `env HNODE_UDP__LISTEN`, `default`.
    """

    key: str
    text: str
    hint: str = ""
    origin: str = ""

    def __str__(self) -> str:
        head = f"{self.origin}: " if self.origin else ""
        key = f"{self.key}: " if self.key else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{head}{key}{self.text}{hint}"


class ConfigError(Exception):
    """The configuration cannot be used; `problems` holds every reason that was found, not only the first."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.path = path
        self.problems = tuple(problems)
