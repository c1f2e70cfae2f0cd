"""`hnode prefix delegate` and `undelegate`, and the values that they write and take away."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from admin.delegating import DELEGATING, SITES_MAX, delegation_values, enrolled, merged
from admin.errors import ExitCode
from protocol.administrator import Administrator
from protocol.json_form.sites import site_to_json
from protocol.site import MULTI_PRIMARY, Site
from protocol.trust.keys import public_key_octets, public_of, public_pem
from protocol.value import HandleValue
from tests.admin.local_nodes import LocalNode
from tests.support.engines import value
from tests.support.roots import key_value, site, site_value
from tests.support.signing import ADMIN_KEY, OTHER_KEY

P = b"0.NA/88.100.7"
CHILD = site("192.0.2.7")
MIRROR = Site(serial=3, flags=0, servers=site("192.0.2.8").servers)
FALLBACK = Site(serial=3, flags=0, servers=site("192.0.2.8", key=ADMIN_KEY).servers)
"""A mirror with a key of its own."""


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
    ended = node.run("prefix", "undelegate", "88.100.7")
    assert ended.code == ExitCode.NOT_FOUND
    assert ended.err.endswith(" prefix delegations\n")
    ended = node.run("prefix", "undelegate", "88.100.7", "--auth", "300:0.NA/88.100")
    assert ended.code == ExitCode.USAGE
    assert "--write-at HOST:PORT" in ended.err


def test_delegations_are_listed_with_their_places(node: LocalNode, tmp_path: Path) -> None:
    path, mirror = written(tmp_path / "site.json", CHILD), written(tmp_path / "mirror.json", MIRROR)
    none = node.run("prefix", "delegations")
    assert (none.code, "no prefix is delegated here" in none.err) == (ExitCode.OK, True)
    node.run("handle", "create", "0.NA/88.100", "HS_SITE=" + "00", "DESC=a homed one")
    node.run("prefix", "delegate", "88.100.7", "--site", path, "--fallback", mirror, "--ttl", "60")
    node.run("prefix", "delegate", "88.200.1", "--site", path, "--only-handles")
    here, there = "192.0.2.7 tcp 2641 udp 2641", "192.0.2.8 tcp 2641 udp 2641"
    assert node.json("prefix", "delegations") == [
        {"prefix": "88.100.7", "at": [here, there], "derived": True, "ttl": 60},
        {"prefix": "88.200.1", "at": [here], "derived": False, "ttl": 3600},
    ]
    table = node.run("prefix", "delegations").out
    assert f"{here}; {there}" in table


def test_what_is_delegated_so_already_is_not_written_again(node: LocalNode, tmp_path: Path) -> None:
    path = written(tmp_path / "site.json", CHILD)
    assert node.json("prefix", "delegate", "88.100.7", "--site", path)["result"] == "delegated"
    rows = len(node.journal())
    assert node.json("prefix", "delegate", "88.100.7", "--site", path)["result"] == "already so"
    assert node.run("prefix", "delegate", "88.100.7", "--site", path).out.startswith("already so: 0.NA/88.100.7 to ")
    assert len(node.journal()) == rows


@pytest.mark.parametrize(
    ("prefix", "code", "says"),
    [
        ("88.100", ExitCode.CONFLICT, "hnode"),
        ("88.300.1", ExitCode.NOT_FOUND, "is not kept here — it is for the node that keeps 88.300 to delegate it"),
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


@pytest.mark.parametrize(
    ("options", "then"),
    [
        ((), "--site siteinfo.json, or --at HOST:PORT"),
        (("--site", "x", "--at", "127.0.0.1:1"), "name the node once: --site or --at"),
        (("--site", "x", "--key", "y"), "leave --key out"),
    ],
)
def test_one_node_is_named_in_one_way(node: LocalNode, tmp_path: Path, options: tuple[str, ...], then: str) -> None:
    written(tmp_path / "x", CHILD)
    given = [str(tmp_path / word) if word in ("x", "y") else word for word in options]
    ended = node.run("prefix", "delegate", "88.100.7", *given)
    assert (ended.code, ended.err.splitlines()[-1]) == (ExitCode.USAGE, f"next:  {then}")


@pytest.mark.parametrize(
    ("options", "says", "then"),
    [
        (("--site", "passwd"), "passwd holds no site record — it is neither JSON", "hnode upstream enrol --out DIR"),
        (("--at", "127.0.0.1:1", "--key", "passwd"), "passwd holds no server's key — it is neither", "siteinfo.bin"),
        (("--at", "127.0.0.1:1", "--yes"), "127.0.0.1 port 1 cannot be reached", "is that node running?"),
        (("--at", "a:b", "--yes"), "'a:b' is no place to ask", "such as 127.0.0.1:2641"),
        (("--site", "missing"), "missing: No such file", "check the path: ls "),
    ],
)
def test_what_is_wrong_with_the_node_that_is_named_is_told_with_what_to_do(
    node: LocalNode, tmp_path: Path, options: tuple[str, ...], says: str, then: str
) -> None:
    (tmp_path / "passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
    given = [str(tmp_path / word) if word in ("passwd", "missing") else word for word in options]
    ended = node.run("prefix", "delegate", "88.100.7", *given)
    error, following = ended.err.splitlines()
    assert says in error
    assert then in following
    assert "--config" not in following, "It is said of another node than this one."


def test_a_handle_instead_of_a_prefix_is_cut_down_to_it(node: LocalNode) -> None:
    ended = node.run("prefix", "delegate", "88.100.7/x", "--site", "x")
    assert ended.err.splitlines()[-1] == "next:  88.100.7"


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


def enrolled_now(standing: list[HandleValue], mine: Site = CHILD) -> dict[int, HandleValue]:
    """The values by index after a node enrolled that is `mine`; no index stands twice."""
    found = enrolled(tuple(standing), delegation_values(P, [mine], now_s=9), mine)
    by_index = {one.index: one for one in found}
    assert len(by_index) == len(found)
    return by_index


def test_enrolling_keeps_what_the_parent_tells_of_others() -> None:
    old = site("192.0.2.70", serial=4)  # The same key at another address: the node before it moved.
    others = [
        site_value(2, FALLBACK), site_value(12, FALLBACK, b"HS_SITE.PREFIX"), value(3, b"HS_SERV", b"0.NA/S"),
        value(4, b"HS_SITE", b"nobody can read it"), value(5, b"DESC"), value(100, b"HS_ADMIN"),
    ]  # fmt: skip
    found = enrolled_now([replace(site_value(1, old), ttl=60), site_value(11, old, b"HS_SITE.PREFIX"), *others])
    assert all(found[one.index] == one for one in others)
    assert (found[1].type, found[1].data, found[1].ttl) == (b"HS_SITE", CHILD.to_bytes(), 60)
    assert (found[11].type, found[11].data) == (b"HS_SITE.PREFIX", CHILD.to_bytes())
    assert set(found) == {1, 2, 3, 4, 5, 11, 12, 100}


def test_enrolling_puts_a_nodes_site_where_its_old_one_stood() -> None:
    found = enrolled_now([site_value(1, FALLBACK), site_value(7, site("192.0.2.70")), value(8), site_value(9, CHILD)])
    assert [one.index for one in found.values() if one.data == CHILD.to_bytes() and one.type == b"HS_SITE"] == [7]
    assert found[1].data == FALLBACK.to_bytes()
    assert 9 not in found
    again = enrolled_now(list(found.values()))
    assert {i: one.data for i, one in again.items()} == {i: one.data for i, one in found.items()}


def test_another_primary_gives_way_unless_several_take_changes() -> None:
    other = site("192.0.2.99", key=ADMIN_KEY)
    assert enrolled_now([site_value(1, other)])[1].data == CHILD.to_bytes()
    several = replace(other, flags=other.flags | MULTI_PRIMARY)
    found = enrolled_now([site_value(1, several)])
    assert (found[1].data, found[2].data) == (several.to_bytes(), CHILD.to_bytes())
