"""The whole playground at work: all nodes started together, and ended together whatever happens."""

import signal
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from admin.demo_asking import Asker
from admin.errors import Failure
from admin.playground.building import Built, build
from admin.playground.plan import MIRROR_A
from admin.playground.processes import POLL_S, RunningNode
from admin.setup.initialise import LOOPBACK
from admin.setup.sample import SAMPLE_HANDLE
from protocol.codes import ResponseCode

COPIED_S: Final = 30.0  # How long a mirror may take to its first whole copy.


class Playground:
    """What was built, and its nodes by their names."""

    def __init__(self, built: Built) -> None:
        self.built = built
        self.nodes: Mapping[str, RunningNode] = {name: RunningNode(node) for name, node in built.nodes.items()}

    def start(self) -> None:
        """Start all nodes at once, and wait until each answers and the mirror has its copy."""
        for node in self.nodes.values():
            node.start()
        for node in self.nodes.values():
            node.wait()
        self._await_copy()

    def stop(self) -> dict[str, int]:
        """Stop all nodes at once: the exit codes by name. Nothing cuts it short: it takes no longer than one node."""
        with _undisturbed():
            for node in self.nodes.values():
                node.tell_to_stop()
            return {name: node.stop() for name, node in self.nodes.items()}

    def _await_copy(self) -> None:
        mirror = self.nodes[MIRROR_A]
        end = time.monotonic() + COPIED_S
        while time.monotonic() < end and not mirror.has_died():
            if Asker(LOOPBACK, mirror.port).ask(SAMPLE_HANDLE).code == ResponseCode.SUCCESS:
                return
            time.sleep(POLL_S * 5)
        why = mirror.said()[-500:].decode(errors="replace")
        raise Failure(f"the node {mirror.name} has no copy", why, f"hnode --config {mirror.built.config} doctor")


@contextmanager
def playing(folder: Path) -> Generator[Playground]:
    """A playground made in the folder and running until the end of the block. The folder stays."""
    playground = Playground(build(folder))
    try:
        playground.start()
        yield playground
    finally:
        playground.stop()


@contextmanager
def _undisturbed() -> Generator[None]:
    """A second Ctrl-C while nodes are being stopped would leave some behind."""
    before = {}
    with suppress(ValueError):  # Only the main thread hears of signals.
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
