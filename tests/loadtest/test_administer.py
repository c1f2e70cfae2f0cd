"""The administrative load against a real node: every kind is done as often as asked, at a pace, and ended when told."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from loadtest.workload import resolution
from storage.base import Action, JournalRow
from storage.lmdb_store import LmdbStore
from tests.support.running import RunningNode

PREFIX = "88.131"  # The one that loads create under.


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    with RunningNode(tmp_path_factory.mktemp("load") / "n", prefixes=[PREFIX]) as running:
        (running.folder / "requests").write_bytes(resolution(b"0.NA/88.131") * 3)
        yield running


def begun(node: RunningNode, kind: str, name: str, *words: str) -> "subprocess.Popen[str]":
    """A load that is ready."""
    key = node.folder / "keys" / f"{PREFIX}.admin.pem"
    command = [sys.executable, "-m", "loadtest.administer", kind, "--port", str(node.port), "--key", str(key)]
    command += ["--name", name, "--clients", "4", "--requests", str(node.folder / "requests"), *words]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == "ready\n", process.communicate()
    return process


def tell(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def told(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """The result of a load that was begun and ends."""
    assert process.stdout is not None
    line = process.stdout.readline()
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    found: dict[str, Any] = json.loads(line)
    return found


def ended(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """The result of a load that goes to its end."""
    tell(process)
    return told(process)


def rows(node: RunningNode, action: Action, text: str) -> list[JournalRow]:
    with LmdbStore.open(node.folder / "store", read_only=True) as store, store.view() as view:
        return [row for row in view.journal(limit=10_000) if row.action is action and text in row.handle.decode()]


def test_creations_are_made_in_sessions_of_the_administrator(node: RunningNode) -> None:
    found = ended(begun(node, "create", "made", "--count", "40"))
    assert (found["requests"], found["bad"], found["timeouts"]) == (40, 0, 0)
    made = rows(node, Action.CREATE, "/made-")
    assert len(made) == 40
    assert {row.who for row in made} == {"300:0.NA/88.131"}


@pytest.mark.parametrize("kind", ["open", "challenged"])
def test_modifications_change_the_value_that_their_kind_is_of(node: RunningNode, kind: str) -> None:
    found = ended(begun(node, kind, kind, "--count", "20"))
    assert (found["requests"], found["bad"]) == (20, 0)
    changed = rows(node, Action.UPDATE, f"/record-{kind}-")
    assert len(changed) == 20
    assert {row.who for row in changed} == {"anybody" if kind == "open" else "300:0.NA/88.131"}


def test_resolutions_in_sessions_succeed_and_change_nothing(node: RunningNode) -> None:
    found = ended(begun(node, "resolve", "read", "--count", "60"))
    assert (found["requests"], found["bad"]) == (60, 0)


def test_refused_operations_are_counted_as_bad(node: RunningNode) -> None:
    (node.folder / "missing").write_bytes(resolution(b"88.131/NO-SUCH"))
    found = ended(begun(node, "resolve", "missed", "--count", "8", "--requests", str(node.folder / "missing")))
    assert (found["requests"], found["bad"]) == (8, 8)


def test_a_load_with_a_pace_keeps_to_it_and_ends_when_it_is_told(node: RunningNode) -> None:
    process = begun(node, "create", "paced", "--count", "4000", "--rate", "50")
    tell(process)
    time.sleep(1.0)
    tell(process)
    found = told(process)
    assert found["bad"] == 0
    assert 1 <= found["requests"] <= 50 * found["seconds"] + 1
    assert len(rows(node, Action.CREATE, "/paced-")) == found["requests"]
