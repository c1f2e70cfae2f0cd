"""Drives walks against simulated servers in virtual time, and holds every walk to the promises of its interface."""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from random import Random

from protocol import codec
from protocol.codec import Message
from protocol.errors import Malformed
from protocol.version import NEWEST
from resolver.client_errors import NotProven
from resolver.client_proof import expect_fresh, expect_signed
from resolver.walk.events import Action, Ask, Drop, Ended, Learnt, NoReply, Query, RootMoved, Surroundings, Wake, Way
from resolver.walk.limits import Limits
from resolver.walk.machine import Walk
from tests.walk.servers import NOW_S, SimServer

STARTED_MS = NOW_S * 1000
OPEN_MAX = 2  # One message over IPv6 and one over IPv4.


class Dice:
    """Chance by a seed."""

    def __init__(self, seed: int = 0) -> None:
        self._random = Random(seed)

    def below(self, bound: int) -> int:
        return self._random.randrange(bound)


class Middle:
    """Chance that is none: the order of sites is that of their round trips alone."""

    def below(self, bound: int) -> int:
        return bound // 2


@dataclass
class Walked:
    """What a walk did, in order."""

    ended: Ended
    took_ms: int
    asks: list[Ask] = field(default_factory=list)
    learnt: list[Learnt] = field(default_factory=list)
    root_moved: int = 0


class Net:
    """The servers by place and way. `drift` is added to each latency: lossy and jittery nets draw it."""

    def __init__(self, servers: Iterable[SimServer], *, drift: Callable[[], int | None] = lambda: 0) -> None:
        self.servers = list(servers)
        self._by_place: dict[tuple[str, int, Way], SimServer] = {}
        for server in self.servers:
            interfaces = server.site.servers[server.number].interfaces
            for way, number in ((Way.UDP, 0), (Way.TCP, 1)):
                if any(interface.transport == number for interface in interfaces):
                    self._by_place[server.address, server.port, way] = server
        self._drift = drift

    def server_at(self, ask: Ask) -> SimServer | None:
        return self._by_place.get((ask.place.host, ask.place.port, ask.way))

    def walk(
        self, query: Query, around: Surroundings, limits: Limits | None = None, *, now_ms: int = STARTED_MS
    ) -> Walked:
        """The whole walk, from `now_ms` on."""
        run = _Run(self, Walk(query, around, limits or Limits()), around, limits or Limits(), now_ms)
        return run.result()

    def outcome(self, ask: Ask) -> tuple[int, bytes | NoReply]:
        """When, in milliseconds from now, something comes of a question, and what."""
        server, waits = self.server_at(ask), ask.waits_ms
        request = request_of(ask)
        if ask.way is Way.TCP:
            if server is None:
                known = any(one.address == ask.place.host for one in self.servers)
                return (1, NoReply.UNREACHABLE) if known else (waits[0], NoReply.SILENT)
            return self._try(server, request, Way.TCP, 0, waits[0]) or (waits[0], NoReply.SILENT)
        sent_at, end = 0, sum(waits)
        for wait in waits:
            came = None if server is None else self._try(server, request, Way.UDP, sent_at, end)
            if came is not None:
                return came
            sent_at += wait
        return end, NoReply.SILENT

    def _try(
        self, server: SimServer, request: Message, way: Way, sent_at: int, end: int
    ) -> tuple[int, bytes | NoReply] | None:
        drift = self._drift()
        octets = server.reply(request.to_bytes(), way)
        if octets is None or drift is None:
            return None
        at = sent_at + server.temper.latency_ms + drift
        return (at, octets) if at < end else None


class _Run:
    """One walk at work: a heap of what happens when."""

    def __init__(self, net: Net, walk: Walk, around: Surroundings, limits: Limits, now_ms: int) -> None:
        self._net, self._walk, self._around, self._limits = net, walk, around, limits
        self._started = self._now = now_ms
        self._heap: list[tuple[int, int, Callable[[], list[Action]]]] = []
        self._order = count()
        self._open: dict[int, Ask] = {}
        self._numbers: set[int] = set()
        self._asks: list[Ask] = []
        self._learnt: list[Learnt] = []
        self._moved = 0
        self._ended: Ended | None = None

    def result(self) -> Walked:
        self._take(self._walk.start(self._now))
        while self._ended is None:
            assert self._heap, "a walk that waits for nothing has not ended"
            self._now, _, happen = heapq.heappop(self._heap)
            self._take(happen())
        self._expect_silence_after_the_end()
        took = self._now - self._started
        assert took <= self._limits.total_ms
        return Walked(self._ended, took, self._asks, self._learnt, self._moved)

    def _take(self, actions: list[Action]) -> None:
        for action in actions:
            assert self._ended is None, "nothing comes after the end"
            match action:
                case Ask():
                    self._ask(action)
                case Drop(number):
                    del self._open[number]
                case Wake(number, at_ms):
                    assert at_ms >= self._now
                    self._expect_new(number)
                    self._at(at_ms, partial(self._wake, number))
                case Learnt():
                    self._learnt.append(action)
                case RootMoved():
                    self._moved += 1
                case Ended():
                    self._ended = action
        assert self._ended is None or not self._open, "nobody waits after the end"
        assert self._moved <= 1

    def _ask(self, ask: Ask) -> None:
        self._expect_new(ask.number)
        assert (ask.place.host, ask.place.port) not in self._around.world.ours, "a node never asks itself"
        assert ask.place.port > 0
        self._asks.append(ask)
        assert len(self._asks) <= self._limits.questions
        self._open[ask.number] = ask
        assert len(self._open) <= OPEN_MAX
        after, what = self._net.outcome(ask)
        self._at(self._now + after, lambda: self._tell(ask, what))

    def _wake(self, number: int) -> list[Action]:
        return self._walk.woken(number, self._now)

    def _tell(self, ask: Ask, what: bytes | NoReply) -> list[Action]:
        if self._open.pop(ask.number, None) is None:
            return []  # Dropped.
        if isinstance(what, NoReply):
            return self._walk.failed(ask.number, what, self._now)
        try:
            message = Message.read(what)
        except Malformed:
            return self._walk.failed(ask.number, NoReply.UNREADABLE, self._now)
        if ask.keys and not _is_proven(ask, message):
            return self._walk.failed(ask.number, NoReply.UNPROVEN, self._now)
        return self._walk.heard(ask.number, message, self._now)

    def _expect_new(self, number: int) -> None:
        assert number not in self._numbers
        self._numbers.add(number)

    def _expect_silence_after_the_end(self) -> None:
        for number in self._numbers:
            assert self._walk.woken(number, self._now) == []
            assert self._walk.failed(number, NoReply.SILENT, self._now) == []

    def _at(self, at_ms: int, happen: Callable[[], list[Action]]) -> None:
        heapq.heappush(self._heap, (at_ms, next(self._order), happen))


def request_of(ask: Ask) -> Message:
    """The message that a driver makes of a question."""
    return codec.request(
        ask.body,
        opcode=ask.opcode,
        request_id=ask.number + 1000,
        flags=ask.flags,
        expiration=NOW_S + 43_200,
        version=ask.version,
        suggested=NEWEST,
        site_serial=ask.site_serial,
        recursion_count=ask.recursion_count,
    )


def _is_proven(ask: Ask, message: Message) -> bool:
    """The driver's own check, with the client's means."""
    try:
        expect_signed(message, ask.keys)
        expect_fresh(message, request_of(ask), NOW_S)
    except NotProven:
        return False
    return True
