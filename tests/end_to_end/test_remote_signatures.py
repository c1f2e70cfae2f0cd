"""`hnode handle sign` and `verify` at a real node (`--at`): written there, checked there, faults told."""

import json
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from admin.errors import ExitCode
from protocol.trust.keys import private_pem, public_of, public_pem
from tests.support.running import RunningNode, hnode
from tests.support.signing import OTHER_KEY, ROOT_KEY

NAME, ADMIN, ROOT = "88.100/SIGNED", "300:0.NA/88.100", "301:0.0/0.0"


class Signing:
    """A node with a root's certificate for its prefix, and commands at it from outside."""

    def __init__(self, folder: Path) -> None:
        self.node = RunningNode(folder / "n")
        self.admin = folder / "n" / "keys" / "88.100.admin.pem"
        self.server_key = folder / "n" / "keys" / "server.pem"
        self.folder = folder
        for name, key in {"root": ROOT_KEY, "other": OTHER_KEY}.items():
            (folder / f"{name}.pem").write_bytes(private_pem(key))
            (folder / f"{name}.pub").write_bytes(public_pem(public_of(key)))

    def at(self, *arguments: str | Path) -> CompletedProcess[str]:
        return hnode("-o", "json", "handle", *arguments, "--at", f"127.0.0.1:{self.node.port}")

    def prepare(self) -> None:
        """The root certifies itself and the prefix's key; both stand in the prefix's record, which the node keeps."""
        root = ("--key", self.folder / "root.pem", "--signer", ROOT)
        itself = ("--subject-key", self.folder / "root.pem", "--into", "0.NA/88.100", "--at-index", "401")
        for command in (
            ("certify", ROOT, "--perm", "everything", *itself, *root),
            ("certify", ADMIN, "--perm", "handlesUnderThisPrefix", "--chain", "401:0.NA/88.100", *root),
        ):
            made = self.node.cli("handle", *command)
            assert made.returncode == 0, made.stderr
        made = self.node.cli("handle", "create", NAME, "URL=https://example.org/", "9:DESC=wrench")
        assert made.returncode == 0, made.stderr

    def sign(self, *more: str | Path) -> CompletedProcess[str]:
        return self.at("sign", NAME, "--key", self.admin, "--signer", ADMIN, "--chain", "400:0.NA/88.100", *more)

    def verify(self, *more: str | Path) -> tuple[int, Any]:
        ended = self.at("verify", NAME, *more)
        return ended.returncode, json.loads(ended.stdout) if ended.stdout else ended.stderr


@pytest.fixture
def signing(tmp_path: Path) -> Iterator[Signing]:
    made = Signing(tmp_path)
    with made.node:
        made.prepare()
        yield made


def test_a_record_is_signed_and_checked_at_a_server(signing: Signing) -> None:
    trust = ("--trust", signing.folder / "root.pub")
    assert signing.verify(*trust)[0] == ExitCode.NOT_FOUND, "nobody has signed it"
    signed = signing.sign("--server-key", signing.server_key)
    assert signed.returncode == 0, signed.stderr
    assert json.loads(signed.stdout)["values"] == "1 URL, 9 DESC, 100 HS_ADMIN"
    code, told = signing.verify(*trust, "--server-key", signing.server_key)
    assert (code, told["result"]) == (0, "good"), told
    assert [link["issuer"] for link in told["signatures"][0]["chain"]] == [ADMIN, ROOT, ROOT]
    assert signing.verify("--trust", signing.folder / "other.pub")[0] == ExitCode.DENIED
    assert signing.verify(*trust, "--server-key", signing.admin)[0] == ExitCode.DENIED, "not the server's key"
    changed = signing.at("set-value", NAME, "9", "DESC", "spanner", "--auth", ADMIN, "--key", signing.admin)
    assert changed.returncode == 0, changed.stderr
    code, told = signing.verify(*trust)
    assert (code, told["signatures"][0]["changed"], told["unsigned"][0]["index"]) == (ExitCode.DENIED, [9], 9)
    again = signing.sign("--session")
    assert json.loads(again.stdout)["index"] == told["signatures"][0]["index"], "in place of the older one"
    assert signing.verify(*trust)[0] == 0


def test_who_may_not_write_there_or_signs_with_another_key_is_told(signing: Signing) -> None:
    other = signing.at("sign", NAME, "--key", signing.folder / "other.pem", "--signer", ADMIN)
    assert (other.returncode, "is not that of 300:0.NA/88.100" in other.stderr) == (ExitCode.FAILED, True)
    stranger = signing.at("sign", NAME, "--key", signing.folder / "other.pem", "--signer", "300:0.NA/99.1")
    assert stranger.returncode == ExitCode.DENIED
    assert "400 invalid admin" in stranger.stderr
    by_admin = signing.at(
        "sign", NAME, "--key", signing.folder / "other.pem", "--signer", "300:0.NA/99.1", "--auth", ADMIN,
        "--auth-key", signing.admin,
    )  # fmt: skip
    assert by_admin.returncode == 0, by_admin.stderr
    assert "is not known here" in by_admin.stderr
    code, told = signing.verify("--trust", signing.folder / "root.pub")
    assert (code, told["result"]) == (ExitCode.DENIED, "bad")
    missing = signing.at("sign", "88.100/NOWHERE", "--key", signing.admin, "--signer", ADMIN)
    assert missing.returncode == ExitCode.NOT_FOUND
