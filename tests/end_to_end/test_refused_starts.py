"""A node that cannot start, or a command that cannot write, says what failed, why and what to do."""

import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest

from protocol.codec import Message
from tests.support.engines import asking
from tests.support.running import PROJECT, RunningNode, environment, hnode, udp


@pytest.fixture
def node(tmp_path: Path) -> RunningNode:
    return RunningNode(tmp_path / "n")


def refused(told: "subprocess.CompletedProcess[str]", code: int, *parts: str) -> None:
    """The command ended with that code and said these things, without a traceback."""
    assert told.returncode == code, told.stderr
    assert "Traceback" not in told.stdout + told.stderr
    for part in parts:
        assert part in told.stderr


def test_a_key_that_others_can_read_is_refused(node: RunningNode) -> None:
    (node.folder / "keys" / "server.pem").chmod(0o644)
    refused(node.cli("serve"), 78, "others may read", "chmod 600")


def test_a_missing_key_is_refused(node: RunningNode) -> None:
    (node.folder / "keys" / "server.pem").unlink()
    refused(node.cli("serve"), 1, "server.pem")


def test_a_key_that_is_none_is_refused(node: RunningNode) -> None:
    (node.folder / "keys" / "server.pem").write_text("no key")
    refused(node.cli("serve"), 1, "server.pem")


def test_a_data_folder_below_a_file_is_refused(node: RunningNode, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    node.env["HNODE_NODE__DATA_DIR"] = str(tmp_path / "file" / "store")
    refused(node.cli("serve"), 1, "hoose another")


def test_a_store_from_the_future_is_refused(node: RunningNode) -> None:
    with lmdb.open(str(node.folder / "store"), max_dbs=8, lib_version=0) as environment_:
        meta = environment_.open_db(b"meta")
        with environment_.begin(write=True) as transaction:
            transaction.put(b"format", (9).to_bytes(8, "big"), db=meta)
    for command in (["serve"], ["store", "stat"], ["handle", "get", "0.NA/88.100"]):
        refused(node.cli(*command), 1, "format 9, this program knows formats up to 1")


def test_another_case_rule_than_the_stores_is_refused(node: RunningNode) -> None:
    node.env["HNODE_STORE__CASE_SENSITIVE"] = "true"
    refused(node.cli("serve"), 78, "case_sensitive says otherwise")


def test_a_namespace_that_is_none_is_refused(node: RunningNode, tmp_path: Path) -> None:
    (tmp_path / "namespace.xml").write_text("<no namespace")
    node.env["HNODE_RESOLUTION__NAMESPACE"] = str(tmp_path / "namespace.xml")
    refused(node.cli("serve"), 78, "the namespace cannot be used", "namespace.xml")


def small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


@pytest.fixture
def serving(node: RunningNode) -> Iterator[RunningNode]:
    with node:
        yield node


def test_a_full_disk_refuses_the_write_and_the_node_goes_on_resolving(serving: RunningNode, tmp_path: Path) -> None:
    rows = "handle,text\n" + "".join(f"88.100/{n},{'x' * 500}\n" for n in range(2_000))
    (tmp_path / "rows.csv").write_text(rows)
    told = subprocess.run(
        [sys.executable, "-m", "admin", "--config", str(serving.config), "import", str(tmp_path / "rows.csv")],
        cwd=PROJECT, env=environment(serving.env), capture_output=True, text=True, preexec_fn=small_files, check=False,
    )  # fmt: skip
    assert told.returncode == 1, told.stderr
    assert "Traceback" not in told.stderr
    assert Message.read(udp(serving.port, asking(b"88.100/1").to_bytes())[0]).header.code == 100
    assert serving.cli("store", "verify").returncode == 0
    assert serving.cli("import", tmp_path / "rows.csv").returncode == 0
    assert udp(serving.port, asking(b"88.100/1").to_bytes(), replies=2)


def test_the_service_manager_is_told_when_the_node_is_ready_and_when_it_stops(tmp_path: Path) -> None:
    node = RunningNode(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5)
        node.env["NOTIFY_SOCKET"] = str(tmp_path / "notify")
        with node:
            assert manager.recv(4096).startswith(b"READY=1\nSTATUS=ready udp 127.0.0.1:")
            assert node.stop() == 0
        assert manager.recv(4096) == b"STOPPING=1"


def test_a_configuration_with_three_errors_tells_all_three(node: RunningNode) -> None:
    node.config.write_text('[udp]\nlisten = ["127.0.0.1:99999"]\n[tcp]\nidle_timout = "60s"\n[node]\nworkers = 0\n')
    told = hnode("--config", node.config, "serve")
    refused(told, 78, "udp.listen", "idle_timeout", "workers")
