"""What is read from /proc is what a process did."""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loadtest import measure
from loadtest.measure import CpuTime

BUSY = """
import os, sys, time
reading, writing = os.pipe()
child = os.fork()
ballast = bytearray(os.urandom(1 << 20) * 30)
end = time.process_time() + 0.3
while time.process_time() < end: pass
if not child: os.write(writing, b"x")
if child and os.read(reading, 1): print(child, flush=True)  # When both have worked.
sys.stdin.read()
"""


@contextmanager
def busy_family() -> Generator[tuple[int, int]]:
    """A process with a child, each of which has used 0.3 s and about 30 MiB; their ids."""
    with subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        yield process.pid, child
        process.communicate()


def test_the_family_of_a_process_is_itself_and_its_children() -> None:
    with busy_family() as (parent, child):
        assert measure.family(parent) == [parent, child]
        assert measure.family(child) == [child]
        assert {os.getpid(), parent, child} <= set(measure.family(os.getpid()))


def test_processor_time_and_memory_of_a_family_are_seen() -> None:
    with busy_family() as (parent, child):
        used = measure.cpu_time(parent)
        memory = measure.anonymous_octets(parent)
        alone = measure.cpu_time(child)
    assert 0.5 < used.total_s < 3
    assert used.user_s + used.system_s == pytest.approx(used.total_s)
    assert 0.25 < alone.total_s < used.total_s
    assert 30 << 20 <= memory < 100 << 20


def test_the_total_is_split_as_the_ticks_are() -> None:
    used = CpuTime(3.0, 40, 20) - CpuTime(1.0, 10, 10)
    assert (used.total_s, used.user_s, used.system_s) == (2.0, 1.5, 0.5)
    assert CpuTime(1.0, 0, 0).user_s == 0.5


def test_a_process_that_ended_has_no_family_and_no_memory() -> None:
    with busy_family() as (parent, _):
        pass
    assert measure.family(parent) == []
    assert measure.cpu_time(parent).total_s == 0
    with pytest.raises(FileNotFoundError):
        measure.anonymous_octets(parent)


def test_holes_of_a_sparse_file_take_no_disk(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "full").write_bytes(os.urandom(100_000))
    with (tmp_path / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 30)
    assert 100_000 <= measure.disk_octets(tmp_path) < 300_000
