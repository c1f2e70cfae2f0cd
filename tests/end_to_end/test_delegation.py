"""Delegations written with the nodes running: who vouches for a key, enrolment with credentials, what status says."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from admin.errors import ExitCode
from protocol.json_form.sites import site_from_json, site_to_json
from protocol.site import Site
from tests.support.hierarchy import Hierarchy
from tests.support.roots import site
from tests.support.running import hnode
from tests.support.signing import ADMIN_KEY

P = "88.100.9"
R = f"0.NA/{P}"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hierarchy]:
    with Hierarchy(tmp_path_factory.mktemp("delegation"), only=("secondary", "enterprise")) as found:
        found.enterprise.done("prefix", "home", P)
        yield found


@pytest.fixture
def files(nodes: Hierarchy) -> Path:
    """The files that the enterprise's administrator sends."""
    folder = nodes.enterprise.folder / "sent"
    nodes.enterprise.done("upstream", "enrol", "--prefix", "88.100.7", "--out", folder)
    return folder


def forgotten(nodes: Hierarchy) -> None:
    nodes.secondary.cli("prefix", "undelegate", P)
    nodes.secondary.cli("handle", "delete", R)


def test_a_node_is_believed_only_where_somebody_vouches_for_its_key(nodes: Hierarchy, files: Path) -> None:
    forgotten(nodes)
    at = ("prefix", "delegate", P, "--at", nodes.enterprise.at)
    alone = nodes.secondary.cli(*at)
    assert alone.returncode == ExitCode.DENIED
    assert "nobody vouches" in alone.stderr
    wrong = nodes.secondary.cli(*at, "--key", nodes.secondary.admin_key("88.100"))
    assert wrong.returncode == ExitCode.DENIED
    assert "not to be believed" in wrong.stderr
    assert "next:  --key FILE: siteinfo.bin or the public key of that very node" in wrong.stderr
    assert nodes.secondary.cli("handle", "get", R).returncode == ExitCode.NOT_FOUND
    for known in (("--key", files / "siteinfo.bin"), ("--key", files / "siteinfo.json"), ("--yes",)):
        ended = nodes.secondary.cli(*at, *known)
        assert ended.returncode == ExitCode.OK, ended.stderr


def test_who_administers_the_prefix_is_asked_of_its_node(nodes: Hierarchy, files: Path) -> None:
    nodes.secondary.done("prefix", "undelegate", "88.100.7")
    nodes.secondary.done("prefix", "delegate", "88.100.7", "--at", nodes.enterprise.at, "--key", files / "siteinfo.bin")
    told = nodes.secondary.json("handle", "get", "0.NA/88.100.7")["values"]
    there = nodes.enterprise.json("handle", "get", "0.NA/88.100.7")["values"]

    def key(values: list[dict[str, object]]) -> object:
        return next(one["data"] for one in values if one["type"] == "HS_PUBKEY")

    assert key(told) == key(there)


def credentials(nodes: Hierarchy) -> tuple[str | Path, ...]:
    return ("--auth", "300:0.NA/88.100", "--key", nodes.secondary.admin_key("88.100"))


def test_a_node_writes_its_delegation_at_the_parent_and_brings_it_up_to_date(nodes: Hierarchy, files: Path) -> None:
    forgotten(nodes)
    there = ("--prefix", P, "--at", nodes.secondary.at)
    before = nodes.enterprise.cli("upstream", "status", *there)
    assert before.returncode == ExitCode.NOT_FOUND
    assert f"record: the parent tells none of {R}" in before.stdout
    ended = nodes.enterprise.cli("upstream", "enrol", *there, *credentials(nodes))
    assert ended.returncode == ExitCode.OK, ended.stderr
    assert ended.stdout.startswith(f"enrolled {R}")
    assert nodes.enterprise.cli("upstream", "status", *there).returncode == ExitCode.OK
    old = json.loads((files / "siteinfo.json").read_text())
    old["serialNumber"] = 77
    old["servers"][0]["address"] = "192.0.2.55"
    (files / "old.json").write_text(json.dumps(old))
    assert site_from_json(old).serial == 77
    nodes.secondary.done("prefix", "delegate", P, "--site", files / "old.json")
    differs = nodes.enterprise.cli("upstream", "status", *there)
    assert differs.returncode == ExitCode.CONFLICT
    assert "address: the parent tells 192.0.2.55, this node is 127.0.0.1" in differs.stdout
    assert "serial: the parent tells 77, this node is 1" in differs.stdout
    assert "hnode" in differs.stderr
    assert differs.stdout.endswith("0 delegated as this node is, 1 not\n")
    chinese = nodes.enterprise.cli("--lang", "zh", "upstream", "status", *there)
    assert "address：上级记录为 192.0.2.55，本节点为 127.0.0.1" in chinese.stdout
    again = nodes.enterprise.cli("upstream", "enrol", *there, *credentials(nodes))
    assert again.stdout.startswith(f"brought up to date {R}"), again.stderr
    assert nodes.enterprise.cli("upstream", "status", *there).returncode == ExitCode.OK
    third = nodes.enterprise.cli("upstream", "enrol", *there, *credentials(nodes))
    assert third.stdout.startswith(f"already so {R}"), third.stdout
    assert "neither the identity nor its key was tried" in third.stderr


def test_enrolling_keeps_the_mirror_that_the_parent_tells(nodes: Hierarchy, files: Path) -> None:
    forgotten(nodes)
    mirror = Site(serial=3, flags=0, servers=site("192.0.2.8", key=ADMIN_KEY).servers)
    (files / "mirror.json").write_text(json.dumps(site_to_json(mirror)))
    old = json.loads((files / "siteinfo.json").read_text())
    old["serialNumber"] = 77
    (files / "old.json").write_text(json.dumps(old))
    nodes.secondary.done("prefix", "delegate", P, "--site", files / "old.json", "--fallback", files / "mirror.json")
    there = ("--prefix", P, "--at", nodes.secondary.at)
    told = nodes.enterprise.done("upstream", "enrol", *there, *credentials(nodes))
    assert "also told: 192.0.2.8 tcp 2641 udp 2641" in told
    record = nodes.secondary.json("handle", "get", R)["values"]
    assert [(one["index"], one["type"]) for one in record if one["type"].startswith("HS_SITE")] == [
        (1, "HS_SITE"), (2, "HS_SITE"), (11, "HS_SITE.PREFIX"), (12, "HS_SITE.PREFIX")
    ]  # fmt: skip
    status = nodes.enterprise.json("upstream", "status", *there)["prefixes"][0]
    assert (status["good"], status["others"]) == (True, ["192.0.2.8 tcp 2641 udp 2641"])


def test_a_configuration_that_is_not_served_yet_is_told(
    nodes: Hierarchy, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten(nodes)
    there = ("--prefix", P, "--at", nodes.secondary.at)
    nodes.enterprise.done("upstream", "enrol", *there, *credentials(nodes))
    monkeypatch.setitem(nodes.enterprise.env, "HNODE_TCP__LISTEN", "127.0.0.1:2799")
    ended = nodes.enterprise.cli("upstream", "status", *there)
    assert ended.returncode == ExitCode.CONFLICT
    assert "✓" not in ended.stdout
    assert "the configuration says tcp 2799 udp" in ended.stdout
    assert "restart the node, then: hnode --config" in ended.stderr
    (differs,) = json.loads(nodes.enterprise.cli("upstream", "status", *there, "-o", "json").stdout)["configuration"]
    assert differs["what"] == "ports"
    assert "restart the node" in nodes.enterprise.cli("upstream", "enrol", *there, *credentials(nodes)).stderr


def test_who_has_no_right_there_writes_nothing(nodes: Hierarchy) -> None:
    forgotten(nodes)
    there = ("upstream", "enrol", "--prefix", P, "--at", nodes.secondary.at)
    nobody = nodes.enterprise.cli(*there, "--auth", "300:0.NA/88.100", "--key", nodes.enterprise.admin_key("88.100.7"))
    assert nobody.returncode == ExitCode.DENIED
    unnamed = nodes.enterprise.cli(*there)
    assert unnamed.returncode == ExitCode.USAGE
    assert "--out DIR" in unnamed.stderr
    assert nodes.secondary.cli("handle", "get", R).returncode == ExitCode.NOT_FOUND


def test_a_delegation_can_be_written_at_another_server(nodes: Hierarchy, files: Path) -> None:
    forgotten(nodes)
    ended = hnode(
        "prefix", "delegate", P, "--site", files / "siteinfo.json", "--write-at", nodes.secondary.at,
        "--auth", "300:0.NA/88.100", "--auth-key", nodes.secondary.admin_key("88.100"),
    )  # fmt: skip
    assert ended.returncode == ExitCode.OK, ended.stderr
    assert nodes.enterprise.cli("upstream", "status", "--prefix", P, "--at", nodes.secondary.at).returncode == 0
    there = ("--write-at", nodes.secondary.at, "--auth", "300:0.NA/88.100", "--auth-key")
    listed = nodes.secondary.json("prefix", "delegations")
    assert P in [one["prefix"] for one in listed]
    stranger = hnode("prefix", "undelegate", P, *there, nodes.enterprise.admin_key("88.100.7"))
    assert stranger.returncode == ExitCode.DENIED
    gone = hnode("prefix", "undelegate", P, *there, nodes.secondary.admin_key("88.100"))
    assert gone.returncode == ExitCode.OK, gone.stderr
    assert gone.stdout == f"undelegated {R}  ({nodes.secondary.at})\n"
    assert nodes.secondary.cli("handle", "get", R).returncode == ExitCode.NOT_FOUND
    again = hnode("prefix", "undelegate", P, *there, nodes.secondary.admin_key("88.100"))
    assert again.returncode == ExitCode.NOT_FOUND
    own = hnode("prefix", "undelegate", "88.100", *there, nodes.secondary.admin_key("88.100"))
    assert own.returncode == ExitCode.CONFLICT
    assert "keeps it itself" in own.stderr
    assert "HS_SITE" in nodes.secondary.done("handle", "get", "0.NA/88.100")


def test_a_node_that_does_not_keep_the_prefix_yet_is_told(nodes: Hierarchy) -> None:
    for prefix, is_kept in ((P, True), ("88.100.11", False)):
        ended = nodes.secondary.cli("prefix", "delegate", prefix, "--at", nodes.enterprise.at, "--yes")
        assert ended.returncode == ExitCode.OK, ended.stderr
        assert (f"does not keep {prefix} yet; on that node: hnode prefix home {prefix}" in ended.stderr) is not is_kept
    nodes.secondary.done("prefix", "undelegate", "88.100.11")


def test_the_parent_is_held_against_its_key_and_a_silent_one_is_told(nodes: Hierarchy, tmp_path: Path) -> None:
    nodes.secondary.done("upstream", "enrol", "--prefix", "88.100", "--out", tmp_path)
    there = ("upstream", "status", "--prefix", "88.100.7", "--at", nodes.secondary.at, "--server-key")
    assert nodes.enterprise.cli(*there, tmp_path / "siteinfo.json").returncode == ExitCode.OK
    forged = nodes.enterprise.cli(*there, nodes.enterprise.folder / "sent" / "siteinfo.json")
    assert forged.returncode == ExitCode.DENIED
    assert "siteinfo.json that node's key? on that node: hnode upstream enrol" in forged.stderr
    silent = nodes.enterprise.cli("upstream", "status", "--at", "127.0.0.1:1")
    assert silent.returncode == ExitCode.UNREACHABLE
    unnamed = nodes.enterprise.cli("upstream", "status")
    assert unnamed.returncode == ExitCode.USAGE
    assert "[upstream] parent" in unnamed.stderr


def test_the_configuration_names_parent_key_and_identity(
    nodes: Hierarchy, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten(nodes)
    nodes.secondary.done("upstream", "enrol", "--prefix", "88.100", "--out", files / "parent")
    upstream = {
        "PARENT": nodes.secondary.at,
        "PARENT_SITE": str(files / "parent" / "siteinfo.json"),
        "KEY": str(nodes.secondary.admin_key("88.100")),
        "IDENTITY": "300:0.NA/88.100",
    }
    for name, value in upstream.items():
        monkeypatch.setitem(nodes.enterprise.env, f"HNODE_UPSTREAM__{name}", value)
    assert nodes.enterprise.cli("config", "check").returncode == ExitCode.OK
    assert nodes.enterprise.done("upstream", "enrol", "--prefix", P).startswith(f"enrolled {R}")
    ended = nodes.enterprise.cli("upstream", "status", "--prefix", P)
    assert ended.returncode == ExitCode.OK
    assert "not held against a key" not in ended.stderr
