"""`hnode handle add|modify|remove` on the local store, with the outcomes that the protocol's operations have."""

from pathlib import Path

import pytest

from admin.errors import ExitCode
from tests.admin.local_nodes import LocalNode

A1 = "88.100/A1"


@pytest.fixture
def node(tmp_path: Path) -> LocalNode:
    made = LocalNode(tmp_path)
    assert made.run("handle", "create", A1, "3:URL=c", "1:URL=a", "--no-admin").code == ExitCode.OK
    return made


def test_added_values_stand_in_the_order_of_their_indexes(node: LocalNode) -> None:
    told = node.json("handle", "add", A1, "2:DESC=b")
    assert (told["result"], told["values"]) == ("added", "1 values: 2 DESC")
    assert node.texts(A1.encode()) == {1: "a", 2: "b", 3: "c"}
    assert list(node.texts(A1.encode()) or ()) == [1, 2, 3]


def test_a_value_that_stands_is_a_conflict_unless_it_shall_be_replaced(node: LocalNode) -> None:
    assert node.run("handle", "add", A1, "1:URL=x", "5:URL=y").code == ExitCode.CONFLICT
    assert node.texts(A1.encode()) == {3: "c", 1: "a"}
    assert node.run("handle", "add", A1, "1:URL=x", "5:URL=y", "--overwrite").code == ExitCode.OK
    assert node.texts(A1.encode()) == {1: "x", 3: "c", 5: "y"}


def test_values_are_replaced_all_or_none_where_they_stand(node: LocalNode) -> None:
    assert node.run("handle", "modify", A1, "1:URL=x", "9:URL=y").code == ExitCode.NOT_FOUND
    assert node.texts(A1.encode()) == {3: "c", 1: "a"}
    assert node.run("handle", "modify", A1, "1:URL=x").code == ExitCode.OK
    assert list((node.texts(A1.encode()) or {}).items()) == [(3, "c"), (1, "x")]


def test_remove_is_the_protocols_word_for_rm_value(node: LocalNode) -> None:
    assert node.run("handle", "remove", A1, 3).code == ExitCode.OK
    assert node.run("handle", "remove", A1, 3).code == ExitCode.NOT_FOUND
    assert node.texts(A1.encode()) == {1: "a"}


@pytest.mark.parametrize("word", ["add", "modify"])
def test_a_missing_handle_an_unnumbered_value_and_one_index_twice_are_told(node: LocalNode, word: str) -> None:
    assert node.run("handle", word, "88.100/NONE", "1:URL=x").code == ExitCode.NOT_FOUND
    ended = node.run("handle", word, A1, "URL=x")
    assert (ended.code, "5:URL=x" in ended.err) == (ExitCode.USAGE, True)
    assert node.run("handle", word, A1).code == ExitCode.USAGE
    assert node.run("handle", word, A1, "7:URL=x", "7:URL=y").code != ExitCode.OK
    assert node.texts(A1.encode()) == {3: "c", 1: "a"}


def test_values_come_from_a_file_too(node: LocalNode, tmp_path: Path) -> None:
    file = tmp_path / "values.json"
    file.write_text('[{"index": 7, "type": "DESC", "data": {"format": "string", "value": "z"}}]')
    assert node.run("handle", "add", A1, "--values", file).code == ExitCode.OK
    assert (node.texts(A1.encode()) or {})[7] == "z"
