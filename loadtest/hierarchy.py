"""A hierarchy on loopback for the benchmark: root, secondary, enterprise, and the recursive node under measurement.

The root delegates one prefix to the secondary node, which delegates each firm's prefix to the enterprise, and some more
prefixes to sockets that never answer. Every node is made and served by its command line.
"""

import json
import os
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from loadtest import measure
from loadtest.plan import Result, Transport
from loadtest.processes import HOST, Failed, Server, completed, hnode, serving
from loadtest.silent import free_port, silent_port
from loadtest.stage import NODE_ENVIRONMENT, Stage
from loadtest.workload import PREFIX, Order, Workload, resolution

DEAD: Final = ("88.131.8", "88.131.9")
"""Prefixes that a silent socket each keeps. No firm has one: theirs end in four digits."""

WALKS_MAX: Final = 10_000
"""Walks that the recursive node may have under way: with the default, 1,000, most that are to wait for a silent server
would be refused at once instead. 1,000 a second that wait for 10 s, `[recursion] timeout`, are no more."""

_SEED: Final = 20_261_125
_US_A_S: Final = 1_000_000
_RECURSIVE: Final = NODE_ENVIRONMENT | {"HNODE_RECURSION__MAX_WALKS": str(WALKS_MAX)}
_REST_S: Final = 30.0  # A walk ends after 10.
_REST_POLL_S: Final = 0.2
_NO_BOUND: Final = 1_000_000_000  # Of requests, where time ends a run.


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the generator, and the server's processor time for each request, in µs."""

    result: Result
    cpu_us: float


class Hierarchy:
    """The three levels, served. Recursive nodes are begun beside them, each with nothing in its memory."""

    def __init__(self, stage: Stage, folder: Path, running: ExitStack) -> None:
        self._stage = stage
        self._folder = folder
        self._running = running
        self.servers: dict[str, Server] = {}
        self.configs: dict[str, Path] = {}
        drawn = Workload.drawn(stage.sizes.small, _SEED)
        self.handles = drawn.sample(stage.sizes.small, _SEED)
        self._lines = folder / "names.jsonl"
        drawn.write_lines(self._lines, Order.INTERLEAVED)

    @classmethod
    @contextmanager
    def running(cls, stage: Stage) -> Generator[Self]:
        """Make all nodes, and end them with the block."""
        folder = stage.folder / "hierarchy"
        folder.mkdir(exist_ok=True)
        with ExitStack() as running:
            made = cls(stage, folder, running)
            made._make({prefix: running.enter_context(silent_port()) for prefix in DEAD})
            yield made

    def _make(self, dead_ports: Mapping[str, int]) -> None:
        root = self._node("root", "--role", "root")
        completed([*hnode(root), "upstream", "bootstrap", "--out", self._folder / "net"])
        secondary = self._node("secondary", "--role", "secondary", "--prefix", PREFIX)
        enterprise = self._node("enterprise", "--role", "enterprise")
        completed([*hnode(enterprise), "import", self._lines, "--home-prefixes"])
        for name in ("secondary", "enterprise"):
            self._serve(name)
        completed([*hnode(root), "prefix", "delegate", PREFIX, "--at", self._at("secondary"), "--yes"])
        prefixes = sorted({handle.partition(b"/")[0].decode() for handle in self.handles})
        self._delegate(secondary, prefixes, dead_ports)
        for prefix, port in dead_ports.items():
            self._check_delegation(prefix, port)
        self._serve("root")

    def _delegate(self, secondary: Path, prefixes: Sequence[str], dead_ports: Mapping[str, int]) -> None:
        """Delegate one prefix by the command and the others by the like of its record: a command each takes minutes."""
        completed([*hnode(secondary), "prefix", "delegate", prefixes[0], "--at", self._at("enterprise"), "--yes"])
        told = completed([*hnode(secondary), "export"])
        first = f"0.NA/{prefixes[0]}"
        record = next(found for found in map(json.loads, told.splitlines()) if found["handle"].upper() == first)
        live_port = self.servers["enterprise"].udp_port
        records = [record | {"handle": f"0.NA/{prefix}"} for prefix in prefixes[1:]]
        for prefix, port in dead_ports.items():
            text = json.dumps(record | {"handle": f"0.NA/{prefix}"})
            records.append(json.loads(text.replace(f'"port": {live_port}', f'"port": {port}')))
        path = self._folder / "delegations.jsonl"
        path.write_text("".join([f"{json.dumps(record)}\n" for record in records]))
        completed([*hnode(secondary), "import", path])

    def _check_delegation(self, prefix: str, port: int) -> None:
        """Ask the secondary where a prefix is served: `Failed` where it names another port, too, or none."""
        at = ["--at", self._at("secondary"), "-o", "json"]
        told = completed([*hnode(self.configs["secondary"]), "resolve", f"0.NA/{prefix}", *at])
        if (found := ports_of(json.loads(told))) != {port}:
            raise Failed(f"{prefix} is to be delegated to port {port}, and is to {sorted(found) or 'none'}")

    def _node(self, name: str, *words: str) -> Path:
        folder = self._folder / name
        completed([*hnode(), "init", folder, *words, "--listen", HOST, "--port", str(free_port())])
        self.configs[name] = folder / "hnode.toml"
        return self.configs[name]

    def _at(self, name: str) -> str:
        return f"{HOST}:{self.servers[name].udp_port}"

    def _serve(self, name: str) -> None:
        self.servers[name] = self._running.enter_context(self._served(name, NODE_ENVIRONMENT, self._stage.load_core))

    @contextmanager
    def _served(self, name: str, env: Mapping[str, str], core: int | None) -> Generator[Server]:
        command = [*hnode(self.configs[name]), "serve"]
        with serving(name, command, self._folder / f"{name}.log", core=core, env=env) as server:
            yield server

    @contextmanager
    def recursive(self, name: str) -> Generator[Server]:
        """A recursive node that knows the root alone."""
        self._node(name, "--role", "recursive", "--bootstrap", str(self._folder / "net"))
        with self._served(name, _RECURSIVE, self._stage.server_core) as server:
            yield server

    @contextmanager
    def measured(self, name: str) -> Generator[Server]:
        """One of the levels on the measured core, as the recursive node is, while the block asks nobody else."""
        server = self.servers[name]
        moved(server, self._stage.server_core)
        yield server
        moved(server, self._stage.load_core)

    def counts(self, server: Server) -> dict[str, int]:
        """What a recursive node counts of its memory and its walks, by name."""
        told: dict[str, int] = json.loads(
            completed([*hnode(self.configs[server.name]), "cache", "stats", "-o", "json"])
        )
        return told

    def rest(self, server: Server) -> None:
        """Return when a recursive node has no walk under way; `Failed` where that takes longer than any may."""
        deadline = time.monotonic() + _REST_S
        while self.counts(server)["walks_now"]:
            if time.monotonic() > deadline:
                raise Failed(f"walks are under way for more than {_REST_S:g} s: {self.counts(server)}")
            time.sleep(_REST_POLL_S)

    def answered(self) -> int:
        """How many questions the three levels have answered."""
        count = 0
        for name in self.servers:
            told = json.loads(completed([*hnode(self.configs[name]), "status", "-o", "json"]))
            count += sum(_answers(told))
        return count

    def asked(self, server: Server, count: int, *, seconds: float = 60) -> Run:
        """Ask for all handles in turn, `count` questions in all, with 64 under way."""
        return self._run(server, ["--window", "16", "--count", str(count), "--seconds", str(seconds)])

    def asked_alone(self, server: Server, seconds: float) -> Run:
        """Ask for all handles in turn, again from the start at the end, one at a time, for so long."""
        words = ["--window", "1", "--sockets", "1", "--count", str(_NO_BOUND), "--seconds", str(seconds)]
        return self._run(server, words)

    def _run(self, server: Server, words: Sequence[str]) -> Run:
        path = self._folder / "asked.requests"
        if not path.exists():
            path.write_bytes(b"".join([resolution(handle) for handle in self.handles]))
        command = [hnode()[0], "-m", "loadtest.generator", str(path), "--port", str(server.udp_port), *words]
        command += ["--transport", Transport.UDP.value, "--timeout", "10"]
        before = measure.cpu_time(server.pid)
        told = completed(command, core=self._stage.load_core)
        used = measure.cpu_time(server.pid) - before
        result = Result.from_json(json.loads(told))
        if result.bad or result.timeouts:
            raise Failed(f"{result.bad} of {result.requests} answers were wrong, {result.timeouts} never came")
        return Run(result, used.total_s / max(result.requests, 1) * _US_A_S)


def moved(server: Server, core: int | None) -> None:
    """Let a server's processes, with all their threads, run on that core from now on; None leaves them."""
    if core is None:
        return
    for member in measure.family(server.pid):
        for thread in Path(f"/proc/{member}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})


def ports_of(told: object) -> set[int]:
    """All ports in what a command told, wherever they stand."""
    if isinstance(told, Mapping):
        own = {found for name, found in told.items() if name == "port" and isinstance(found, int)}
        return own.union(*map(ports_of, told.values()))
    return set().union(*map(ports_of, told)) if isinstance(told, list) else set()


def _answers(told: object) -> Generator[int]:
    """All counts of answers in what `hnode status` tells, wherever they stand."""
    if isinstance(told, Mapping):
        for name, found in told.items():
            if isinstance(found, int) and str(name).startswith("answered_"):
                yield found
            else:
                yield from _answers(found)
    elif isinstance(told, list):
        for found in told:
            yield from _answers(found)
