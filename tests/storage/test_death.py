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


def killed_after(folder: Path, first: int, step: int, seconds: float) -> list[int]:
    """Let a process write from a number on, kill it, and give the numbers that it acknowledged."""
    writing = subprocess.Popen(
        [sys.executable, "-m", "tests.support.writing", str(folder), str(first), str(first + 1_000_000), str(step)],
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
    starts = [int(text.split()[1]) for text in whole if text.startswith(b"ok")]
    return [record for start in starts for record in range(start, start + step)]


def rounds(folder: Path, count: int, seed: int, step: int = 1) -> int:
    """Kill `count` times at random moments; after each, everything acknowledged so far stands. How many records do.

    The writer makes transactions of `step` records: each is there as a whole, or not at all.
    """
    chance = random.Random(seed)
    LmdbStore.create(folder, map_size=1 << 16).close()
    acknowledged: set[int] = set()
    first = 0
    for number in range(count):
        acknowledged |= set(killed_after(folder, first, step, chance.random() * 0.15))
        with LmdbStore.open(folder) as store:
            assert store.verify() == [], f"seed {seed}, round {number}"
            with store.view() as view:
                for written in acknowledged:
                    assert view.get(handle_of(written)) == Record(handle_of(written), values_of(written)), (
                        f"seed {seed}, round {number}, record {written}"
                    )
                facts = view.facts()
            assert facts.records == facts.journal_rows == facts.last_number
            assert facts.records % step == 0
            untold = (facts.records - len(acknowledged)) // step
            assert 0 <= untold <= number + 1  # One of each round may be done and not yet told.
        first += 100_000
    return len(acknowledged)


def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    assert rounds(tmp_path / "s", 5, 1) > 20


def test_a_transaction_of_many_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    assert rounds(tmp_path / "s", 5, 3, step=50) > 500


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_writer_that_is_killed_sixty_times_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    print(f"60 rounds, {rounds(tmp_path / 's', 60, 2)} records acknowledged")
    print(f"60 rounds of 50, {rounds(tmp_path / 'many', 60, 4, step=50)} records acknowledged")
