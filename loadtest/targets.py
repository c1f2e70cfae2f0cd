"""What the issue asks for, held against what was measured. Tells; decides nothing: a benchmark fails no build."""

from dataclasses import dataclass
from typing import Final

from loadtest.report import Report


@dataclass(frozen=True, slots=True)
class Target:
    """A number that should not pass its limit, or not stay below it where it `is_least`; the worst section counts.

    `scale` makes the unit of the fact.
    """

    text: str
    limit: float
    fact: str
    sections: tuple[str, ...]
    scale: float = 1.0
    is_least: bool = False

    def found(self, report: Report) -> float | None:
        """The worst number, in the limit's unit; None where a section did not run."""
        facts = [report.fact(section, self.fact) for section in self.sections]
        known = [fact for fact in facts if fact is not None]
        worst = min if self.is_least else max
        return worst(known) * self.scale if len(known) == len(facts) else None

    def is_reached(self, found: float) -> bool:
        """Whether a number is on the right side of the limit."""
        return found >= self.limit if self.is_least else found <= self.limit


_BOTH_ORDERS: Final = ("import sequential", "import interleaved")

TARGETS: Final = (
    Target("server CPU of a UDP resolution, window 16, ÷ fixed-answer echo", 1.5, "cpu_ratio", ("udp 16",)),
    Target("UDP with the large store ÷ with the small one, window 16", 1.15, "size_ratio", ("udp 16",)),
    Target("TCP resolution on kept connections, one at a time, ÷ echo", 1.6, "cpu_ratio", ("tcp-kept 1",)),
    Target("TCP resolution on kept connections, window 16, ÷ echo", 1.6, "cpu_ratio", ("tcp-kept 16",)),
    Target("anonymous memory of a worker, MB", 100, "worker_octets", ("memory",), 1e-6),
    Target("seconds from the command to ready", 1.0, "seconds", ("start-up",)),
    Target("store on disk ÷ encoded octets", 1.8, "disk_ratio", _BOTH_ORDERS),
    Target("import time ÷ loop of json.loads and one LMDB put", 4.0, "time_ratio", _BOTH_ORDERS),
    Target("acknowledged writes a commit, 64 sessions", 8, "writes_a_commit", ("writes",), is_least=True),
    Target("server CPU of a write ÷ a resolution, both in sessions with MACs", 3, "cpu_ratio", ("writes",)),
    Target("server CPU that a challenge adds ÷ a check of its RSA-2048 signature", 2, "extra_ratio", ("challenges",)),
    Target("percent of resolutions kept beside 1,000 writes/s", 85, "kept", ("mixed",), 100, is_least=True),
    Target("server CPU of a cached answer ÷ a homed one, UDP, window 16", 1.2, "cpu_ratio", ("cached",)),
    Target("CPU of a cold walk over three levels ÷ its questions by the raw generator", 4, "cold_ratio", ("walks",)),
    Target("p99 of cached answers beside 1,000 walks/s that wait ÷ idle", 3, "p99_ratio", ("waiting",)),
    Target("answers that were no SUCCESS or answered nothing", 0, "wrong", ("answers",)),
)


def judge(report: Report) -> None:
    """Print each target with reached, not reached or not measured."""
    rows = []
    for target in TARGETS:
        found = target.found(report)
        number = "" if found is None else f"{found:.2f}"
        verdict = "not measured" if found is None else "reached" if target.is_reached(found) else "NOT REACHED"
        rows.append([target.text, f"{'≥' if target.is_least else '≤'} {target.limit:g}", number, verdict])
        report.keep("targets", **{target.text: {"limit": target.limit, "found": found, "verdict": verdict}})
    report.table(["target", "limit", "found", ""], rows)
