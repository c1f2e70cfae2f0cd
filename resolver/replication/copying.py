"""What a mirror writes: batches of changes with the state that they lead to, in one transaction each.

Every change says what a record is, not what happened to it: made twice, it is the same. Source: spec, resolution:
section 10.2 (create and update replace the whole record).
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from protocol.replication.dump import DumpedHandle
from protocol.replication.transactions import Action, Transaction
from protocol.value import HandleValue, value_list
from resolver.replication.seen import Seen
from resolver.replication.state import MirrorState
from storage.base import Change, CopyRecord, HandleStore, HomePrefix, UnhomePrefix

log = logging.getLogger(__name__)

WHO: Final = "mirror"
"""The author of journal rows of what was copied."""

BATCH_CHANGES: Final = 500  # Of one transaction: the sync of the disk is shared by many, and readers see it soon.
BATCH_OCTETS: Final = 4_194_304  # Beyond it no further change joins: one may have as many again.
REFUSALS_TOLD: Final = 10  # Of one batch: a source with another idea of handles would fill the log.


@dataclass(slots=True)
class Batch:
    """Changes that wait to be written, and the handles and prefixes that they are about."""

    changes: list[Change] = field(default_factory=list)
    handles: list[bytes] = field(default_factory=list)
    homed: list[bytes] = field(default_factory=list)
    unhomed: list[bytes] = field(default_factory=list)
    size: int = 0

    @property
    def is_full(self) -> bool:
        """Whether it should be written before more joins it."""
        return len(self.changes) + len(self.homed) >= BATCH_CHANGES or self.size >= BATCH_OCTETS

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self.changes and not self.homed

    def take(self, transaction: Transaction) -> None:
        """What a transaction comes to. Actions that nobody knows change nothing."""
        handle = transaction.handle
        match transaction.action:
            case Action.CREATE | Action.UPDATE:
                self._put(handle, transaction.values)
            case Action.DELETE:
                self.changes.append(CopyRecord(handle, None, WHO))
            case Action.HOME:
                self.homed.append(handle)
                self.changes.append(HomePrefix(handle, WHO))
            case Action.UNHOME:
                self.unhomed.append(handle)
                self.changes.append(UnhomePrefix(handle, WHO))
            case _:
                log.warning("change %d of the source has the unknown action %d", transaction.number, transaction.action)

    def take_record(self, record: DumpedHandle) -> None:
        """A record of a dump."""
        self._put(record.handle, record.values)

    def _put(self, handle: bytes, values: tuple[HandleValue, ...]) -> None:
        octets = value_list(values)
        self.handles.append(handle)
        self.changes.append(CopyRecord(handle, octets, WHO))
        self.size += len(handle) + len(octets)


@dataclass(frozen=True, slots=True)
class Copier:
    """Writes to the mirror's store. `now_ms` gives milliseconds since 1970."""

    store: HandleStore
    now_ms: Callable[[], int]

    def write(self, batch: Batch, state: MirrorState | None, seen: Seen | None) -> None:
        """Write a batch, and where a state is given, it too, all or nothing; what was seen is kept before."""
        if seen is not None:
            seen.add(batch.handles, batch.homed, batch.unhomed)
        self.apply(batch.changes, state)

    def apply(self, changes: Sequence[Change], state: MirrorState | None) -> int:
        """Make changes and keep the state they lead to; how many changed something.

        A change that our store refuses (no UTF-8, too long, too many values) is told, and what stands is left.
        """
        every = list(changes) if state is None else [*changes, state.change()]
        if not every:
            return 0
        outcomes = self.store.apply(every, now_ms=self.now_ms())
        refused = [outcome.error for outcome in outcomes if outcome.error is not None]
        for error in refused[:REFUSALS_TOLD]:
            log.error("a record of the source cannot be kept here: %s", error)
        if len(refused) > REFUSALS_TOLD:
            log.error("%d more records of the source cannot be kept here", len(refused) - REFUSALS_TOLD)
        return sum(outcome.number > 0 for outcome in outcomes)
