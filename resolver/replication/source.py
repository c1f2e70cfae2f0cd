"""What a primary sends to its mirrors behind its reply: the stream of changes, and the stream of everything.

Who asks has proven to be allowed to; the reply itself is another's. Streams are signed block by block below 2.8, and go
through TLS with the server's own key from then on. Between two parts no view of the store is open: a mirror that does
not read holds nothing but one page. Sources: spec, resolution: sections 7 to 9; behaviours 36.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from protocol.errors import Malformed
from protocol.replication.dump import DumpEnd, DumpPosition, DumpStart, HomedPrefix, StartType
from protocol.replication.streams import SIGNED_DIGEST_NAME, StreamHead, StreamKind, StreamRecord
from protocol.replication.transactions import (
    QueueEnd,
    QueueName,
    TransactionEnd,
    TransactionFormat,
    TransactionStart,
    TransactionStatus,
)
from protocol.requests import DumpRequest, Receiver, RetrieveTransactionsRequest
from protocol.site import Site
from protocol.value import Reference
from protocol.version import Version
from protocol.wire import Writer
from resolver.pending import Part, Secure
from resolver.replication.all_sources import Position, position_in, queue_name
from resolver.replication.pages import Page, expect_place, expect_share, handles_page, transactions_page
from resolver.replication.redump import JournalSpan, needs_redump
from storage.base import HandleStore, NoteMirror, StoreError, StoreView
from storage.mirrors import MIRRORS, read_mirrors

log = logging.getLogger(__name__)

V_TLS_STREAM: Final = Version(2, 8)
"""From this version of the reply on, peers can begin TLS behind it (spec, resolution: section 7.1)."""

NOTE_EVERY_MS: Final = 60_000  # A mirror that stands where it stood is written down no more often.
HOMED_A_PART: Final = 500  # Homed prefixes that are sent at a time.

Sign = Callable[[bytes], Awaitable[bytes]]
"""The signature by the server's key and SHA1 over octets, computed elsewhere than on the event loop."""

Note = Callable[[NoteMirror], Awaitable[object]]
"""Has a change made by the one writer; raises `StoreError` where it was not."""

_Pages = AsyncGenerator[list[StreamRecord]]


@dataclass(frozen=True, slots=True)
class _Moment:
    """What the journal could tell when somebody asked, and the time then: what it all becomes is later than this."""

    span: JournalSpan
    now_ms: int


class Source:
    """Makes the streams from a store. `tls_context` is None where the server's key is none that TLS takes (DSA).

    `note` keeps how far mirrors are, so that the journal is not pruned under them; without it they are not known.
    """

    def __init__(
        self,
        store: HandleStore,
        *,
        sign: Sign,
        tls_context: Callable[[], ssl.SSLContext] | None,
        site: Site,
        now_ms: Callable[[], int],
        note: Note | None = None,
        server_number: int = 0,
    ) -> None:
        self._store = store
        self._sign = sign
        self._tls_context = tls_context
        self._site = site
        self._now_ms = now_ms
        self._note = note
        self._server_number = server_number

    def transactions(
        self, request: RetrieveTransactionsRequest, *, version: Version, requester: Reference
    ) -> AsyncIterator[Part]:
        """The octets behind the reply to RETRIEVE_TXN_LOG in that version; `Malformed` at once for a bad request.

        Told is what was committed when the first part is made; the date at the end is of then.
        """
        expect_share(request.receiver)
        position, queue = Position(request.last_number, request.last_date_ms), None
        if request.state is not None:
            with self._store.view() as view:
                queue = queue_name(view, self._site, self._server_number)
            position = position_in(request.state, queue)
        return self._parts(version, self._transaction_records(request.receiver, position, queue, requester))

    def dump(self, request: DumpRequest, *, version: Version, requester: Reference) -> AsyncIterator[Part]:
        """The octets behind the reply to DUMP_HANDLES in that version; `Malformed` at once for a bad request."""
        expect_share(request.receiver)
        if request.start is not None:
            if request.start_type not in set(StartType):
                raise Malformed(f"a dump that begins behind a key of type {request.start_type}")
            if request.start_type == StartType.HANDLE:
                with self._store.view() as view:
                    expect_place(view, request.start)
        return self._parts(version, self._dump_records(request, requester))

    # Protection

    async def _parts(self, version: Version, pages: _Pages) -> AsyncIterator[Part]:
        is_signed = self._tls_context is None or not version.at_least(V_TLS_STREAM)
        if is_signed:
            yield StreamHead(StreamKind.SIGNED, SIGNED_DIGEST_NAME).to_bytes()
        else:
            assert self._tls_context is not None
            yield StreamHead(StreamKind.TLS).to_bytes()
            yield Secure(self._tls_context())
        async with aclosing(pages):
            async for page in pages:
                if page:
                    octets = [await self._block(record) if is_signed else record.to_bytes() for record in page]
                    yield b"".join(octets)
                await asyncio.sleep(0)  # A share may be small: pages without a record of it must not keep the loop.

    async def _block(self, record: StreamRecord) -> bytes:
        octets = record.to_bytes()
        if not record.is_signed:
            return octets
        block = Writer()
        block.octets(octets)
        block.counted(await self._sign(octets))
        return block.to_bytes()

    # Changes

    async def _transaction_records(
        self, receiver: Receiver, position: Position, queue: bytes | None, requester: Reference
    ) -> _Pages:
        moment = self._moment()
        span = moment.span
        form = TransactionFormat.ONE_SOURCE if queue is None else TransactionFormat.ALL_SOURCES
        if needs_redump(span, number=position.number, date_ms=position.date_ms, now_ms=moment.now_ms):
            log.warning("mirror %s cannot be told what it missed: it must dump", _name(requester, receiver))
            end = TransactionEnd(position.date_ms if queue is None else None)
            yield [TransactionStart(form, TransactionStatus.NEED_TO_REDUMP), end]
            return
        await self._noted(requester, receiver, position.number)
        yield [TransactionStart(form, TransactionStatus.SENDING), *([] if queue is None else [QueueName(queue)])]
        after: int | None = max(position.number, 0)
        while after is not None:
            with self._store.view() as view:
                page = transactions_page(
                    view, receiver, after=after, through=span.last_number, kept_from=span.oldest_number
                )
            yield list(page.records)
            after = page.next_number
        date_ms = moment.now_ms
        yield [TransactionEnd(date_ms)] if queue is None else [QueueEnd(date_ms), TransactionEnd(None)]

    # Everything

    async def _dump_records(self, request: DumpRequest, requester: Reference) -> _Pages:
        start, kind = request.start, request.start_type
        head: list[StreamRecord] = [DumpStart()]
        if start is None:
            moment = self._moment()
            await self._noted(requester, request.receiver, moment.span.last_number)
            head.append(DumpPosition(date_ms=moment.now_ms, number=moment.span.last_number))
        else:
            await self._noted(requester, request.receiver, None)
        log.info("mirror %s dumps%s", _name(requester, request.receiver), "" if start is None else " on")
        yield head
        if start is None or kind != StartType.HOMED_PREFIX:
            after = start if kind == StartType.HANDLE else None
            while (page := self._handles(request.receiver, after)).next_handle is not None:
                yield list(page.records)
                after = page.next_handle
        for prefixes in self._homed(start if start is not None and kind == StartType.HOMED_PREFIX else b""):
            yield list(prefixes)
        yield [DumpEnd()]

    def _handles(self, receiver: Receiver, after: bytes | None) -> Page:
        with self._store.view() as view:
            return handles_page(view, receiver, after=after)

    def _homed(self, after: bytes) -> Iterator[list[HomedPrefix]]:
        """Every homed prefix behind one, in order."""
        with self._store.view() as view:
            prefixes = [HomedPrefix(handle) for handle in sorted(view.homed()) if handle > after.upper()]
        for place in range(0, len(prefixes), HOMED_A_PART):
            yield prefixes[place : place + HOMED_A_PART]

    # What is known of mirrors

    def _moment(self) -> _Moment:
        with self._store.view() as view:
            last_number = view.last_number()
            oldest, last = view.journal(limit=1), view.journal(after=last_number - 1, limit=1)
        now_ms = self._now_ms()
        if not oldest:
            return _Moment(JournalSpan(last_number), now_ms)
        # Should the clock have been set back, the dates of the journal have not: the later of the two is now.
        return _Moment(JournalSpan(last_number, oldest[0].number, oldest[0].date_ms), max(now_ms, last[0].date_ms))

    async def _noted(self, requester: Reference, receiver: Receiver, number: int | None) -> None:
        """Write down that a mirror is there, and how far; a store that cannot be written stops no stream."""
        name = _name(requester, receiver)
        with self._store.view() as view:
            if self._note is None or self._is_known(view, name, number):
                return
        try:
            await self._note(NoteMirror(name, number))
        except StoreError as error:
            log.warning("where mirror %s stands could not be kept: %s", name, error)

    def _is_known(self, view: StoreView, name: str, number: int | None) -> bool:
        known = read_mirrors(view.meta(MIRRORS)).get(name)
        return (
            known is not None
            and (number is None or known[0] == number)
            and 0 <= self._now_ms() - known[1] < NOTE_EVERY_MS
        )


def _name(requester: Reference, receiver: Receiver) -> str:
    """Who a mirror is: its identity and its share. Spelled one way, whatever the case of its handle."""
    handle = requester.handle.upper().decode(errors="backslashreplace")
    share = f"{receiver.server_number} of {receiver.server_count} by {receiver.hash_option}"
    return f"{requester.index}:{handle} server {share}"
