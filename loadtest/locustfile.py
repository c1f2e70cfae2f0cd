"""Locust users that resolve over UDP and TCP on loopback. `make loadtest` starts it; `locust -f` shows it in a browser.

Statistics have the types UDP and TCP and the names `resolve hit`, `resolve miss`, `resolve typed` and `resolve big`,
never a handle. It tells load, not the latency of a node alone: users, all in one process, wait for each other.
"""

import time
from bisect import bisect
from collections.abc import Callable
from itertools import accumulate, count
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Final

import locust.stats
from locust import User, constant, events, task

from loadtest.clients import Client, NoReply, Reply, TcpClient, UdpClient
from protocol.codes import ResponseCode
from protocol.errors import Malformed
from protocol.limits import DATAGRAM_SIZE_MAX

_HOST: Final = "127.0.0.1"
_SEED: Final = 20_261_124
_TYPE: Final = b"URL"
_MS_A_S: Final = 1_000


def fine_bucket(milliseconds: float) -> float:
    """Locust's own buckets are whole milliseconds, so that a resolver's median reads 0: 0.01 ms below 10 ms, 0.1 ms
    below 100 ms, two digits above."""
    if milliseconds < 10:
        return round(milliseconds, 2)
    if milliseconds < 100:
        return round(milliseconds, 1)
    return float(round(milliseconds, -1 if milliseconds < 1_000 else -2))


# Locust means this function to be replaced, before its workers fork; its buckets need not be whole numbers.
locust.stats.bucket_response_time = fine_bucket  # type: ignore[assignment]


class WrongAnswer(Exception):
    """An answer that does not fit its question."""


class Handles:
    """Stored handles in the order of their rank, drawn by Zipf, and handles whose answer needs several datagrams."""

    def __init__(self, stored: list[bytes], big: list[bytes]) -> None:
        if not stored or not big:
            raise ValueError("the file of handles needs stored and big ones")
        self._stored = stored
        self._big = big
        self._weights = list(accumulate(1 / rank for rank in range(1, len(stored) + 1)))

    @classmethod
    def read(cls, path: Path) -> "Handles":
        """A handle a line; big ones have a `+` in front."""
        lines = path.read_bytes().splitlines()
        big = [line[1:] for line in lines if line.startswith(b"+")]
        return cls([line for line in lines if not line.startswith(b"+")], big)

    def stored(self, chance: Random) -> bytes:
        """One that exists; the k-th is drawn 1/k as often as the first."""
        return self._stored[bisect(self._weights, chance.random() * self._weights[-1])]

    def big(self, chance: Random) -> bytes:
        """One whose answer is longer than a datagram."""
        return chance.choice(self._big)


def add_options(parser: Any) -> None:
    """Where the node is and what it holds."""
    parser.add_argument("--udp-port", type=int, default=2641, help="of the node on 127.0.0.1")
    parser.add_argument("--tcp-port", type=int, default=2641, help="of the node on 127.0.0.1")
    parser.add_argument("--handles", default="handles.txt", help="file: a stored handle a line, big ones behind a +")


events.init_command_line_parser.add_listener(add_options)  # type: ignore[no-untyped-call]


class Resolver(User):
    """A user that asks, waits for the answer, and asks again at once."""

    abstract = True
    wait_time = constant(0)
    KIND: ClassVar[str]
    CLIENT: ClassVar[type[Client]]
    _numbers: ClassVar["count[int]"] = count()
    _handles: ClassVar[Handles | None] = None

    def on_start(self) -> None:
        """Read the handles. The seed is the user's number: a run with as many users draws the same handles."""
        options = self.environment.parsed_options
        if Resolver._handles is None:
            Resolver._handles = Handles.read(Path(options.handles))
        self.handles = Resolver._handles
        self.chance = Random(_SEED + next(self._numbers))
        self.port: int = options.udp_port if self.KIND == "UDP" else options.tcp_port
        self.client: Client | None = None

    def on_stop(self) -> None:
        """Give the socket back."""
        if self.client is not None:
            self.client.close()
            self.client = None

    @task(16)
    def hit(self) -> None:
        """A handle that exists."""
        self.measured("resolve hit", self.handles.stored(self.chance), is_all)

    @task(2)
    def miss(self) -> None:
        """A handle that does not exist under a prefix that does."""
        self.measured("resolve miss", self.handles.stored(self.chance) + b"-missing", is_missing)

    @task(1)
    def typed(self) -> None:
        """The values of one type."""
        self.measured("resolve typed", self.handles.stored(self.chance), is_typed, types=(_TYPE,))

    @task(1)
    def big(self) -> None:
        """An answer of several datagrams over UDP."""
        self.measured("resolve big", self.handles.big(self.chance), is_big)

    def measured(
        self, name: str, handle: bytes, fits: Callable[[Reply], bool], *, types: tuple[bytes, ...] = ()
    ) -> None:
        """Ask once and tell Locust: what went wrong is one of a few failures, `timeout` among them."""
        started = time.perf_counter()
        error: Exception | None = None
        size = 0
        try:
            self.client = self.client or self.CLIENT(_HOST, self.port)
            reply = self.client.resolve(handle, types)
            size = reply.size
            if not fits(reply):
                error = WrongAnswer(f"code {reply.code} with {len(reply.types)} values")
        except NoReply as silence:
            error = silence
        except (OSError, Malformed) as broken:
            error = broken
            self.on_stop()  # The next request connects again.
        self.environment.events.request.fire(
            request_type=self.KIND,
            name=name,
            response_time=(time.perf_counter() - started) * _MS_A_S,
            response_length=size,
            exception=error,
            context={},
        )


def is_all(reply: Reply) -> bool:
    """Success with every value that a stored record has."""
    return reply.code == ResponseCode.SUCCESS and len(reply.types) == 3


def is_missing(reply: Reply) -> bool:
    """The handle does not exist."""
    return reply.code == ResponseCode.HANDLE_NOT_FOUND


def is_typed(reply: Reply) -> bool:
    """Success with the values of the type that was asked for, and no others."""
    return reply.code == ResponseCode.SUCCESS and set(reply.types) == {_TYPE}


def is_big(reply: Reply) -> bool:
    """Success, and too long for one datagram."""
    return reply.code == ResponseCode.SUCCESS and reply.size > DATAGRAM_SIZE_MAX


class UdpUser(Resolver):
    """Datagrams from a socket of its own."""

    KIND = "UDP"
    CLIENT = UdpClient
    weight = 3


class TcpUser(Resolver):
    """One connection, kept."""

    KIND = "TCP"
    CLIENT = TcpClient
    weight = 1
