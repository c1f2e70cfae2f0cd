"""`hnode playground`: what it prints works, the tour passes, and whatever ends it, nothing stays behind."""

import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from admin.playground.plan import SEATS
from admin.playground.tour import STEPS
from tests.admin.test_playground import group_lives
from tests.support.running import PROJECT, environment, hnode

LAST_LINE = {"en": "Ctrl-C", "zh": "按 Ctrl-C"}


@contextmanager
def running(temporary: Path, *options: str, lang: str = "en") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running command, and what it printed until all was told."""
    command = [sys.executable, "-m", "admin", "--lang", lang, "playground", *options]
    process = subprocess.Popen(
        command,
        cwd=PROJECT,
        env=environment({"TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1", "HNODE_UDP__LISTEN": "192.0.2.1:1"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        printed = ""
        for line in process.stdout:
            printed += line
            if line.startswith(LAST_LINE[lang]):
                break
        yield process, printed
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def groups_of(printed: str) -> list[int]:
    found = [int(number) for number in re.findall(r"127\.0\.0\.1:\d+ +pid (\d+)", printed)]
    assert len(found) == len(SEATS), printed
    return found


def test_it_shows_its_nodes_the_lines_to_copy_work_and_nothing_stays(tmp_path: Path) -> None:
    with running(tmp_path) as (process, printed):
        groups = groups_of(printed)
        assert all(group_lives(group) for group in groups)
        assert re.search(r"\n  root .*\n  └─ national ", printed)
        way = [name for line in printed.splitlines() for name in re.findall(r"udp  \d.* ← (\S+)$", line)]
        assert way in (["root", "national", keeper, "auto-parts"] for keeper in ("secondary-a", "mirror-a")), printed
        assert re.search(r"recursive node it took [\d.]+ ms, and [\d.]+ ms when", printed)
        assert printed.index("--trace") < printed.index("partName") < printed.index("cache stats")
        lines = [line.strip() for line in printed.splitlines() if line.startswith(("  hnode ", "  kill "))]
        assert len(lines) == 9
        for line in lines:
            expect_it_works(line, groups)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    assert not [group for group in groups if group_lives(group)]
    assert list(tmp_path.iterdir()) == []


def expect_it_works(line: str, groups: list[int]) -> None:
    words = shlex.split(line)
    if words[0] == "kill":
        assert int(words[1]) in groups
        return
    ended = hnode(*words[1:])
    is_referral = "0.NA/88.608.7" in words
    assert ended.returncode == (1 if is_referral else 0), line + ended.stdout + ended.stderr
    assert not is_referral or "303" in ended.stderr


def test_told_to_end_in_a_folder_to_keep_it_leaves_that_and_is_refused_there_again(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with running(tmp_path, "--keep", str(kept), lang="zh") as (process, printed):
        assert str(kept) in printed
        groups = groups_of(printed)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    assert not [group for group in groups if group_lives(group)]
    assert sorted(path.name for path in kept.iterdir()) == sorted(["bootstrap", *(seat.name for seat in SEATS)])
    assert hnode("--config", kept / "auto-parts" / "hnode.toml", "store", "verify").returncode == 0
    again = hnode("playground", "--keep", kept)
    assert again.returncode == 1
    assert "is not empty" in again.stderr
    assert not again.stdout, "It is refused before it is said that anything is made."


def test_killed_outright_it_takes_its_nodes_along(tmp_path: Path) -> None:
    with running(tmp_path) as (process, printed):
        process.kill()
        process.wait(timeout=10)
        end = time.monotonic() + 20
        while living := [group for group in groups_of(printed) if group_lives(group)]:
            assert time.monotonic() < end, living
            time.sleep(0.1)


def test_the_tour_passes_and_leaves_nothing(tmp_path: Path) -> None:
    ended = hnode("playground", "--check", env={"TMPDIR": str(tmp_path)}, timeout=100)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert [line[:2] for line in ended.stdout.splitlines()] == ["ok"] * len(STEPS) + ["al"]
    assert list(tmp_path.iterdir()) == []
