"""How long servers took: measured, smoothed, forgotten in time, and of a bounded number of hosts. Sends nothing.

Source: spec, resolution: section 3.2 (order of sites).
"""

from typing import Final

HOSTS_MAX: Final = 4_096
"""Hosts that are remembered: more than a country's servers; a stranger who names others pushes out the oldest."""

FAILED_MS: Final = 5_000
"""What a host counts that did not answer: it comes after every one that does."""

_NEW_PART: Final = 4  # A quarter of the new time: one slow answer of a fast server does not send us elsewhere.
_FADING: Final = 128  # A look takes 1/128 off: who was slow or down is tried again after some hundred choices.


class Measured:
    """The round trips of one process, by host. See `resolver.walk.events.RoundTrips`."""

    def __init__(self, hosts_max: int = HOSTS_MAX) -> None:
        self._hosts_max = hosts_max
        self._ms: dict[str, float] = {}

    def of_ms(self, host: str) -> int:
        """The time to expect, 0 where nothing is known. Each look makes it a little less: no site is given up for ever.

        The next answer of a site that is used puts its time right again.
        """
        known = self._ms.get(host)
        if known is None:
            return 0
        self._ms[host] = known - known / _FADING
        return int(known)

    def took(self, host: str, ms: int) -> None:
        """An answer came after that time."""
        known = self._ms.pop(host, None)
        if known is None or known >= FAILED_MS / 2:  # What it took before it was down says more than that it was.
            self._remember(host, float(ms))
        else:
            self._remember(host, known + (ms - known) / _NEW_PART)

    def failed(self, host: str) -> None:
        """No answer came."""
        self._ms.pop(host, None)
        self._remember(host, float(FAILED_MS))

    def _remember(self, host: str, ms: float) -> None:
        if len(self._ms) >= self._hosts_max:
            del self._ms[next(iter(self._ms))]  # The one whose time was put right longest ago.
        self._ms[host] = ms

    def __len__(self) -> int:
        return len(self._ms)
