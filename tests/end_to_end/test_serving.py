"""A real node on real sockets: it answers by every way, restarts what dies, and stops when told."""

import os
import resource
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.codec import Message, read_response
from protocol.codes import DEFAULT_REQUEST_FLAGS, KEEP_CONNECTION
from protocol.framing import Framer, Reassembly
from protocol.responses import ResolutionResponse
from tests.support.engines import asking
from tests.support.running import RunningNode, hnode, read_to_end, tcp, udp

RECORDS = """\
{"handle":"88.100/ONE","values":[{"index":1,"type":"URL","data":{"format":"string","value":"https://example.org/"}}]}
{"handle":"88.100/BIG","values":[{"index":1,"type":"TEXT","data":{"format":"string","value":"%s"}}]}
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    folder = tmp_path_factory.mktemp("node")
    made = RunningNode(folder / "n", listen=("127.0.0.1", "::1"), workers=2)
    (folder / "records.jsonl").write_text(RECORDS % ("x" * 3000), encoding="utf-8")
    imported = made.cli("import", folder / "records.jsonl")
    assert imported.returncode == 0, imported.stderr
    with made:
        yield made


def code_of(octets: bytes) -> int:
    return Message.read(octets).header.code


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_stored_handle_is_answered_over_udp_and_tcp_on_both_families(node: RunningNode, host: str) -> None:
    question = asking(b"88.100/one").to_bytes()
    for reply in (udp(node.port, question, host=host)[0], tcp(node.port, question, host=host)):
        message = Message.read(reply)
        _, body = read_response(message)
        assert message.envelope.request_id == 7
        assert isinstance(body, ResolutionResponse)
        assert (body.handle, body.values[0].data) == (b"88.100/one", b"https://example.org/")


def test_a_long_answer_comes_in_pieces_over_udp_and_whole_over_tcp(node: RunningNode) -> None:
    question = asking(b"88.100/BIG").to_bytes()
    whole = tcp(node.port, question)
    pieces = udp(node.port, question, replies=-(-(len(whole) - 20) // 492))
    assert all(len(piece) <= 512 for piece in pieces)
    together = Reassembly()
    put = [together.add("127.0.0.1", piece, now=0.0) for piece in pieces]
    assert put[:-1] == [None] * (len(pieces) - 1)
    assert put[-1] is not None
    assert Message.read(put[-1]).body == Message.read(whole).body


def test_a_question_in_pieces_is_answered_in_one_that_is_marked(node: RunningNode) -> None:
    from protocol.framing import datagrams

    question = asking(b"88.100/one", types=tuple(b"NOT-A-TYPE-%d" % n for n in range(60)) + (b"URL",)).to_bytes()
    pieces = datagrams(question)
    assert len(pieces) > 1
    for order in (pieces, pieces[::-1], [*pieces[:1], *pieces]):
        (reply,) = udp(node.port, *order)
        assert reply[2] & 0x20
        together = Reassembly().add("x", reply, now=0.0)
        assert together is not None
        assert code_of(together) == 1


def test_a_connection_is_kept_where_the_client_asks_and_closed_otherwise(node: RunningNode) -> None:
    keep = asking(b"88.100/one", flags=DEFAULT_REQUEST_FLAGS | KEEP_CONNECTION).to_bytes()
    once = asking(b"88.100/NONE").to_bytes()
    framer = Framer(262_144)
    with socket.create_connection(("127.0.0.1", node.port), timeout=5) as sock:
        for _ in range(3):
            sock.sendall(keep)
            framer.feed(sock.recv(65_536))
        sock.sendall(keep * 20 + once + keep)
        framer.feed(read_to_end(sock))
    assert [code_of(frame) for frame in framer.frames()] == [1] * 23 + [100]  # Nothing is answered behind the close.


def test_a_change_from_the_command_line_resolves_at_once(node: RunningNode) -> None:
    question = asking(b"88.100/NEW").to_bytes()
    assert code_of(udp(node.port, question)[0]) == 100
    assert node.cli("handle", "create", "88.100/NEW", "URL=https://example.org/new").returncode == 0
    assert code_of(udp(node.port, question)[0]) == 1
    assert node.cli("handle", "delete", "88.100/NEW").returncode == 0
    assert code_of(udp(node.port, question)[0]) == 100


def test_a_prefix_homed_while_serving_is_served_at_once(node: RunningNode) -> None:
    question = asking(b"88.200/x").to_bytes()
    assert code_of(udp(node.port, question)[0]) == 301
    assert node.cli("prefix", "home", "88.200").returncode == 0
    assert code_of(udp(node.port, question)[0]) == 100
    assert node.cli("prefix", "unhome", "88.200").returncode == 0
    assert code_of(udp(node.port, question)[0]) == 301


def test_a_worker_that_is_killed_is_replaced_and_its_datagrams_wait(node: RunningNode) -> None:
    before = node.worker_pids()
    assert len(before) == 2
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    question = asking(b"88.100/one").to_bytes()
    assert code_of(udp(node.port, question, timeout_s=10)[0]) == 1
    end = time.monotonic() + 10
    while len(node.worker_pids()) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    assert not set(node.worker_pids()) & set(before)
    assert code_of(tcp(node.port, question)) == 1


def test_a_second_node_on_the_same_store_is_refused(node: RunningNode) -> None:
    second = node.cli("serve")
    assert second.returncode == 1
    assert "another node" in second.stderr.lower()
    assert "Traceback" not in second.stderr


def test_a_second_node_on_the_same_ports_is_refused(node: RunningNode, tmp_path: Path) -> None:
    assert hnode("init", tmp_path / "n", "--prefix", "88.9", "--listen", "127.0.0.1", "--port", "0").returncode == 0
    env = {"HNODE_UDP__LISTEN": f"127.0.0.1:{node.port}", "HNODE_TCP__LISTEN": f"127.0.0.1:{node.port}"}
    second = hnode("--config", tmp_path / "n" / "hnode.toml", "serve", env=env)
    assert second.returncode == 1
    assert f"127.0.0.1:{node.port}" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_node_that_is_told_to_stop_ends_with_0(tmp_path: Path, how: signal.Signals) -> None:
    node = RunningNode(tmp_path / "n")
    with node:
        workers = node.worker_pids()
        with socket.create_connection(("127.0.0.1", node.port), timeout=5) as idle:
            assert node.stop(how) == 0
            assert idle.recv(1) == b""
    for worker in workers:
        assert not Path(f"/proc/{worker}").exists()


def test_a_message_under_way_is_still_answered_when_the_node_stops(tmp_path: Path) -> None:
    node = RunningNode(tmp_path / "n")
    question = asking(b"0.NA/88.100").to_bytes()
    with node, socket.create_connection(("127.0.0.1", node.port), timeout=5) as sock:
        sock.sendall(question[:30])
        time.sleep(0.3)
        assert node.process is not None
        node.process.terminate()
        time.sleep(0.3)
        sock.sendall(question[30:])
        assert code_of(read_to_end(sock)) == 1
        assert node.process.wait(10) == 0


def test_a_node_lets_itself_open_as_many_files_as_the_machine_allows(tmp_path: Path) -> None:
    node = RunningNode(tmp_path / "n")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, limits[1]))  # Children inherit it.
    try:
        with node:
            for child in node.child_pids():
                assert resource.prlimit(child, resource.RLIMIT_NOFILE) == (limits[1], limits[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_workers_do_not_outlive_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    node = RunningNode(tmp_path / "n").start()
    workers = node.worker_pids()
    assert node.process is not None
    node.process.kill()
    node.process.communicate()
    end = time.monotonic() + 10
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_status_says_whether_the_node_runs_also_after_it_was_killed(tmp_path: Path) -> None:
    node = RunningNode(tmp_path / "n")
    before = node.cli("status")
    assert (before.returncode, "no node has run" in before.stderr) == (5, True)
    with node:
        while_it_runs = node.cli("-o", "json", "status")
        assert (while_it_runs.returncode, '"running": true' in while_it_runs.stdout) == (0, True)
        assert node.process is not None
        node.process.kill()
        node.process.communicate()  # Its workers end with it, which the system may take a moment for.
        end = time.monotonic() + 10
        while (after := node.cli("-o", "json", "status")).returncode == 0:
            assert time.monotonic() < end
        assert (after.returncode, '"running": false' in after.stdout) == (5, True)
        assert "no node runs" in after.stderr
        node.process = None
