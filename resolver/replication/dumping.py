"""A mirror takes everything anew: onto the store that is served, record by record, and what is too much goes last.

Until a record of the source has come, the old one is answered; new prefixes are homed when all their records are here.
A dump that is cut goes on where it was, after a kill, too. Source: spec, resolution: sections 9 and 10.
"""

import asyncio
import logging
import secrets
from contextlib import aclosing, closing
from dataclasses import replace
from typing import Final

from protocol.replication.dump import DumpedHandle, DumpPosition, HomedPrefix
from protocol.requests import DumpRequest
from resolver.client_errors import Refused
from resolver.replication.asking import BadSource
from resolver.replication.channel import Cut, Unreachable
from resolver.replication.copying import WHO, Batch
from resolver.replication.history import LostHistory
from resolver.replication.pair import Pair
from resolver.replication.seen import Seen, removed
from resolver.replication.source import V_TLS_STREAM
from resolver.replication.state import MirrorState, Phase
from storage.base import Change, CopyRecord, HomePrefix, UnhomePrefix

log = logging.getLogger(__name__)

RESUME_WITHIN_MS: Final = 21_600_000  # A dump that broke longer ago than this begins anew: the source may be another.
RESUMES_IN_VAIN_MAX: Final = 3  # So often a dump that goes on may bring nothing: some sources cannot (section 9).
SWEEP_PAGE: Final = 500  # Handles of the mirror that are looked at, and maybe removed, in one transaction.
_ENDED: Final = (Cut, BadSource, asyncio.CancelledError)
"""What ends a stream, and says nothing against what it brought before."""


class Dumper:
    """Dumps, and sweeps behind it."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._in_vain = 0  # Tries in a row that brought nothing.

    async def dump(self, state: MirrorState | None) -> MirrorState:
        """Take every record: from where the last try ended, or from the start. The state behind it."""
        seen = None if state is None or not self._may_resume(state) else Seen.opened(self._pair.folder, state.dump)
        if seen is None or state is None:
            state, seen = self._begun_dump()
        with closing(seen):
            try:
                state = await self._dumped(state, seen)
            except (Cut, BadSource, Refused) as error:
                self._in_vain += not isinstance(error, Unreachable)
                raise
            self._expect_content(state, seen)
            state = replace(state, phase=Phase.SWEEP, resume=None)
            self._pair.copier.apply([HomePrefix(prefix, WHO) for prefix in sorted(seen.homed())], state)
            log.info("mirror of %s: the dump is complete, %d records", self._pair.source.name, seen.count())
        self._in_vain = 0
        return state

    def _may_resume(self, state: MirrorState) -> bool:
        is_able = self._pair.source.asked_version.at_least(V_TLS_STREAM) and self._in_vain < RESUMES_IN_VAIN_MAX
        is_recent = 0 <= self._pair.now_ms() - state.touched_ms < RESUME_WITHIN_MS
        return is_able and is_recent and state.resume is not None and state.has_position

    def _begun_dump(self) -> tuple[MirrorState, Seen]:
        name = secrets.token_hex(8)
        with self._pair.store.view() as view:
            records = view.facts().records
        seen = Seen.begun(self._pair.folder, name, case_sensitive=self._pair.case_sensitive)
        state = MirrorState(
            source=self._pair.key,
            name=self._pair.source.name,
            receiver=self._pair.receiver,
            phase=Phase.DUMP,
            dump=name,
            touched_ms=self._pair.now_ms(),
        )
        try:
            self._pair.copier.apply([], state)
        except BaseException:
            seen.close()
            raise
        self._in_vain = 0
        said = "mirror of %s takes everything; the %d records here are served until then"
        log.info(said, self._pair.source.name, records)
        return state, seen

    async def _dumped(self, state: MirrorState, seen: Seen) -> MirrorState:
        """Take what a dump brings, batch by batch, each with where to go on."""
        start, kind = (None, 0) if state.resume is None else state.resume
        if start is not None:
            log.info("mirror of %s: the dump goes on behind %r", self._pair.source.name, start)
        batch = Batch()
        request = DumpRequest(receiver=self._pair.receiver, start=start, start_type=kind)
        try:
            async with aclosing(self._pair.asking.dump(request)) as found:
                async for records in found:
                    for record in records:
                        match record:
                            case DumpPosition():
                                state = replace(state, number=record.number, date_ms=record.date_ms, has_position=True)
                            case DumpedHandle():
                                batch.take_record(record)
                            case HomedPrefix():
                                batch.homed.append(record.handle)  # Homed when all its records are here.
                        state = replace(state, resume=record.resume_point or state.resume)
                        if batch.is_full:
                            self._keep_dump(batch, state, seen)
                            batch = Batch()
                            await asyncio.sleep(0)
        except _ENDED:
            self._keep_dump(batch, state, seen)
            raise
        self._keep_dump(batch, state, seen)
        return state

    def _keep_dump(self, batch: Batch, state: MirrorState, seen: Seen) -> None:
        if batch.is_empty:
            return
        self._pair.copier.write(batch, replace(state, touched_ms=self._pair.now_ms()), seen)
        self._in_vain = 0

    def _expect_content(self, state: MirrorState, seen: Seen) -> None:
        """`BadSource` for a dump that must not replace what is here."""
        if not state.has_position:
            raise BadSource("the source keeps no journal, so that its changes cannot be followed")
        with self._pair.store.view() as view:
            records = view.facts().records
        if records and not seen.count() and not seen.homed():
            said = "the source is empty, it has neither a record nor a prefix: is it the right one, and whole?"
            raise BadSource(f"{said} The {records} records here are kept")

    async def sweep(self, state: MirrorState) -> None:
        """Remove what neither the dump nor a change since brought, and be done with the dump."""
        seen = Seen.opened(self._pair.folder, state.dump)
        if seen is None:
            raise LostHistory("what the last dump brought is not known any more")
        with closing(seen):
            with self._pair.store.view() as view:
                foreign = sorted(view.homed() - seen.homed())
            gone = self._pair.copier.apply([UnhomePrefix(prefix, WHO) for prefix in foreign], None)
            after: bytes | None = None
            while True:
                with self._pair.store.view() as view:
                    page = view.handles(b"", after=after, limit=SWEEP_PAGE)
                if not page:
                    break
                after = page[-1]
                changes: list[Change] = [CopyRecord(handle, None, WHO) for handle in seen.missing(page)]
                gone += self._pair.copier.apply(changes, None)
                await asyncio.sleep(0)
        self._pair.copier.apply([], replace(state, phase=Phase.FOLLOW, dump=""))
        removed(self._pair.folder)
        log.info(
            "mirror of %s: everything was taken; %d that it has no longer were removed", self._pair.source.name, gone
        )
