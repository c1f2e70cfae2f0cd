"""The benchmark's sections of the hierarchy: what cached answers and walks cost a recursive node, and who waits."""

from collections.abc import Mapping
from statistics import median
from typing import Final

from loadtest.hierarchy import DEAD, WALKS_MAX, Hierarchy, Run
from loadtest.plan import Result
from loadtest.processes import Failed, Server
from loadtest.silent import Waiting, asking, distinct
from loadtest.stage import Stage

_US_A_S: Final = 1_000_000
_QUIET: Final = 8  # An idle machine's slowest answers take so many times the middle one's; a busy one's, far more.
_MARGIN_S: Final = 5  # Questions for a silent server last longer than the load beside them, by the start of that.


def hierarchy(stage: Stage) -> None:
    """Cold walks over three levels, cached answers against homed ones, and cached answers while walks wait."""
    if stage.load_core is not None:
        stage.report.say("cores: the recursive node has one; the generator, the three levels and who waits the other")
    with Hierarchy.running(stage) as made, made.recursive("recursive") as server:
        walks(stage, made, server)
        made.asked(server, len(made.handles))  # Every name once: what answers are remembered as is made then.
        cached(stage, made, server)
        waiting(stage, made, server)


def walks(stage: Stage, made: Hierarchy, server: Server) -> None:
    """Each name once, through a recursive node that knows the root alone.

    A walk's cost is CPU of that node, by the questions it sends times the generator's CPU for one of those: the same
    names, as many under way at a time, asked of the same enterprise. That is measured before and after.
    """
    count = len(made.handles)
    raws = _raw(stage, made)
    before = made.answered()
    walk = made.asked(server, count)
    questions = (made.answered() - before) / count
    raw_us = median([*raws, *_raw(stage, made)])
    if questions < 1:
        raise Failed(f"{count:,} walks asked {questions:.2f} questions each: something was known already")
    ratio = walk.cpu_us / (questions * raw_us)
    stage.report.keep("walks", walk_cpu_us=walk.cpu_us, raw_cpu_us=raw_us, questions=questions, cold_ratio=ratio)
    rate = f"{count:,} names, {walk.result.throughput:,.0f} walks/s"
    told = f"{walk.cpu_us:.1f} µs a walk of {questions:.2f} questions, raw {raw_us:.1f} µs a question: {ratio:.2f}"
    stage.report.say(f"cold: {rate}, {told}")


def _raw(stage: Stage, made: Hierarchy) -> list[float]:
    """The generator's CPU for a question, in µs, with nobody else on its core."""
    with made.measured("enterprise") as enterprise:
        runs = [made.asked(enterprise, len(made.handles)).result for _ in range(stage.sizes.rounds)]
    return [result.cpu_s / result.requests * _US_A_S for result in runs]


def cached(stage: Stage, made: Hierarchy, server: Server) -> None:
    """The same records from memory and from a store, in turn and on the same core."""
    found: dict[str, list[Run]] = {"homed": [], "cached": []}
    count = stage.sizes.requests // 2
    with made.measured("enterprise") as enterprise:
        for _ in range(stage.sizes.rounds):
            for name, asked in (("homed", enterprise), ("cached", server)):
                found[name].append(made.asked(asked, count))
    homed_us, cached_us = (median(run.cpu_us for run in found[name]) for name in ("homed", "cached"))
    stage.report.keep("cached", homed_cpu_us=homed_us, cached_cpu_us=cached_us, cpu_ratio=cached_us / homed_us)
    rows = []
    for name, cpu_us in (("homed", homed_us), ("cached", cached_us)):
        results = [run.result for run in found[name]]
        figures = [median(figure(result) for result in results) for figure in (_rate, _p50_us, _p99_us)]
        rows.append([name, *[f"{figure:,.0f}" for figure in figures], f"{cpu_us:.2f}", f"{cpu_us / homed_us:.2f}"])
    stage.report.table(["answers", "req/s", "p50 µs", "p99 µs", "CPU µs", "÷ homed"], rows)


def waiting(stage: Stage, made: Hierarchy, server: Server) -> None:
    """Cached answers, one question at a time, idle and beside walks that wait for a server that is silent.

    What is silent for some seconds counts as dead, and later walks to it end at once. So each round is about another
    silent server, and begins when nobody waits any more; its percentile is one of the whole time, dead or not yet.
    """
    seconds, rate = stage.sizes.waiting_s, stage.sizes.walks_a_second
    idle, busy, rows = [], [], []
    for prefix in DEAD[: stage.sizes.rounds]:
        made.rest(server)
        idle.append(made.asked_alone(server, seconds / 2))
        requests = distinct(prefix, int(rate * (seconds + _MARGIN_S)))
        before = made.counts(server)
        with asking(server.udp_port, requests, rate=rate, core=stage.load_core) as found:
            busy.append(made.asked_alone(server, seconds))
            after = made.counts(server)
        rows.append([*_times(idle[-1], busy[-1]), *_walked(found, before, after)])
    idle_us, busy_us = (median(run.result.p99_us for run in runs) for runs in (idle, busy))
    stage.report.keep("waiting", idle_p99_us=idle_us, busy_p99_us=busy_us, p99_ratio=busy_us / idle_us)
    stage.report.table(["idle p50 µs", "p99 µs", "beside walks p50 µs", "p99 µs", "÷ idle", *_WALKED], rows, names=0)
    begun = (
        f"walks: begun for them, the rest dropped: so many wait over UDP at most; refused: by max_walks, {WALKS_MAX:,}"
    )
    stage.report.say(f"asked: {rate:,} a second; {begun}")
    stage.report.say("waiting: walks_now at the end; ended: answered by then")
    if idle_us > _QUIET * median(run.result.p50_us for run in idle):
        stage.report.say("the machine is not quiet: others' work makes idle answers slow, and hides what walks add")


def _times(idle: Run, busy: Run) -> list[str]:
    figures = [f"{figure(run.result):,.0f}" for run in (idle, busy) for figure in (_p50_us, _p99_us)]
    return [*figures, f"{busy.result.p99_us / idle.result.p99_us:.2f}"]


_WALKED: Final = ("asked", "walks", "refused", "waiting", "ended")


def _walked(found: Waiting, before: Mapping[str, int], after: Mapping[str, int]) -> list[str]:
    begun, refused = (after[name] - before[name] for name in ("walks", "walks_refused"))
    return [f"{count:,}" for count in (found.sent, begun, refused, after["walks_now"], found.answered)]


def _rate(result: Result) -> float:
    return result.throughput


def _p50_us(result: Result) -> float:
    return result.p50_us


def _p99_us(result: Result) -> float:
    return result.p99_us
