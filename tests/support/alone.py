"""Run in a network namespace of its own: init, serve, resolve and refresh with nothing but loopback. A program.

Prints what it did, and ends with 0 where all of it held. Started by the test of the same subject with `unshare -n`.
"""

import array
import fcntl
import socket
import struct
import sys
from pathlib import Path

from protocol.codes import DEFAULT_REQUEST_FLAGS
from resolver.bootstrap.files import read_files, write_root_file
from resolver.bootstrap.root_data import RootData
from resolver.client import resolution
from tests.support.hierarchy import Hierarchy, RoleNode
from tests.support.running import hnode, udp

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_UP = 1
NOW_S = 1_700_000_000


def loopback_up() -> None:
    """Switch on the one interface that a new namespace has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = array.array("B", struct.pack("16sH14x", b"lo", 0))
        fcntl.ioctl(sock, _SIOCGIFFLAGS, request)
        flags = struct.unpack("16sH14x", request.tobytes())[1]
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _UP))


def interfaces() -> list[str]:
    """The names of all interfaces."""
    return [name for _, name in socket.if_nameindex()]


def sent() -> tuple[int, int]:
    """Datagrams sent and connections begun in this namespace, ever."""
    lines = Path("/proc/net/snmp").read_text().splitlines()
    tables = {}
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        kind = names.partition(":")[0]
        tables[kind] = dict(zip(names.split()[1:], map(int, values.split()[1:]), strict=True))
    return tables["Udp"]["OutDatagrams"], tables["Tcp"]["ActiveOpens"]


def main(folder: Path) -> None:
    """All of it; an `AssertionError` says what did not hold."""
    loopback_up()
    assert interfaces() == ["lo"], interfaces()
    without_a_root(folder / "without")
    with Hierarchy(folder) as nodes:
        nodes.enterprise.done("handle", "create", "88.100.7/A", "URL=https://example.com/")
        ended = nodes.resolve("88.100.7/A", "--type", "URL")
        assert ended.returncode == 0, ended.stderr
        refreshed(folder / "asking", nodes)
    print("resolved and refreshed with nothing but loopback")


def refreshed(folder: Path, nodes: Hierarchy) -> None:
    """A recursive node that finds its root's data old, asks for them, and answers."""
    known = read_files(nodes.bootstrap).root
    assert known is not None
    folder.mkdir()
    write_root_file(folder, RootData(1, known.records))
    with RoleNode(folder / "node", "recursive", env={"HNODE_UPSTREAM__BOOTSTRAP_DIR": str(folder)}) as node:
        node.wait_for("the root's data were refreshed", 20.0)
        ended = hnode("resolve", "88.100.7/A", "--at", node.at)
        assert ended.returncode == 0, ended.stderr


def without_a_root(folder: Path) -> None:
    """A recursive node without a bootstrap answers a question for anything, and asks nobody."""
    with RoleNode(folder, "recursive") as node:
        before = sent()
        question = resolution(b"20.1000/1", flags=DEFAULT_REQUEST_FLAGS, now_s=NOW_S)
        (reply,) = udp(node.port, question.to_bytes())
        assert b"no root is known" in reply, reply
        datagrams, connections = (now - then for now, then in zip(sent(), before, strict=True))
        assert (datagrams, connections) == (2, 0), "the question and its answer, and nothing else"
    print("without a root nobody was asked")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
