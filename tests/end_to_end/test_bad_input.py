"""What strangers send to a real node: it stays silent or answers briefly, never hangs, and goes on answering others."""

import socket
import time
from collections.abc import Iterator

import pytest

from protocol.codec import Message
from protocol.codes import DEFAULT_REQUEST_FLAGS, KEEP_CONNECTION
from protocol.framing import datagrams
from tests.support.engines import asking
from tests.support.running import RunningNode, read_to_end, silent, tcp, udp

GOOD = asking(b"0.NA/88.100").to_bytes()
SHORT = asking(b"88.100/NONE").to_bytes()  # Its answer fits into one datagram.
LONG = asking(b"0.NA/88.100", types=tuple(b"NOT-A-TYPE-%d" % n for n in range(120))).to_bytes()
ENV = {
    "HNODE_TCP__MESSAGE_TIMEOUT": "1s",
    "HNODE_TCP__IDLE_TIMEOUT": "2s",
    "HNODE_TCP__MAX_CONNECTIONS": "12",
    "HNODE_TCP__MAX_CONNECTIONS_PER_SOURCE": "10",
    "HNODE_LIMITS__UDP_EXEMPT": "",
    "HNODE_LIMITS__UDP_PER_SOURCE": "1000/s",
    "HNODE_LIMITS__UDP_BURST": "1000",
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    with RunningNode(tmp_path_factory.mktemp("node") / "n", env=ENV) as running:
        yield running


def changed(octets: bytes, at: int, to: bytes) -> bytes:
    return octets[:at] + to + octets[at + len(to) :]


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        bytes(10),
        bytes(19),
        b"\xff" * 51,
        GOOD[:51],
        changed(GOOD, 24, b"\0\0\0\1"),
        bytes.fromhex("020b420b 00000000 00000007 00000000 00000000"),
        bytes.fromhex("020b420b 00000005 00000007 00000000 00000000"),
    ],
    ids=["empty", "10 zeros", "19 zeros", "51 of ff", "cut short", "a response", "encrypted", "in no session"],
)
def test_what_is_short_or_no_question_is_dropped(node: RunningNode, datagram: bytes) -> None:
    assert silent(node.port, datagram, answered=SHORT)


@pytest.mark.parametrize(
    "datagram",
    [
        changed(GOOD, 20, b"\0\0\0\x4d"),
        changed(GOOD, 16, b"\xff\xff\xff\xff"),
        GOOD[:-1],
        GOOD[:52],
        changed(GOOD, 44, b"\x7f\xff\xff\xff"),
        changed(GOOD, 8, b"\1\2\3\4") + bytes(60_000),
        asking(b"88.100/" + b"x" * 600).to_bytes()[:600],
    ],
    ids=["unknown opcode", "impossible length", "one octet short", "52 octets", "handle length", "60 kB", "600 cut"],
)
def test_a_reply_to_what_is_wrong_is_no_larger_and_carries_its_id(node: RunningNode, datagram: bytes) -> None:
    (reply,) = udp(node.port, datagram)
    assert len(reply) <= len(datagram)
    assert reply[8:12] == datagram[8:12]
    assert Message.read(reply).header.code in (4, 5)


def test_fragments_that_disagree_repeat_overlap_or_never_end_are_dropped(node: RunningNode) -> None:
    pieces = datagrams(LONG)
    other = changed(pieces[1], 30, b"????")
    longer = changed(pieces[1], 16, (5000).to_bytes(4, "big"))
    beyond = changed(pieces[1], 12, (4000).to_bytes(4, "big"))
    short = pieces[1][:-5]
    for bad in ([pieces[1], other], [pieces[0], longer], [beyond], [pieces[0], short], [pieces[0]] * 5):
        assert silent(node.port, *bad, answered=changed(SHORT, 8, b"\0\0\0\x09"))
        time.sleep(0.02)


def test_tcp_that_sends_an_octet_a_time_is_ended_in_time(node: RunningNode) -> None:
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", node.port), timeout=5) as sock:
        try:
            for octet in GOOD:
                sock.send(bytes([octet]))
                time.sleep(0.2)
        except OSError:
            pass
        assert time.monotonic() - started < 5


def test_half_a_message_and_then_silence_is_refused_in_time(node: RunningNode) -> None:
    with socket.create_connection(("127.0.0.1", node.port), timeout=5) as sock:
        sock.sendall(GOOD[:40])
        reply = Message.read(read_to_end(sock))
    assert (reply.header.code, reply.envelope.request_id) == (4, 7)
    assert b"Read timed out" in reply.body


def test_silence_from_the_start_is_ended(node: RunningNode) -> None:
    with socket.create_connection(("127.0.0.1", node.port), timeout=5) as sock:
        assert read_to_end(sock) == b""


def test_300_megabytes_announced_are_refused_at_once(node: RunningNode) -> None:
    reply = Message.read(tcp(node.port, changed(GOOD, 16, (300 << 20).to_bytes(4, "big"))))
    assert (reply.header.code, reply.envelope.request_id) == (4, 7)


@pytest.mark.parametrize("size", range(10))
def test_a_framed_message_that_is_too_short_is_refused_and_ends_the_connection(node: RunningNode, size: int) -> None:
    reply = Message.read(tcp(node.port, changed(GOOD[:20], 16, size.to_bytes(4, "big")) + bytes(size)))
    assert (reply.header.code, reply.envelope.request_id) == (4, 7)


def test_garbage_over_tcp_ends_the_connection(node: RunningNode) -> None:
    assert len(tcp(node.port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")) <= 100


def test_too_many_connections_are_refused_and_the_others_go_on(node: RunningNode) -> None:
    keep = asking(b"0.NA/88.100", flags=DEFAULT_REQUEST_FLAGS | KEEP_CONNECTION).to_bytes()
    time.sleep(0.3)
    held = [socket.create_connection(("127.0.0.1", node.port), timeout=5) for _ in range(10)]
    try:
        for sock in held:
            sock.sendall(keep)
            assert sock.recv(65_536)
        assert tcp(node.port, GOOD) == b""
        held[0].sendall(keep)
        assert held[0].recv(65_536)
    finally:
        for sock in held:
            sock.close()
    time.sleep(0.2)
    assert Message.read(tcp(node.port, GOOD)).header.code == 1


def test_a_client_that_never_reads_is_ended_and_holds_little(node: RunningNode) -> None:
    keep = asking(b"0.NA/88.100", flags=DEFAULT_REQUEST_FLAGS | KEEP_CONNECTION).to_bytes()
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sent = 0
        ended = False
        end = time.monotonic() + 10
        sock.settimeout(0.5)
        while time.monotonic() < end and not ended:
            try:
                sent += sock.send(keep * 100)
            except TimeoutError:
                time.sleep(0.1)
            except OSError:
                ended = True
        assert ended
        assert sent < 64 << 20
    assert Message.read(tcp(node.port, GOOD)).header.code == 1


def test_answers_that_amplify_are_limited_for_each_source_and_counted(node: RunningNode) -> None:
    time.sleep(1.1)
    replies = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.connect(("127.0.0.1", node.port))
        started = time.monotonic()
        for _ in range(4_000):
            sock.send(GOOD)
        sock.settimeout(0.3)
        try:
            while sock.recv(2048):
                replies += 1
        except TimeoutError:
            pass
        spent = time.monotonic() - started
    assert 300 < replies < 1_000 + 1_000 * spent + 50
    status = node.cli("-o", "json", "status")
    assert '"udp_dropped_limited": 0' not in status.stdout
    assert Message.read(tcp(node.port, GOOD)).header.code == 1  # TCP has no such limit: its sources are real.
