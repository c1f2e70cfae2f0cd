"""The benchmark's sections of the hierarchy: what cached answers and walks cost a recursive node, and who waits."""

from statistics import median
from typing import Final

from loadtest.hierarchy import Hierarchy, Run, walks_for_the_dead
from loadtest.processes import Failed, Server
from loadtest.stage import Stage

_WINDOW: Final = 16
_RATE: Final = 1_000  # Walks a second to the server that is silent.
_US_A_S: Final = 1_000_000


def _right(run: Run) -> Run:
    result = run.result
    if result.bad or result.timeouts:
        raise Failed(f"{result.bad} of {result.requests} answers were wrong, {result.timeouts} never came")
    return run


def hierarchy(stage: Stage) -> None:
    """Cached answers against homed ones, cold walks over three levels, and cached answers while walks wait.

    A walk's cost is CPU of the recursive node, by the questions it sends times the generator's CPU for one of those:
    the same questions, as many under way at a time, answered by the same enterprise. `cold` begins with an empty
    memory; `names` knows the records of prefixes, but none of the names.
    """
    with Hierarchy.running(stage) as made:
        walks(stage, made)
        with made.recursive("remembering") as server:
            _right(made.asked(server, made.handles, len(made.handles), window=_WINDOW))
            made.asked(server, made.handles, len(made.handles), window=_WINDOW)  # Its spellings.
            cached(stage, made, server)
            waiting(stage, made, server)


def walks(stage: Stage, made: Hierarchy) -> None:
    """Each name once, through recursive nodes that know nothing yet."""
    firsts = list({handle.partition(b"/")[0]: handle for handle in made.handles}.values())
    rest = (
        sorted(set(made.handles) - set(firsts), key=made.handles.index) if len(firsts) < len(made.handles) else firsts
    )
    ratios: dict[str, list[float]] = {"cold": [], "names": []}
    for number in range(stage.sizes.rounds):
        raw = _right(made.asked(made.servers["enterprise"], made.handles, len(made.handles), window=_WINDOW))
        raw_us = raw.result.cpu_s / raw.result.requests * _US_A_S
        for kind, handles in (("cold", made.handles), ("names", rest)):
            with made.recursive(f"{kind}-{number}") as server:
                if kind == "names":
                    _right(made.asked(server, firsts, len(firsts), window=_WINDOW))
                before = made.answered()
                walk = _right(made.asked(server, handles, len(handles), window=_WINDOW))
                questions = (made.answered() - before) / len(handles)
            ratio = walk.cpu_us / (questions * raw_us)
            ratios[kind].append(ratio)
            told = f"{kind}: {walk.cpu_us:.1f} µs a walk of {questions:.2f} questions, raw {raw_us:.1f} µs"
            stage.report.say(f"{told}: {ratio:.2f}")
    stage.report.keep("walks", cold_ratio=median(ratios["cold"]), names_ratio=median(ratios["names"]))


def cached(stage: Stage, made: Hierarchy, server: Server) -> None:
    """The same records from memory and from a store, in turn."""
    found: dict[str, list[Run]] = {"homed": [], "cached": []}
    for _ in range(stage.sizes.rounds):
        for name, asked in (("homed", made.servers["enterprise"]), ("cached", server)):
            found[name].append(_right(made.asked(asked, made.handles, stage.sizes.requests, window=_WINDOW)))
    homed_us, cached_us = (median(run.cpu_us for run in found[name]) for name in ("homed", "cached"))
    p50s = [median(run.result.p50_us for run in found[name]) for name in ("homed", "cached")]
    stage.report.keep("cached", homed_cpu_us=homed_us, cached_cpu_us=cached_us, cpu_ratio=cached_us / homed_us)
    stage.report.say(f"homed {homed_us:.2f} µs, p50 {p50s[0]:.0f}; cached {cached_us:.2f} µs, p50 {p50s[1]:.0f} µs")


def waiting(stage: Stage, made: Hierarchy, server: Server) -> None:
    """The slowest cached answers, one question at a time, idle and beside walks that wait for the silent server."""
    requests = stage.sizes.requests // 4
    idle, busy = [], []
    for _ in range(stage.sizes.rounds):
        idle.append(_right(made.asked(server, made.handles, requests, window=1)))
        with walks_for_the_dead(server, _RATE) as sent:
            busy.append(_right(made.asked(server, made.handles, requests, window=1)))
        stage.report.say(f"{sent[0]:,} walks in {busy[-1].result.seconds:.1f} s")
    idle_us, busy_us = (median(run.result.p99_us for run in runs) for runs in (idle, busy))
    stage.report.keep("waiting", idle_p99_us=idle_us, busy_p99_us=busy_us, p99_ratio=busy_us / idle_us)
    stage.report.say(f"p99 idle {idle_us:.0f} µs, beside walks {busy_us:.0f} µs: {busy_us / idle_us:.2f}")
