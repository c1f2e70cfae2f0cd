"""A primary and its mirror, two real nodes, killed by turns: in the end the mirror holds what the primary holds."""

import json
import signal
import time
from pathlib import Path

from protocol.codec import Message
from protocol.codes import OpCode, ResponseCode
from protocol.requests import HandleRequest
from tests.resolver.test_attacks import asking
from tests.support.running import RunningNode, tcp

WAIT_S = 30.0


def exported(node: RunningNode) -> dict[str, object]:
    done = node.cli("export", "--prefix", "88.100")
    assert done.returncode == 0, done.stderr
    return {json.loads(line)["handle"]: json.loads(line)["values"] for line in done.stdout.splitlines()}


def alike(primary: RunningNode, mirror: RunningNode) -> None:
    end = time.monotonic() + WAIT_S
    while exported(mirror) != exported(primary):
        assert time.monotonic() < end, mirror.log.decode(errors="replace")[-2000:]
        time.sleep(0.3)


def put(node: RunningNode, name: str) -> None:
    done = node.cli("handle", "create", f"88.100/{name}", f"URL=https://example.org/{name}")
    assert done.returncode == 0, done.stderr


def test_a_mirror_follows_its_primary_through_kills_on_both_sides(tmp_path: Path) -> None:
    primary = RunningNode(tmp_path / "p", env={"HNODE_REPLICATION__ADMINS": "300:0.NA/88.100"})
    public = tmp_path / "source.pem"
    made = primary.cli("key", "convert", primary.folder / "keys" / "server.pem", public, "--to", "pub-pem")
    assert made.returncode == 0, made.stderr
    mirror = RunningNode(tmp_path / "m", prefixes=("88.100",))
    with primary:
        for number in range(5):
            put(primary, f"A{number}")
        mirror.env |= {
            "HNODE_REPLICATION__ROLE": "mirror",
            "HNODE_REPLICATION__SOURCE": f"127.0.0.1:{primary.port}",
            "HNODE_REPLICATION__SOURCE_KEY": str(public),
            "HNODE_REPLICATION__KEY": str(primary.folder / "keys" / "88.100.admin.pem"),
            "HNODE_REPLICATION__IDENTITY": "300:0.NA/88.100",
            "HNODE_REPLICATION__INTERVAL": "0.2s",
        }
        with mirror:
            alike(primary, mirror)
            refused = asking(HandleRequest(handle=b"88.100/A0"), OpCode.DELETE_HANDLE)
            said = Message.read(tcp(mirror.port, refused.to_bytes()))
            assert said.header.code == ResponseCode.SERVER_NOT_RESP
            mirror.stop(signal.SIGKILL)
            put(primary, "B")
            mirror.log = b""
            mirror.start()
            alike(primary, mirror)
            primary.stop(signal.SIGKILL)
            put(primary, "C")
            primary.log = b""
            primary.start()
            assert primary.cli("handle", "delete", "88.100/A1").returncode == 0
            alike(primary, mirror)
