"""What a check says: fine, doubtful or broken, why, and the command or line that mends it."""

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check: its name (`doctor.<check>` in the catalogue), and what mends it, if anything must."""

    check: str
    level: Level
    said: str
    mend: str = ""


def worst(check: str, findings: list[Finding], good: str) -> Finding:
    """All that one check found as one finding: its worst level, all sentences and all mends; `good` where none."""
    bad = [finding for finding in findings if finding.level is not Level.OK]
    if not bad:
        return Finding(check, Level.OK, good)
    level = Level.FAIL if any(finding.level is Level.FAIL for finding in bad) else Level.WARN
    mends = dict.fromkeys(finding.mend for finding in bad if finding.mend)
    return Finding(check, level, "; ".join(finding.said for finding in bad), "; ".join(mends))
