"""The client against small servers on loopback that answer late, wrongly, in pieces or not at all."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import cast

import pytest

from protocol.codec import Message
from protocol.codes import KEEP_CONNECTION
from protocol.framing import datagrams
from resolver import client
from resolver.client import NoAnswer, Transport, ask, kept, resolution
from tests.support.engines import NOW, Answering, seeded, value

QUESTION = resolution(b"88.100/X", now_s=NOW)
Answers = Callable[[bytes], Sequence[bytes]]


def node() -> Answering:
    return Answering(seeded({b"88.100/X": [value(1), value(2, data=b"x" * 1000)]}))


def right(asked: bytes) -> list[bytes]:
    said = node().octets(asked)
    assert said is not None
    return [said]


def none(_: bytes) -> list[bytes]:
    return []


@asynccontextmanager
async def serving(by_udp: Answers, by_tcp: Answers) -> AsyncIterator[int]:
    """A server on one port of both transports; each answers a message with the given octets."""

    class Udp(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast(asyncio.DatagramTransport, transport)

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            for octets in by_udp(data):
                self.transport.sendto(octets, addr)

    async def tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for octets in by_tcp(await reader.read(65_536)):
            writer.write(octets)
        writer.close()

    server = await asyncio.start_server(tcp, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Udp, local_addr=("127.0.0.1", port))
    try:
        yield port
    finally:
        transport.close()
        server.close()


async def asked(by_udp: Answers, by_tcp: Answers, transport: Transport) -> client.Answered:
    async with serving(by_udp, by_tcp) as port:
        return await ask(QUESTION, "127.0.0.1", port, transport=transport, timeout_s=2)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "UDP_WAITS_S", (0.15, 0.15))


def test_an_answer_in_pieces_is_put_together() -> None:
    found = asyncio.run(asked(lambda octets: datagrams(right(octets)[0])[::-1], none, Transport.UDP))
    assert found.transport is Transport.UDP
    assert found.message.header.code == 1


def test_pieces_that_do_not_say_so_are_put_together_as_well() -> None:
    def unmarked(octets: bytes) -> list[bytes]:
        return [piece[:2] + bytes((piece[2] & ~0x20,)) + piece[3:] for piece in datagrams(right(octets)[0])]

    assert asyncio.run(asked(unmarked, none, Transport.UDP)).message.header.code == 1


def test_where_udp_is_silent_tcp_is_asked() -> None:
    found = asyncio.run(asked(none, right, Transport.EITHER))
    assert (found.transport, found.message.header.code) == (Transport.TCP, 1)


def test_a_lost_question_is_asked_again() -> None:
    heard: list[bytes] = []

    def second_time(octets: bytes) -> list[bytes]:
        heard.append(octets)
        return datagrams(right(octets)[0]) if len(heard) > 1 else []

    assert asyncio.run(asked(second_time, none, Transport.UDP)).message.header.code == 1
    assert heard[0] == heard[1]


def test_answers_of_another_id_and_garbage_are_ignored() -> None:
    def noisy(octets: bytes) -> list[bytes]:
        other = octets[:8] + b"\1\2\3\4" + octets[12:]
        return [*datagrams(right(other)[0]), b"x", octets[:12], *datagrams(right(octets)[0])]

    found = asyncio.run(asked(noisy, none, Transport.UDP))
    assert found.message.envelope.request_id == QUESTION.envelope.request_id


def test_silence_everywhere_is_told() -> None:
    with pytest.raises(NoAnswer, match="no answer"):
        asyncio.run(asked(none, none, Transport.UDP))
    with pytest.raises(NoAnswer, match="closed the connection"):
        asyncio.run(asked(none, none, Transport.TCP))


def test_what_is_no_message_over_tcp_is_told() -> None:
    with pytest.raises(NoAnswer, match="what is no message"):
        asyncio.run(asked(none, lambda _: [b"\xff" * 64], Transport.TCP))


def test_a_port_that_nobody_listens_on_is_told() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with pytest.raises(NoAnswer, match="cannot be reached"):
        asyncio.run(ask(QUESTION, "127.0.0.1", port, transport=Transport.EITHER))


def test_every_question_has_an_id_of_its_own_and_may_ask_to_keep_the_connection() -> None:
    ids = {resolution(b"88.100/X", now_s=NOW).envelope.request_id for _ in range(100)}
    assert len(ids) == 100
    assert all(0 < found < 2**31 for found in ids)
    again = kept(QUESTION)
    assert again == replace(QUESTION, header=replace(QUESTION.header, flags=QUESTION.header.flags | KEEP_CONNECTION))
    assert Message.read(again.to_bytes()) == replace(
        again, envelope=replace(again.envelope, message_size=len(again.to_bytes()) - 20)
    )
