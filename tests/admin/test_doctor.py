"""`hnode doctor`: what it finds, the level it gives it, and the line that mends it."""

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from admin.doctor import machine
from admin.doctor.findings import Finding, Level, worst
from admin.doctor.port_holder import holder
from admin.errors import ExitCode
from resolver.config import Config
from storage.base import StoreFacts, UnhomePrefix, UpdateRecord
from storage.lmdb_store import LmdbStore
from tests.support.command import Ended, hnode
from tests.support.roots import root_folder
from tests.support.running import RunningNode

CHECKS = ["config", "key", "store", "disk", "files", "buffer", "ports", "clock", "recursion", "prefixes"]


@pytest.fixture
def node(tmp_path: Path) -> Path:
    assert hnode("init", tmp_path, "--prefix", "88.100", "--listen", "127.0.0.1", "--port", "0").code == ExitCode.OK
    return tmp_path


def doctor(folder: Path, *more: object, environment: dict[str, str] | None = None) -> Ended:
    return hnode("--config", folder / "hnode.toml", "doctor", *more, environment=environment)


def found(folder: Path, check: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    checks = doctor(folder, "-o", "json", environment=environment).json["checks"]
    return next(finding for finding in checks if finding["check"] == check)


def small_buffer() -> dict[str, str]:
    """A receive buffer that every kernel grants, so that the machine under test does not matter."""
    return {"HNODE_UDP__RECV_BUFFER": "64KiB"}


def test_a_fresh_node_is_fine_in_every_check(node: Path) -> None:
    ended = doctor(node, "-o", "json", environment=small_buffer())
    assert [check["check"] for check in ended.json["checks"]] == CHECKS
    assert [check["number"] for check in ended.json["checks"]] == list(range(1, 11))
    assert {check["level"] for check in ended.json["checks"]} == {"ok"}, ended.out
    assert ended.code == ExitCode.OK
    assert ended.json["ok"] is True


def test_the_table_numbers_its_checks_and_sums_up(node: Path) -> None:
    lines = doctor(node, environment=small_buffer()).out.splitlines()
    assert lines[0].startswith(" 1  OK    configuration")
    assert lines[-1] == "all 10 checks are fine"


def test_a_broken_configuration_is_told_and_nothing_else_tried(node: Path) -> None:
    (node / "hnode.toml").write_text('[node]\nnmae = "x"\n[log]\nlevel = "loud"\n')
    ended = doctor(node)
    assert ended.code == ExitCode.FAILED
    assert "node.nmae" in ended.out
    assert "log.level" in ended.out
    assert "config check" in ended.out


def test_keys_that_others_may_read_fail_with_the_command_that_mends_them(node: Path) -> None:
    for name in ("server.pem", "88.100.admin.pem"):
        path = node / "keys" / name
        path.chmod(0o644)
        finding = found(node, "key")
        assert (finding["level"], finding["mend"]) == ("fail", f"chmod 600 {path}")
        assert doctor(node).code == ExitCode.FAILED
        path.chmod(0o600)


def test_a_missing_or_broken_key_fails(node: Path) -> None:
    path = node / "keys" / "server.pem"
    path.write_text("no key")
    assert found(node, "key")["mend"] == f"hnode key show {path}"
    path.unlink()
    assert found(node, "key")["mend"] == f"hnode key generate --out {path}"


def test_another_key_than_the_one_that_clients_were_told_is_a_warning(node: Path) -> None:
    assert hnode("key", "generate", "--out", node / "keys" / "server.pem", "--force").code == ExitCode.OK
    finding = found(node, "key")
    assert (finding["level"], finding["mend"]) == ("warn", "restart the node")


def test_a_missing_store_fails_and_names_init(node: Path) -> None:
    environment = {"HNODE_NODE__DATA_DIR": str(node / "elsewhere")}
    finding = found(node, "store", environment)
    assert finding["level"] == "fail"
    assert finding["mend"].startswith(f"hnode init {node}")


def test_a_changed_configuration_asks_for_a_restart(node: Path) -> None:
    finding = found(node, "prefixes", {"HNODE_NODE__NAME": "renamed"})
    assert (finding["level"], finding["mend"]) == ("warn", "restart the node")


def test_a_prefix_without_record_administrator_or_site_is_told(node: Path) -> None:
    with closing(LmdbStore.open(node / "store")) as store:
        store.apply([UpdateRecord(b"0.NA/88.100", lambda _: None)], now_ms=1)
    finding = found(node, "prefixes")
    assert finding["level"] == "fail"
    assert finding["mend"] == f"hnode init {node} --prefix 88.100"
    assert hnode("init", node, "--prefix", "88.100").code == ExitCode.OK
    assert found(node, "prefixes")["level"] == "ok"
    config = ("--config", node / "hnode.toml")
    assert hnode(*config, "handle", "rm-value", "0.NA/88.100", "1", "100").code == ExitCode.OK
    finding = found(node, "prefixes")
    assert finding["level"] == "warn"
    assert "no HS_ADMIN" in finding["text"]
    assert "no HS_SITE" in finding["text"]


def test_what_ails_many_prefixes_is_told_of_the_worst_few() -> None:
    doubtful = [Finding("prefixes", Level.WARN, f"doubt {number}", "look") for number in range(4)]
    broken = [Finding("prefixes", Level.FAIL, f"fault {number}", f"mend {number}") for number in range(4)]
    told = worst("prefixes", [*doubtful, *broken], "good")
    assert told == Finding(
        "prefixes",
        Level.FAIL,
        "fault 0; fault 1; fault 2; fault 3; doubt 0; and 3 more",
        "mend 0; mend 1; mend 2; mend 3; look",
    )
    assert worst("prefixes", doubtful, "good").level is Level.WARN


def test_a_node_without_prefixes_is_warned(node: Path) -> None:
    with closing(LmdbStore.open(node / "store")) as store:
        store.apply([UnhomePrefix(b"0.NA/88.100")], now_ms=1)
    finding = found(node, "prefixes")
    assert finding["level"] == "warn"
    assert "301" in finding["text"]


def test_a_warning_ends_with_8_only_under_strict(node: Path) -> None:
    environment = {**small_buffer(), "HNODE_NODE__NAME": "renamed"}
    assert doctor(node, environment=environment).code == ExitCode.OK
    assert doctor(node, "--strict", environment=environment).code == ExitCode.THRESHOLD


@pytest.fixture
def squatter() -> Iterator[int]:
    """A TCP port of loopback that this process listens at and never answers."""
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock.getsockname()[1]


def test_a_port_that_another_program_holds_fails_with_its_pid(node: Path, squatter: int) -> None:
    finding = found(node, "ports", {"HNODE_TCP__LISTEN": f"127.0.0.1:{squatter}"})
    assert finding["level"] == "fail"
    assert f"tcp 127.0.0.1:{squatter} is taken by pid {os.getpid()}" in finding["text"]
    assert "[tcp] listen" in finding["mend"]


def test_an_address_that_this_machine_has_not_fails(node: Path) -> None:
    finding = found(node, "ports", {"HNODE_UDP__LISTEN": "192.0.2.77:2641"})
    assert finding["level"] == "fail"
    assert "no such address" in finding["text"]


def test_the_holder_of_a_port_is_found_or_nobody(squatter: int) -> None:
    assert holder(squatter, tcp=True).startswith(f"pid {os.getpid()} (")
    assert holder(squatter, tcp=False) == ""


def test_a_running_node_answers_on_its_ports(tmp_path: Path) -> None:
    with RunningNode(tmp_path / "node") as running:
        ended = hnode("--config", running.config, "doctor", "-o", "json", environment=small_buffer())
        ports = next(check for check in ended.json["checks"] if check["check"] == "ports")
        assert ports["level"] == "ok", ports
        assert ports["text"].count("answers in") == 2


def facts(used: int) -> StoreFacts:
    return StoreFacts(
        records=0, journal_rows=0, homed=0, last_number=0, map_size=1 << 20, used_size=used, file_size=used
    )


def test_a_map_that_fills_is_told_with_the_line_that_mends_it() -> None:
    config = Config.model_validate({"store": {"map_size": "1MiB", "map_size_max": "1MiB"}})
    assert machine.disk(config, facts(100_000)).level is Level.OK
    finding = machine.disk(config, facts(1_000_000))
    assert finding.level is Level.WARN
    assert finding.mend == 'map_size_max = "2MiB" under [store]'


def test_a_receive_buffer_that_the_kernel_caps_is_told(tmp_path: Path) -> None:
    limit = tmp_path / "rmem_max"
    limit.write_text("212992\n")
    finding = machine.receive_buffer(Config(), limit)
    assert finding == Finding("buffer", Level.WARN, finding.said, "sysctl -w net.core.rmem_max=4194304")
    limit.write_text("4194304\n")
    assert machine.receive_buffer(Config(), limit).level is Level.OK
    assert machine.receive_buffer(Config(), tmp_path / "none").level is Level.OK


def test_too_few_open_files_are_told() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    many = Config.model_validate({"tcp": {"max_connections": 1_000_000, "max_connections_per_source": 1}})
    assert machine.open_files(many).level is (Level.OK if hard < 0 or hard > 1_000_066 else Level.WARN)
    few = Config.model_validate({"tcp": {"max_connections": 1, "max_connections_per_source": 1}})
    assert machine.open_files(few).level is Level.OK


@pytest.mark.parametrize(
    ("now_s", "last_change_ms", "level"),
    [
        (1_800_000_000.0, 1_700_000_000_000, Level.OK),
        (1_800_000_000.0, 1_800_000_030_000, Level.OK),
        (1_800_000_000.0, 1_800_000_090_000, Level.FAIL),
        (0.0, 0, Level.FAIL),
        (5_000_000_000.0, 0, Level.FAIL),
    ],
)
def test_a_clock_before_this_program_or_before_the_last_change_fails(
    now_s: float, last_change_ms: int, level: Level
) -> None:
    assert machine.clock(last_change_ms, now_s).level is level


def test_the_worst_of_several_findings_is_the_checks() -> None:
    fine, doubtful, broken = (Finding("x", level, level.value, f"mend {level.value}") for level in Level)
    assert worst("x", [fine], "good") == Finding("x", Level.OK, "good")
    assert worst("x", [fine, doubtful, broken], "good") == Finding(
        "x", Level.FAIL, "fail; warn", "mend fail; mend warn"
    )


def test_the_line_of_recursion_says_at_every_node_for_whom_it_asks(node: Path, tmp_path: Path) -> None:
    old = "clients below 2.10, wherever they are, have delegations of this node resolved"
    assert found(node, "recursion")["text"] == f"for nobody; {old}"
    assert found(node, "recursion", {"HNODE_RECURSION__LEGACY": "false"})["text"] == "for nobody"


def test_recursion_without_a_root_that_is_known_is_doubtful(node: Path, tmp_path: Path) -> None:
    allowed = {"HNODE_RECURSION__ALLOW": "127.0.0.0/8"}
    assert found(node, "recursion", allowed)["mend"].startswith("bootstrap_dir = ")
    broken, net, file = tmp_path / "broken", root_folder(tmp_path / "net"), tmp_path / "file"
    broken.mkdir()
    (broken / "bootstrap_handles").write_text("no root")
    file.write_text("")
    for folder, says, mend in (
        (tmp_path / "missing", "there is no such folder", "on the root: hnode upstream bootstrap --out missing"),
        (file, "a folder is expected", "name the folder"),
        (broken, "bootstrap_handles: ", "on the root: hnode upstream bootstrap --out DIR"),
    ):
        finding = found(node, "recursion", allowed | {"HNODE_UPSTREAM__BOOTSTRAP_DIR": str(folder)})
        assert finding["level"] == "warn"
        assert finding["text"].startswith("no root is known: nothing is found for anybody")
        assert says in finding["text"]
        assert mend in finding["mend"]
        shown = doctor(node, environment=allowed | {"HNODE_UPSTREAM__BOOTSTRAP_DIR": str(folder)}).out
        assert mend in shown
    assert found(node, "recursion", allowed | {"HNODE_UPSTREAM__BOOTSTRAP_DIR": str(net)})["level"] == "ok"
