"""Keeps the journal from growing for ever: old rows go, unless a mirror that was heard of lately still needs them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from storage.base import Outcome, PruneJournal, StoreError

log = logging.getLogger(__name__)

STEP_ROWS: Final = 10_000  # Rows of one transaction: some ten milliseconds of the one writer.
EVERY_S: Final = 3_600.0  # How often old rows are looked for: what is kept for days is not in a hurry.
FOREVER_S: Final = 0.0
"""The age that keeps every row."""

Change = Callable[[PruneJournal], Awaitable[Outcome]]
"""Has a change made by the one writer."""


@dataclass(frozen=True, slots=True)
class Pruner:
    """Prunes rows older than `age_s`. A mirror unheard of for `mirror_grace_s` has no claim any more."""

    change: Change
    age_s: float
    mirror_grace_s: float
    now_ms: Callable[[], int]

    async def prune(self) -> int:
        """Forget all that may be forgotten now, in steps that let other changes between; how many steps it took."""
        steps = 0
        if self.age_s <= FOREVER_S:
            return steps
        now_ms = self.now_ms()
        before_ms, heard_since_ms = now_ms - int(self.age_s * 1_000), now_ms - int(self.mirror_grace_s * 1_000)
        while (await self.change(PruneJournal(before_ms, heard_since_ms, STEP_ROWS))).existed:
            steps += 1
        if steps:
            log.info("journal rows older than %.0f s were pruned, in %d steps", self.age_s, steps)
        return steps

    async def run(self) -> None:
        """Prune now and then, until cancelled."""
        while True:
            try:
                await self.prune()
            except StoreError as error:
                log.warning("the journal could not be pruned: %s", error)
            await asyncio.sleep(EVERY_S)
