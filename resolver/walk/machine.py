"""The walk as its driver sees it: actions out, replies and times in. Waits for nothing and never asks the time."""

from typing import Final

from protocol.codec import Message
from protocol.codes import ResponseCode
from protocol.responses import ErrorResponse
from resolver.walk.contest import Contest
from resolver.walk.course import Course, Result
from resolver.walk.events import Action, Ended, NoReply, Query, Surroundings
from resolver.walk.limits import Limits
from resolver.walk.question import Reply, Stuck, Unanswered
from resolver.walk.trail import Trail

_USUAL: Final = Limits()


class Walk:
    """One query on its way. Call `start` once, carry out the actions in order, tell what comes; `Ended` is the last.

    `heard` and `failed` are told once for each `Ask` that was not dropped, `woken` at its time for each `Wake`; what
    is told of a dropped or unknown number, or after the end, changes nothing. A walk always ends: at the latest with
    the `Wake` of its total time. Times in milliseconds of one clock that never goes back.
    """

    __slots__ = ("_alarm", "_around", "_contest", "_course", "_query", "_trail")

    def __init__(self, query: Query, around: Surroundings, limits: Limits = _USUAL) -> None:
        self._query = query
        self._around = around
        self._trail = Trail(limits)
        self._course = Course(query, around, self._trail).run()
        self._contest: Contest | None = None
        self._alarm = 0

    def start(self, now_ms: int) -> list[Action]:
        """The first actions; a query that was passed on too often ends at once."""
        trail = self._trail
        trail.now_ms, trail.deadline_ms = now_ms, now_ms + trail.limits.total_ms
        count = self._query.recursion_count
        if count >= trail.limits.recursion_count:
            told = f"the request was passed on {count} times, at most {trail.limits.recursion_count - 1} are taken"
            self._give_up(Stuck(told, code=ResponseCode.RECURSION_COUNT_TOO_HIGH, is_failure=False))
            return trail.taken()
        self._alarm = trail.wake(trail.deadline_ms)
        self._carry_on(None)
        return trail.taken()

    def heard(self, number: int, message: Message, now_ms: int) -> list[Action]:
        """A message with the right request id came from the right place for question `number`."""
        return self._told(number, message, now_ms)

    def failed(self, number: int, why: NoReply, now_ms: int) -> list[Action]:
        """Question `number` gets no answer."""
        return self._told(number, why, now_ms)

    def woken(self, number: int, now_ms: int) -> list[Action]:
        """The time of `Wake(number)` has come."""
        if self._contest is None:
            return []
        self._trail.now_ms = now_ms
        try:
            if number == self._alarm:
                raise self._trail.out_of_time()
            self._contest.woken(number)
        except Stuck as stuck:
            self._give_up(stuck)
        return self._trail.taken()

    def _told(self, number: int, what: Message | NoReply, now_ms: int) -> list[Action]:
        if self._contest is None:
            return []
        self._trail.now_ms = now_ms
        try:
            if isinstance(what, NoReply):
                outcome: Reply | Unanswered | None = self._contest.failed(number, what)
            else:
                outcome = self._contest.heard(number, what)
        except Stuck as stuck:
            self._give_up(stuck)
        else:
            if outcome is not None:
                self._carry_on(outcome)
        return self._trail.taken()

    def _carry_on(self, outcome: Reply | Unanswered | None) -> None:
        """Go on with what came of a question, until another one is on its way or the walk ends."""
        try:
            while True:
                # The first `send` starts the generator, and must be of nothing.
                question = self._course.send(outcome)  # type: ignore[arg-type]
                self._contest = Contest(question, self._around, self._trail)
                outcome = self._contest.begin()
                if outcome is None:
                    return
        except StopIteration as done:
            self._end(done.value)
        except Stuck as stuck:
            self._give_up(stuck)

    def _end(self, result: Result) -> None:
        reply = result.reply
        self._finish(
            Ended(
                code=reply.code,
                body=reply.body,
                reply=reply.message,
                place=reply.place,
                is_certified=self._query.certify,
                steps=tuple(self._trail.steps),
                namespaces=result.namespaces,
                octets=reply.octets,
            )
        )

    def _give_up(self, stuck: Stuck) -> None:
        if self._contest is not None:
            self._contest.end()
        self._finish(
            Ended(
                code=stuck.code,
                body=ErrorResponse(message=stuck.told.encode()),
                told=stuck.told,
                is_certified=self._query.certify and not stuck.is_failure,
                is_failure=stuck.is_failure,
                steps=tuple(self._trail.steps),
            )
        )

    def _finish(self, ended: Ended) -> None:
        self._contest = None
        self._course.close()
        self._trail.end(ended)
