"""A hierarchy on loopback for the benchmark: root, secondary, enterprise, and the recursive node under measurement.

The root delegates one prefix to the secondary node, which delegates each firm's prefix to the enterprise, and one more
prefix to a socket that never answers. Every node is made and served by its command line.
"""

import json
import socket
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from loadtest import measure
from loadtest.plan import Result, Transport
from loadtest.processes import HOST, Server, completed, hnode, serving
from loadtest.stage import NODE_ENVIRONMENT, Stage
from loadtest.workload import PREFIX, Order, Workload, resolution

DEAD: Final = "88.131.9"
"""The prefix that a silent socket keeps. No firm has it: theirs end in four digits."""

_SEED: Final = 20_261_125
_US_A_S: Final = 1_000_000
# Every walk to the silent server is to wait for it: with the default bound most would be refused at once instead.
_RECURSIVE: Final = NODE_ENVIRONMENT | {"HNODE_RECURSION__MAX_WALKS": "20000"}


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
            made._make(running.enter_context(silent_port()))
            yield made

    def _make(self, dead_port: int) -> None:
        root = self._node("root", "--role", "root")
        completed([*hnode(root), "upstream", "bootstrap", "--out", self._folder / "net"])
        secondary = self._node("secondary", "--role", "secondary", "--prefix", PREFIX)
        enterprise = self._node("enterprise", "--role", "enterprise")
        completed([*hnode(enterprise), "import", self._lines, "--home-prefixes"])
        for name in ("secondary", "enterprise"):
            self._serve(name)
        completed([*hnode(root), "prefix", "delegate", PREFIX, "--at", self._at("secondary"), "--yes"])
        prefixes = sorted({handle.partition(b"/")[0].decode() for handle in self.handles})
        self._delegate(secondary, prefixes, dead_port)
        self._serve("root")

    def _delegate(self, secondary: Path, prefixes: Sequence[str], dead_port: int) -> None:
        """Delegate one prefix by the command and the others by the like of its record: a command each takes minutes."""
        completed([*hnode(secondary), "prefix", "delegate", prefixes[0], "--at", self._at("enterprise"), "--yes"])
        told = completed([*hnode(secondary), "export"])
        first = f"0.NA/{prefixes[0]}"
        record = next(found for found in map(json.loads, told.splitlines()) if found["handle"].upper() == first)
        live_port = self.servers["enterprise"].udp_port
        dead = json.dumps(record | {"handle": f"0.NA/{DEAD}"}).replace(f'"port": {live_port}', f'"port": {dead_port}')
        lines = [json.dumps(record | {"handle": f"0.NA/{prefix}"}) for prefix in prefixes[1:]]
        path = self._folder / "delegations.jsonl"
        path.write_text("".join([f"{line}\n" for line in (*lines, dead)]))
        completed([*hnode(secondary), "import", path])

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

    def answered(self) -> int:
        """How many questions the three levels have answered."""
        count = 0
        for name in self.servers:
            told = json.loads(completed([*hnode(self.configs[name]), "status", "-o", "json"]))
            count += sum(_answers(told))
        return count

    def asked(self, server: Server, handles: Sequence[bytes], count: int, *, window: int, sockets: int = 4) -> Run:
        """Ask for these handles in turn, `count` questions in all."""
        path = self._folder / "asked.requests"
        path.write_bytes(b"".join([resolution(handle) for handle in handles]))
        words = ["--port", str(server.udp_port), "--transport", Transport.UDP.value, "--window", str(window)]
        words += ["--sockets", str(sockets), "--count", str(count), "--timeout", "10", "--seconds", "60"]
        before = measure.cpu_time(server.pid)
        told = completed(_generator(path, words), core=self._stage.load_core)
        used = measure.cpu_time(server.pid) - before
        return Run(Result.from_json(json.loads(told)), used.total_s / max(count, 1) * _US_A_S)


def _generator(path: Path, words: Sequence[str]) -> list[str]:
    return [hnode()[0], "-m", "loadtest.generator", str(path), *words]


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


def free_port() -> int:
    """A port that nobody had a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


@contextmanager
def silent_port() -> Generator[int]:
    """A port that takes datagrams and connections and never says a word."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams, socket.socket() as connections:
        datagrams.bind((HOST, 0))
        connections.bind(datagrams.getsockname())
        connections.listen()
        yield int(datagrams.getsockname()[1])


@contextmanager
def walks_for_the_dead(server: Server, rate: int) -> Generator[list[int]]:
    """Ask for so many names a second that the silent server keeps, each once; a list with how many, after the block."""
    is_over = threading.Event()
    sent: list[int] = []

    def send() -> None:
        started, count = time.monotonic(), 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.connect((HOST, server.udp_port))
            while not is_over.wait(0.002):
                due = int((time.monotonic() - started) * rate)
                for number in range(count, due):
                    asker.send(resolution(f"{DEAD}/X{server.pid}-{number}".encode(), request_id=number + 1))
                count = max(count, due)
        sent.append(count)

    sender = threading.Thread(target=send, name="walks")
    sender.start()
    try:
        yield sent
    finally:
        is_over.set()
        sender.join()
