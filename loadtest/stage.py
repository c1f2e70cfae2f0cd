"""What the sections of the benchmark stand on: data sets, nodes that hold them, and the servers under load.

Everything is made when it is first asked for and kept until the end, so that any choice of sections can run.
"""

import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final, Self

from loadtest import measure
from loadtest.plan import Match, Result, Transport
from loadtest.processes import HOST, Failed, Server, completed, hnode, serving
from loadtest.report import Report
from loadtest.workload import PREFIX, Order, Workload, resolution
from protocol.codes import ResponseCode
from protocol.header import Header
from protocol.limits import DATAGRAM_SIZE_MAX, ENVELOPE_SIZE

SEED: Final = 20_261_124
NODE_ENVIRONMENT: Final = {
    "HNODE_NODE__WORKERS": "1",
    # Loopback is exempt from admission by default; here its cost is to be counted, and nobody to be refused.
    "HNODE_LIMITS__UDP_EXEMPT": "",
    "HNODE_LIMITS__UDP_PER_SOURCE": "1000000000/s",
    "HNODE_LIMITS__UDP_BURST": "1000000000",
}
_US_A_S: Final = 1_000_000
_RUN_S: Final = 60  # A bound for one run, far off: counts end it.


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much of everything: identifiers of the two nodes, handles asked for, repetitions, requests a run, starts.

    `timeout_s` is when a request counts as lost. `sessions` are open at a time, in which `operations` are done a run;
    `writes_a_second` are done beside a full load of resolutions. `walks_a_second` are begun to a silent server for
    `waiting_s` seconds.
    """

    large: int
    small: int
    sampled: int
    rounds: int
    requests: int
    starts: int
    timeout_s: float
    sessions: int
    operations: int
    writes_a_second: int
    walks_a_second: int
    waiting_s: float


FULL: Final = Sizes(
    large=1_000_000, small=10_000, sampled=100_000, rounds=3, requests=120_000, starts=3, timeout_s=1.0,
    sessions=64, operations=6_400, writes_a_second=1_000, walks_a_second=1_000, waiting_s=5.0,
)  # fmt: skip
QUICK: Final = Sizes(
    large=2_000, small=200, sampled=500, rounds=1, requests=1_500, starts=1, timeout_s=10.0,
    sessions=4, operations=80, writes_a_second=100, walks_a_second=200, waiting_s=0.5,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of the generator found, and the server's processor time for each request, in microseconds."""

    result: Result
    user_us: float
    system_us: float

    @property
    def cpu_us(self) -> float:
        """User and system together."""
        return self.user_us + self.system_us

    @classmethod
    def middle(cls, loads: Sequence[Self]) -> "Load":
        """The median of each figure over repetitions; what was lost or wrong is added up instead."""
        results = [load.result for load in loads]
        return cls(
            Result(
                requests=int(median(found.requests for found in results)),
                seconds=median(found.seconds for found in results),
                p50_us=median(found.p50_us for found in results),
                p99_us=median(found.p99_us for found in results),
                timeouts=sum(found.timeouts for found in results),
                late=sum(found.late for found in results),
                strays=sum(found.strays for found in results),
                bad=sum(found.bad for found in results),
                broken=sum(found.broken for found in results),
            ),
            median(load.user_us for load in loads),
            median(load.system_us for load in loads),
        )


@dataclass(frozen=True, slots=True)
class Subject:
    """A server under load; by transport, the file of requests to send to it and how to match its answers."""

    server: Server
    requests: Mapping[Transport, Path]
    match: Mapping[Transport, Match]


class Stage:
    """Makes data, nodes and servers in a folder. A context manager: servers end with it."""

    def __init__(self, folder: Path, sizes: Sizes, report: Report) -> None:
        self.folder = folder
        self.sizes = sizes
        self.report = report
        self._running = ExitStack()
        self._subjects: dict[str, Subject] = {}
        self._configs: dict[tuple[int, Order], Path] = {}
        self._workloads: dict[int, Workload] = {}
        cores = sorted(os.sched_getaffinity(0))
        self.server_core = cores[0] if len(cores) > 1 else None
        self.load_core = cores[1] if len(cores) > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def workload(self, count: int) -> Workload:
        """That many identifiers."""
        if count not in self._workloads:
            self._workloads[count] = Workload.drawn(count, SEED)
        return self._workloads[count]

    def lines(self, count: int, order: Order) -> Path:
        """The import file of that many identifiers."""
        path = self.folder / f"{count}-{order.value}.jsonl"
        if not path.exists():
            self.report.say(f"writing {count:,} identifiers, {order.value}")
            self.workload(count).write_lines(path, order)
        return path

    def fresh_node(self, count: int, order: Order) -> Path:
        """The configuration of a new node, empty, that will hold these identifiers."""
        folder = self.folder / f"node-{count}-{order.value}"
        completed([*hnode(), "init", folder, "--prefix", PREFIX, "--listen", HOST, "--port", "0"])
        self._configs[count, order] = folder / "hnode.toml"
        return folder / "hnode.toml"

    def imported(self, config: Path, lines: Path) -> float:
        """Import a file with the node's own command; the seconds from its start to its end."""
        started = time.perf_counter()
        completed([*hnode(config), "import", lines, "--home-prefixes"])
        return time.perf_counter() - started

    def node(self, count: int, order: Order = Order.INTERLEAVED) -> Path:
        """The configuration of a node that holds these identifiers."""
        if (count, order) not in self._configs:
            lines = self.lines(count, order)
            self.report.say(f"importing {count:,} identifiers")
            self.imported(self.fresh_node(count, order), lines)
        return self._configs[count, order]

    def drop(self, count: int, order: Order) -> None:
        """Give back the disk that a node and its import file take."""
        shutil.rmtree(self._configs.pop((count, order)).parent)
        self.lines(count, order).unlink()

    def subjects(self) -> dict[str, Subject]:
        """The servers under load, all running: two baselines, the large and the small node."""
        if not self._subjects:
            for name, count in (("node", self.sizes.large), ("small node", self.sizes.small)):
                self._subjects[name] = self._node_subject(name, count)
            node = self._subjects["node"]
            question = resolution(self.workload(self.sizes.large).sample(1, SEED)[0])
            answer = self._answer(node.server, question)
            for name, words in (("echo", []), ("echo, joined", ["--joined"])):
                match = dict.fromkeys(Transport, Match.ORDER) | ({Transport.UDP: Match.ID} if words else {})
                self._subjects[name] = Subject(self._echo(name, answer, question, words), node.requests, match)
        return self._subjects

    def _node_subject(self, name: str, count: int) -> Subject:
        command = [*hnode(self.node(count)), "serve"]
        handles = self.workload(count).sample(self.sizes.sampled, SEED)
        requests = {}
        for transport in Transport:
            keep = transport is Transport.TCP_KEPT
            requests[transport] = self.folder / f"{name}-{transport.value}.requests"
            requests[transport].write_bytes(b"".join([resolution(handle, keep=keep) for handle in handles]))
        server = self.started(name, command, NODE_ENVIRONMENT)
        return Subject(server, requests, dict.fromkeys(Transport, Match.ID))

    def _answer(self, server: Server, question: bytes) -> bytes:
        """The node's answer to one question: the baselines give answers of just its octets."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.settimeout(5)
            asker.connect((HOST, server.udp_port))
            asker.send(question)
            answer = asker.recv(65_536)
        if Header.read(answer[ENVELOPE_SIZE:]).code != ResponseCode.SUCCESS or len(answer) > DATAGRAM_SIZE_MAX:
            raise Failed(f"the node answers a stored handle with {answer.hex()}")
        self.report.keep("sizes", request_octets=len(question), answer_octets=len(answer))
        return answer

    def _echo(self, name: str, answer: bytes, question: bytes, words: list[str]) -> Server:
        path = self.folder / "answer"
        path.write_bytes(answer)
        command = [sys.executable, "-m", "loadtest.echo", str(path), "--request-size", str(len(question)), *words]
        return self.started(name, command, {})

    def started(self, name: str, command: Sequence[str | Path], env: Mapping[str, str]) -> Server:
        """A server on its core until the end."""
        log = self.folder / f"{name}.log"
        return self._running.enter_context(serving(name, command, log, core=self.server_core, env=env))

    def load(self, subject: Subject, transport: Transport, window: int, requests: int | None = None) -> Load:
        """One run of the generator against one server."""
        server = subject.server
        port = server.udp_port if transport is Transport.UDP else server.tcp_port
        words = ["--port", str(port), "--transport", transport.value, "--match", subject.match[transport].value]
        words += ["--window", str(window), "--count", str(requests or self.sizes.requests)]
        words += ["--timeout", str(self.sizes.timeout_s), "--seconds", str(_RUN_S)]
        command = [sys.executable, "-m", "loadtest.generator", str(subject.requests[transport]), *words]
        before = measure.cpu_time(server.pid)
        told = completed(command, core=self.load_core)
        used = measure.cpu_time(server.pid) - before
        result = Result.from_json(json.loads(told))
        asked = max(result.requests + result.timeouts + result.broken, 1)
        return Load(result, used.user_s / asked * _US_A_S, used.system_s / asked * _US_A_S)
