"""What was acknowledged is there after a death at any moment, and nothing is torn."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage.base import Record
from storage.lmdb_store import LmdbStore
from tests.support.running import PROJECT, environment
from tests.support.writing import handle_of, values_of


def killed_after(folder: Path, first: int, seconds: float) -> list[int]:
    """Let a process write from a number on, kill it, and give the numbers that it acknowledged."""
    writing = subprocess.Popen(
        [sys.executable, "-m", "tests.support.writing", str(folder), str(first), str(first + 1_000_000)],
        cwd=PROJECT,
        env=environment(),
        stdout=subprocess.PIPE,
    )
    assert writing.stdout is not None
    line = writing.stdout.readline()  # It has begun: the moment is counted from here.
    time.sleep(seconds)
    writing.send_signal(signal.SIGKILL)
    told = line + writing.communicate()[0]
    assert writing.returncode == -signal.SIGKILL
    whole = told[: told.rfind(b"\n")].splitlines()
    return [int(text.split()[1]) for text in whole if text.startswith(b"ok")]


def rounds(folder: Path, count: int, seed: int) -> int:
    """Kill `count` times at random moments; after each, everything acknowledged so far stands. How many records do."""
    chance = random.Random(seed)
    LmdbStore.create(folder, map_size=1 << 16).close()
    acknowledged: set[int] = set()
    first = 0
    for number in range(count):
        acknowledged |= set(killed_after(folder, first, chance.random() * 0.15))
        with LmdbStore.open(folder) as store:
            assert store.verify() == [], f"seed {seed}, round {number}"
            with store.view() as view:
                for written in acknowledged:
                    assert view.get(handle_of(written)) == Record(handle_of(written), values_of(written)), (
                        f"seed {seed}, round {number}, record {written}"
                    )
                facts = view.facts()
            assert facts.records == facts.journal_rows == facts.last_number
            assert len(acknowledged) <= facts.records <= len(acknowledged) + number + 1  # One may be done and untold.
        first += 100_000
    return len(acknowledged)


def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    assert rounds(tmp_path / "s", 5, 1) > 20


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_writer_that_is_killed_sixty_times_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    print(f"60 rounds, {rounds(tmp_path / 's', 60, 2)} records acknowledged")
