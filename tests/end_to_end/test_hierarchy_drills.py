"""A hierarchy of real nodes under load while one after the other is killed: nothing wrong is ever answered.

What is homed goes on, what the recursive node remembers goes on, and new names are found as long as any server that
keeps them lives. Each answer is compared with what the enterprise wrote.
"""

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle

import pytest

from admin.playground.goods import AUTO, FREIGHT, LIQUOR, MACHINES, PACK, PART, PHARMA, items
from admin.playground.plan import DELEGATED, FAILING, MIRROR_A, NATIONAL, RECURSIVE, ROOT, SECONDARY_A, SECONDARY_B
from admin.playground.running import Playground, playing
from protocol import codec
from protocol.codec import Message
from protocol.codes import ResponseCode
from protocol.framing import Reassembly
from protocol.responses import ResolutionResponse
from resolver.client import resolution
from tests.support.following import follow

STEADY_S = 1.5  # Of load before and while a node is away.
ASK_S = 5.0  # The recursive node gives a search three seconds.
PAUSE_S = 0.002  # Between two questions of one asker: the nodes, not the askers, shall have the machine.

Texts = dict[str, str]


@dataclass
class Asker:
    """Asks one node over UDP for the handles in turn, all the time, and judges each answer.

    `truth`: texts of a handle by type. `fresh`: every question is one for a new name under that prefix, that does not
    exist. One lost datagram on a busy machine is no silence: each question is put twice.
    """

    name: str
    port: int
    truth: Sequence[tuple[str, Texts]] = ()
    fresh: str = ""
    seen: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def run(self, over: threading.Event) -> None:
        """Until it is over."""
        names = cycle(self.truth)
        number = 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            while not over.wait(PAUSE_S):
                number += 1
                handle, texts = (f"{self.fresh}/{self.name}-{number}", None) if self.fresh else next(names)
                self.judge(handle, texts, asked(sock, self.port, handle))

    def judge(self, handle: str, texts: Texts | None, reply: Message | None) -> None:
        """Count what came; note what is not true."""
        if reply is None:
            self.seen["silence"] += 1
            return
        code = reply.header.code
        self.seen["failure" if code == ResponseCode.ERROR else "answer"] += 1
        if code == ResponseCode.ERROR:
            self.failures.append(f"{handle}: {reply.body!r}")
        if code == ResponseCode.SUCCESS:
            found = texts_of(reply)
            is_true = found == texts and body_of(reply).handle == handle.encode()
        else:
            is_true = code == ResponseCode.ERROR or (code == ResponseCode.HANDLE_NOT_FOUND and texts is None)
        if not is_true:
            self.wrong.append(f"{self.name}: {handle} → {code}")


def body_of(reply: Message) -> ResolutionResponse:
    _, body = codec.read_response(reply)
    assert isinstance(body, ResolutionResponse)
    return body


def texts_of(reply: Message) -> Texts:
    return {v.type.decode(): v.data.decode() for v in body_of(reply).values if not v.type.startswith(b"HS_")}


def asked(sock: socket.socket, port: int, handle: str) -> Message | None:
    """The reply to a resolution, whole; None where none came to two tries."""
    question = resolution(handle.encode(), now_s=int(time.time())).to_bytes()
    pieces = Reassembly()
    for _ in range(2):
        sock.sendto(question, ("127.0.0.1", port))
        end = time.monotonic() + ASK_S
        while (left := end - time.monotonic()) > 0:
            sock.settimeout(left)
            try:
                data = sock.recv(4096)
            except TimeoutError:
                break
            whole = pieces.add("", data, now=time.monotonic()) if data[2] & 0x20 else data
            if whole is not None and whole[8:12] == question[8:12]:
                return Message.read(whole)
    return None


@contextmanager
def load(askers: Sequence[Asker]) -> Iterator[None]:
    """The askers at work in the block. Nothing that any of them was told may be wrong."""
    over = threading.Event()
    threads = [threading.Thread(target=asker.run, args=(over,)) for asker in askers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not [wrong for asker in askers for wrong in asker.wrong]


def seen_without(
    playground: Playground, victim: str, askers: Sequence[Asker], *, seconds: float = STEADY_S
) -> dict[str, Counter[str]]:
    """What the askers see in so many seconds after a node was killed under their load; then it is back."""
    node = playground.nodes[victim]
    with load(askers):
        time.sleep(STEADY_S)
        before = {asker.name: asker.seen["answer"] for asker in askers}
        node.kill()
        for asker in askers:
            asker.seen.clear()
        time.sleep(seconds)
        found = {asker.name: Counter(asker.seen) for asker in askers}
        node.start()
        node.wait()
    assert min(before.values()) > 5, before
    print("failures:", [failure for asker in askers for failure in asker.failures][:5])  # Shown where a test fails.
    return found


@pytest.fixture(scope="module")
def playground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    with playing(tmp_path_factory.mktemp("hierarchy") / "here") as found:
        yield found


@pytest.fixture(scope="module")
def truth(playground: Playground) -> dict[str, Texts]:
    """What the enterprises wrote. The distillery's is what its secondary says before anything happens."""
    known = {item.handle: dict(item.rows) for item in items()}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for number in range(1, 13):
            handle = f"{LIQUOR}/BTL{number:03d}"
            reply = asked(sock, playground.nodes[SECONDARY_A].port, handle)
            assert reply is not None
            known[handle] = texts_of(reply)
    return known


def under(truth: dict[str, Texts], *prefixes: str) -> list[tuple[str, Texts]]:
    return [(handle, texts) for handle, texts in truth.items() if handle.startswith(tuple(f"{p}/" for p in prefixes))]


def warmed(playground: Playground, truth: dict[str, Texts]) -> Asker:
    """An asker of the recursive node for names that it knows by now."""
    found = Asker("cached", playground.nodes[RECURSIVE].port, under(truth, AUTO, MACHINES, FREIGHT, LIQUOR))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for handle, texts in found.truth:
            found.judge(handle, texts, asked(sock, found.port, handle))
    assert found.seen == {"answer": len(found.truth)}, found.seen
    assert not found.wrong
    found.seen.clear()
    return found


def homed(playground: Playground, truth: dict[str, Texts], *names: str) -> list[Asker]:
    """Askers of nodes for what each keeps."""
    kept = {DELEGATED: (AUTO,), SECONDARY_B: (MACHINES, FREIGHT), MIRROR_A: (LIQUOR,), SECONDARY_A: (LIQUOR,)}
    return [Asker(name, playground.nodes[name].port, under(truth, *kept[name])) for name in names]


def new(playground: Playground, prefix: str) -> Asker:
    """An asker of the recursive node for names that nobody asked for before, and that do not exist."""
    return Asker("new", playground.nodes[RECURSIVE].port, fresh=prefix)


def expect_untouched(seen: dict[str, Counter[str]], *names: str) -> None:
    """These askers were answered all the time, and nothing but answers came."""
    for name in names:
        assert seen[name]["answer"] > 20, seen
        assert not seen[name]["failure"] + seen[name]["silence"], f"{name}: {seen}"


def test_a_plain_client_finds_every_enterprise_from_the_root_down(
    playground: Playground, truth: dict[str, Texts]
) -> None:
    ports = {name: node.port for name, node in playground.nodes.items()}
    ways = {
        PART: [ROOT, NATIONAL, SECONDARY_A, DELEGATED],
        PACK: [ROOT, NATIONAL, SECONDARY_B, FAILING],
        f"{LIQUOR}/BTL001": [ROOT, NATIONAL, SECONDARY_A, SECONDARY_A],
        f"{FREIGHT}/EVENT-0001": [ROOT, NATIONAL, SECONDARY_B, SECONDARY_B],
    }
    for handle, way in ways.items():
        found = follow(playground.built.bootstrap, handle)
        assert found.texts == truth[handle]
        assert found.ports == [ports[name] for name in way]
    missing = follow(playground.built.bootstrap, f"{PHARMA}/NONE")
    assert (missing.code, missing.ports[-1]) == (ResponseCode.HANDLE_NOT_FOUND, ports[FAILING])
    nobody = follow(playground.built.bootstrap, "88.999/X")
    assert (nobody.code, nobody.ports) == (ResponseCode.HANDLE_NOT_FOUND, [ports[ROOT], ports[NATIONAL]])


@pytest.mark.parametrize("victim", [ROOT, NATIONAL])
def test_what_is_known_or_homed_goes_on_without_those_above(
    playground: Playground, truth: dict[str, Texts], victim: str
) -> None:
    at_home = homed(playground, truth, DELEGATED, SECONDARY_B, MIRROR_A, SECONDARY_A)
    seen = seen_without(playground, victim, [warmed(playground, truth), new(playground, AUTO), *at_home])
    expect_untouched(seen, *seen)
    assert follow(playground.built.bootstrap, PART).texts == truth[PART], "back again"


def test_the_mirror_takes_over_when_its_primary_is_killed(playground: Playground, truth: dict[str, Texts]) -> None:
    at_home = homed(playground, truth, DELEGATED, SECONDARY_B, MIRROR_A)
    askers = [warmed(playground, truth), new(playground, LIQUOR), *at_home]
    seen = seen_without(playground, SECONDARY_A, askers, seconds=STEADY_S * 2)
    fresh = seen.pop("new")
    expect_untouched(seen, *seen)
    assert fresh["answer"] > 5, "the mirror knows that these do not exist"
    assert not fresh["failure"] + fresh["silence"], fresh


def test_an_enterprise_that_is_killed_fails_alone_and_clearly(playground: Playground, truth: dict[str, Texts]) -> None:
    at_home = homed(playground, truth, DELEGATED, SECONDARY_B)
    askers = [warmed(playground, truth), new(playground, PHARMA), *at_home]
    seen = seen_without(playground, FAILING, askers, seconds=STEADY_S * 2)
    fresh = seen.pop("new")
    expect_untouched(seen, *seen)
    assert fresh["failure"] > 0
    assert fresh["answer"] <= 1, "one answer may have been on its way"
