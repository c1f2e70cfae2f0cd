"""Real nodes one below the other: delegation down, resolution from the root, keys that are kept elsewhere."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from admin.errors import ExitCode
from protocol.json_form.keys import key_to_json
from protocol.trust.keys import PrivateKey, from_pem, public_of
from resolver.elsewhere import DEADLINE_S
from tests.support.hierarchy import Hierarchy, RoleNode
from tests.support.running import hnode

A = "88.100.7/A"
ADMIN = "88.100/ADMIN"
COPIER = "300:0.NA/88.100.7"
SECRET = "a secret that the secondary keeps"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hierarchy]:
    made = Hierarchy(tmp_path_factory.mktemp("hierarchy"))
    made.enterprise.env["HNODE_REPLICATION__ADMINS"] = COPIER
    with made as found:
        enterprise, secondary = found.enterprise, found.secondary
        enterprise.done("handle", "create", A, "URL=https://example.com/")
        # Its administrators are kept at the secondary: a public key, and a secret that only that node may read.
        for index, key in ((101, 300), (102, 301)):
            data = f'{{"handle":"{ADMIN}","index":{key},"permissions":"011111110011"}}'
            enterprise.done("handle", "set-value", A, str(index), "HS_ADMIN", data, "--format", "admin")
        pem = from_pem(secondary.admin_key("88.100").read_bytes())
        assert isinstance(pem, PrivateKey)
        public = key_to_json(public_of(pem))
        secondary.done("handle", "create", ADMIN, "DESC=who may change the enterprise's records")
        secondary.done("handle", "set-value", ADMIN, "300", "HS_PUBKEY", json.dumps(public), "--format", "key")
        secondary.done("handle", "set-value", ADMIN, "301", "HS_SECKEY", SECRET, "--permissions", "1100")
        yield found


def test_a_client_that_knows_the_root_finds_what_the_enterprise_keeps(nodes: Hierarchy) -> None:
    ended = nodes.resolve(A, "--trace", "--type", "URL", "-o", "json")
    assert ended.returncode == ExitCode.OK, ended.stderr
    assert '"https://example.com/"' in ended.stdout
    places = [ended.stderr.index(node.at) for node in (nodes.root, nodes.secondary, nodes.enterprise)]
    assert places == sorted(places)
    assert "4 questions" not in ended.stderr
    assert "3 questions" in ended.stderr


def test_every_answer_on_the_way_can_be_certified(nodes: Hierarchy) -> None:
    ended = nodes.resolve(A, "--certified", "--type", "URL")
    assert ended.returncode == ExitCode.OK, ended.stderr


@pytest.mark.parametrize("handle", ["88.100.7/B", "88.100.8/A", "88.200/A"])
def test_what_does_not_exist_ends_with_3(nodes: Hierarchy, handle: str) -> None:
    assert nodes.resolve(handle).returncode == ExitCode.NOT_FOUND


def test_parents_delegate_what_their_children_are(nodes: Hierarchy) -> None:
    for child, parent in ((nodes.secondary, nodes.root), (nodes.enterprise, nodes.secondary)):
        told = child.json("upstream", "status", "--at", parent.at)
        assert [(one["good"], one["differences"]) for one in told["prefixes"]] == [(True, [])]


def test_who_asks_a_node_that_is_not_the_parent_is_told_so(nodes: Hierarchy) -> None:
    ended = nodes.enterprise.cli("upstream", "status", "--at", nodes.root.at)
    assert ended.returncode == ExitCode.NOT_FOUND
    assert "is not the parent" in ended.stderr


def change(nodes: Hierarchy, text: str, *who: str | Path) -> tuple[int, float]:
    """Exit code and seconds of a change of A at the enterprise's node by somebody."""
    began = time.monotonic()
    ended = hnode("handle", "set-value", A, "1", "URL", text, "--at", nodes.enterprise.at, *who)
    assert "Traceback" not in ended.stderr
    return ended.returncode, time.monotonic() - began


def shown(nodes: Hierarchy) -> str:
    return str(nodes.enterprise.done("handle", "get", A, "--index", "1"))


def test_a_public_key_that_is_kept_elsewhere_proves_an_administrator(nodes: Hierarchy) -> None:
    key = nodes.secondary.admin_key("88.100")
    assert change(nodes, "by-key", "--auth", f"300:{ADMIN}", "--key", key)[0] == ExitCode.OK
    assert "by-key" in shown(nodes)
    other = nodes.enterprise.admin_key("88.100.7")
    assert change(nodes, "by-other", "--auth", f"300:{ADMIN}", "--key", other)[0] == ExitCode.DENIED
    assert "by-key" in shown(nodes)


def test_a_secret_that_is_kept_elsewhere_proves_an_administrator_and_never_leaves(
    nodes: Hierarchy, tmp_path: Path
) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text(SECRET + "\n")
    wrong.write_text("another one\n")
    who = ("--auth", f"301:{ADMIN}", "--secret-file")
    assert change(nodes, "by-secret", *who, right)[0] == ExitCode.OK
    assert "by-secret" in shown(nodes)
    assert change(nodes, "by-nobody", *who, wrong)[0] == ExitCode.DENIED
    assert "by-secret" in shown(nodes)
    assert SECRET not in nodes.resolve(ADMIN, "-o", "json").stdout


def test_a_key_that_nobody_knows_proves_nothing(nodes: Hierarchy) -> None:
    key = nodes.secondary.admin_key("88.100")
    assert change(nodes, "x", "--auth", "300:88.999/X", "--key", key)[0] == ExitCode.DENIED


def test_a_silent_server_holds_nobody_longer_than_the_deadline(nodes: Hierarchy, tmp_path: Path) -> None:
    """The secondary stands still; the secret cannot be checked. Others are answered at once meanwhile."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    with nodes.secondary.paused():
        code, seconds = change(nodes, "late", "--auth", f"301:{ADMIN}", "--secret-file", secret)
        assert code == ExitCode.DENIED
        assert seconds < DEADLINE_S + 4.0
        began = time.monotonic()
        assert hnode("resolve", A, "--at", nodes.enterprise.at).returncode == ExitCode.OK
        assert time.monotonic() - began < 3.0
    code, _ = change(nodes, "again", "--auth", f"301:{ADMIN}", "--secret-file", secret)
    assert code == ExitCode.OK


def test_a_hosted_copy_answers_where_the_delegated_node_is_silent(nodes: Hierarchy, tmp_path: Path) -> None:
    enterprise, secondary = nodes.enterprise, nodes.secondary
    sent = enterprise.folder / "for-the-parent"
    copying = {
        "HNODE_REPLICATION__ROLE": "mirror",
        "HNODE_REPLICATION__SOURCE": enterprise.at,
        "HNODE_REPLICATION__SOURCE_SITE": str(sent / "siteinfo.json"),
        "HNODE_REPLICATION__KEY": str(enterprise.admin_key("88.100.7")),
        "HNODE_REPLICATION__IDENTITY": COPIER,
        "HNODE_REPLICATION__INTERVAL": "0.5s",
    }
    with RoleNode(tmp_path / "mirror", "secondary", env=copying) as mirror:
        end = time.monotonic() + 30
        while hnode("resolve", A, "--at", mirror.at).returncode != ExitCode.OK:
            assert time.monotonic() < end, "the mirror has no copy"
        secondary.done(
            "prefix", "delegate", "88.100.7", "--site", sent / "siteinfo.json", "--fallback", mirror.at, "--yes"
        )
        with enterprise.paused():
            ended = nodes.resolve(A, "--type", "URL", "--trace")
        assert ended.returncode == ExitCode.OK, ended.stderr
        told = enterprise.json("upstream", "status", "--at", secondary.at)["prefixes"][0]
        assert told["good"]
        assert [mirror.at.rpartition(":")[2] in place for place in told["others"]] == [True]
