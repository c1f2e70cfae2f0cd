"""Many deadlines with one timer of the event loop: to set one or to give it up costs a look into a dictionary.

Made for the waits of questions that are under way: thousands, nearly all of which are given up. What is given up is
gone at once, with all that it would have called.
"""

import asyncio
import heapq
from collections.abc import Callable
from typing import Final

from resolver.log_limits import limited

log = limited(__name__)

TICK_S: Final = 0.01
"""How late a deadline may be: waits for servers are at least tens of times longer."""

SLICE_S: Final = 0.001
"""How long the work of searches may hold up the loop at a time: answers to clients get their turn in between."""

_AFTER_S: Final = 0.001  # Timers are exact to a millisecond, and one that comes early costs a tick.

_Call = Callable[[], None]


class Due:
    """One deadline, among all that come at the same tick. `cancel` and nothing is called any more."""

    __slots__ = ("_alike", "_number")

    def __init__(self, alike: dict[int, _Call], number: int) -> None:
        self._alike = alike
        self._number = number

    def cancel(self) -> None:
        """Give it up."""
        self._alike.pop(self._number, None)


class Ticks:
    """Deadlines of one event loop. The timer runs only while there are any."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._clock = loop.time
        self._at: dict[int, dict[int, _Call]] = {}  # Those of each tick, in the order in which they were set.
        self._heap: list[int] = []
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def after(self, delay_s: float, call: _Call) -> Due:
        """Call back after some seconds, at most a tick too late."""
        tick = int((self._clock() + delay_s) / TICK_S) + 1
        alike = self._at.get(tick)
        if alike is None:
            alike = self._at[tick] = {}
            heapq.heappush(self._heap, tick)
        self._count += 1
        alike[self._count] = call
        if self._timer is None:
            self._wait(TICK_S)
        return Due(alike, self._count)

    def _tick(self) -> None:
        self._timer = None
        now = self._clock()
        pause_s: float = TICK_S
        while self._heap and self._heap[0] * TICK_S <= now:
            alike = self._at[self._heap[0]]
            while alike and pause_s:
                self._call(alike.pop(next(iter(alike))))
                if self._clock() - now > SLICE_S:
                    pause_s = 0
            if alike:
                break
            del self._at[heapq.heappop(self._heap)]
        if self._heap and self._timer is None:
            self._wait(pause_s)

    def _wait(self, pause_s: float) -> None:
        """Have the timer call at the end of this tick, or at once."""
        if pause_s:
            pause_s -= self._clock() % TICK_S - _AFTER_S
        self._timer = self._loop.call_later(pause_s, self._tick)

    @staticmethod
    def _call(call: _Call) -> None:
        try:
            call()
        except Exception:  # One fault must not stop the deadlines of all others.
            log.exception("fault at a deadline")

    def close(self) -> None:
        """Call nothing any more."""
        self._heap.clear()
        self._at.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
