"""The load users' clients: what is theirs they take, what is late they pass over, what never comes times out."""

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager

import pytest

from loadtest.clients import Client, NoReply, TcpClient, UdpClient
from protocol import codec
from protocol.codes import ResponseCode
from protocol.errors import Malformed
from protocol.framing import datagrams
from protocol.responses import ResolutionResponse
from protocol.value import HandleValue
from tests.loadtest.toys import HOST, Answers, answer, foreign, silence, tcp_server, udp_server

CLIENTS: Mapping[str, tuple[type[Client], Callable[[Answers], AbstractContextManager[int]]]] = {
    "udp": (UdpClient, udp_server),
    "tcp": (TcpClient, tcp_server),
}


def resolved(request: bytes, size: int = 10) -> bytes:
    """A full answer with two values, one of that size."""
    asked = codec.Message.read(request)
    question = codec.read_request(asked)
    values = (HandleValue(index=1, type=b"URL", data=b"u" * size), HandleValue(index=2, type=b"DESC", data=b"d"))
    body = ResolutionResponse(handle=question.handle, values=values)  # type: ignore[attr-defined]
    octets = codec.response_body(body, code=ResponseCode.SUCCESS, version=asked.envelope.version, digest=None)
    message = codec.request(
        body, opcode=1, request_id=asked.envelope.request_id, flags=asked.header.flags, expiration=0
    ).to_bytes()
    assert message.endswith(octets + bytes(4))
    return answer(message)


@contextmanager
def asking(transport: str, answers: Answers, *, timeout_s: float = 2.0) -> Generator[Client]:
    """A client of a small server that answers as told."""
    client, server = CLIENTS[transport]
    with server(answers) as port, closing(client(HOST, port, timeout_s=timeout_s)) as made:
        yield made


@pytest.mark.parametrize("transport", CLIENTS)
def test_an_answer_tells_its_code_and_the_types_of_its_values(transport: str) -> None:
    with asking(transport, lambda _, request: [resolved(request)]) as client:
        replies = [client.resolve(b"88.131/a"), client.resolve(b"88.131/b")]
    assert [(reply.code, reply.types) for reply in replies] == [(ResponseCode.SUCCESS, (b"URL", b"DESC"))] * 2


def test_an_answer_of_several_datagrams_is_put_together_in_any_order() -> None:
    with asking("udp", lambda _, request: datagrams(resolved(request, 2_000))[::-1]) as client:
        reply = client.resolve(b"88.131/big")
    assert reply.types == (b"URL", b"DESC")
    assert reply.size > 2_000


@pytest.mark.parametrize("transport", CLIENTS)
def test_what_belongs_to_another_request_is_passed_over(transport: str) -> None:
    with asking(transport, lambda _, request: [foreign(request), resolved(request)]) as client:
        assert client.resolve(b"88.131/a").code == ResponseCode.SUCCESS


def one_behind() -> Answers:
    """Nothing for the first request until the second one comes: then an error for the first, and success for it."""
    kept: list[bytes] = []

    def answers(_: int, request: bytes) -> list[bytes]:
        kept.append(request)
        return [answer(kept[0], ResponseCode.ERROR), resolved(kept[1])] if len(kept) > 1 else []

    return answers


@pytest.mark.parametrize("transport", CLIENTS)
def test_a_late_answer_does_not_count_for_the_next_request(transport: str) -> None:
    with asking(transport, one_behind(), timeout_s=0.1) as client:
        with pytest.raises(NoReply, match="timeout"):
            client.resolve(b"88.131/a")
        assert client.resolve(b"88.131/b").code == ResponseCode.SUCCESS


@pytest.mark.parametrize("transport", CLIENTS)
def test_silence_is_a_timeout(transport: str) -> None:
    with asking(transport, silence, timeout_s=0.05) as client, pytest.raises(NoReply):
        client.resolve(b"88.131/a")


def test_a_kept_connection_that_is_closed_is_an_error() -> None:
    with (
        tcp_server(silence, requests_a_connection=1) as port,
        closing(TcpClient(HOST, port)) as client,
        pytest.raises(ConnectionError, match="was to be kept"),
    ):
        client.resolve(b"88.131/a")


def test_an_answer_that_does_not_read_is_malformed() -> None:
    with asking("udp", lambda _, request: [answer(request)[:-1]]) as client, pytest.raises(Malformed):
        client.resolve(b"88.131/a")


@pytest.mark.parametrize("client", [UdpClient, TcpClient])
def test_a_client_asks_nobody_outside_loopback(client: type[Client]) -> None:
    with pytest.raises(ValueError, match="no loopback address"):
        client("192.0.2.1", 2641)
