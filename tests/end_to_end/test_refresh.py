"""The root's data of running nodes: refreshed by a good root, kept against a forged one, and a root that is down."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from admin.errors import ExitCode
from resolver.bootstrap.files import read_files, write_root_file
from resolver.bootstrap.root_data import RootData
from tests.support.hierarchy import Hierarchy, RoleNode
from tests.support.roots import trust_record
from tests.support.running import hnode
from tests.support.signing import OTHER_KEY

WAIT_S = 20.0


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hierarchy]:
    """Root and secondary run; who asks is each test's own."""
    with Hierarchy(tmp_path_factory.mktemp("refresh"), only=("root", "secondary")) as found:
        found.secondary.done("handle", "create", "88.100/A", "URL=https://example.com/")
        yield found


def root_of(folder: Path) -> RootData:
    root = read_files(folder).root
    assert root is not None
    return root


def asker(folder: Path, bootstrap: Path) -> RoleNode:
    return RoleNode(folder, "recursive", env={"HNODE_UPSTREAM__BOOTSTRAP_DIR": str(bootstrap)})


def test_a_node_refreshes_what_it_knows_of_the_root_and_goes_on_with_it(nodes: Hierarchy, tmp_path: Path) -> None:
    known = root_of(nodes.bootstrap)
    write_root_file(tmp_path, RootData(1, known.records))
    with asker(tmp_path / "node", tmp_path) as node:
        node.wait_for("the root's data were refreshed: 2 records", WAIT_S)
        assert hnode("resolve", "88.100/A", "--at", node.at).returncode == ExitCode.OK
    fresh = root_of(tmp_path)
    assert fresh.updated_ms > known.updated_ms
    assert fresh.records == known.records


def test_a_root_that_the_known_key_has_not_signed_changes_nothing(nodes: Hierarchy, tmp_path: Path) -> None:
    """What is known is another network's key: for this node the real root is the forged one."""
    forged = RootData.of(
        1, {b"0.NA/0.NA": root_of(nodes.bootstrap).values(b"0.NA/0.NA") or (), **trust_record(key=OTHER_KEY)}
    )
    write_root_file(tmp_path, forged)
    with asker(tmp_path / "node", tmp_path) as node:
        line = node.wait_for("the root's data were not refreshed.*", WAIT_S)
        assert "0.0/0.0 is not to be believed" in line
        assert "trusted keys" in line
    assert root_of(tmp_path) == forged


def test_a_node_that_starts_while_the_root_is_down_serves_what_it_homes(nodes: Hierarchy, tmp_path: Path) -> None:
    write_root_file(tmp_path, RootData(1, root_of(nodes.bootstrap).records))
    with nodes.root.paused():
        node = RoleNode(
            tmp_path / "node", "secondary", ["88.300"], env={"HNODE_UPSTREAM__BOOTSTRAP_DIR": str(tmp_path)}
        )
        with node:
            node.done("handle", "create", "88.300/A", "URL=x")
            assert json.loads(node.done("resolve", "88.300/A", "-o", "json"))["responseCode"] == 1
            node.wait_for("0.0/0.0 was not told", WAIT_S)
    assert root_of(tmp_path).updated_ms == 1


def test_a_broken_root_file_is_told_and_stops_nobody_from_serving(tmp_path: Path) -> None:
    (tmp_path / "bootstrap_handles").write_text("{")
    node = RoleNode(tmp_path / "node", "secondary", ["88.300"], env={"HNODE_UPSTREAM__BOOTSTRAP_DIR": str(tmp_path)})
    checked = node.cli("config", "check")
    assert checked.returncode == ExitCode.CONFIG
    assert "bootstrap_handles: no JSON" in checked.stderr
    assert "upstream.bootstrap_dir" in checked.stderr
    with node:
        node.wait_for("no JSON", WAIT_S)
        node.done("handle", "create", "88.300/A", "URL=x")
        assert node.cli("resolve", "88.300/A").returncode == ExitCode.OK


def test_a_recursive_node_without_a_root_says_so(tmp_path: Path) -> None:
    with RoleNode(tmp_path / "node", "recursive") as node:
        node.wait_for("no root is known: nothing is resolved for others", WAIT_S)
        ended = hnode("resolve", "88.100/A", "--at", node.at, "-o", "json")
        assert ended.returncode == ExitCode.NOT_FOUND
        assert "no root is known" in json.loads(ended.stdout)["message"]
