"""A node needs no network but loopback, and without a root it asks nobody: shown in a namespace of its own."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.running import PROJECT, environment


def refusal() -> str:
    """Why this machine gives no network namespace; empty where it does."""
    if shutil.which("unshare") is None:
        return "there is no unshare here"
    tried = subprocess.run(["unshare", "-n", "true"], capture_output=True, text=True, check=False)
    return tried.stderr.strip() if tried.returncode else ""


@pytest.mark.timeout(240)  # Five nodes with their keys, on a machine that may be busy.
def test_nothing_but_loopback_is_needed_and_without_a_root_nobody_is_asked(tmp_path: Path) -> None:
    why = refusal()
    if why:
        pytest.skip(f"the kernel gives no network namespace: {why}")
    ended = subprocess.run(
        ["unshare", "-n", sys.executable, "-m", "tests.support.alone", str(tmp_path)],
        cwd=PROJECT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.splitlines() == [
        "without a root nobody was asked",
        "resolved and refreshed with nothing but loopback",
    ]
