"""`hnode prefix delegate` and `undelegate`, and the values that they write and take away."""

import json
from pathlib import Path

import pytest

from admin.delegating import DELEGATING, SITES_MAX, delegation_values, merged
from admin.errors import ExitCode
from protocol.administrator import Administrator
from protocol.json_form.sites import site_to_json
from protocol.site import Site
from protocol.trust.keys import public_key_octets, public_of, public_pem
from protocol.value import HandleValue
from tests.admin.local_nodes import LocalNode
from tests.support.engines import value
from tests.support.roots import key_value, site, site_value
from tests.support.signing import ADMIN_KEY, OTHER_KEY

P = b"0.NA/88.100.7"
CHILD = site("192.0.2.7")
MIRROR = Site(serial=3, flags=0, servers=site("192.0.2.8").servers)


@pytest.fixture
def node(tmp_path: Path) -> LocalNode:
    return LocalNode(tmp_path)


def written(path: Path, found: Site) -> Path:
    path.write_text(json.dumps(site_to_json(found)))
    return path


def kinds(values: tuple[HandleValue, ...] | None) -> dict[int, bytes]:
    return {found.index: found.type for found in values or ()}


def test_a_delegation_tells_sites_for_handles_and_for_derived_prefixes(node: LocalNode, tmp_path: Path) -> None:
    (tmp_path / "admin.pem").write_bytes(public_pem(public_of(ADMIN_KEY)))
    told = node.json(
        "prefix", "delegate", "88.100.7", "--site", written(tmp_path / "site.json", CHILD),
        "--fallback", written(tmp_path / "mirror.json", MIRROR), "--admin-key", tmp_path / "admin.pem", "--ttl", "60",
    )  # fmt: skip
    assert told["result"] == "delegated"
    values = node.values(P)
    assert kinds(values) == {
        1: b"HS_SITE", 2: b"HS_SITE", 11: b"HS_SITE.PREFIX", 12: b"HS_SITE.PREFIX", 100: b"HS_ADMIN", 300: b"HS_PUBKEY"
    }  # fmt: skip
    by_index = {found.index: found for found in values or ()}
    assert [Site.from_bytes(by_index[index].data) for index in (1, 2, 11, 12)] == [CHILD, MIRROR, CHILD, MIRROR]
    assert Administrator.from_bytes(by_index[100].data).handle == P
    assert by_index[300].data == public_key_octets(public_of(ADMIN_KEY))
    assert {found.ttl for found in values or ()} == {60}


def test_only_handles_and_nobody_known_leaves_it_to_the_parents_administrator(node: LocalNode, tmp_path: Path) -> None:
    (tmp_path / "site.bin").write_bytes(CHILD.to_bytes())
    assert node.run("prefix", "delegate", "0.na/88.100.7", "--site", tmp_path / "site.bin", "--only-handles").code == 0
    values = node.values(P) or ()
    assert kinds(values) == {1: b"HS_SITE", 100: b"HS_ADMIN"}
    assert Administrator.from_bytes(values[1].data).handle == b"0.NA/88.100"


def test_delegated_again_it_moves_and_keeps_its_administrators(node: LocalNode, tmp_path: Path) -> None:
    (tmp_path / "admin.pem").write_bytes(public_pem(public_of(ADMIN_KEY)))
    (tmp_path / "other.pem").write_bytes(public_pem(public_of(OTHER_KEY)))
    first = written(tmp_path / "site.json", CHILD)
    node.run("prefix", "delegate", "88.100.7", "--site", first, "--admin-key", tmp_path / "admin.pem")
    node.run("handle", "set-value", "0.NA/88.100.7", "5", "DESC", "mine")
    moved = written(tmp_path / "moved.json", site("192.0.2.99", serial=2))
    node.run("prefix", "delegate", "88.100.7", "--site", moved, "--admin-key", tmp_path / "other.pem", "--only-handles")
    values = {found.index: found for found in node.values(P) or ()}
    assert kinds(tuple(values.values())) == {1: b"HS_SITE", 5: b"DESC", 100: b"HS_ADMIN", 300: b"HS_PUBKEY"}
    assert Site.from_bytes(values[1].data).serial == 2
    assert values[300].data == public_key_octets(public_of(ADMIN_KEY))


def test_undelegate_takes_away_what_delegates_and_the_record_if_nothing_is_left(
    node: LocalNode, tmp_path: Path
) -> None:
    path = written(tmp_path / "site.json", CHILD)
    node.run("prefix", "delegate", "88.100.7", "--site", path)
    ended = node.run("prefix", "undelegate", "88.100.7")
    assert (ended.code, ended.out) == (ExitCode.OK, "undelegated 0.NA/88.100.7\n")
    assert "up to 3600 s" in ended.err
    assert node.values(P) is None
    node.run("prefix", "delegate", "88.100.7", "--site", path)
    node.run("handle", "set-value", "0.NA/88.100.7", "5", "DESC", "mine")
    assert node.run("prefix", "undelegate", "88.100.7").code == ExitCode.OK
    assert kinds(node.values(P)) == {5: b"DESC", 100: b"HS_ADMIN"}
    assert node.run("prefix", "undelegate", "88.100.7").code == ExitCode.NOT_FOUND


@pytest.mark.parametrize(
    ("prefix", "code", "says"),
    [
        ("88.100", ExitCode.CONFLICT, "hnode"),
        ("88.300.1", ExitCode.NOT_FOUND, "is not kept here"),
        ("88.100/A", ExitCode.USAGE, "is no prefix"),
        ("", ExitCode.USAGE, "is no prefix"),
    ],
)
def test_what_cannot_be_delegated_here_is_told(
    node: LocalNode, tmp_path: Path, prefix: str, code: ExitCode, says: str
) -> None:
    ended = node.run("prefix", "delegate", prefix, "--site", written(tmp_path / "site.json", CHILD))
    assert ended.code == code
    assert says in ended.err
    assert not node.journal()


def broken() -> dict[str, tuple[object, str]]:
    """Site records that no client could use, and what is said."""
    server = CHILD.servers[0]
    return {
        "no server": (Site(serial=1, flags=0x80), "names no server"),
        "no address": (site("0.0.0.0"), "names no address"),
        "no key": (site_of(public_key=b""), "public key is missing"),
        "no question": (site_of(interfaces=server.interfaces[:0]), "takes questions"),
        "mirror": (MIRROR, "is a mirror"),
        "text": ("no record", "holds no site record"),
        "huge": ("{" + " " * (1 << 20) + "}", "more than"),
        "nested": ("{" + '"a":[' * 90_000, "holds no site record"),
    }


def site_of(**changes: object) -> Site:
    server = CHILD.servers[0]
    fields = {"id": 1, "address": server.address, "public_key": server.public_key, "interfaces": server.interfaces}
    return Site(serial=1, flags=0x80, servers=(type(server)(**{**fields, **changes}),))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", broken())
def test_a_site_record_that_is_of_no_use_is_told(node: LocalNode, tmp_path: Path, name: str) -> None:
    record, says = broken()[name]
    path = tmp_path / "site"
    path.write_bytes(record.to_bytes() if isinstance(record, Site) else str(record).encode())
    ended = node.run("prefix", "delegate", "88.100.7", "--site", path)
    assert ended.code == ExitCode.USAGE
    assert says in ended.err
    assert not node.journal()


def test_a_fallback_must_be_a_mirror(node: LocalNode, tmp_path: Path) -> None:
    path = written(tmp_path / "site.json", CHILD)
    ended = node.run("prefix", "delegate", "88.100.7", "--site", path, "--fallback", path)
    assert ended.code == ExitCode.USAGE
    assert "must be a mirror" in ended.err


@pytest.mark.parametrize("options", [(), ("--site", "x", "--at", "127.0.0.1:1"), ("--site", "x", "--key", "y")])
def test_one_node_is_named_in_one_way(node: LocalNode, tmp_path: Path, options: tuple[str, ...]) -> None:
    written(tmp_path / "x", CHILD)
    given = [str(tmp_path / word) if word in ("x", "y") else word for word in options]
    assert node.run("prefix", "delegate", "88.100.7", *given).code == ExitCode.USAGE


def test_too_many_sites_are_refused(node: LocalNode, tmp_path: Path) -> None:
    mirrors = [("--fallback", written(tmp_path / "mirror.json", MIRROR))] * SITES_MAX
    given = [word for pair in mirrors for word in pair]
    ended = node.run("prefix", "delegate", "88.100.7", "--site", written(tmp_path / "site.json", CHILD), *given)
    assert ended.code == ExitCode.USAGE


def test_the_delegates_own_words_about_its_administrator_are_taken_over() -> None:
    admin = Administrator(0xFFF, b"0.NA/88.100.7", 310).to_bytes()
    own = (value(101, b"HS_ADMIN", admin), key_value(310, ADMIN_KEY), site_value(1, CHILD), value(5))
    values = delegation_values(P, [CHILD], own=own, now_s=7)
    assert kinds(values) == {1: b"HS_SITE", 11: b"HS_SITE.PREFIX", 101: b"HS_ADMIN", 310: b"HS_PUBKEY"}
    assert {found.timestamp for found in values} == {7}


def test_merging_never_lets_two_values_have_one_index() -> None:
    standing = (value(1), value(11), value(100, b"HS_ADMIN"), site_value(2, CHILD), site_value(50, CHILD, b"HS_SERV"))
    found = merged(standing, delegation_values(P, [CHILD, MIRROR], now_s=0))
    indexes = [one.index for one in found]
    assert len(indexes) == len(set(indexes))
    assert sum(one.type in DELEGATING for one in found) == 4
    assert {one.index for one in found if one.type == b"URL"} == {1, 11}
