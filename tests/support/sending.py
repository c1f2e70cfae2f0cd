"""A source over a store in memory, and its streams read as records."""

import asyncio
from collections.abc import Sequence

from protocol.replication.dump import DumpRecord, read_dump_record
from protocol.replication.streams import StreamReader
from protocol.replication.transactions import (
    TransactionRecord,
    read_transaction_record,
)
from protocol.requests import DumpRequest, Receiver, RetrieveTransactionsRequest
from protocol.trust.keys import SHA1, signature
from protocol.value import Reference, value_list
from protocol.version import Version
from resolver.pending import Part
from resolver.replication.source import Source
from resolver.tls import self_signed_context
from storage.base import (
    CopyRecord,
    NoteMirror,
    Outcome,
    StoreFull,
)
from storage.memory import MemoryStore
from tests.protocol.test_transaction_stream import URL
from tests.support.engines import SITE
from tests.support.signing import DSA_KEY, ROOT_KEY

MIRROR = Reference(300, b"0.NA/20.2000")
ALONE = Receiver(hash_option=2, server_count=1, server_number=0)
NOW_MS = 0x000001A20314E61B
OLD = Version(2, 7)
NEW = Version(2, 11)


class Sending:
    """A source over a store in memory, with a clock and a writer of the test's own."""

    def __init__(self, store: MemoryStore | None = None, *, is_dsa: bool = False) -> None:
        self.store = MemoryStore() if store is None else store
        self.now_ms = NOW_MS
        self.key = DSA_KEY if is_dsa else ROOT_KEY
        self.signed: list[bytes] = []
        self.noted: list[NoteMirror] = []
        self.is_full = False
        self.source = Source(
            self.store,
            sign=self.sign,
            tls_context=None if is_dsa else lambda: self_signed_context(ROOT_KEY),
            site=SITE,
            now_ms=lambda: self.now_ms,
            note=self.note,
        )

    async def sign(self, octets: bytes) -> bytes:
        await asyncio.sleep(0)
        self.signed.append(octets)
        return signature(self.key, SHA1, octets)

    async def note(self, change: NoteMirror) -> Outcome:
        if self.is_full:
            raise StoreFull("no room")
        self.noted.append(change)
        return self.store.apply([change], now_ms=self.now_ms)[0]

    def put(self, *handles: bytes, at_ms: int = NOW_MS) -> None:
        octets = value_list([URL])
        for handle in handles:
            self.store.apply([CopyRecord(handle, octets)], now_ms=at_ms)

    async def parts(self, request: RetrieveTransactionsRequest | DumpRequest, version: Version = NEW) -> list[Part]:
        if isinstance(request, DumpRequest):
            return [part async for part in self.source.dump(request, version=version, requester=MIRROR)]
        return [part async for part in self.source.transactions(request, version=version, requester=MIRROR)]

    async def dumped(self, request: DumpRequest) -> list[DumpRecord]:
        reader: StreamReader[DumpRecord] = StreamReader(read_dump_record)
        return read(reader, await self.parts(request, OLD))

    async def told(
        self, number: int = 0, date_ms: int = 0, *, receiver: Receiver = ALONE, state: bytes | None = None
    ) -> list[TransactionRecord]:
        asked = RetrieveTransactionsRequest(receiver=receiver, last_number=number, last_date_ms=date_ms, state=state)
        reader: StreamReader[TransactionRecord] = StreamReader(read_transaction_record)
        return read(reader, await self.parts(asked, OLD))


def read(reader: StreamReader, parts: Sequence[Part]) -> list:  # type: ignore[type-arg]
    for part in parts:
        assert isinstance(part, bytes)
        reader.feed(part)
    blocks = []
    while found := reader.blocks():
        blocks += found
    assert reader.is_finished
    assert reader.rest() == b""
    return [block.record for block in blocks]
