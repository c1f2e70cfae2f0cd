"""Servers under test as processes: started on a core, awaited until they say `ready`, stopped in the end.

Everything is started by its command line, as an operator would: nothing of a server is imported here.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtest import measure

PROJECT: Final = Path(__file__).parent.parent
HOST: Final = "127.0.0.1"

_READY_S: Final = 120.0
_STOP_S: Final = 20.0
_POLL_S: Final = 0.002
_PORT: Final = re.compile(r"\b(udp|tcp) 127\.0\.0\.1:(\d+)")


class Failed(RuntimeError):
    """A process under test that ended badly or never became ready; the text holds the end of what it said."""


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a process under test sees: nothing of the caller's HNODE_ settings."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("HNODE_")}
    return kept | {"PYTHONPATH": str(PROJECT), "NO_COLOR": "1", **(more or {})}


@contextmanager
def on_core(core: int | None) -> Generator[None]:
    """What is started in the block stays on that core; None leaves it to the system."""
    before = os.sched_getaffinity(0)
    if core is not None and core in before:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def completed(command: Sequence[str | Path], *, core: int | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a command to its end and give what it printed; `Failed` for every exit code but 0."""
    with on_core(core):
        done = subprocess.run(  # noqa: S603 - our own programs
            [str(word) for word in command],
            cwd=PROJECT,
            env=environment(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is ready: its process, its ports, and the seconds from its start to the line `ready`."""

    name: str
    pid: int
    udp_port: int
    tcp_port: int
    start_s: float


@contextmanager
def serving(
    name: str,
    command: Sequence[str | Path],
    log: Path,
    *,
    core: int | None = None,
    env: Mapping[str, str] | None = None,
) -> Generator[Server]:
    """Start a server, wait for its line `ready` in the log, and end it and its children with the block."""
    with log.open("wb") as errors, on_core(core):
        started = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - our own programs
            [str(word) for word in command],
            cwd=PROJECT,
            env=environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
    try:
        line = _ready_line(process, log)
        seconds = time.perf_counter() - started
        ports = {transport: int(port) for transport, port in _PORT.findall(line)}
        if set(ports) != {"udp", "tcp"}:
            raise Failed(f"{name} does not tell its ports on {HOST}: {line}")
        yield Server(name, process.pid, ports["udp"], ports["tcp"], seconds)
    finally:
        _stop(process, name, log)


def _ready_line(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        found = re.search(r"^ready .*\n", log.read_text(errors="replace"), re.MULTILINE)
        if found:
            return found[0]
        if process.poll() is not None:
            break
        time.sleep(_POLL_S)
    raise Failed(f"never ready (exit code {process.poll()}):\n{log.read_text(errors='replace')[-2000:]}")


def _stop(process: subprocess.Popen[bytes], name: str, log: Path) -> None:
    """SIGTERM, and SIGKILL to what is left of the family. `Failed` where it did not end by itself with 0."""
    members = measure.family(process.pid)
    process.terminate()
    try:
        code = process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        for member in members:
            _kill(member)
        process.wait()
        raise Failed(f"{name} did not stop within {_STOP_S:g} s of SIGTERM") from None
    if code:
        raise Failed(f"{name} ended with {code}:\n{log.read_text(errors='replace')[-2000:]}")


def _kill(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        pass


def hnode(config: Path | None = None) -> list[str]:
    """The beginning of a command line of the node, with its configuration file where there is one already."""
    return [sys.executable, "-m", "admin", *(["--config", str(config)] if config else [])]
