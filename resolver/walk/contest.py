"""One question, put to one server after the other until one answers: sites, UDP then TCP, IPv6 with a lead.

Source: spec, resolution: section 3.2, items 5 to 7.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from protocol.codec import Message
from protocol.codes import ResponseCode
from protocol.limits import FRAGMENT_SIZE, HEADER_SIZE
from protocol.operations import OPERATIONS
from protocol.requests import Body, ResolutionRequest
from protocol.version import NEWEST, OLDEST, Version
from protocol.wire import Writer
from resolver.walk.answers import read, settles, tells_that_root_moved
from resolver.walk.events import NoReply, Place, Surroundings, Way
from resolver.walk.question import Candidate, Question, Reply, Try, Unanswered, shown
from resolver.walk.selection import selected
from resolver.walk.trail import Trail

_CREDENTIAL_SIZE: Final = 4  # The length of a credential that is not there.
_TOLD_MAX: Final = 6  # Tries that an explanation lists: a person reads it.
_SAID: Final[Mapping[int, str]] = MappingProxyType(
    {
        ResponseCode.ERROR: "answered that it failed",
        ResponseCode.SERVER_TOO_BUSY: "answered that it is too busy",
        ResponseCode.SERVER_BACKUP: "answered that it is making a backup",
        ResponseCode.OUT_OF_DATE_SITE_INFO: "answered that its site record has changed",
        ResponseCode.SERVER_NOT_RESP: "answered that it is not responsible",
    }
)

_Turn = tuple[Candidate, Way]


class _Open(NamedTuple):
    """A message whose reply is awaited, and the turns that come after it."""

    lane: list[_Turn]
    server: Candidate
    way: Way
    place: Place
    began_ms: int


class Contest:
    """Asks through the trail. At most one message each over IPv6 and IPv4 is open at any time."""

    __slots__ = ("_alarm", "_around", "_is_ours", "_open", "_question", "_second", "_trail", "_tries")

    def __init__(self, question: Question, around: Surroundings, trail: Trail) -> None:
        self._question = question
        self._around = around
        self._trail = trail
        self._open: dict[int, _Open] = {}
        self._second: list[_Turn] = []
        self._alarm = 0
        self._is_ours = False
        self._tries: list[Try] = []

    def begin(self) -> Unanswered | None:
        """Ask the first server, of each family the first; `Unanswered` where there is none."""
        question, trail = self._question, self._trail
        selection = selected(question, self._around, count_max=trail.limits.servers)
        self._is_ours = selection.is_ours
        six = _turns([one for one in selection.candidates if ":" in one.host], question)
        four = _turns([one for one in selection.candidates if ":" not in one.host], question)
        if not six and not four:
            why = selection.why_none or "none of the servers is reached by UDP or TCP"
            return Unanswered(told=f"{self._about()}: {why}", is_ours=self._is_ours)
        if six and four:
            self._second = four
            self._alarm = trail.wake(trail.now_ms + trail.limits.ipv4_delay_ms)
        self._next(six or four)
        return None

    def heard(self, number: int, message: Message) -> Reply | Unanswered | None:
        """What a message settles; None where the contest goes on, or nobody waited for it."""
        asked = self._open.get(number)
        if asked is None:
            return None
        reply = read(message, self._question, asked.server, asked.place)
        if isinstance(reply, NoReply):
            return self.failed(number, reply)
        self._around.round_trips.took(asked.server.host, self._trail.now_ms - asked.began_ms)
        if tells_that_root_moved(reply, self._question):
            self._trail.root_moved()
        if not settles(reply, self._question):
            asked.lane[:] = [turn for turn in asked.lane if turn[0] is not asked.server]  # By TCP it says the same.
            return self._lost(number, reply.code)
        del self._open[number]
        self._trail.step(self._question, asked.place, asked.way, asked.began_ms, reply.code)
        self.end()
        return reply

    def failed(self, number: int, why: NoReply) -> Unanswered | None:
        """What a missing reply leaves; None where the contest goes on, or nobody waited for it."""
        asked = self._open.get(number)
        if asked is None:
            return None
        self._around.round_trips.failed(asked.server.host)
        return self._lost(number, why)

    def woken(self, number: int) -> None:
        """The lead of IPv6 is over."""
        if number == self._alarm:
            self._start_second()

    def end(self) -> None:
        """Wait for nobody any more."""
        for number, asked in self._open.items():
            self._trail.drop(number)
            self._trail.step(self._question, asked.place, asked.way, asked.began_ms, NoReply.SILENT)
        self._open.clear()

    def _lost(self, number: int, outcome: int | NoReply) -> Unanswered | None:
        asked = self._open.pop(number)
        self._trail.step(self._question, asked.place, asked.way, asked.began_ms, outcome)
        self._tries.append(Try(asked.place, asked.way, outcome))
        if not self._next(asked.lane) and not self._open:
            self._start_second()
        return None if self._open else Unanswered(told=self._told(), is_ours=self._is_ours)

    def _start_second(self) -> None:
        lane, self._second = self._second, []
        self._next(lane)

    def _next(self, lane: list[_Turn]) -> bool:
        if not lane:
            return False
        server, way = lane.pop()
        limits = self._trail.limits
        if way is Way.TCP:
            waits = limits.tcp_waits_ms
        else:
            is_last = not any(later is Way.UDP for _, later in lane)
            waits = limits.udp_waits_ms if is_last else limits.udp_waits_early_ms
        place = server.place(way)
        number = self._trail.ask(self._question, server, place, way, waits, spoken_with(server.site.protocol))
        self._open[number] = _Open(lane, server, way, place, self._trail.now_ms)
        return True

    def _about(self) -> str:
        return f"{self._question.why} {shown(self._question.handle)}"

    def _told(self) -> str:
        listed = [f"{one.place} ({one.way.value}) {_outcome(one.outcome)}" for one in self._tries[:_TOLD_MAX]]
        more = len(self._tries) - len(listed)
        return f"{self._about()}: " + "; ".join(listed) + (f"; and {more} more" if more else "")


def _outcome(outcome: int | NoReply) -> str:
    if isinstance(outcome, NoReply):
        return "gave no answer" if outcome is NoReply.SILENT else outcome.value
    return _SAID.get(outcome, f"answered with code {outcome}")


def spoken_with(protocol: Version) -> Version:
    """The version of a request to servers of a site that speaks `protocol`: the lower of theirs and ours."""
    if protocol.at_least(NEWEST):
        return NEWEST
    return protocol if protocol.at_least(OLDEST) else OLDEST


def _turns(candidates: Sequence[Candidate], question: Question) -> list[_Turn]:
    """The turns of one lane, the last to be taken first in the list: the way outside, the site inside.

    What does not fit into one datagram goes over TCP at once, and over UDP only where TCP fails.
    """
    if not candidates:
        return []
    row = OPERATIONS.get(question.opcode)
    udp = [(one, Way.UDP) for one in candidates if one.udp]
    tcp = [(one, Way.TCP) for one in candidates if one.tcp]
    if row is not None and row.needs_connection:
        return tcp[::-1]
    ordered = tcp + udp if is_long(question.body) else udp + tcp
    return ordered[::-1]


def is_long(body: Body) -> bool:
    """Whether a request with this body is cut when it travels by UDP."""
    if isinstance(body, ResolutionRequest):
        size = 12 + len(body.handle) + 4 * len(body.indexes) + sum([4 + len(name) for name in body.types])
    else:
        octets = Writer()
        body.write(octets, NEWEST)
        size = len(octets)
    return HEADER_SIZE + size + _CREDENTIAL_SIZE > FRAGMENT_SIZE
