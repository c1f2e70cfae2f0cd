"""The one place that asks the time. Everything below the servers gets `now` as an argument."""

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Two readings: seconds that only rise, and seconds since 1970."""

    def monotonic(self) -> float:
        """Seconds that never fall, from an arbitrary start."""
        ...

    def wall(self) -> float:
        """Seconds since 1970, as the machine believes."""
        ...


class SystemClock:
    """The machine's clock."""

    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)


@dataclass(slots=True)
class HandClock:
    """A clock that a test sets by hand; both readings move together."""

    now: float = 1_700_000_000.0

    def monotonic(self) -> float:
        """The hand-set time."""
        return self.now

    def wall(self) -> float:
        """The hand-set time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
