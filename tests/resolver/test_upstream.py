"""Questions by real sockets: only who was asked is heard, with the id that was asked; waits, pieces, proofs, TCP."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise

import pytest

from protocol.codec import Message, read_response
from protocol.codes import CERTIFY, DEFAULT_REQUEST_FLAGS, REQUEST_DIGEST, OpCode
from protocol.framing import datagrams
from protocol.requests import ResolutionRequest
from protocol.responses import ErrorResponse, ResolutionResponse
from protocol.trust.challenge import request_digest
from protocol.trust.keys import PublicKey, public_of
from protocol.value import HandleValue
from protocol.version import NEWEST
from resolver.clock import HandClock, SystemClock
from resolver.upstream import Upstream
from resolver.walk.events import Ask, NoReply, Place, Way
from tests.support.engines import NOW, server_key
from tests.support.loops import in_loop
from tests.support.neighbours import Ports, toy
from tests.support.signing import OTHER_KEY
from tests.support.toy_nodes import LATER, reply, signed_by
from tests.support.toy_servers import toy_server

HANDLE = b"88.100/x"
VALUES = (HandleValue(index=1, type=b"URL", data=b"u" * 40),)
BODY = ResolutionResponse(handle=HANDLE, values=VALUES)
LONG = ResolutionResponse(handle=HANDLE, values=tuple(replace(VALUES[0], index=n) for n in range(1, 40)))


def good(octets: bytes, body: ResolutionResponse = BODY) -> bytes:
    return reply(Message.read(octets), body).to_bytes()


def ask(
    port: int,
    *,
    way: Way = Way.UDP,
    waits: tuple[int, ...] = (200,),
    keys: tuple[PublicKey, ...] = (),
    host: str = "127.0.0.1",
) -> Ask:
    return Ask(
        number=1, place=Place(host, port), way=way, body=ResolutionRequest(handle=HANDLE), opcode=OpCode.RESOLUTION,
        flags=DEFAULT_REQUEST_FLAGS, version=NEWEST, site_serial=3, recursion_count=2, waits_ms=waits, keys=keys,
    )  # fmt: skip


@asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    made = Upstream(asyncio.get_running_loop(), SystemClock())
    try:
        yield made
    finally:
        made.close()
        assert not made.questions
        await asyncio.sleep(0.01)


async def outcome(up: Upstream, question: Ask) -> Message | NoReply:
    told: asyncio.Future[Message | NoReply] = asyncio.get_running_loop().create_future()
    up.ask(question, told.set_result)
    assert not told.done(), "never from within the call"
    found = await asyncio.wait_for(told, 5)
    assert not up.questions
    assert not len(up.watch)
    return found


async def asked_of(answers: Callable[[bytes], Sequence[bytes]], **more: object) -> Message | NoReply:
    async with toy(answers) as server, upstream() as up:
        return await outcome(up, ask(server.port, **more))  # type: ignore[arg-type]


def said(found: Message | NoReply) -> object:
    return read_response(found)[1] if isinstance(found, Message) else found


@in_loop
async def test_an_answer_is_told_as_it_came() -> None:
    assert said(await asked_of(lambda octets: [good(octets)])) == BODY


@in_loop
async def test_the_request_says_what_the_walk_wants() -> None:
    async with toy(lambda octets: [good(octets)]) as server, upstream() as up:
        await outcome(up, ask(server.port))
        message = Message.read(server.heard[0][0])
    header = message.header
    assert (header.site_serial, header.recursion_count, header.flags) == (3, 2, DEFAULT_REQUEST_FLAGS)


@in_loop
async def test_ids_and_ports_are_new_for_each_question() -> None:
    async with toy(lambda octets: [good(octets)]) as server, upstream() as up:
        for _ in range(40):
            await outcome(up, ask(server.port))
        ids = {octets[8:12] for octets, _ in server.heard}
        ports = [address[1] for _, address in server.heard]
    assert len(ids) == 40
    assert len(set(ports)) > 30, "a port may come back, but not often"
    steps = {after - before for before, after in pairwise(ports)}
    assert len(steps) > 30, "ports that follow each other can be foretold"


@in_loop
async def test_what_another_socket_sends_is_not_heard() -> None:
    async with toy(lambda _: []) as server, toy(lambda _: []) as stranger, upstream() as up:
        told: asyncio.Future[Message | NoReply] = asyncio.get_running_loop().create_future()
        up.ask(ask(server.port), told.set_result)
        await asyncio.sleep(0.05)
        octets, address = server.heard[0]
        assert stranger.transport is not None
        stranger.transport.sendto(good(octets), address)
        assert await told is NoReply.SILENT


def another_id(octets: bytes) -> bytes:
    return good(octets)[:8] + bytes(4) + good(octets)[12:]


def a_request(octets: bytes) -> bytes:
    return octets


def cut(octets: bytes) -> bytes:
    return good(octets)[:-5]


def another_operation(octets: bytes) -> bytes:
    message = reply(Message.read(octets), BODY)
    return replace(message, header=replace(message.header, opcode=OpCode.GET_SITE_INFO)).to_bytes()


@pytest.mark.parametrize("wrong", [another_id, a_request, another_operation, cut, lambda _: b"", lambda o: o[:12]])
def test_what_is_no_answer_changes_nothing(wrong: Callable[[bytes], bytes]) -> None:
    @in_loop
    async def run() -> None:
        assert said(await asked_of(lambda octets: [wrong(octets), good(octets)])) == BODY
        alone = await asked_of(lambda octets: [wrong(octets)])
        assert alone in (NoReply.UNREADABLE, NoReply.SILENT)

    run()


@in_loop
async def test_a_flood_of_rubbish_ends_the_question() -> None:
    async with toy(lambda octets: [good(octets)[:-1]]) as server, upstream() as up:
        told: asyncio.Future[Message | NoReply] = asyncio.get_running_loop().create_future()
        up.ask(ask(server.port, waits=(4_000,)), told.set_result)
        began = asyncio.get_running_loop().time()
        while not told.done():
            assert asyncio.get_running_loop().time() - began < 3, "it does not wait to the end"
            await asyncio.sleep(0.001)
            for octets, address in server.heard[:1]:
                for _ in range(40):
                    server.transport.sendto(good(octets)[:-1], address)  # type: ignore[union-attr]
        assert told.result() is NoReply.UNREADABLE


@in_loop
async def test_it_is_asked_again_after_each_wait_but_the_last() -> None:
    async with toy(lambda _: []) as server, upstream() as up:
        assert await outcome(up, ask(server.port, waits=(50, 50, 50))) is NoReply.SILENT
        assert len(server.heard) == 3
        assert len({octets[8:12] for octets, _ in server.heard}) == 1
        assert len({address for _, address in server.heard}) == 1


@in_loop
async def test_nobody_there_is_told_at_once() -> None:
    gone = Ports()
    gone.close()
    async with upstream() as up:
        for way in Way:
            async with asyncio.timeout(1):
                assert await outcome(up, ask(gone.number, way=way, waits=(5_000, 5_000))) is NoReply.UNREACHABLE


@pytest.mark.parametrize("way", list(Way))
def test_an_address_that_cannot_be_reached_is_told(way: Way) -> None:
    @in_loop
    async def run() -> None:
        async with upstream() as up:
            found = await outcome(up, ask(2641, host="255.255.255.255", way=way, waits=(100, 100)))
            assert found in (NoReply.UNREACHABLE, NoReply.SILENT)

    run()


@pytest.mark.parametrize("says_so", [True, False])
def test_an_answer_in_pieces_is_put_together(says_so: bool) -> None:
    def pieces(octets: bytes) -> list[bytes]:
        cut = datagrams(good(octets, LONG))
        assert len(cut) > 2
        if not says_so:
            cut = [piece[:2] + bytes((piece[2] & ~0x20,)) + piece[3:] for piece in cut]
        return cut[::-1]

    @in_loop
    async def run() -> None:
        assert said(await asked_of(pieces)) == LONG

    run()


@in_loop
async def test_nothing_is_told_of_a_question_that_was_dropped() -> None:
    async with toy(lambda octets: [good(octets)]) as server, upstream() as up:
        told: list[object] = []
        question = up.ask(ask(server.port), told.append)
        question.drop()
        await asyncio.sleep(0.4)
        assert told == []


@in_loop
async def test_a_name_is_looked_up() -> None:
    async with toy(lambda octets: [good(octets)]) as server, upstream() as up:
        assert said(await outcome(up, ask(server.port, host="localhost"))) in (BODY, NoReply.UNREACHABLE)
        assert await outcome(up, ask(server.port, host="no-such-name.invalid")) is NoReply.UNREACHABLE


# Proofs


KEY = server_key()
KEYS = (public_of(KEY),)


def digested(octets: bytes, expiration: int = LATER) -> bytes:
    asked = Message.read(octets)
    return signed_by(KEY, BODY, digest=request_digest(NEWEST, asked.signed_part), expiration=expiration)(octets)


@in_loop
async def test_a_signed_answer_is_believed() -> None:
    async with toy(lambda octets: [digested(octets)]) as server, upstream() as up:
        assert said(await outcome(up, ask(server.port, keys=(public_of(OTHER_KEY), *KEYS)))) == BODY
        flags = Message.read(server.heard[0][0]).header.flags
    assert flags & (CERTIFY | REQUEST_DIGEST) == CERTIFY | REQUEST_DIGEST


def unsigned(octets: bytes) -> bytes:
    return good(octets)


def by_another(octets: bytes) -> bytes:
    digest = request_digest(NEWEST, Message.read(octets).signed_part)
    return signed_by(OTHER_KEY, BODY, digest=digest)(octets)


def of_another_request(octets: bytes) -> bytes:
    return signed_by(KEY, BODY, digest=request_digest(NEWEST, b"another"))(octets)


def without_digest(octets: bytes) -> bytes:
    asked = Message.read(octets)
    bare = replace(asked, header=replace(asked.header, flags=asked.header.flags & ~REQUEST_DIGEST))
    return signed_by(KEY, BODY)(bare.to_bytes())


def expired(octets: bytes) -> bytes:
    return digested(octets, expiration=NOW)


def changed(octets: bytes) -> bytes:
    message = Message.read(digested(octets))
    return replace(message, header=replace(message.header, site_serial=9)).to_bytes()


@pytest.mark.parametrize("forged", [unsigned, by_another, of_another_request, without_digest, expired, changed])
def test_an_answer_without_a_good_proof_is_none(forged: Callable[[bytes], bytes]) -> None:
    @in_loop
    async def run() -> None:
        assert await asked_of(lambda octets: [forged(octets)], keys=KEYS) is NoReply.UNPROVEN

    run()


@in_loop
async def test_a_server_that_is_busy_need_not_sign() -> None:
    found = await asked_of(lambda octets: [reply(Message.read(octets), ErrorResponse(), 3).to_bytes()], keys=KEYS)
    assert isinstance(found, Message)
    assert found.header.code == 3


# TCP


@in_loop
async def test_an_answer_by_tcp_is_told() -> None:
    async with toy_server(lambda octets: good(octets, LONG)) as server, upstream() as up:
        assert said(await outcome(up, ask(server.port, way=Way.TCP, waits=(500, 500)))) == LONG
        assert Message.read(server.heard[0]).header.recursion_count == 2


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (another_id, NoReply.UNREADABLE),
        (lambda o: b"\x02\x0b\x02\x0b" + bytes(12) + b"\xff" * 4, NoReply.UNREADABLE),
        (lambda o: o, NoReply.UNREADABLE),
        (lambda _: b"", NoReply.SILENT),
        (lambda o: good(o)[:-3], NoReply.SILENT),
    ],
)
def test_what_is_no_answer_by_tcp_ends_the_question(says: Callable[[bytes], bytes], why: NoReply) -> None:
    @in_loop
    async def run() -> None:
        async with toy_server(lambda octets: says(octets)) as server, upstream() as up:
            assert await outcome(up, ask(server.port, way=Way.TCP, waits=(500, 500))) is why

    run()


@in_loop
async def test_a_server_that_takes_the_connection_and_says_nothing_is_waited_for_in_vain() -> None:
    silent = Ports()
    silent.tcp.listen()
    async with upstream() as up:
        assert await outcome(up, ask(silent.number, way=Way.TCP, waits=(200, 200))) is NoReply.SILENT
    silent.close()


@in_loop
async def test_an_answer_octet_by_octet_is_one() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        octets = good(await reader.read(65_536))
        for n in range(len(octets)):
            writer.write(octets[n : n + 1])
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with upstream() as up:
        port = server.sockets[0].getsockname()[1]
        assert said(await outcome(up, ask(port, way=Way.TCP, waits=(500, 2_000)))) == BODY
    server.close()


@in_loop
async def test_closing_tells_nobody_and_leaves_no_socket() -> None:
    async with toy(lambda _: []) as server:
        up = Upstream(asyncio.get_running_loop(), HandClock())
        told: list[object] = []
        for way in (Way.UDP, Way.TCP, Way.UDP):
            up.ask(ask(server.port, way=way, waits=(50, 50)), told.append)
        up.close()
        await asyncio.sleep(0.2)
        assert told == []
        assert not up.questions
