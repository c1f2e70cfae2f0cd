"""What a run of the raw generator does, and what came of it. Opens nothing and asks no clock."""

from array import array
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from ipaddress import ip_address
from itertools import cycle
from struct import Struct
from typing import Final, Self

from loadtest.histogram import Histogram
from protocol.limits import ENVELOPE_SIZE

ID_START: Final = 8  # The request id in an envelope, and what stands before and behind it.
ID_END: Final = 12
SIZE: Final = Struct(">I")  # The length of a message, in its envelope.
SIZE_START: Final = 16

_ID: Final = Struct(">I")
_NS_A_S: Final = 1_000_000_000


class Transport(Enum):
    """How requests travel: datagrams, connections that stay, or a connection for each request."""

    UDP = "udp"
    TCP_KEPT = "tcp-kept"
    TCP_ONCE = "tcp-once"


class Match(Enum):
    """How an answer finds its request: by its id, or (servers of one fixed answer only) by the order of arrival."""

    ID = "id"
    ORDER = "order"


def check_loopback(host: str) -> None:
    """Raise `ValueError` unless the host is an address (not a name) of the loopback interface: nobody else is asked."""
    try:
        is_loopback = ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ValueError(f"{host} is no loopback address")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where to send, over how many sockets, with how many requests under way on each, and when to stop.

    A run ends at `requests_max` or after `seconds_max`, whichever comes first, and then waits for what is under way.
    Over `TCP_ONCE` the window must be 1: a connection carries one request.
    """

    host: str
    port: int
    transport: Transport
    sockets: int = 4
    window: int = 16
    requests_max: int = 100_000
    seconds_max: float = 10.0
    timeout_s: float = 1.0
    match: Match = Match.ID

    def __post_init__(self) -> None:
        check_loopback(self.host)
        if min(self.sockets, self.window, self.requests_max) < 1 or min(self.seconds_max, self.timeout_s) <= 0:
            raise ValueError("counts and times of a plan are positive")
        if self.transport is Transport.TCP_ONCE and self.window != 1:
            raise ValueError("a connection of its own carries one request: the window is 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a run. Every request that was sent is in exactly one of `requests`, `timeouts` and `broken`.

    `requests` were answered in time, `bad` of them not with SUCCESS; `late` answers came after their time-out, `strays`
    belong to no request (duplicates, unknown ids); `broken` requests lost their connection. Latencies in microseconds.
    `cpu_s` is the generator's own processor time, 0 where nobody looked.
    """

    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    timeouts: int = 0
    late: int = 0
    strays: int = 0
    bad: int = 0
    broken: int = 0
    cpu_s: float = 0.0

    @property
    def throughput(self) -> float:
        """Answered requests a second, from the first request sent to the last answer."""
        return self.requests / self.seconds if self.seconds else 0.0

    def to_json(self) -> dict[str, int | float]:
        """The fields and the throughput, by name."""
        return asdict(self) | {"throughput": self.throughput}

    @classmethod
    def from_json(cls, fields: dict[str, int | float]) -> Self:
        """The result that `to_json` gave."""
        return cls(**{name: number for name, number in fields.items() if name != "throughput"})  # type: ignore[arg-type]


@dataclass(slots=True)
class Tally:
    """The counts of a run that is under way. Latencies are kept raw, eight octets each, and sorted out afterwards."""

    asked: int = 0
    timeouts: int = 0
    late: int = 0
    strays: int = 0
    bad: int = 0
    broken: int = 0
    first_ns: int = 0
    last_ns: int = 0
    latencies_ns: "array[int]" = field(default_factory=lambda: array("q"))

    @property
    def outstanding(self) -> int:
        """Requests that were sent and neither answered nor given up."""
        return self.asked - len(self.latencies_ns) - self.timeouts - self.broken

    def result(self) -> Result:
        """The counts so far as a value."""
        latencies = Histogram(self.latencies_ns)
        return Result(
            requests=latencies.total,
            seconds=max(self.last_ns - self.first_ns, 0) / _NS_A_S,
            p50_us=latencies.percentile_us(50),
            p99_us=latencies.percentile_us(99),
            timeouts=self.timeouts,
            late=self.late,
            strays=self.strays,
            bad=self.bad,
            broken=self.broken,
        )


Questions = Generator[tuple[bytes, bytes], None, None]
"""Request ids with the octets to send; closing it ends the run's asking."""


def numbered(requests: Sequence[bytes], requests_max: int) -> Questions:
    """Request id and octets of each request in turn, from the start again at the end, each under an id of its own."""
    parts = cycle([(octets[:ID_START], octets[ID_END:]) for octets in requests])
    for number in range(1, requests_max + 1):
        before, behind = next(parts)
        key = _ID.pack(number)
        yield key, before + key + behind


def cut(octets: bytes) -> list[bytes]:
    """The messages of a file of messages, one behind the other; `ValueError` where the last one is cut short."""
    found, start = [], 0
    while start < len(octets):
        end = start + message_size(octets, start)
        if not start < end <= len(octets):
            raise ValueError(f"{len(octets) - start} octets are no message")
        found.append(octets[start:end])
        start = end
    return found


def message_size(octets: bytes | bytearray, start: int = 0) -> int:
    """Octets of the message at `start`, envelope and all; 0 while too few are there to tell."""
    if len(octets) - start < ENVELOPE_SIZE:
        return 0
    size: int = SIZE.unpack_from(octets, start + SIZE_START)[0]
    return ENVELOPE_SIZE + size
