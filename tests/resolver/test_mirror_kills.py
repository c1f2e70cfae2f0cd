"""A primary that changes all the time and its mirror, both processes, both killed again and again: equal at the end."""

import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage.lmdb_store import LmdbStore
from tests.support.mirrors import content
from tests.support.running import PROJECT, environment

ROUNDS = 10
EQUAL_S = 30.0


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def started(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.support.replicating", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=PROJECT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def primary(folder: Path, port: int, seed: int, changes: int = -1) -> subprocess.Popen[str]:
    process = started("primary", folder, port, seed, changes)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", process.communicate()[1]
    return process


def killed(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGKILL)
    return process.communicate()[1]


@pytest.mark.parametrize("seed", range(2))
def test_kills_on_both_sides_end_with_equal_stores(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    port = free_port()
    theirs, ours = tmp_path / "primary", tmp_path / "mirror"
    source, mirror = primary(theirs, port, seed), started("mirror", ours, port)
    told = ""
    try:
        for number in range(ROUNDS):
            time.sleep(0.3 + chance.random())
            if chance.random() < 0.5:
                told += killed(mirror)
                mirror = started("mirror", ours, port)
            else:
                killed(source)
                source = primary(theirs, port, 100 * seed + number)
        killed(source)
        source = primary(theirs, port, seed, changes=0)
        end = time.monotonic() + EQUAL_S
        with LmdbStore.open(theirs, read_only=True) as left, LmdbStore.open(ours, read_only=True) as right:
            while content(left) != content(right) and time.monotonic() < end:
                time.sleep(0.1)
            assert content(left) == content(right), told
            assert len(content(left)[0]) > 100
            assert right.verify() == []
    finally:
        told += killed(mirror)
        killed(source)
    assert "Traceback" not in told
