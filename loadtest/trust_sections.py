"""The benchmark's sections of administration: what writes, challenges and both beside a full load cost a node."""

from collections.abc import Callable
from statistics import median
from typing import Final

from loadtest.administering import AdministeredNode, Cost, Full, cpu_us, resolved
from loadtest.plan import Result
from loadtest.processes import on_core
from loadtest.scripts import Kind
from loadtest.stage import Stage
from protocol.trust.challenge import public_key_answer, public_key_answer_is_valid
from protocol.trust.keys import generate_rsa, public_of
from protocol.version import NEWEST

_CHECKS: Final = 2_000  # Of a signature: some 0.1 s.
_RSA_BITS: Final = 2_048  # What `hnode init` makes, and clients have.
_AHEAD_S: Final = 10  # For so many seconds of writing messages are made beforehand; a run takes a few.
_PACE: Final = 600  # Modifications a second with and without a challenge: a client that signs can do no more.


def _row(name: str, cost: Cost, commits: str = "") -> list[str]:
    result = cost.result
    times = [f"{result.throughput:,.0f}", f"{result.p50_us / 1000:.1f}", f"{result.p99_us / 1000:.1f}"]
    return [name, f"{result.requests:,}", *times, f"{cost.cpu_us:.0f}", commits]


_HEADERS: Final = ["operation", "done", "op/s", "p50 ms", "p99 ms", "CPU µs", "a commit"]


def writes(stage: Stage) -> None:
    """Creations in sessions, each with its MAC, against resolutions in the same sessions: commits and CPU."""
    kinds = (Kind.RESOLVE, Kind.CREATE)
    found: dict[Kind, list[Cost]] = {kind: [] for kind in kinds}
    with AdministeredNode.running(stage, workers=1, core=stage.server_core) as node:
        for _ in range(stage.sizes.rounds):
            for kind in kinds:
                cost = node.cost(kind, operations=stage.sizes.operations, clients=stage.sizes.sessions)
                found[kind].append(cost)
    resolution, creation = (Cost.middle(found[kind]) for kind in kinds)
    a_commit = sum(cost.result.requests for cost in found[Kind.CREATE]) / max(
        sum(cost.commits for cost in found[Kind.CREATE]), 1
    )
    stage.report.keep(
        "writes",
        resolution_cpu_us=resolution.cpu_us,
        write_cpu_us=creation.cpu_us,
        cpu_ratio=creation.cpu_us / resolution.cpu_us,
        writes_a_commit=a_commit,
        writes_per_s=creation.result.throughput,
    )
    rows = [_row("resolution", resolution), _row("creation", creation, f"{a_commit:.1f}")]
    stage.report.table(_HEADERS, rows)
    stage.report.say(f"CPU of a creation ÷ that of a resolution: {creation.cpu_us / resolution.cpu_us:.2f}")


def challenges(stage: Stage) -> None:
    """A modification that is challenged and proven with RSA-2048 against the like of it that needs no proof: CPU."""
    kinds = (Kind.OPEN, Kind.CHALLENGED)
    found: dict[Kind, list[Cost]] = {kind: [] for kind in kinds}
    checks = []
    check = _signature_check()
    operations, clients = stage.sizes.operations // 4, max(1, stage.sizes.sessions // 4)
    with AdministeredNode.running(stage, workers=1, core=stage.server_core) as node:
        for _ in range(stage.sizes.rounds):
            for kind in kinds:
                found[kind].append(node.cost(kind, operations=operations, clients=clients, rate=_PACE))
            with on_core(stage.server_core):
                checks.append(cpu_us(check, _CHECKS))
    plain, challenged = (Cost.middle(found[kind]) for kind in kinds)
    extra_us, check_us = challenged.cpu_us - plain.cpu_us, median(checks)
    stage.report.keep(
        "challenges",
        plain_cpu_us=plain.cpu_us,
        challenged_cpu_us=challenged.cpu_us,
        check_cpu_us=check_us,
        extra_ratio=extra_us / check_us,
    )
    stage.report.table(_HEADERS, [_row("without proof", plain), _row("challenged", challenged)])
    stage.report.say(f"{extra_us:.0f} µs more; a check of the signature {check_us:.1f} µs: {extra_us / check_us:.1f}")


def _signature_check() -> Callable[[], bool]:
    key = generate_rsa(_RSA_BITS)
    public, data = public_of(key), bytes(48)
    proof = public_key_answer(key, NEWEST, data)
    return lambda: public_key_answer_is_valid(proof, public, data)


def mixed(stage: Stage) -> None:
    """Resolution over UDP at full rate, alone and beside paced creations in sessions; CPU of each creation."""
    # Where the generator is slower than the node, the rates hide what creations cost: so their CPU is told, too.
    alone: list[Full] = []
    beside: list[Full] = []
    done: list[Result] = []
    rate, clients = stage.sizes.writes_a_second, max(1, stage.sizes.sessions // 4)
    if stage.load_core is not None:
        stage.report.say(
            "cores: the node's worker and writer share one; the UDP generator and the creations' load the other"
        )
    with AdministeredNode.running(stage, workers=1, core=stage.server_core) as node:
        resolved(stage, node, stage.sizes.small)  # Every handle once: pages are mapped when they are first touched.
        for _ in range(stage.sizes.rounds):
            alone.append(resolved(stage, node, stage.sizes.requests))
            with node.prepared(Kind.CREATE, operations=rate * _AHEAD_S, clients=clients, rate=rate) as load:
                load.begin()
                beside.append(resolved(stage, node, stage.sizes.requests))
                load.end()
                done.append(load.result())
    before, after = (median(full.result.throughput for full in found) for found in (alone, beside))
    writes_per_s = median(result.throughput for result in done)
    each_us = median(full.cpu_us for full in alone)
    more_us = median((full.cpu_us - each_us) * full.result.throughput for full in beside) / writes_per_s
    stage.report.keep(
        "mixed",
        alone_per_s=before,
        beside_per_s=after,
        writes_per_s=writes_per_s,
        kept=after / before,
        write_cpu_us=more_us,
        lost=sum(full.result.timeouts for full in (*alone, *beside)),
    )
    told = f"{before:,.0f} req/s alone, {after:,.0f} beside {writes_per_s:,.0f} creations/s"
    stage.report.say(f"{told}: {after / before:.0%} are kept; {more_us:.0f} µs CPU of the node for each creation")
