"""A mirror takes the changes of its source, batch by batch, each with the state that it leads to.

Source: spec, resolution: sections 8 and 10.
"""

import asyncio
import logging
from contextlib import aclosing, closing
from dataclasses import replace
from typing import Final

from protocol.replication.transactions import (
    Transaction,
    TransactionEnd,
    TransactionFormat,
    TransactionStart,
    TransactionStatus,
)
from protocol.requests import RetrieveTransactionsRequest
from resolver.replication.asking import BadSource
from resolver.replication.channel import Cut
from resolver.replication.copying import Batch
from resolver.replication.history import History, LostHistory, NotRising, first_asked
from resolver.replication.pair import Pair
from resolver.replication.seen import Seen
from resolver.replication.state import MirrorState, Phase

log = logging.getLogger(__name__)

DATE_STEP_MS: Final = 60_000  # That nothing changed is written no more often than this.
_ENDED: Final = (Cut, BadSource, NotRising, asyncio.CancelledError)
"""What ends a stream, and says nothing against what it brought before."""


class MustDump(Exception):
    """The source says that it cannot tell what was missed."""


class Follower:
    """Follows. It remembers what a source did not tell, so that it is not asked for that again and again."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._not_told = -1  # The last number of a dump that the source did not tell afterwards.

    async def follow(self, state: MirrorState) -> MirrorState:
        """Take the changes since the state; the state behind them."""
        asked = state.number if state.number == self._not_told and state.is_new else first_asked(state)
        try:
            return await self._followed(state, asked)
        except MustDump:
            if asked == state.number:
                raise
            # The source may just have pruned the one change that is asked for to recognise it.
            state = replace(state, anchor=None, is_new=False)
            found = await self._followed(state, state.number)
            self._pair.copier.apply([], found)
            return found
        except LostHistory:
            if state.is_new and state.anchor is None:
                self._not_told = state.number
            raise

    async def _followed(self, state: MirrorState, asked: int) -> MirrorState:
        seen = Seen.opened(self._pair.folder, state.dump) if state.phase is Phase.SWEEP else None
        if seen is None:
            if state.phase is Phase.SWEEP:
                raise LostHistory("what the last dump brought is not known any more")
            return await self._taken(state, asked, None)
        with closing(seen):
            return await self._taken(state, asked, seen)

    async def _taken(self, state: MirrorState, asked: int, seen: Seen | None) -> MirrorState:
        """Take a stream of changes; the state behind it. Of a stream that breaks, what it brought is kept."""
        history, batch, first = History(state, asked), Batch(), state
        request = RetrieveTransactionsRequest(
            receiver=self._pair.receiver, last_number=asked, last_date_ms=state.date_ms
        )
        ended_ms: int | None = None
        try:
            async with aclosing(self._pair.asking.transactions(request)) as found:
                async for records in found:
                    for record in records:
                        match record:
                            case TransactionStart():
                                _expect_sending(record)
                            case Transaction():
                                if history.takes(record):
                                    batch.take(record)
                            case TransactionEnd():
                                ended_ms = record.date_ms
                        if batch.is_full:
                            self._keep_changes(batch, history, seen)
                            batch = Batch()
                            await asyncio.sleep(0)
        except _ENDED:
            self._keep_changes(batch, history, seen)
            raise
        assert ended_ms is not None, "a stream of one source ends with its date"
        history.end(ended_ms)
        state = replace(history.state, is_new=False)
        if batch.changes or state != first or ended_ms >= state.date_ms + DATE_STEP_MS:
            state = replace(state, date_ms=ended_ms)
            self._pair.copier.write(batch, state, seen)
        if history.taken:
            log.info("mirror of %s: %d changes taken, up to %d", self._pair.source.name, history.taken, state.number)
        return state

    def _keep_changes(self, batch: Batch, history: History, seen: Seen | None) -> None:
        if batch.changes:
            self._pair.copier.write(batch, history.state if history.is_proven else None, seen)


def _expect_sending(start: TransactionStart) -> None:
    if start.format is not TransactionFormat.ONE_SOURCE:
        raise BadSource("changes of all sources, where those of one were asked for")
    if start.status is TransactionStatus.NEED_TO_REDUMP:
        raise MustDump("it does not keep the changes that were missed any more")
