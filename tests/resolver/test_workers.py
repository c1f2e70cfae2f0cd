"""SIGHUP from the supervisor to its workers: each hears of it, none ends by it, and none misses it while it starts."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.running import PROJECT

SCRIPT = """\
import asyncio, signal, sys, time
from resolver.workers import Supervisor, on_reload

def say(text):
    sys.stdout.write(text + "\\n")
    sys.stdout.flush()

def work(number, ready):
    say(f"begins {number}")
    time.sleep(float(sys.argv[1]))

    async def live():
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, stopped.set)
        if sys.argv[2] == "hears":
            on_reload(loop, lambda: say(f"reload {number}"))
        ready()
        await stopped.wait()

    asyncio.run(live())
    say(f"ends {number}")
    return 0

sys.exit(Supervisor(work, count=2, on_ready=lambda: say("ready")).run())
"""


class Running:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[str] = []

    def until(self, *wanted: str) -> None:
        """Read lines until all of these have come; the test's own time limit ends a wait in vain."""
        assert self.process.stdout is not None
        while not set(wanted) <= set(self.lines):
            line = self.process.stdout.readline()
            assert line, self.lines
            self.lines.append(line.strip())

    def hang_up(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> int:
        self.process.terminate()
        assert self.process.stdout is not None
        self.lines += self.process.stdout.read().split("\n")
        return self.process.wait(20)


@contextmanager
def supervised(start_s: float, how: str) -> Iterator[Running]:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(start_s), how],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Running(process)
    finally:
        process.kill()  # Its workers end with it.
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@pytest.mark.timeout(60)
def test_every_worker_hears_of_a_reload_each_time_and_goes_on() -> None:
    with supervised(0, "hears") as running:
        running.until("ready")
        for _ in range(2):
            running.hang_up()
            running.until("reload 0", "reload 1")
            running.lines = [line for line in running.lines if not line.startswith("reload")]
        assert running.stop() == 0
        assert running.lines.count("begins 0") == running.lines.count("ends 0") == 1
        assert {"ends 0", "ends 1"} <= set(running.lines)


@pytest.mark.timeout(60)
def test_a_worker_that_is_starting_hears_of_it_as_soon_as_it_can() -> None:
    with supervised(1.0, "hears") as running:
        running.until("begins 0", "begins 1")
        running.hang_up()
        running.until("ready", "reload 0", "reload 1")
        assert running.stop() == 0
        assert running.lines.count("begins 0") == 1


@pytest.mark.timeout(60)
def test_a_worker_that_has_nothing_to_read_again_is_not_ended_by_it() -> None:
    with supervised(0, "is deaf") as running:
        running.until("ready")
        running.hang_up()
        time.sleep(0.5)
        assert running.stop() == 0
        assert sorted(line for line in running.lines if line.startswith("begins")) == ["begins 0", "begins 1"]
