"""`hnode handle …` on the local store, also beside a node that serves from it."""

import getpass
import json
from pathlib import Path

import pytest

from admin.errors import ExitCode
from protocol.administrator import Administrator
from storage.base import Action
from tests.admin.local_nodes import LocalNode
from tests.support.running import RunningNode

A1 = "88.100/A1"


@pytest.fixture
def node(tmp_path: Path) -> LocalNode:
    return LocalNode(tmp_path)


def test_create_numbers_values_from_one_and_adds_the_administrator(node: LocalNode) -> None:
    ended = node.run("handle", "create", A1, "URL=https://example.com/a?b=c", "产品名称=锂电池冲击扳手")
    assert ended.code == ExitCode.OK
    assert ended.out == "created 88.100/A1  (3 values: 1 URL, 2 产品名称, 100 HS_ADMIN)\n"
    values = node.values(A1.encode())
    assert values is not None
    assert [value.data for value in values[:2]] == [b"https://example.com/a?b=c", "锂电池冲击扳手".encode()]
    assert Administrator.from_bytes(values[2].data) == Administrator(0x07F3, b"0.NA/88.100", 300)
    assert all(value.timestamp > 1_700_000_000 for value in values)


def test_an_index_may_be_given_and_the_free_ones_go_around_it(node: LocalNode) -> None:
    assert node.run("handle", "create", A1, "2:DESC=b", "URL=a", "EMAIL=c", "--no-admin").code == ExitCode.OK
    assert node.texts(A1.encode()) == {2: "b", 1: "a", 3: "c"}


def test_a_file_of_values_is_taken_in_every_form(node: LocalNode, tmp_path: Path) -> None:
    value = {"index": 100, "type": "BIN", "data": {"format": "hex", "value": "00ff"}}
    for name, content in (("list", [value]), ("record", {"values": [value]}), ("one", value)):
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(content))
        assert node.run("handle", "create", f"88.100/{name}", "URL=x", "--values", file).code == ExitCode.OK
        values = node.values(f"88.100/{name}".encode())
        assert values is not None
        assert [value.index for value in values] == [100, 1, 101]  # The administrator goes where there is room.
        assert values[0].data == b"\0\xff"


def test_a_handle_that_exists_is_a_conflict_unless_told_otherwise(node: LocalNode) -> None:
    node.run("handle", "create", A1, "URL=old", "--no-admin")
    ended = node.run("handle", "create", A1, "URL=new", "--no-admin")
    assert ended.code == ExitCode.CONFLICT
    assert "exists already" in ended.err
    assert node.json("handle", "create", A1, "URL=new", "--no-admin", "--if-exists", "keep")["result"] == "kept"
    assert node.texts(A1.encode()) == {1: "old"}
    assert node.json("handle", "create", A1, "URL=new", "--no-admin", "--if-exists", "replace")["result"] == "replaced"
    assert node.texts(A1.encode()) == {1: "new"}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["88.109/A", "URL=x"], ExitCode.NOT_FOUND, "hnode.toml prefix home 88.109"),
        ([A1, "URL"], ExitCode.USAGE, "TYPE=DATA"),
        ([A1, "=x"], ExitCode.USAGE, "TYPE=DATA"),
        ([A1, "--no-admin"], ExitCode.USAGE, "no values"),
        ([A1, "1:A=x", "1:B=y"], ExitCode.USAGE, "index 1 stands"),
        ([A1, "0:A=x"], ExitCode.USAGE, "outside 1"),
        ([A1, "URL=" + "x" * 70_000], ExitCode.USAGE, "at most 65,536"),
        (["88.100/" + "x" * 2_050, "URL=x"], ExitCode.USAGE, "is no handle"),
        (["", "URL=x"], ExitCode.USAGE, "is no handle"),
        ([A1, "--values", "/nowhere.json"], ExitCode.FAILED, "No such file"),
    ],
)
def test_what_cannot_be_created_says_why(node: LocalNode, arguments: list[str], code: ExitCode, says: str) -> None:
    ended = node.run("handle", "create", *arguments)
    assert ended.code == code
    assert says in ended.err
    assert not node.journal()


@pytest.mark.parametrize("content", ["{", "3", "[3]", '[{"index":1}]', "[" * 5_000])
def test_a_file_that_holds_no_values_is_refused(node: LocalNode, tmp_path: Path, content: str) -> None:
    file = tmp_path / "values.json"
    file.write_text(content)
    ended = node.run("handle", "create", A1, "--values", file)
    assert ended.code == ExitCode.USAGE
    assert "fault of hnode" not in ended.err


def test_get_prints_what_the_api_would(node: LocalNode) -> None:
    node.run("handle", "create", A1, "URL=x", "DESC=y")
    told = node.json("handle", "get", "88.100/a1")
    assert list(told) == ["responseCode", "handle", "values"]
    assert (told["responseCode"], told["handle"]) == (1, A1)
    assert [value["type"] for value in told["values"]] == ["URL", "DESC", "HS_ADMIN"]
    assert [value["index"] for value in node.json("handle", "get", A1, "--index", 2)["values"]] == [2]
    assert [value["index"] for value in node.json("handle", "get", A1, "--type", "hs_admin")["values"]] == [100]
    assert "https" not in node.run("handle", "get", A1).err


def test_get_of_what_is_missing_ends_with_3_and_the_code(node: LocalNode) -> None:
    node.run("handle", "create", A1, "URL=x")
    ended = node.run("handle", "get", "88.100/no", "-o", "json")
    assert (ended.code, ended.json) == (ExitCode.NOT_FOUND, {"responseCode": 100, "handle": "88.100/no"})
    ended = node.run("handle", "get", A1, "--index", 77, "-o", "json")
    assert (ended.code, ended.json) == (ExitCode.NOT_FOUND, {"responseCode": 200, "values": [], "handle": A1})
    assert "does not exist" in node.run("handle", "get", "88.100/no").err


def test_get_shows_values_that_the_public_may_not_read(node: LocalNode) -> None:
    node.run("handle", "create", A1, "URL=x")
    node.run("handle", "set-value", A1, 5, "SECRET", "hidden", "--permissions", "1100")
    (value,) = node.json("handle", "get", A1, "--index", 5)["values"]
    assert (value["data"]["value"], value["permissions"]) == ("hidden", "1100")


def test_list_pages_by_the_last_handle(node: LocalNode) -> None:
    for name in ("A1", "A2", "A3"):
        node.run("handle", "create", f"88.100/{name}", "URL=x")
    node.run("handle", "create", "88.200/B", "URL=x")
    first = node.json("handle", "list", "88.100", "--limit", 2)
    assert (first["handles"], first["after"]) == (["88.100/A1", "88.100/A2"], "88.100/A2")
    second = node.json("handle", "list", "88.100", "--limit", 2, "--after", first["after"])
    assert second["handles"] == ["88.100/A3"]
    assert "after" not in second
    assert node.run("handle", "list", "88.100/A").out.split() == ["88.100/A1", "88.100/A2", "88.100/A3"]
    assert node.run("handle", "list", "88.109").code == ExitCode.NOT_FOUND


def test_set_value_adds_and_replaces_one_value_and_keeps_what_is_not_said(node: LocalNode) -> None:
    node.run("handle", "create", A1, "URL=old", "DESC=d", "--no-admin")
    assert node.run("handle", "set-value", A1, 1, "URL", "x", "--ttl", "60", "--permissions", "1100").code == 0
    assert node.run("handle", "set-value", A1, 1, "URL", "new").code == 0
    assert node.run("handle", "set-value", A1, 9, "BIN", "00ff", "--format", "hex").code == 0
    values = node.values(A1.encode())
    assert values is not None
    assert [(v.index, v.data, v.ttl, v.permission_text) for v in values] == [
        (1, b"new", 60, "1100"),
        (2, b"d", 86_400, "1110"),
        (9, b"\0\xff", 86_400, "1110"),
    ]


def test_setting_an_equal_value_changes_nothing(node: LocalNode) -> None:
    node.run("handle", "create", A1, "URL=x")
    before = node.journal()
    assert node.json("handle", "set-value", A1, 1, "URL", "x")["result"] == "unchanged"
    assert node.journal() == before


@pytest.mark.parametrize(
    "arguments",
    [
        [A1, "0", "URL", "x"],
        [A1, "1", "URL", "zz", "--format", "hex"],
        [A1, "1", "HS_ADMIN", "{", "--format", "admin"],
        [A1, "1", "URL", "x", "--ttl", "soon"],
        [A1, "1", "URL", "x", "--permissions", "rw"],
        [A1, "1", "URL", "x" * 70_000],
    ],
)
def test_a_value_that_is_none_is_a_usage_error(node: LocalNode, arguments: list[str]) -> None:
    node.run("handle", "create", A1, "URL=old", "--no-admin")
    assert node.run("handle", "set-value", *arguments).code == ExitCode.USAGE
    assert node.texts(A1.encode()) == {1: "old"}


def test_rm_value_removes_all_that_are_named_or_none(node: LocalNode) -> None:
    node.run("handle", "create", A1, "URL=x", "DESC=y", "EMAIL=z", "--no-admin")
    assert node.run("handle", "rm-value", A1, 1, 77).code == ExitCode.NOT_FOUND
    assert node.texts(A1.encode()) == {1: "x", 2: "y", 3: "z"}
    assert node.run("handle", "rm-value", A1, 1, 3).code == ExitCode.OK
    assert node.texts(A1.encode()) == {2: "y"}


def test_delete_removes_the_handle_once(node: LocalNode) -> None:
    node.run("handle", "create", A1, "URL=x")
    assert node.run("handle", "delete", "88.100/a1").code == ExitCode.OK
    assert node.values(A1.encode()) is None
    ended = node.run("handle", "delete", A1, "-o", "jsonl")
    assert (ended.code, ended.json) == (ExitCode.NOT_FOUND, {"responseCode": 100, "handle": A1})


@pytest.mark.parametrize("verb", ["set-value", "rm-value", "delete"])
def test_a_change_of_a_missing_handle_ends_with_3(node: LocalNode, verb: str) -> None:
    more = {"set-value": ["1", "URL", "x"], "rm-value": ["1"], "delete": []}[verb]
    assert node.run("handle", verb, "88.100/no", *more).code == ExitCode.NOT_FOUND
    assert not node.journal()


def test_the_journal_names_the_user_of_the_command(node: LocalNode) -> None:
    node.run("handle", "create", A1, "URL=x")
    node.run("handle", "set-value", A1, 1, "URL", "y")
    node.run("handle", "delete", A1)
    rows = node.journal()
    assert [row.action for row in rows] == [Action.CREATE, Action.UPDATE, Action.DELETE]
    assert {row.who for row in rows} == {f"cli:{getpass.getuser()}"}


def test_what_a_command_writes_is_resolved_at_once_while_the_node_serves(tmp_path: Path) -> None:
    with RunningNode(tmp_path / "node") as served:
        assert served.cli("handle", "create", A1, "URL=first").returncode == 0
        resolved = served.cli("-o", "json", "resolve", A1, "--type", "URL")
        assert json.loads(resolved.stdout)["values"][0]["data"]["value"] == "first"
        assert served.cli("handle", "set-value", A1, "1", "URL", "second").returncode == 0
        resolved = served.cli("-o", "json", "resolve", A1, "--type", "URL", "--tcp")
        assert json.loads(resolved.stdout)["values"][0]["data"]["value"] == "second"
        assert served.cli("handle", "delete", A1).returncode == 0
        assert served.cli("resolve", A1).returncode == ExitCode.NOT_FOUND
