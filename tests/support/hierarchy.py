"""A root, a secondary node and an enterprise's node below it, as processes that know each other, for tests."""

import json
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.running import RunningNode, hnode


class RoleNode(RunningNode):
    """A node with a role, on a loopback port that stays its own."""

    def __init__(
        self, folder: Path, role: str, prefixes: Sequence[str] = (), *, env: dict[str, str] | None = None
    ) -> None:
        made = hnode("init", folder, "--role", role, "--listen", "127.0.0.1", "--port", "0")
        assert made.returncode == 0, made.stdout + made.stderr
        super().__init__(folder, prefixes=prefixes, env=env)

    @property
    def at(self) -> str:
        """`127.0.0.1:PORT`, known before it is started."""
        shown = json.loads(self.cli("config", "show", "-o", "json").stdout)
        return str(shown["udp"]["listen"][0])

    def done(self, *arguments: str | Path) -> str:
        """What a command that succeeds prints."""
        ended = self.cli(*arguments)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def json(self, *arguments: str | Path) -> Any:
        """What a command that succeeds prints as JSON."""
        return json.loads(self.done(*arguments, "-o", "json"))

    def admin_key(self, prefix: str) -> Path:
        """The file with the private key of a prefix's administrator."""
        return self.folder / "keys" / f"{prefix}.admin.pem"

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The node's processes stand still: it takes what comes and answers nothing."""
        assert self.process is not None
        processes = [self.process.pid, *self.worker_pids()]
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in reversed(processes):
                os.kill(process, signal.SIGCONT)


class Hierarchy:
    """`root` keeps the root and delegates 88.100 to `secondary`, which delegates 88.100.7 to `enterprise`.

    `bootstrap` is the folder that tells of the root; the two lower nodes know it. None of them is started: the context
    does that.
    """

    def __init__(self, folder: Path, *, only: Sequence[str] = ("root", "secondary", "enterprise")) -> None:
        self.folder = folder
        self.bootstrap = folder / "bootstrap"
        self._only = only
        self._stack = ExitStack()
        above = {"HNODE_UPSTREAM__BOOTSTRAP_DIR": str(self.bootstrap)}
        with ThreadPoolExecutor(2) as pool:
            root = pool.submit(RoleNode, folder / "root", "root")
            secondary = pool.submit(RoleNode, folder / "secondary", "secondary", ["88.100"], env=above)
            enterprise = pool.submit(RoleNode, folder / "enterprise", "enterprise", ["88.100.7"], env=above)
        self.root, self.secondary, self.enterprise = root.result(), secondary.result(), enterprise.result()
        self.delegate(self.root, self.secondary, "88.100")
        self.delegate(self.secondary, self.enterprise, "88.100.7")
        self.root.done("upstream", "bootstrap", "--out", self.bootstrap)

    def delegate(self, parent: RoleNode, child: RoleNode, prefix: str) -> None:
        """Hand the child's files to its parent's administrator, who types what they say."""
        files = child.folder / "for-the-parent"
        told = child.json("upstream", "enrol", "--prefix", prefix, "--out", files)
        (line,) = told["commands"]
        words = line.split()[1:]
        parent.done(*[files / word if (files / word).exists() else word for word in words])

    def resolve(self, handle: str, *more: str | Path) -> Any:
        """`hnode resolve … --bootstrap`: a finished process."""
        return hnode("resolve", handle, "--bootstrap", self.bootstrap, *more)

    def __enter__(self) -> Self:
        with ThreadPoolExecutor(3) as pool:
            for node in list(pool.map(lambda name: getattr(self, name).start(), self._only)):
                self._stack.push(node.__exit__)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
