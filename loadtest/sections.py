"""The sections of the benchmark: each measures one thing, prints a table and keeps facts. A section is a function."""

import statistics
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from loadtest import measure
from loadtest.hierarchy_sections import hierarchy
from loadtest.plan import Transport
from loadtest.processes import completed, hnode, serving
from loadtest.stage import NODE_ENVIRONMENT, Load, Stage
from loadtest.trust_sections import challenges, mixed, writes
from loadtest.workload import Order

WINDOWS: Final = (1, 16, 64)
_MB: Final = 1_000_000

# The import's baseline, as a program of its own: the least that any import into LMDB does. It opens the engine itself,
# in a process of its own, so that no module here imports it.
_IMPORT_LOOP: Final = """
import json, lmdb, sys, time
lines, folder = sys.argv[1:]
started = time.perf_counter()
with (
    lmdb.open(folder, map_size=1 << 36, lib_version=0) as environment,
    open(lines, "rb") as file,
    environment.begin(write=True) as transaction,
):
    for line in file:
        transaction.put(json.loads(line)["handle"].encode(), line)
print(time.perf_counter() - started)
"""


def _import_loop(stage: Stage, lines: Path, number: int) -> float:
    folder = stage.folder / f"loop-{lines.stem}-{number}"
    seconds = float(completed([sys.executable, "-c", _IMPORT_LOOP, lines, folder]))
    for path in folder.iterdir():
        path.unlink()
    return seconds


def imports(stage: Stage) -> None:
    """Import rate against the loop, and store size against the encoded octets, for both orders of the lines."""
    count = stage.sizes.large
    encoded = stage.workload(count).encoded_octets
    rows = []
    for order in Order:
        lines = stage.lines(count, order)
        before = _import_loop(stage, lines, 1)
        config = stage.fresh_node(count, order)
        seconds = stage.imported(config, lines)
        loop = (before + _import_loop(stage, lines, 2)) / 2  # Before and after: the machine's speed drifts.
        disk = measure.disk_octets(config.parent / "store")
        facts = {
            "rows_per_s": count / seconds,
            "loop_rows_per_s": count / loop,
            "time_ratio": seconds / loop,
            "disk_octets": disk,
            "encoded_octets": encoded,
            "disk_ratio": disk / encoded,
        }
        stage.report.keep(f"import {order.value}", **facts)
        rates = [f"{facts['rows_per_s']:,.0f}", f"{facts['loop_rows_per_s']:,.0f}", f"{facts['time_ratio']:.2f}"]
        rows.append([order.value, *rates, f"{disk / _MB:,.1f}", f"{encoded / _MB:,.1f}", f"{disk / encoded:.2f}"])
        if order is not Order.INTERLEAVED:  # The interleaved one is what the sections below serve.
            stage.drop(count, order)
    headers = ["lines", "rows/s", "loop rows/s", "time ÷ loop", "store MB", "encoded MB", "store ÷ encoded"]
    stage.report.table(headers, rows)


def start_up(stage: Stage) -> None:
    """Time from the command to the line `ready`, with the large node's store in the page cache."""
    command = [*hnode(stage.node(stage.sizes.large)), "serve"]
    seconds = []
    for _ in range(stage.sizes.starts):
        log = stage.folder / "start.log"
        with serving("node", command, log, core=stage.server_core, env=NODE_ENVIRONMENT) as server:
            seconds.append(server.start_s)
    middle = statistics.median(seconds)
    stage.report.keep("start-up", seconds=middle)
    stage.report.say(f"ready after {middle:.2f} s (of {', '.join(f'{found:.2f}' for found in seconds)})")


def _compared(stage: Stage, transport: Transport) -> None:
    subjects = stage.subjects()
    for subject in subjects.values():
        # Every handle once: the store's pages are mapped one by one when they are first touched.
        stage.load(subject, transport, WINDOWS[1], stage.sizes.sampled)
    rows = []
    for window in WINDOWS:
        loads: dict[str, list[Load]] = {name: [] for name in subjects}
        for _ in range(stage.sizes.rounds):  # In turn, so that a slow minute of the machine meets all of them.
            for name, subject in subjects.items():
                loads[name].append(stage.load(subject, transport, window))
        middle = {name: Load.middle(found) for name, found in loads.items()}
        for name in ("echo", "echo, joined", "node", "small node"):
            rows.append([str(window), name, *_figures(middle[name], middle["echo"], middle["echo, joined"])])
            _keep(stage, f"{transport.value} {window}", name, middle[name])
        stage.report.keep(
            f"{transport.value} {window}",
            cpu_ratio=middle["node"].cpu_us / middle["echo"].cpu_us,
            cpu_ratio_joined=middle["node"].cpu_us / middle["echo, joined"].cpu_us,
            size_ratio=middle["node"].cpu_us / middle["small node"].cpu_us,
        )
    headers = ["window", "server", "req/s", "p50 µs", "p99 µs", "CPU µs", "user", "system", "÷ echo", "÷ joined"]
    stage.report.table([*headers, "lost", "bad"], rows, names=2)


def _figures(load: Load, echo: Load, joined: Load) -> list[str]:
    result = load.result
    return [
        f"{result.throughput:,.0f}",
        f"{result.p50_us:,.0f}",
        f"{result.p99_us:,.0f}",
        f"{load.cpu_us:.2f}",
        f"{load.user_us:.2f}",
        f"{load.system_us:.2f}",
        f"{load.cpu_us / echo.cpu_us:.2f}",
        f"{load.cpu_us / joined.cpu_us:.2f}",
        f"{result.timeouts + result.broken}",
        f"{result.bad + result.strays}",
    ]


def _keep(stage: Stage, section: str, name: str, load: Load) -> None:
    facts = load.result.to_json() | {"cpu_us": load.cpu_us, "user_us": load.user_us, "system_us": load.system_us}
    stage.report.keep(section, **{name: facts})
    if name in ("node", "small node"):
        wrong = (stage.report.fact("answers", "wrong") or 0) + load.result.bad + load.result.strays
        lost = (stage.report.fact("answers", "lost") or 0) + load.result.timeouts + load.result.broken
        stage.report.keep("answers", wrong=wrong, lost=lost)


def udp(stage: Stage) -> None:
    """Resolution over UDP: four sockets, each with its window of requests, against the baselines."""
    _compared(stage, Transport.UDP)


def tcp(stage: Stage) -> None:
    """Resolution over four kept connections, each with its window of requests, against the baselines."""
    _compared(stage, Transport.TCP_KEPT)


def tcp_once(stage: Stage) -> None:
    """Resolution over a connection for each request, four at a time: what clients in service do."""
    rows = []
    for name in ("echo", "node"):
        load = stage.load(stage.subjects()[name], Transport.TCP_ONCE, 1, stage.sizes.requests // 10)
        stage.report.keep("tcp-once", **{name: load.result.to_json() | {"cpu_us": load.cpu_us}})
        result = load.result
        figures = [f"{result.throughput:,.0f}", f"{result.p50_us:,.0f}", f"{result.p99_us:,.0f}", f"{load.cpu_us:.1f}"]
        rows.append([name, *figures, f"{result.timeouts + result.broken}", f"{result.bad + result.strays}"])
    stage.report.table(["server", "req/s", "p50 µs", "p99 µs", "CPU µs", "lost", "bad"], rows)


def memory(stage: Stage) -> None:
    """Anonymous memory of the large node's processes after a load over both transports."""
    subject = stage.subjects()["node"]
    for transport in (Transport.UDP, Transport.TCP_KEPT):
        stage.load(subject, transport, WINDOWS[-1])
    supervisor, *workers = measure.family(subject.server.pid)
    worker = max(measure.anonymous_octets(pid) for pid in workers or [supervisor])
    stage.report.keep("memory", worker_octets=worker, supervisor_octets=measure.anonymous_octets(supervisor))
    stage.report.say(
        f"RssAnon: worker {worker / _MB:.1f} MB, supervisor {measure.anonymous_octets(supervisor) / _MB:.1f} MB"
    )


SECTIONS: Final[Mapping[str, Callable[[Stage], None]]] = MappingProxyType(
    {
        "import": imports,
        "start-up": start_up,
        "udp": udp,
        "tcp": tcp,
        "tcp-once": tcp_once,
        "memory": memory,
        "writes": writes,
        "challenges": challenges,
        "mixed": mixed,
        "hierarchy": hierarchy,
    }
)
"""By name, in the order in which they run: a node can be started and imported into only while it does not serve."""
