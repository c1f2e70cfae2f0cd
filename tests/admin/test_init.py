"""`hnode init`: what it makes, that it is idempotent, what it refuses, and that a cut run is mended by the next."""

import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from admin.errors import ExitCode, Failure
from admin.prefixes import checked_prefix
from admin.setup.free_ports import can_bind, free_port
from admin.setup.initialise import Made, Wish, initialise
from protocol.administrator import Administrator
from protocol.site import Site
from protocol.trust.keys import PrivateKey, from_pem, public_key_octets, public_of
from protocol.value import HandleValue, read_values
from protocol.wire import Reader
from resolver.identity import Identity, read_identity
from storage.lmdb_store import LmdbStore
from tests.support.command import Ended, hnode
from tests.support.running import PROJECT, environment

NOW_S = 1_700_000_000


def init(folder: Path, *more: object) -> Ended:
    return hnode("init", folder, "--listen", "127.0.0.1", "--port", "0", *more)


def values(folder: Path, prefix: str) -> dict[int, HandleValue]:
    with closing(LmdbStore.open(folder / "store")) as store, store.view() as view:
        record = view.get(f"0.NA/{prefix}".encode())
    assert record is not None
    return {value.index: value for value in read_values(Reader(record.values))}


def identity(folder: Path) -> Identity:
    with closing(LmdbStore.open(folder / "store")) as store, store.view() as view:
        found = read_identity(view)
    assert found is not None
    return found


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its mode and octets, but for LMDB's own, and what the store holds."""
    files = {p for p in folder.rglob("*") if p.is_file() and p.parent.name != "store"}
    found = {str(p.relative_to(folder)): (p.stat().st_mode, p.read_bytes()) for p in files}
    with closing(LmdbStore.open(folder / "store")) as store, store.view() as view:
        found["last change"] = (view.facts().last_number, b"".join(sorted(view.homed())))
    return found


def public_octets(path: Path) -> bytes:
    key = from_pem(path.read_bytes())
    assert isinstance(key, PrivateKey)
    return public_key_octets(public_of(key))


def test_a_new_node_has_configuration_keys_store_and_prefix_records(tmp_path: Path) -> None:
    folder = tmp_path / "node"
    ended = init(folder, "--prefix", "88.100", "--prefix", "88.200")
    assert (ended.code, ended.err) == (ExitCode.OK, "")
    for prefix in ("88.100", "88.200"):
        admin_key = folder / "keys" / f"{prefix}.admin.pem"
        assert admin_key.stat().st_mode & 0o777 == 0o600
        assert b"-----BEGIN PRIVATE KEY-----" in admin_key.read_bytes()
        found = values(folder, prefix)
        assert [(i, v.type, v.is_public) for i, v in found.items()] == [
            (1, b"HS_SITE", True),
            (100, b"HS_ADMIN", True),
            (300, b"HS_PUBKEY", True),
        ]
        assert Administrator.from_bytes(found[100].data) == Administrator(0xFFF, f"0.NA/{prefix}".encode(), 300)
        assert found[300].data == public_octets(admin_key)
        assert found[1].data == identity(folder).site
    (server,) = Site.from_bytes(identity(folder).site).servers
    assert server.public_key == public_octets(folder / "keys" / "server.pem") == identity(folder).public_key
    assert server.address_text == "127.0.0.1"
    assert [interface.transport for interface in server.interfaces] == [1, 0]
    assert (folder / "keys" / "server.pem").stat().st_mode & 0o777 == 0o600
    assert (folder / "keys").stat().st_mode & 0o777 == 0o700
    assert hnode("--config", folder / "hnode.toml", "config", "check").code == ExitCode.OK


def test_the_transcript_names_everything_and_the_next_command(tmp_path: Path) -> None:
    folder = tmp_path / "node"
    lines = init(folder, "--prefix", "88.100").out.splitlines()
    assert [line.split()[:2] for line in lines[:-1]] == [
        ["✓", "configuration"],
        ["✓", "server"],
        ["✓", "store"],
        ["✓", "prefix"],
        ["✓", "admin"],
    ]
    assert "RSA-2048" in lines[1]
    assert "300:0.NA/88.100" in lines[4]
    assert lines[-1] == f"Next:  hnode --config {folder}/hnode.toml serve"


def test_programs_get_the_same_as_json(tmp_path: Path) -> None:
    folder = tmp_path / "node"
    found = init(folder, "--prefix", "88.100", "-o", "json").json
    assert found["config"] == str(folder / "hnode.toml")
    assert found["prefixes"] == [
        {"prefix": "88.100", "new": True, "adminKey": str(folder / "keys" / "88.100.admin.pem")}
    ]
    assert found["listen"]["udp"] == found["listen"]["tcp"]


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    init(tmp_path, "--prefix", "88.100")
    before = snapshot(tmp_path)
    ended = init(tmp_path, "--prefix", "88.100")
    assert ended.code == ExitCode.OK
    assert "(kept)" in ended.out
    assert snapshot(tmp_path) == before


def test_another_prefix_in_a_second_run_is_homed_beside_the_first(tmp_path: Path) -> None:
    init(tmp_path, "--prefix", "88.100")
    before = snapshot(tmp_path)
    assert init(tmp_path, "--prefix", "88.100", "--prefix", "88.200").code == ExitCode.OK
    after = snapshot(tmp_path)
    assert set(after) - set(before) == {"keys/88.200.admin.pem"}
    assert {name for name in before if before[name] != after[name]} == {"last change"}
    assert values(tmp_path, "88.200")[1].data == identity(tmp_path).site


def test_a_prefix_is_homed_once_whatever_its_case(tmp_path: Path) -> None:
    assert init(tmp_path, "--prefix", "21.t1", "--prefix", "21.T1").code == ExitCode.OK
    found = values(tmp_path, "21.T1")
    assert Administrator.from_bytes(found[100].data).handle == b"0.NA/21.T1"
    (key,) = (tmp_path / "keys").glob("*.admin.pem")
    assert found[300].data == public_octets(key)


def test_port_0_writes_one_free_number_for_udp_and_tcp_down(tmp_path: Path) -> None:
    found = init(tmp_path, "--http-port", "0", "--admin-port", "0", "-o", "json").json["listen"]
    (endpoint,) = found["udp"]
    assert found["tcp"] == [endpoint]
    ports = [int(found[name][0].rpartition(":")[2]) for name in ("udp", "http", "admin")]
    assert len(set(ports)) == 3
    assert all(port > 0 for port in ports)
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as sock:
            sock.bind(("127.0.0.1", ports[0]))
    text = (tmp_path / "hnode.toml").read_text()
    assert f'listen = ["{endpoint}"]' in text


def test_a_free_port_is_free_for_tcp_and_udp_on_every_address() -> None:
    hosts = [host for host in ("127.0.0.1", "127.0.0.2", "::1") if can_bind(host)]
    assert len(hosts) >= 2
    for _ in range(20):
        port = free_port(hosts)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((hosts[1], port))


def test_http_and_admin_listeners_are_written_only_when_asked_for(tmp_path: Path) -> None:
    plain = init(tmp_path / "plain", "-o", "json").json["listen"]
    assert plain["http"] == plain["admin"] == []
    asked = init(tmp_path / "asked", "--http-port", "8000", "--admin-port", "8001", "-o", "json").json["listen"]
    assert asked["http"] == ["127.0.0.1:8000"]
    assert asked["admin"] == ["127.0.0.1:8001"]


def test_without_listen_a_node_listens_everywhere_that_this_machine_can(tmp_path: Path) -> None:
    found = hnode("init", tmp_path, "--port", "2700", "-o", "json").json["listen"]["udp"]
    assert found[0] == "0.0.0.0:2700"
    assert ("[::]:2700" in found) == can_bind("::")


@pytest.mark.parametrize(
    ("prefix", "why"),
    [
        ("", "empty"),
        ("88..1", "label"),
        (".88", "label"),
        ("88.", "label"),
        ("88.1/x", "slash"),
        ("0.NA/88.1", "slash"),
        ("88. 1", "' '"),
        ("88.1>2", "'>'"),
        ("88.1\n", "\\n"),
        ("88.é", "'é'"),
        ("88.١", "no sign"),
        ("8" * 201, "201 signs"),
    ],
)
def test_a_wrong_prefix_is_refused_in_a_sentence_before_anything_is_made(tmp_path: Path, prefix: str, why: str) -> None:
    ended = init(tmp_path / "node", "--prefix", "88.100", "--prefix", prefix)
    assert ended.code == ExitCode.USAGE
    assert "is no prefix" in ended.err
    assert why in ended.err
    assert not (tmp_path / "node").exists()


@pytest.mark.parametrize("prefix", ["88", "88.100", "88.608.24061301", "21.T14999", "0042", "0.NA", "a-b.c_d"])
def test_usual_prefixes_are_taken_as_they_are_written(prefix: str) -> None:
    assert checked_prefix(prefix) == prefix


def test_a_folder_below_a_regular_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "node"):
        ended = init(folder, "--prefix", "88.100")
        assert ended.code == ExitCode.FAILED
        assert f"{tmp_path / 'file'} is a file" in ended.err


def test_a_data_directory_below_a_regular_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    init(tmp_path)
    ended = hnode("init", tmp_path, environment={"HNODE_NODE__DATA_DIR": str(tmp_path / "hnode.toml" / "store")})
    assert ended.code == ExitCode.FAILED
    assert "is a file" in ended.err


def test_a_folder_with_other_things_in_it_is_fine(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert init(tmp_path, "--prefix", "88.100").code == ExitCode.OK
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_broken_configuration_in_the_folder_is_told_and_kept(tmp_path: Path) -> None:
    (tmp_path / "hnode.toml").write_text("[node\n")
    assert init(tmp_path, "--prefix", "88.100").code == ExitCode.CONFIG
    assert (tmp_path / "hnode.toml").read_text() == "[node\n"


@pytest.mark.parametrize("listen", ["localhost", "1.2.3.4:5", "everywhere", ""])
def test_an_address_that_is_none_is_refused(tmp_path: Path, listen: str) -> None:
    ended = hnode("init", tmp_path, "--listen", listen)
    assert ended.code == ExitCode.USAGE
    assert not (tmp_path / "hnode.toml").exists()


def test_two_services_cannot_get_one_port(tmp_path: Path) -> None:
    assert hnode("init", tmp_path, "--port", "2641", "--http-port", "2641").code == ExitCode.USAGE


def made(folder: Path, *prefixes: str) -> Made:
    wish = Wish(folder=folder, prefixes=prefixes, listen=("127.0.0.1",), port=0)
    return initialise(wish, {}, now_s=NOW_S)


def test_a_key_that_a_cut_run_left_becomes_the_prefixs_key(tmp_path: Path) -> None:
    """The run ended after the key file and before the store's transaction: the key on disk must be the one told."""
    made(tmp_path / "other", "88.100")
    left = tmp_path / "node" / "keys" / "88.100.admin.pem"
    left.parent.mkdir(parents=True)
    left.write_bytes((tmp_path / "other" / "keys" / "88.100.admin.pem").read_bytes())
    made(tmp_path / "node", "88.100")
    assert values(tmp_path / "node", "88.100")[300].data == public_octets(left)


@pytest.mark.parametrize("missing", ["hnode.toml", "keys/server.pem"])
def test_what_is_missing_is_made_again_beside_what_is_kept(tmp_path: Path, missing: str) -> None:
    made(tmp_path, "88.100")
    admin_key = (tmp_path / "keys" / "88.100.admin.pem").read_bytes()
    (tmp_path / missing).unlink()
    again = made(tmp_path, "88.100")
    assert (tmp_path / missing).exists()
    assert not again.prefixes[0].is_new
    assert not again.store_is_new
    assert (tmp_path / "keys" / "88.100.admin.pem").read_bytes() == admin_key


def test_a_prefix_that_stands_keeps_its_record_though_its_key_was_taken_away(tmp_path: Path) -> None:
    made(tmp_path, "88.100")
    before = values(tmp_path, "88.100")
    (tmp_path / "keys" / "88.100.admin.pem").unlink()
    assert made(tmp_path, "88.100").prefixes[0].key is None
    assert values(tmp_path, "88.100") == before


def test_a_server_key_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "server.pem").write_text("no key")
    with pytest.raises(Failure, match=r"server\.pem"):
        made(tmp_path)


def test_chinese_is_spoken_where_it_is_asked_for(tmp_path: Path) -> None:
    ended = hnode("--lang", "zh", "init", tmp_path, "--listen", "127.0.0.1", "--prefix", "88.100")
    assert "服务器密钥" in ended.out
    assert "下一步" in ended.out


def test_runs_that_were_killed_at_any_moment_are_mended_by_the_next(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "admin", "init", str(tmp_path), "--prefix", "88.100", "--listen", "127.0.0.1"]
    for round_ in range(6):
        process = subprocess.Popen(command, cwd=PROJECT, env=environment(), stdout=subprocess.DEVNULL)
        time.sleep(0.25 + round_ * 0.06)
        process.kill()
        process.wait()
    assert hnode(*command[3:], "--port", "0").code == ExitCode.OK
    assert [path for path in tmp_path.rglob(".*") if path.is_file()] == []
    found = values(tmp_path, "88.100")
    assert found[300].data == public_octets(tmp_path / "keys" / "88.100.admin.pem")
    assert found[1].data == identity(tmp_path).site
    assert identity(tmp_path).public_key == public_octets(tmp_path / "keys" / "server.pem")
