"""What a check says: fine, doubtful or broken, why, and the command or line that mends it."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

TOLD_MAX: Final = 5
"""Sentences that one check says: what ails hundreds of prefixes is mostly one thing."""


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
    """What a check found as one finding: the worst level, the worst sentences first, their mends; or `good`."""
    bad = [finding for finding in findings if finding.level is not Level.OK]
    if not bad:
        return Finding(check, Level.OK, good)
    bad.sort(key=lambda finding: finding.level is not Level.FAIL)
    told = bad[:TOLD_MAX]
    more = [f"and {len(bad) - TOLD_MAX:,} more"] if len(bad) > TOLD_MAX else []
    mends = dict.fromkeys(finding.mend for finding in told if finding.mend)
    return Finding(check, bad[0].level, "; ".join([finding.said for finding in told] + more), "; ".join(mends))
