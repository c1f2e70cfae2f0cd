"""Many deadlines with one timer of the event loop: to set one costs a heap's push, to give it up costs nothing.

Made for the waits of questions that are under way: thousands, nearly all of which are given up.
"""

import asyncio
import heapq
import logging
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

TICK_S: Final = 0.01
"""How late a deadline may be: waits for servers are at least tens of times longer."""

SLICE_S: Final = 0.001
"""How long the work of searches may hold up the loop at a time: answers to clients get their turn in between."""


class Due:
    """One deadline. `cancel` and nothing is called any more."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Give it up."""
        self.call = None


class Ticks:
    """Deadlines of one event loop. The timer runs only while there are any."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[tuple[float, int, Due]] = []
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def after(self, delay_s: float, call: Callable[[], None]) -> Due:
        """Call back after some seconds, at most a tick too late."""
        due = Due(call)
        self._count += 1
        heapq.heappush(self._heap, (self._loop.time() + delay_s, self._count, due))
        if self._timer is None:
            self._timer = self._loop.call_later(TICK_S, self._tick)
        return due

    def _tick(self) -> None:
        self._timer = None
        clock = self._loop.time
        now = clock()
        pause_s = TICK_S
        while self._heap:
            when, _, due = self._heap[0]
            if due.call is not None and when > now:
                break
            heapq.heappop(self._heap)
            if due.call is not None:
                self._call(due.call)
                if clock() - now > SLICE_S:
                    pause_s = 0
                    break
        if self._heap and self._timer is None:
            self._timer = self._loop.call_later(pause_s, self._tick)

    @staticmethod
    def _call(call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:  # One fault must not stop the deadlines of all others.
            log.exception("fault at a deadline")

    def close(self) -> None:
        """Call nothing any more."""
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
