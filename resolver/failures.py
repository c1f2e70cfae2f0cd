"""What failed proofs cost whoever fails: a delay that grows for a source with a handle, and for a source with many.

A handle counts however it is spelled and whichever of its keys is tried: look-ups do not tell these apart either.
"""

import asyncio
from collections import Counter as Tally
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

from protocol.errors import TooBusy
from protocol.identifier import full
from protocol.value import Reference
from storage.volatile import Volatile

DELAY_FIRST_S: Final = 0.1  # What the first failure costs; it doubles.
DELAY_MAX_S: Final = 10.0  # What any failure costs at most: deployed clients wait for a minute.
HALF_LIFE_MS: Final = 60_000  # In a minute without failures half of them are forgotten.
FREE_FAILURES: Final = 2  # A person mistypes: the first ones cost nothing.
FREE_A_SOURCE: Final = 32  # Of a source with all handles together: a firm's people share an address.
WAITING_MAX: Final = 16  # Failures of one source with one handle that wait to be told: more are refused unlooked at.
WAITING_A_SOURCE_MAX: Final = 64  # Of one source with all handles: fewer than the connections that it may have.
_HALF_MAX: Final = 16  # Doublings beyond which the bound holds anyway.

BUSY: Final = "Too many failed proofs from this address: wait"


@dataclass(frozen=True, slots=True)
class Attempt:
    """Who tries what: a source, and the handle whose key it is. `is_relayed`: the source asks for many clients."""

    source: str
    handle: str
    is_relayed: bool = False

    @classmethod
    def of(cls, source: str, key: Reference, *, is_relayed: bool = False) -> Self:
        """A try with a key of a handle; the handle may be any octets."""
        return cls(source, full(key.handle).upper().hex(), is_relayed)

    @property
    def both(self) -> str:
        """The name under which the two are counted together."""
        return f"{self.source} {self.handle}"


class Failures:
    """Counts failed proofs, for all workers, and makes them wait."""

    def __init__(self, volatile: Volatile, now_ms: Callable[[], int]) -> None:
        self._volatile = volatile
        self._now_ms = now_ms
        self._waiting: Tally[str] = Tally()

    def expect_room(self, attempt: Attempt) -> None:
        """`TooBusy` where so many failures of it wait that it may not try again now."""
        is_full = not attempt.is_relayed and self._waiting[attempt.source] >= WAITING_A_SOURCE_MAX
        if is_full or self._waiting[attempt.both] >= WAITING_MAX:
            raise TooBusy(f"{attempt.source}: too many failures wait", told=BUSY)

    async def failed(self, attempt: Attempt) -> None:
        """Count a failure and wait as long as it costs.

        Its place is held for that time whatever becomes of the connection: whoever breaks off would else guess on.
        """
        delay_s = self._delay_s(attempt.both, FREE_FAILURES)
        if not attempt.is_relayed:
            delay_s = max(delay_s, self._delay_s(attempt.source, FREE_A_SOURCE))
        if not delay_s:
            return
        for name in (attempt.both, attempt.source):
            self._waiting[name] += 1
        asyncio.get_running_loop().call_later(delay_s, self._over, attempt)
        await asyncio.sleep(delay_s)

    def _delay_s(self, who: str, free: int) -> float:
        count = self._volatile.failed(who, now_ms=self._now_ms(), half_life_ms=HALF_LIFE_MS) - free
        return min(DELAY_MAX_S, DELAY_FIRST_S * 2 ** min(count - 1, _HALF_MAX)) if count > 0 else 0.0

    def _over(self, attempt: Attempt) -> None:
        for name in (attempt.both, attempt.source):
            self._waiting[name] -= 1
            if not self._waiting[name]:
                del self._waiting[name]
