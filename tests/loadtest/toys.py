"""Small servers in threads for the generator's tests: each answers as it was told, and ends with its block."""

import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from loadtest.plan import ID_END, ID_START, message_size
from loadtest.workload import resolution
from protocol.codes import ResponseCode

HOST = "127.0.0.1"
REQUESTS = [resolution(b"88.131/%d" % number) for number in range(7)]
KEPT_REQUESTS = [resolution(b"88.131/%d" % number, keep=True) for number in range(7)]

Answers = Callable[[int, bytes], list[bytes]]
"""From the number of a request, counted from 0, and its octets: what goes back, one message each."""


def answer(request: bytes, code: int = ResponseCode.SUCCESS) -> bytes:
    """The request turned into an answer of that code."""
    return request[:24] + code.to_bytes(4, "big") + request[28:]


def good(_: int, request: bytes) -> list[bytes]:
    """One good answer."""
    return [answer(request)]


def silence(_: int, __: bytes) -> list[bytes]:
    """Nothing."""
    return []


def foreign(request: bytes) -> bytes:
    """A good answer to somebody else's request."""
    return answer(request[:ID_START] + b"\xff\xff\xff\xff" + request[ID_END:])


@contextmanager
def udp_server(answers: Answers) -> Generator[int]:
    """A datagram server; its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((HOST, 0))
        server.settimeout(0.05)
        stopped = threading.Event()

        def serve() -> None:
            number = 0
            while not stopped.is_set():
                try:
                    request, peer = server.recvfrom(65_536)
                except TimeoutError:
                    continue
                for octets in answers(number, request):
                    server.sendto(octets, peer)
                number += 1

        with _running(serve, stopped):
            yield server.getsockname()[1]


@contextmanager
def tcp_server(answers: Answers, *, requests_a_connection: int | None = None) -> Generator[int]:
    """A stream server, one thread a connection; it closes one after so many requests."""
    with socket.create_server((HOST, 0)) as server:
        server.settimeout(0.05)
        stopped = threading.Event()

        def talk(connection: socket.socket) -> None:
            with connection:
                connection.settimeout(0.05)
                received, number = b"", 0
                while not stopped.is_set() and number != requests_a_connection:
                    try:
                        octets = connection.recv(65_536)
                    except TimeoutError:
                        continue
                    if not octets:
                        return
                    received += octets
                    while (size := message_size(received)) and len(received) >= size:
                        connection.sendall(b"".join(answers(number, received[:size])))
                        received, number = received[size:], number + 1

        def serve() -> None:
            threads = []
            while not stopped.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                threads.append(threading.Thread(target=talk, args=(connection,)))
                threads[-1].start()
            for thread in threads:
                thread.join()

        with _running(serve, stopped):
            yield server.getsockname()[1]


@contextmanager
def _running(serve: Callable[[], None], stopped: threading.Event) -> Generator[None]:
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
