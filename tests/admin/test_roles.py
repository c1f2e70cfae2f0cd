"""Roles: what `hnode init --role` homes and writes, that a role sets defaults only, and a root's signed records."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from admin.errors import ExitCode
from resolver.config import Config, NodeSection
from resolver.config_hierarchy import NEAR, RecursionSection
from storage.lmdb_store import LmdbStore
from tests.support.command import Ended, hnode


def init(folder: Path, *more: object) -> Ended:
    return hnode("init", folder, "--listen", "127.0.0.1", "--port", "0", *more)


def homed(folder: Path) -> set[bytes]:
    with closing(LmdbStore.open(folder / "store")) as store, store.view() as view:
        return set(view.homed())


HOMED = {
    "root": {b"0.NA/0.NA", b"0.NA/0.0"},
    "national": {b"0.NA/88", b"0.NA/0.NA/88"},
    "secondary": {b"0.NA/88"},
    "enterprise": {b"0.NA/88"},
    "recursive": set[bytes](),
}


@pytest.mark.parametrize("role", HOMED)
def test_a_role_homes_what_nodes_of_its_kind_keep(tmp_path: Path, role: str) -> None:
    prefixes = ("--prefix", "88") if role not in ("root", "recursive") else ()
    ended = init(tmp_path, "--role", role, *prefixes, "-o", "json")
    assert ended.code == ExitCode.OK, ended
    assert ended.json["role"] == role
    assert homed(tmp_path) == HOMED[role]
    assert hnode("--config", tmp_path / "hnode.toml", "config", "check").code == ExitCode.OK


def test_a_recursive_node_is_not_told_to_home_a_prefix(tmp_path: Path) -> None:
    assert "no prefix is homed" not in init(tmp_path / "a", "--role", "recursive").out
    assert "no prefix is homed" in init(tmp_path / "b").out


def test_a_second_run_keeps_the_role_and_refuses_another(tmp_path: Path) -> None:
    assert init(tmp_path, "--role", "national", "--prefix", "88").code == ExitCode.OK
    assert init(tmp_path, "--prefix", "89").code == ExitCode.OK
    assert homed(tmp_path) == {b"0.NA/88", b"0.NA/89", b"0.NA/0.NA/88", b"0.NA/0.NA/89"}
    refused = init(tmp_path, "--role", "root")
    assert refused.code == ExitCode.USAGE
    assert "says role = 'national'" in refused.err
    assert homed(tmp_path) == {b"0.NA/88", b"0.NA/89", b"0.NA/0.NA/88", b"0.NA/0.NA/89"}


def test_a_role_says_who_may_have_others_asked_unless_the_configuration_does() -> None:
    def networks(role: str, **recursion: object) -> tuple[object, ...]:
        section = RecursionSection.model_validate(recursion)
        return Config(node=NodeSection.model_validate({"role": role}), recursion=section).recursion_networks()

    assert networks("recursive") == NEAR
    for role in ("root", "national", "secondary", "enterprise"):
        assert networks(role) == ()
    assert networks("recursive", allow=[]) == ()
    assert [str(found) for found in networks("root", allow=["192.0.2.0/24"])] == ["192.0.2.0/24"]
    assert [str(found) for found in networks("root", allow="192.0.2.0/24, ::1")] == ["192.0.2.0/24", "::1/128"]


def test_a_new_node_can_be_told_where_the_root_is_named(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "other").mkdir()
    told = ("--role", "recursive", "--bootstrap", tmp_path / "net")
    node = tmp_path / "node"
    assert init(node, *told).code == ExitCode.OK
    assert f'bootstrap_dir = "{tmp_path / "net"}"' in (node / "hnode.toml").read_text()
    assert init(node, *told).code == ExitCode.OK
    ended = hnode("init", node, "--bootstrap", tmp_path / "other")
    assert ended.code == ExitCode.USAGE
    assert "what stands is kept" in ended.err
    assert hnode("init", tmp_path / "none", "--bootstrap", tmp_path / "missing").code == ExitCode.USAGE


def test_a_folder_that_does_not_name_the_root_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    net, node = tmp_path / "net", tmp_path / "node"
    net.mkdir()
    (net / "bootstrap_handles").write_text("no root")
    ended = init(node, "--role", "recursive", "--bootstrap", net)
    assert ended.code == ExitCode.CONFIG
    assert f"{net / 'bootstrap_handles'}: " in ended.err
    assert not node.exists()
    (net / "bootstrap_handles").unlink()
    assert init(node, "--role", "recursive", "--bootstrap", net).code == ExitCode.OK
    (net / "bootstrap_handles").write_text("no root")
    checked = hnode("--config", node / "hnode.toml", "config", "check")
    said = ended.err.splitlines()[0].partition(" — ")[2]
    assert said
    assert said in checked.out + checked.err


class TestRoot:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        assert init(tmp_path / "root", "--role", "root").code == ExitCode.OK
        return tmp_path / "root"

    def run(self, root: Path, *arguments: object) -> Ended:
        return hnode("--config", root / "hnode.toml", *arguments)

    def test_its_records_are_signed_by_its_own_key(self, root: Path) -> None:
        assert (root / "keys" / "root.pem").stat().st_mode & 0o777 == 0o600
        for handle in ("0.0/0.0", "0.NA/0.NA"):
            assert self.run(root, "handle", "verify", handle).code == ExitCode.OK

    def test_a_second_init_changes_nothing(self, root: Path) -> None:
        key = (root / "keys" / "root.pem").read_bytes()
        with closing(LmdbStore.open(root / "store")) as store, store.view() as view:
            before = view.facts().last_number
        assert init(root, "--role", "root").code == ExitCode.OK
        with closing(LmdbStore.open(root / "store")) as store, store.view() as view:
            assert view.facts().last_number == before
        assert (root / "keys" / "root.pem").read_bytes() == key

    def test_a_key_that_is_kept_elsewhere_is_not_replaced(self, root: Path) -> None:
        (root / "keys" / "root.pem").unlink()
        self.run(root, "handle", "set-value", "0.NA/0.NA", "7", "DESC", "changed")
        assert init(root, "--role", "root").code == ExitCode.OK
        assert not (root / "keys" / "root.pem").exists()

    def test_bootstrap_writes_what_verifies_and_signs_what_was_changed(self, root: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        first = self.run(root, "upstream", "bootstrap", "--out", out, "-o", "json")
        assert first.code == ExitCode.OK, first
        assert (first.json["handles"], first.json["signed"]) == (["0.0/0.0", "0.NA/0.NA"], [])
        self.run(root, "handle", "set-value", "0.NA/0.NA", "7", "DESC", "changed")
        assert self.run(root, "handle", "verify", "0.NA/0.NA").code == ExitCode.DENIED
        again = self.run(root, "upstream", "bootstrap", "--out", out, "-o", "json")
        assert again.json["signed"] == ["0.NA/0.NA"]
        assert self.run(root, "handle", "verify", "0.NA/0.NA").code == ExitCode.OK
        told = json.loads((out / "bootstrap_handles").read_text())
        assert told["handles"].keys() == {"0.0/0.0", "0.NA/0.NA"}

    def test_services_go_with_it_and_missing_ones_are_told(self, root: Path, tmp_path: Path) -> None:
        self.run(root, "handle", "set-value", "0.NA/0.NA", "2", "HS_SERV", "0.NA/0.0")
        self.run(root, "handle", "set-value", "0.NA/0.NA", "3", "HS_SERV", "0.GHR/20")
        ended = self.run(root, "upstream", "bootstrap", "--out", tmp_path / "out", "-o", "json")
        assert ended.json["handles"] == ["0.0/0.0", "0.NA/0.NA", "0.NA/0.0"]
        assert set(ended.json["signed"]) == {"0.NA/0.NA", "0.NA/0.0"}
        assert "0.GHR/20 is named by the root and not here" in ended.err

    def test_another_key_signs_nothing(self, root: Path, tmp_path: Path) -> None:
        self.run(root, "handle", "set-value", "0.NA/0.NA", "7", "DESC", "changed")
        key = root / "keys" / "0.0.admin.pem"
        self.run(root, "handle", "set-value", "0.0/0.0", "7", "DESC", "changed")
        ended = self.run(root, "upstream", "bootstrap", "--out", tmp_path, "--key", key)
        assert ended.code == ExitCode.DENIED
        assert "not the root's key" in ended.err
        assert not (tmp_path / "bootstrap_handles").exists()

    def test_without_its_key_nothing_can_be_signed(self, root: Path, tmp_path: Path) -> None:
        (root / "keys" / "root.pem").unlink()
        assert self.run(root, "upstream", "bootstrap", "--out", tmp_path / "a").code == ExitCode.OK
        self.run(root, "handle", "set-value", "0.NA/0.NA", "7", "DESC", "changed")
        ended = self.run(root, "upstream", "bootstrap", "--out", tmp_path / "b")
        assert ended.code == ExitCode.DENIED
        assert "the root cannot be signed" in ended.err

    def test_a_node_that_is_no_root_has_nothing_to_tell(self, tmp_path: Path) -> None:
        init(tmp_path / "node", "--prefix", "88.100")
        ended = self.run(tmp_path / "node", "upstream", "bootstrap", "--out", tmp_path / "out")
        assert ended.code == ExitCode.NOT_FOUND
        assert "is no root" in ended.err
