"""The node that sections of administration ask, and loads of administration with what they cost it."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final, Self

from loadtest import measure
from loadtest.plan import Result, Transport
from loadtest.processes import PROJECT, Failed, Server, completed, environment, hnode, on_core, serving
from loadtest.scripts import Kind
from loadtest.stage import NODE_ENVIRONMENT, SEED, Stage
from loadtest.workload import PREFIX, Order, resolution

_US_A_S: Final = 1_000_000

# Every transaction that the engine commits raises this number: nothing of the node is asked how often it wrote. The
# engine is opened in a process of its own, so that no module here imports it.
_TRANSACTIONS: Final = """
import lmdb, sys
with lmdb.open(sys.argv[1], readonly=True, lock=False) as environment:
    print(environment.info()["last_txnid"])
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one load found: its result, the node's processor time for each operation in µs, and commits of the store."""

    result: Result
    cpu_us: float
    commits: int

    @classmethod
    def middle(cls, costs: Sequence[Self]) -> Self:
        """That of the median processor time."""
        wanted = median(cost.cpu_us for cost in costs)
        return min(costs, key=lambda cost: abs(cost.cpu_us - wanted))


class AdministeredNode:
    """A node whose administrator's key is at hand, and loads of administration against it."""

    def __init__(self, stage: Stage, config: Path, server: Server) -> None:
        self._stage = stage
        self._folder = config.parent
        self.server = server
        self._runs = 0

    @classmethod
    @contextmanager
    def running(cls, stage: Stage, *, workers: int, core: int | None) -> Generator[Self]:
        """The node of few identifiers, kept apart from the one of other sections, so that those find it as it was."""
        config = stage.node(stage.sizes.small, Order.SEQUENTIAL)
        environment = NODE_ENVIRONMENT | {"HNODE_NODE__WORKERS": str(workers)}
        log = stage.folder / f"administered-{workers}.log"
        with serving("administered node", [*hnode(config), "serve"], log, core=core, env=environment) as server:
            yield cls(stage, config, server)

    def requests(self) -> Path:
        """The file of resolutions of handles that the node holds."""
        path = self._folder / "udp.requests"
        if not path.exists():
            stage = self._stage
            handles = stage.workload(stage.sizes.small).sample(stage.sizes.sampled, SEED)
            path.write_bytes(b"".join([resolution(handle) for handle in handles]))
        return path

    def transactions(self) -> int:
        """How many transactions the store has committed since it was made."""
        return int(completed([sys.executable, "-c", _TRANSACTIONS, self._folder / "store"]))

    def cost(self, kind: Kind, *, operations: int, clients: int, rate: float = 0.0) -> Cost:
        """A load of administration, and what it cost the node's processes beside its preparation."""
        with self.prepared(kind, operations=operations, clients=clients, rate=rate) as load:
            before, commits = measure.cpu_time(self.server.pid), self.transactions()
            load.begin()
            result = load.result()
            used = measure.cpu_time(self.server.pid) - before
            commits = self.transactions() - commits
        if result.bad:
            raise Failed(f"{result.bad} of {result.requests} operations of kind {kind.value} were refused")
        return Cost(result, used.total_s / max(result.requests, 1) * _US_A_S, commits)

    @contextmanager
    def prepared(self, kind: Kind, *, operations: int, clients: int, rate: float = 0.0) -> "Generator[Load]":
        """A load whose sessions are open and whose messages are written."""
        self._runs += 1
        command = [sys.executable, "-m", "loadtest.administer", kind.value, "--port", str(self.server.tcp_port)]
        command += ["--key", str(self._folder / "keys" / f"{PREFIX}.admin.pem"), "--clients", str(clients)]
        command += ["--name", f"{self.server.pid}-{self._runs}", "--count", str(operations), "--rate", str(rate)]
        command += ["--requests", str(self.requests())]
        log = self._folder / "load.log"
        with log.open("wb") as errors, on_core(self._stage.load_core):
            process = subprocess.Popen(  # noqa: S603 - our own program
                command,
                cwd=PROJECT,
                env=environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        load = Load(process, log)
        try:
            load.hear()  # It is ready.
            yield load
        finally:
            process.kill()
            process.communicate()


class Load:
    """A load as a process."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self._process = process
        self._log = log

    def hear(self) -> bytes:
        """The next line that it says; `Failed` where it has ended instead."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Failed(f"a load ended with {self._process.wait()}:\n{self._log.read_text(errors='replace')[-2000:]}")
        return line

    def begin(self) -> None:
        """Let it begin."""
        self._tell()

    def end(self) -> None:
        """Let it end before its scripts do."""
        self._tell()

    def _tell(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()

    def result(self) -> Result:
        """What it found, once it has ended."""
        return Result.from_json(json.loads(self.hear()))


@dataclass(frozen=True, slots=True)
class Full:
    """A full load of resolutions: its result, and processor time of the node for each, whatever else it did."""

    result: Result
    cpu_us: float


def resolved(stage: Stage, node: AdministeredNode, requests: int) -> Full:
    """A full load of resolutions over UDP."""
    words = ["--port", str(node.server.udp_port), "--transport", Transport.UDP.value, "--window", "16"]
    words += ["--count", str(requests), "--timeout", str(stage.sizes.timeout_s), "--seconds", "60"]
    before = measure.cpu_time(node.server.pid)
    command = [sys.executable, "-m", "loadtest.generator", str(node.requests()), *words]
    told = completed(command, core=stage.load_core)
    used = measure.cpu_time(node.server.pid) - before
    result = Result.from_json(json.loads(told))
    return Full(result, used.total_s / max(result.requests, 1) * _US_A_S)


def cpu_us(work: Callable[[], object], times: int) -> float:
    """Processor time of something small, in µs."""
    work()
    begun = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - begun) / times * _US_A_S
