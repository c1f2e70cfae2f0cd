"""Who does not answer at all: asked again now and then, and meanwhile taken for silent without waiting for it.

Else everybody who asks for names under a dead server's prefix would have a search wait for seconds each, until there is
no room for other searches. Holds no socket and no clock.
"""

from dataclasses import dataclass
from typing import Final

from resolver.walk.events import NoReply, Place, Way

QUESTIONS_MAX: Final = 16
"""Questions that one server leaves without an answer, one after the other, before it counts as dead."""

SILENT_S: Final = 3.0
"""And for how long: a server that restarts is back sooner."""

PROBE_S: Final = 1.0
"""How often a dead server is asked all the same: it is found alive within this time."""

PLACES_MAX: Final = 4_096
"""Servers that are remembered: beyond, the one that was asked longest ago is forgotten."""


@dataclass(slots=True)
class _Silence:
    since: float
    questions: int = 0
    probed_at: float = 0.0


class Silences:
    """Silent servers, by place and way. Times in seconds that never fall."""

    def __init__(self) -> None:
        self._silent: dict[tuple[Place, Way], _Silence] = {}

    def __len__(self) -> int:
        return len(self._silent)

    def may_ask(self, place: Place, way: Way, now: float) -> bool:
        """Whether a question is worth its wait."""
        found = self._silent.get((place, way)) if self._silent else None
        if found is None or found.questions < QUESTIONS_MAX or now - found.since < SILENT_S:
            return True
        if now - found.probed_at < PROBE_S:
            return False
        found.probed_at = now
        return True

    def heard(self, place: Place, way: Way, why: NoReply | None, *, since: float) -> None:
        """What came of a question that was asked at `since`: anything at all (None, or rubbish) ends the silence."""
        if why not in (NoReply.SILENT, NoReply.UNREACHABLE):
            if self._silent:
                self._silent.pop((place, way), None)
            return
        found = self._silent.pop((place, way), None) or _Silence(since)
        found.questions += 1
        if len(self._silent) >= PLACES_MAX:
            del self._silent[next(iter(self._silent))]
        self._silent[place, way] = found
