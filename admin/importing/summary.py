"""What an import came to. Counts; decides nothing."""

from dataclasses import dataclass
from typing import Final

from admin.importing.rows import RowError

ERRORS_SHOWN_MAX: Final = 20
"""Errors that a summary carries; all of them go to the error file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The end of a run. In a dry run the counts are what would have happened. `errors` are those of the first lines.

    `rows` were read; of these `failed` were refused, `kept` stood already and were left alone. `stopped`: the first
    error ended the run before anything was written. `interrupted`: asked to end early. `fault`: the store refused to go
    on, for this reason. What is counted as created or replaced is in the store, however the run ended.
    """

    rows: int = 0
    created: int = 0
    replaced: int = 0
    unchanged: int = 0
    kept: int = 0
    failed: int = 0
    homed: int = 0
    seconds: float = 0.0
    file_format: str = ""
    encoding: str = ""
    dry_run: bool = False
    stopped: bool = False
    interrupted: bool = False
    fault: str = ""
    errors: tuple[RowError, ...] = ()

    @property
    def wrote(self) -> bool:
        """Whether anything in the store is new or different."""
        return not self.dry_run and bool(self.created or self.replaced or self.homed)

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds if self.seconds else 0.0


@dataclass(slots=True)
class Tally:
    """The counts while they grow."""

    rows: int = 0
    created: int = 0
    replaced: int = 0
    unchanged: int = 0
    kept: int = 0
    failed: int = 0
    homed: int = 0
