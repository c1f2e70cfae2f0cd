"""Challenges that nobody answers, by the hundred thousand and at full size: the node stays small and serves the others.

The bounds are those of `resolver.challenges`.
"""

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from protocol.codec import Message
from protocol.codes import DEFAULT_REQUEST_FLAGS, KEEP_CONNECTION, PUBLIC_ONLY, OpCode, ResponseCode
from protocol.envelope import Envelope
from protocol.limits import ENVELOPE_SIZE, MESSAGE_SIZE_MAX
from protocol.requests import ResolutionRequest, ValuesRequest
from resolver.challenges import CHALLENGES, UDP_CHALLENGES
from resolver.refusals import LINES_A_SOURCE_MAX
from tests.resolver.test_attacks import asking
from tests.support.attackers import NAME, ORDINARY, AttackedNode
from tests.support.callers import Caller, address
from tests.support.engines import value
from tests.support.trust_vectors import ADMIN

SOURCES = 200
CODE_AT = ENVELOPE_SIZE + 4
WINDOW = 32  # Datagrams under way at a time: fewer than a receive buffer loses.
MEMORY_MAX = 96 << 20  # What all processes may take more than before, in octets.
LATE_S = 2.0
PAUSE_S = 0.2

RESTRICTED = asking(
    ResolutionRequest(handle=ADMIN, indexes=(302,)), OpCode.RESOLUTION, flags=DEFAULT_REQUEST_FLAGS & ~PUBLIC_ONLY
).to_bytes()
MODIFY = asking(ValuesRequest(handle=NAME, values=(value(1),)), OpCode.MODIFY_VALUE)


def of_full_size() -> bytes:
    """A request of the greatest size that a message may have, which is challenged."""
    data = [value(number, data=bytes(60_000)) for number in range(1, 5)]

    def made(rest: int) -> bytes:
        last = value(5, data=bytes(rest))
        values = ValuesRequest(handle=b"88.100/GREAT", values=(*data, last))
        return asking(values, OpCode.CREATE_HANDLE, flags=DEFAULT_REQUEST_FLAGS | KEEP_CONNECTION).to_bytes()

    return made(ENVELOPE_SIZE + MESSAGE_SIZE_MAX - len(made(0)))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttackedNode]:
    folder = tmp_path_factory.mktemp("attacked") / "n"
    with AttackedNode(folder, HNODE_AUTH__CHALLENGE_TTL="60s", HNODE_UDP__ADMIN="true") as running:
        yield running


def by_udp(port: int, count: int) -> Counter[int]:
    """Leave challenges open by UDP from one address; how often each code was heard."""
    codes = Counter[int]()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((address(), 0))
        sock.connect(("127.0.0.1", port))
        sock.settimeout(1.0)
        for start in range(0, count, WINDOW):
            for number in range(start, min(start + WINDOW, count)):
                sock.send(RESTRICTED[:8] + number.to_bytes(4, "big") + RESTRICTED[12:])
            try:
                for _ in range(start, min(start + WINDOW, count)):
                    codes[int.from_bytes(sock.recv(2_048)[CODE_AT : CODE_AT + 4], "big")] += 1
            except TimeoutError:
                continue
    return codes


def by_tcp(port: int, asked: bytes, count: int) -> Counter[int]:
    """Leave challenges open by one connection of an address of its own; how often each code was heard."""
    codes = Counter[int]()
    with Caller(port).connected() as sock:
        for _ in range(count):
            sock.sendall(asked)
            envelope = sock.recv(ENVELOPE_SIZE, socket.MSG_WAITALL)
            octets = envelope + sock.recv(Envelope.read(envelope).message_size, socket.MSG_WAITALL)
            codes[Message.read(octets).header.code] += 1
    return codes


def volatile_octets(node: AttackedNode) -> int:
    """What the notes take on disk, in octets."""
    files = (node.folder / "store" / "run" / "volatile").iterdir()
    return sum(file.stat().st_blocks * 512 for file in files)


def expect_honest_client_served(node: AttackedNode, way: str) -> None:
    """A client from another address resolves, and proves what it changes, in time."""
    honest = node.caller(way)
    started = time.monotonic()
    (said,) = honest.proving(MODIFY, ORDINARY)
    assert said.header.code == ResponseCode.SUCCESS
    assert honest.code(asking(ResolutionRequest(handle=NAME), OpCode.RESOLUTION)) == ResponseCode.SUCCESS
    assert time.monotonic() - started < LATE_S


@pytest.mark.parametrize("count", [20_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_open_challenges_by_the_thousand(node: AttackedNode, count: int) -> None:
    before, codes = node.memory(), Counter[int]()

    def leave_open() -> None:
        for _ in range(SOURCES // 2):
            codes.update(by_udp(node.port, count // SOURCES))

    threads = [threading.Thread(target=leave_open) for _ in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        expect_honest_client_served(node, "udp")
        expect_honest_client_served(node, "tcp")
        node.read_log()
        time.sleep(PAUSE_S)
    for thread in threads:
        thread.join()
    assert codes[ResponseCode.AUTHENTICATION_NEEDED] > 0.9 * count
    expect_small(node, before)
    expect_honest_client_served(node, "udp")
    expect_honest_client_served(node, "tcp")


def test_one_source_fills_its_own_share_alone(node: AttackedNode) -> None:
    after = node.heard()
    codes = by_udp(node.port, UDP_CHALLENGES.notes_a_source_max + 2 * WINDOW)
    assert 0 < codes[ResponseCode.AUTHENTICATION_NEEDED] <= UDP_CHALLENGES.notes_a_source_max
    assert codes[ResponseCode.SERVER_TOO_BUSY] > 0
    node.told(r"refused RESOLUTION of 127\.\S+ with 3 SERVER_TOO_BUSY", after=after)
    assert node.log.count(b"SERVER_TOO_BUSY") <= 4 * LINES_A_SOURCE_MAX  # Of two workers in two windows.
    expect_honest_client_served(node, "udp")


def test_open_challenges_of_full_size(node: AttackedNode) -> None:
    asked, before, codes = of_full_size(), node.memory(), Counter[int]()
    assert len(asked) == ENVELOPE_SIZE + MESSAGE_SIZE_MAX
    share = CHALLENGES.octets_a_source_max // len(asked)
    sources = 4 * CHALLENGES.octets_max // CHALLENGES.octets_a_source_max
    for source in range(sources):
        codes.update(by_tcp(node.port, asked, share))
        if source % 4 == 0:
            expect_honest_client_served(node, "tcp")
            node.read_log()
    assert codes == {ResponseCode.AUTHENTICATION_NEEDED: sources * share}
    expect_small(node, before)
    assert by_tcp(node.port, asked, 1) == {ResponseCode.AUTHENTICATION_NEEDED: 1}
    expect_honest_client_served(node, "tcp")


def expect_small(node: AttackedNode, before: int) -> None:
    """Neither memory nor disk took more than the bounds say; pages that became free are used again before new ones."""
    assert node.memory() - before < MEMORY_MAX
    assert volatile_octets(node) < 2 * CHALLENGES.octets_max
