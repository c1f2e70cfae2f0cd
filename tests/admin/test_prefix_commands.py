"""`hnode prefix …`: homing, unhoming, and the list of what is homed."""

import json
from pathlib import Path

import pytest

from admin.commands import prefix
from admin.errors import ExitCode
from storage.base import Action
from tests.admin.local_nodes import LocalNode
from tests.support.running import RunningNode


@pytest.fixture
def node(tmp_path: Path) -> LocalNode:
    return LocalNode(tmp_path)


def listed(node: LocalNode) -> dict[str, tuple[int, bool, bool]]:
    found = node.json("prefix", "list")
    return {row["prefix"]: (row["identifiers"], row["more"], row["record"]) for row in found}


def test_the_list_counts_identifiers_and_tells_of_the_record(node: LocalNode) -> None:
    node.run("handle", "create", "88.100/A", "URL=x")
    node.run("handle", "create", "88.1001/B", "URL=x")
    node.run("handle", "create", "0.NA/88.200", "URL=x")
    assert listed(node) == {"88.100": (1, False, False), "88.200": (0, False, True)}


def test_the_count_ends_at_a_bound(node: LocalNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefix, "COUNT_MAX", 2)
    for name in "ABC":
        node.run("handle", "create", f"88.100/{name}", "URL=x")
    assert listed(node)["88.100"] == (2, True, False)
    assert "over 2" in node.run("prefix", "list").out


@pytest.mark.parametrize("name", ["88.300", "0.NA/88.300", "0.na/88.300"])
def test_a_prefix_is_homed_by_either_name_and_once(node: LocalNode, name: str) -> None:
    ended = node.run("prefix", "home", name)
    assert (ended.code, ended.out) == (ExitCode.OK, "homed 0.NA/88.300\n")
    assert "there is no record 0.NA/88.300 here" in ended.err
    assert node.run("prefix", "home", name).out == "already homed 0.NA/88.300\n"
    assert [(row.action, row.handle) for row in node.journal()] == [(Action.HOME, b"0.NA/88.300")]


def test_letters_of_a_prefix_are_folded(node: LocalNode) -> None:
    assert node.json("prefix", "home", "21.t11148")["handle"] == "0.NA/21.T11148"
    assert "21.T11148" in listed(node)


def test_the_marker_of_derived_prefixes_can_be_homed(node: LocalNode) -> None:
    assert node.json("prefix", "home", "0.NA/0.NA/88.300")["result"] == "homed"
    assert node.run("handle", "create", "0.NA/88.300.7", "URL=x").code == ExitCode.OK


def test_a_prefix_that_is_homed_takes_records_and_keeps_them_when_unhomed(node: LocalNode) -> None:
    node.run("handle", "create", "88.100/A", "URL=x")
    ended = node.run("prefix", "unhome", "88.100")
    assert (ended.code, ended.out) == (ExitCode.OK, "unhomed 0.NA/88.100\n")
    assert "its records stay" in ended.err
    assert node.run("handle", "get", "88.100/A").code == ExitCode.OK
    assert node.run("handle", "create", "88.100/B", "URL=x").code == ExitCode.NOT_FOUND


def test_unhoming_what_is_not_homed_ends_with_3(node: LocalNode) -> None:
    assert node.run("prefix", "unhome", "88.300").code == ExitCode.NOT_FOUND
    assert not node.journal()


@pytest.mark.parametrize("name", ["", "88.100/A", "0.NA/", "a b", "88..1", "0.NA/0.NA/0.NA/88", "88.1é"])
def test_what_is_no_prefix_is_a_usage_error(node: LocalNode, name: str) -> None:
    for verb in ("home", "unhome"):
        assert node.run("prefix", verb, name).code == ExitCode.USAGE
    assert not node.journal()


def test_a_prefix_homed_by_a_command_is_answered_at_once(tmp_path: Path) -> None:
    with RunningNode(tmp_path / "node") as served:
        assert served.cli("resolve", "88.300/A", "-o", "json").returncode == ExitCode.NOT_FOUND
        assert served.cli("prefix", "home", "88.300").returncode == 0
        assert served.cli("handle", "create", "88.300/A", "URL=x").returncode == 0
        found = served.cli("resolve", "88.300/A", "-o", "json")
        assert json.loads(found.stdout)["responseCode"] == 1
        assert served.cli("prefix", "unhome", "88.300").returncode == 0
        assert served.cli("resolve", "88.300/A").returncode == ExitCode.NOT_FOUND
