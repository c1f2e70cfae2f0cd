"""What writing comes to, whoever does it: batches of changes, when to commit them, and what a submitter is told.

One process of a node writes its store (`storage.writer_server`); all others hand their changes to it and wait
(`storage.writer_client`). Changes that wait at the same time share one durable transaction (group commit).
"""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Final, Protocol

from storage.base import Change, HandleStore, Outcome, StoreCorrupt, StoreError

log = logging.getLogger(__name__)

WAITING_MAX: Final = 10_000
"""Changes of one process that may wait: some seconds of work. Beyond, a submit is refused, so that memory and waiting
stay bounded."""

BATCH_MAX: Final = 2_000
"""Changes of one transaction: far more than a disk's sync costs, and soon over for those behind."""

GATHER_S: Final = 0.005
"""How long changes wait for others at most, where others are to be expected: about what a disk's sync takes."""

MANY: Final = 4
"""Changes that are expected from which on waiting pays: a commit costs about as much time as making four changes."""

GATHER_MANY_S: Final = 0.015
"""How long changes wait where that many are expected: at a thousand a second, fifteen share what one commit costs."""


class StoreBusy(StoreError):
    """Nothing was changed: too many changes wait for the disk, the writer does not run, or the node is stopping."""


class OutcomeUnknown(StoreError):
    """The writer ended while it had the change: it may be on disk, or not. It is never made a second time by itself."""


class Submits(Protocol):
    """Takes changes to be made, and refuses what would wait too long."""

    def submit(self, change: Change) -> "asyncio.Future[Outcome] | Future[Outcome]":
        """Have a change made; never blocks. `StoreBusy` at once where too many wait.

        The future gives the change's outcome once it is durable, or the error that kept it from being made: the
        `StoreError` of its whole transaction, or what its own `decide` raised by mistake; or `OutcomeUnknown`.
        """
        ...

    def close(self) -> None:
        """Take no more changes."""
        ...


def made(store: HandleStore, changes: Sequence[Change], *, now_ms: int) -> list[Outcome | Exception]:
    """Make changes in one transaction; the outcome of each, or what kept it from being made.

    Where one change breaks the transaction, as a record that cannot be read does, each is made alone.
    """
    try:
        return list(store.apply(changes, now_ms=now_ms))
    except Exception as error:
        if not _is_of_one_change(error):
            return [error] * len(changes)
        if len(changes) == 1:
            log.exception("a change cannot be made: our mistake, or a damaged record")
            return [error]
    return [found for change in changes for found in made(store, [change], now_ms=now_ms)]


def _is_of_one_change(error: Exception) -> bool:
    """Whether one change broke its transaction, and the others can be made without it.

    So it is with a record that cannot be read, and with a mistake of ours in a `decide`.
    """
    return isinstance(error, StoreCorrupt) or not isinstance(error, StoreError)


class Gathering:
    """When to commit: at once for a lone client, and for many when those are there who can be expected.

    Who had a change in the last commit, and who came while it was under way, are those who write now: as clients wait
    for one change before they ask for the next, so many changes are to be expected, and no more. Whatever comes, nobody
    waits for others longer than `gather_s`, or `gather_many_s` where `MANY` are expected. Times are seconds of one
    clock.
    """

    def __init__(self, gather_s: float = GATHER_S, gather_many_s: float = GATHER_MANY_S) -> None:
        self._gather_s = gather_s
        self._gather_many_s = gather_many_s
        self._begun_s: float | None = None
        self.expected = 1

    def wait_s(self, waiting: int, now_s: float) -> float | None:
        """How long to wait for more where so many wait: 0 to commit now, None where nothing does."""
        if not waiting:
            return None
        if self._begun_s is None:
            self._begun_s = now_s
        if waiting >= min(self.expected, BATCH_MAX):
            return 0.0
        bound_s = self._gather_s if self.expected < MANY else self._gather_many_s
        return max(0.0, self._begun_s + bound_s - now_s)

    def is_far(self, waiting: int) -> bool:
        """Whether many are expected and not half of them are here: till then nobody need look at each that comes."""
        return self.expected >= MANY and 0 < waiting <= self.expected // 2

    def committed(self, size: int, waiting: int) -> None:
        """So many changes were committed, and so many came meanwhile."""
        self.expected = size + waiting
        self._begun_s = None
