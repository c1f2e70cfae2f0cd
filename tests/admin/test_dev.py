"""`hnode dev`: it answers from its sample, tells lines to copy that work, and leaves nothing behind."""

import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from admin.setup.sample import SAMPLE_HANDLE, sample_folder
from tests.support.running import PROJECT, environment, hnode


@contextmanager
def dev_node(temporary: Path, **more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running command and what it printed until it was ready."""
    env = environment({"TMPDIR": str(temporary), **more})
    command = [sys.executable, "-m", "admin", "dev"]
    process = subprocess.Popen(
        command, cwd=PROJECT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout is not None
        printed = ""
        for line in process.stdout:
            printed += line
            if line.startswith("ready"):
                break
        yield process, printed
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_lines_to_copy_work_and_nothing_stays_behind(tmp_path: Path, end: signal.Signals) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    store = tmp_path / "precious"
    with dev_node(temporary, HNODE_NODE__DATA_DIR=str(store), HNODE_UDP__LISTEN="192.0.2.1:1") as (process, printed):
        assert "98 records" in printed
        lines = [line.strip() for line in printed.splitlines() if line.startswith("  hnode ")]
        assert len(lines) == 5
        for line in lines:
            ended = hnode(*shlex.split(line)[1:])
            assert ended.returncode == 0, ended.stdout + ended.stderr
        assert list(temporary.iterdir())
        process.send_signal(end)
        assert process.wait(timeout=20) == 0
    assert list(temporary.iterdir()) == []
    assert not store.exists()


def test_the_sample_is_shipped_with_its_licence_note() -> None:
    assert "Apache-2.0" in (sample_folder() / "README.md").read_text()
    assert len(list(sample_folder().glob("*.csv"))) == 12
    assert re.fullmatch(r"88\.608\.24061301/\w+", SAMPLE_HANDLE)
