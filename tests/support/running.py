"""A real node in processes of its own, on loopback ports that the system picks; whatever happens, it is ended."""

import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

PROJECT = Path(__file__).parent.parent.parent
READY_S = 30.0
REPLY_S = 5.0


def hnode(
    *arguments: str | Path, env: dict[str, str] | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run one command line of `hnode` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "admin", *map(str, arguments)],
        cwd=PROJECT,
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def environment(more: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of a node under test: nothing of the caller's HNODE_ settings."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("HNODE_")}
    return kept | {"PYTHONPATH": str(PROJECT), "NO_COLOR": "1", "LC_ALL": "C.UTF-8", **(more or {})}


class RunningNode:
    """`hnode init` and `hnode serve` in a folder. Use as a context manager; `port` serves UDP and TCP."""

    def __init__(
        self,
        folder: Path,
        *,
        prefixes: Sequence[str] = ("88.100",),
        env: dict[str, str] | None = None,
        listen: Sequence[str] = ("127.0.0.1",),
        workers: int = 1,
    ) -> None:
        self.folder = folder
        self.env = {"HNODE_NODE__WORKERS": str(workers), **(env or {})}
        self.config = folder / "hnode.toml"
        self.process: subprocess.Popen[bytes] | None = None
        self.log = b""
        self.ready_line = ""
        options = [option for prefix in prefixes for option in ("--prefix", prefix)]
        options += [option for address in listen for option in ("--listen", address)]
        made = hnode("init", folder, *options, "--port", "0")
        assert made.returncode == 0, made.stdout + made.stderr

    @property
    def port(self) -> int:
        """The port of UDP and TCP."""
        found = re.search(r"udp \S+:(\d+)", self.ready_line)
        assert found, self.ready_line
        return int(found[1])

    def cli(self, *arguments: str | Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """A command with this node's configuration."""
        return hnode("--config", self.config, *arguments, env=self.env, timeout=timeout)

    def start(self) -> Self:
        """Serve; returns once the node is ready."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "admin", "--config", str(self.config), "serve"],
            cwd=PROJECT,
            env=environment(self.env),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self.ready_line = self.wait_for(r"^ready .*$", READY_S)
        return self

    def wait_for(self, pattern: str, timeout_s: float) -> str:
        """The first line of the log, from its start, that matches; fails when none comes in time."""
        assert self.process is not None
        assert self.process.stderr is not None
        end = time.monotonic() + timeout_s
        while True:
            found = re.search(pattern, self.log.decode(errors="replace"), re.MULTILINE)
            if found:
                return found[0]
            readable, _, _ = select.select([self.process.stderr], [], [], max(0.0, end - time.monotonic()))
            data = os.read(self.process.stderr.fileno(), 65_536) if readable else b""
            assert data, f"no {pattern!r} in: {self.log.decode(errors='replace')}"
            self.log += data

    def child_pids(self) -> list[int]:
        """The supervisor's children: those that answer, and those beside them."""
        assert self.process is not None
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(found) for found in listed.split()]

    def worker_pids(self) -> list[int]:
        """The children that answer."""
        return [child for child in self.child_pids() if _name_of(child).startswith("hnode worker")]

    def writer_pids(self) -> list[int]:
        """The child that writes; none where it is just being started again."""
        return [child for child in self.child_pids() if _name_of(child) == "hnode writer"]

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """Tell the node to stop and give its exit code."""
        assert self.process is not None
        assert self.process.stderr is not None
        self.process.send_signal(with_signal)
        try:
            self.log += self.process.communicate(timeout=20)[1]
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.log += self.process.communicate()[1]
            raise
        code = self.process.returncode
        self.process = None
        return code

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is None:
            return
        children = self.child_pids() if self.process.poll() is None else []
        try:
            self.stop()
        finally:
            for child in children:
                try:
                    os.kill(child, signal.SIGKILL)
                except ProcessLookupError:
                    pass


def _name_of(process: int) -> str:
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:  # It ended since the children were listed.
        return ""


def udp(
    port: int, *datagrams: bytes, replies: int = 1, host: str = "127.0.0.1", timeout_s: float = REPLY_S
) -> list[bytes]:
    """Send datagrams from one socket and give up to `replies` datagrams that come back in time."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found: list[bytes] = []
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect((host, port))
        for datagram in datagrams:
            sock.send(datagram)
        end = time.monotonic() + timeout_s
        while len(found) < replies and time.monotonic() < end:
            sock.settimeout(max(0.001, end - time.monotonic()))
            try:
                found.append(sock.recv(65_536))
            except TimeoutError:
                break
    return found


def silent(port: int, *datagrams: bytes, answered: bytes) -> bool:
    """Whether datagrams get no reply, while a good question behind them, whose request id is 7, does."""
    found = udp(port, *datagrams, answered, replies=len(datagrams) + 1, timeout_s=0.5)
    return len(found) == 1 and found[0][8:12] == answered[8:12]


def tcp(port: int, octets: bytes, *, host: str = "127.0.0.1", timeout_s: float = REPLY_S) -> bytes:
    """Send octets on one connection and give all that comes back until the node closes it."""
    with socket.create_connection((host, port), timeout=timeout_s) as sock:
        sock.sendall(octets)
        return read_to_end(sock)


def read_to_end(sock: socket.socket) -> bytes:
    """All octets until the other side closes."""
    found = b""
    while True:
        try:
            data = sock.recv(65_536)
        except ConnectionResetError:
            return found
        if not data:
            return found
        found += data
