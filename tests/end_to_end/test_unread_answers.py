"""Clients that ask for much and never read it: the node drops them in time, stays small, and serves the others.

Each has proven that it may have what it asks for: a list, a dump, or one large record again and again.
"""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from protocol.codec import Message, read_response
from protocol.codes import CONTINUOUS, DEFAULT_REQUEST_FLAGS, KEEP_CONNECTION, OpCode, ResponseCode
from protocol.requests import DumpRequest, HandleRequest, Receiver, ResolutionRequest
from protocol.responses import HandleListResponse
from resolver.tcp_server import TICK_S
from tests.resolver.test_attacks import asking
from tests.support.attackers import NAME, ORDINARY, AttackedNode, server_admin
from tests.support.callers import Caller, messages
from tests.support.engines import value
from tests.support.trust_vectors import ADMIN

TIMEOUT_S = 1.0  # What the node gives a client to take its answer.
CLIENTS = 30
MEMORY_MAX = 96 << 20  # What all processes may take more than before, in octets: some 3 MiB a client.
LATE_S = 1.0
HANDLES = 24_000
NAMES = [b"88.100/" + b"%06d" % number + b"n" * 230 for number in range(HANDLES)]
"""Names of 240 octets: the list of all is larger than what two sockets hold, which is some 4 MiB."""

LIST = asking(HandleRequest(handle=ADMIN), OpCode.LIST_HANDLES)
DUMP = asking(DumpRequest(receiver=Receiver(hash_option=2, server_count=1, server_number=0)), OpCode.DUMP_HANDLES)
LARGE = asking(
    ResolutionRequest(handle=b"88.100/LARGE"), OpCode.RESOLUTION, flags=DEFAULT_REQUEST_FLAGS | KEEP_CONNECTION
).to_bytes()
QUESTION = asking(ResolutionRequest(handle=NAME), OpCode.RESOLUTION)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttackedNode]:
    made = AttackedNode(
        tmp_path_factory.mktemp("attacked") / "n",
        HNODE_REPLICATION__ADMINS="300:88.100/ROOT",
        HNODE_TCP__MESSAGE_TIMEOUT=f"{TIMEOUT_S:g}s",
    )
    large = [value(number, data=bytes(60_000)) for number in range(1, 5)]
    made.put({b"88.100/LARGE": large, **{name: [value(1)] for name in NAMES}})
    with made as running:
        yield running


def deaf(caller: Caller) -> socket.socket:
    """A connection that has room for as little as may be, and is not read."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    sock.bind((caller.source, 0))
    sock.connect(("127.0.0.1", caller.port))
    return sock


def asked_for(kind: str, caller: Caller) -> bytes:
    """What a client sends that has proven that it may have it."""
    if kind == "questions":
        return LARGE * 64
    asked, prover = (LIST, ORDINARY) if kind == "list" else (DUMP, server_admin())
    return prover.answers(caller.challenged(asked), asked).to_bytes()


def is_dropped(sock: socket.socket) -> bool:
    """Whether the node has ended the connection: no end comes behind octets that wait to be taken, but a reset does."""
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    return bool(poll.poll(0))


@pytest.mark.parametrize("kind", ["list", "dump", "questions"])
def test_clients_that_read_nothing(node: AttackedNode, kind: str) -> None:
    caller, after, before = node.caller(), node.heard(), node.memory()
    most = 0
    with ExitStack() as stack:
        silent = [stack.enter_context(deaf(caller)) for _ in range(CLIENTS)]
        for sock in silent:
            sock.sendall(asked_for(kind, caller))
        end = time.monotonic() + TIMEOUT_S + 2 * TICK_S + 4 * LATE_S
        while silent:
            started = time.monotonic()
            for way in ("udp", "tcp"):
                assert node.caller(way).code(QUESTION) == ResponseCode.SUCCESS
            assert time.monotonic() - started < LATE_S
            most = max(most, node.memory() - before)
            silent = [sock for sock in silent if not is_dropped(sock)]
            assert time.monotonic() < end, f"{len(silent)} of {CLIENTS} are still there"
            time.sleep(0.05)
    assert most < MEMORY_MAX
    node.told(rf"a connection of {caller.source} (is ended: it took no answer|ends within an answer)", after=after)


def test_who_reads_the_list_gets_all_of_it(node: AttackedNode) -> None:
    caller = node.caller()
    found = messages(caller.octets(ORDINARY.answers(caller.challenged(LIST), LIST).to_bytes()))
    names = [name for message in found for name in listed(message)]
    assert set(NAMES) < set(names)
    assert len(names) == len(set(names))
    assert [bool(message.header.flags & CONTINUOUS) for message in found] == [True] * (len(found) - 1) + [False]


def listed(message: Message) -> tuple[bytes, ...]:
    _, body = read_response(message)
    assert isinstance(body, HandleListResponse)
    return body.handles
