"""Questions at a pace beside a load, and the server that never answers them."""

import socket
import time

import pytest

from loadtest.processes import HOST
from loadtest.silent import asking, distinct, silent_port
from protocol import codec
from protocol.requests import ResolutionRequest
from tests.loadtest.toys import answer, silence, udp_server


def asked_name(octets: bytes) -> bytes:
    body = codec.read_request(codec.Message.read(octets))
    assert isinstance(body, ResolutionRequest)
    return body.handle


def test_names_are_distinct_and_below_the_prefix() -> None:
    names = {asked_name(octets) for octets in distinct("88.131.9", 500)}
    assert len(names) == 500
    assert all(name.startswith(b"88.131.9/") for name in names)


def test_each_question_is_sent_once_at_the_pace_and_its_answer_counted() -> None:
    seen: list[bytes] = []

    def noted(_: int, request: bytes) -> list[bytes]:
        seen.append(request)
        return [answer(request)]

    with udp_server(noted) as port:
        begun = time.monotonic()
        with asking(port, distinct("88.131.9", 1_000), rate=200) as found:
            time.sleep(0.5)
        seconds = time.monotonic() - begun
    assert 50 <= found.sent <= seconds * 200
    assert 50 <= found.answered <= found.sent
    assert len({asked_name(octets) for octets in seen}) == len({octets[8:12] for octets in seen}) == len(seen)


def test_what_is_not_answered_is_sent_and_no_more_than_there_is() -> None:
    with udp_server(silence) as port, asking(port, distinct("88.131.9", 20), rate=1_000) as found:
        time.sleep(0.3)
    assert (found.sent, found.answered) == (20, 0)


def test_a_port_where_nobody_listens_is_an_error_after_the_block() -> None:
    with udp_server(silence) as port:
        pass
    with pytest.raises(ConnectionRefusedError), asking(port, distinct("88.131.9", 100), rate=1_000):
        time.sleep(0.2)


def test_a_silent_port_takes_datagrams_and_connections_and_says_nothing() -> None:
    with silent_port() as port:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.connect((HOST, port))
            asker.settimeout(0.2)
            for _ in range(2):  # A port where nobody listens would be told at the second.
                asker.send(b"?")
                with pytest.raises(TimeoutError):
                    asker.recv(1)
        with socket.create_connection((HOST, port), 1) as connection:
            connection.settimeout(0.2)
            connection.sendall(b"?")
            with pytest.raises(TimeoutError):
                connection.recv(1)
