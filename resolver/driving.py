"""One walk and the sockets and deadlines that carry it out. Decides nothing; all waiting is in `upstream`."""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from protocol.codec import Message
from protocol.codes import ResponseCode
from protocol.responses import ErrorResponse
from resolver.log_limits import limited
from resolver.ticking import Due
from resolver.upstream import Question, Upstream
from resolver.walk.events import Action, Ask, Drop, Ended, Learnt, NoReply, RootMoved, Wake
from resolver.walk.machine import Walk

log = limited(__name__)

FAULT: Final = Ended(
    code=ResponseCode.ERROR, body=ErrorResponse(message=b"Internal Error"), told="fault while searching"
)


class Drive:
    """Carries out what a walk wants and tells it what comes. `ended` is called once, unless `cancel` comes first.

    What a question brings is never told to the walk while it is telling us what to do: it waits in `_events`.
    """

    __slots__ = ("_dues", "_ended", "_events", "_is_over", "_learn", "_moved", "_now_ms", "_questions", "_up", "_walk")

    def __init__(
        self,
        walk: Walk,
        up: Upstream,
        now_ms: Callable[[], int],
        *,
        learn: Callable[[Learnt], object],
        moved: Callable[[], object],
        ended: Callable[[Ended], object],
    ) -> None:
        self._walk = walk
        self._up = up
        self._now_ms = now_ms
        self._learn = learn
        self._moved = moved
        self._ended = ended
        self._questions: dict[int, Question] = {}
        self._dues: dict[int, Due] = {}
        self._events: deque[Callable[[], list[Action]]] = deque()
        self._is_over = False

    def start(self) -> None:
        """Begin."""
        self._happened(lambda: self._walk.start(self._now_ms()))

    def cancel(self) -> None:
        """Stop. Nothing is told any more."""
        self._is_over = True
        for question in self._questions.values():
            question.drop()
        for due in self._dues.values():
            due.cancel()
        self._questions.clear()
        self._dues.clear()

    def _happened(self, event: Callable[[], list[Action]]) -> None:
        self._events.append(event)
        if len(self._events) > 1:  # Somebody up the stack is at it.
            return
        while self._events and not self._is_over:
            try:
                for action in self._events[0]():
                    if not self._do(action):
                        break
            except Exception:
                log.exception("fault while searching")
                self._end(FAULT)
            self._events.popleft()

    def _do(self, action: Action) -> bool:
        """Carry it out; whether the walk goes on."""
        if isinstance(action, Ask):
            self._questions[action.number] = self._up.ask(action, partial(self._told, action.number))
        elif isinstance(action, Drop):
            question = self._questions.pop(action.number, None)
            if question is not None:
                question.drop()
        elif isinstance(action, Wake):
            delay_s = max(0, action.at_ms - self._now_ms()) / 1000
            self._dues[action.number] = self._up.ticks.after(delay_s, partial(self._woke, action.number))
        elif isinstance(action, Learnt):
            self._learn(action)
        elif isinstance(action, RootMoved):
            self._moved()
        else:
            self._end(action)
        return not self._is_over

    def _end(self, ended: Ended) -> None:
        self.cancel()
        self._ended(ended)

    def _told(self, number: int, outcome: Message | NoReply) -> None:
        self._questions.pop(number, None)
        now_ms = self._now_ms()
        if isinstance(outcome, NoReply):
            self._happened(partial(self._walk.failed, number, outcome, now_ms))
        else:
            self._happened(partial(self._walk.heard, number, outcome, now_ms))

    def _woke(self, number: int) -> None:
        self._dues.pop(number, None)
        self._happened(lambda: self._walk.woken(number, self._now_ms()))
