"""The baselines: uvloop servers that give one fixed answer to whatever comes, over UDP and TCP. Not a node.

What a node costs is told as a ratio to these: same loop, same sizes, same generator, but nothing is read, looked up or
built. Over UDP: `add_reader`, then recvfrom/sendto in a loop of up to 64 datagrams a wake-up. Over TCP: a `Protocol`
that counts octets; every `--request-size` of them are a request.

Plain, the UDP answer is strictly fixed, so that the generator must match by order of arrival, and each TCP answer is a
write (with uvloop: a system call). With `--joined`, each request's id is put into the UDP answer, which costs the
slicing and joining that any correct server must do, and what one wake-up of a connection brought is answered by one
write.
"""

import argparse
import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, cast

import uvloop

from loadtest.plan import ID_END, ID_START, check_loopback

_BATCH: Final = 64  # Datagrams a wake-up, as the node takes them.
_RECEIVE_SIZE: Final = 65_536
_RECEIVE_BUFFER: Final = 4 << 20


def fixed_reader(endpoint: socket.socket, answer: bytes) -> Callable[[], None]:
    """What to do when the socket can be read: the same answer to each datagram."""
    receive, send = endpoint.recvfrom, endpoint.sendto

    def readable() -> None:
        for _ in range(_BATCH):
            try:
                _, peer = receive(_RECEIVE_SIZE)
            except BlockingIOError:
                return
            send(answer, peer)

    return readable


def joining_reader(endpoint: socket.socket, answer: bytes) -> Callable[[], None]:
    """As `fixed_reader`, with the request's id put into the answer."""
    receive, send = endpoint.recvfrom, endpoint.sendto
    before, behind = answer[:ID_START], answer[ID_END:]

    def readable() -> None:
        for _ in range(_BATCH):
            try:
                request, peer = receive(_RECEIVE_SIZE)
            except BlockingIOError:
                return
            send(before + request[ID_START:ID_END] + behind, peer)

    return readable


class FixedStream(asyncio.Protocol):
    """Answers every `request_size` octets of a stream."""

    def __init__(self, answer: bytes, request_size: int, *, joined: bool) -> None:
        self._answer = answer
        self._request_size = request_size
        self._joined = joined
        self._waiting = 0
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's class is not registered as one.

    def data_received(self, data: bytes) -> None:
        """Answer as many requests as are complete."""
        requests, self._waiting = divmod(self._waiting + len(data), self._request_size)
        assert self._transport is not None, "octets come after the connection is made"
        if self._joined and requests:
            self._transport.write(self._answer * requests)
            return
        for _ in range(requests):
            self._transport.write(self._answer)


async def serve(host: str, answer: bytes, request_size: int, *, joined: bool) -> None:
    """Serve both transports on free ports, tell them in one line on standard error, and end with SIGTERM."""
    check_loopback(host)
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        endpoint.bind((host, 0))
        endpoint.setblocking(False)
        loop.add_reader(endpoint, (joining_reader if joined else fixed_reader)(endpoint, answer))
        server = await loop.create_server(lambda: FixedStream(answer, request_size, joined=joined), host, 0)
        tcp_port = server.sockets[0].getsockname()[1]
        print(f"ready udp {host}:{endpoint.getsockname()[1]} tcp {host}:{tcp_port}", file=sys.stderr, flush=True)
        await stopped.wait()
        loop.remove_reader(endpoint)
        server.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the echo from the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.echo", description=__doc__)
    parser.add_argument("answer", type=Path, help="file with the octets of the answer")
    parser.add_argument("--request-size", type=int, required=True, help="octets of a request over TCP")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--joined", action="store_true", help="join ids into UDP answers, and TCP answers into writes")
    chosen = parser.parse_args(arguments)
    uvloop.run(serve(chosen.host, chosen.answer.read_bytes(), chosen.request_size, joined=chosen.joined))


if __name__ == "__main__":
    main()
