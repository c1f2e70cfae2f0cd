"""A primary on loopback and a mirror of it, each with a store, and small changes to make there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from protocol.requests import DumpRequest, Receiver, RetrieveTransactionsRequest
from protocol.trust.keys import public_of
from protocol.value import HandleValue, value_list
from resolver.client_proof import Identity
from resolver.replication import copying, dumping, pages
from resolver.replication.asking import SourceServer
from resolver.replication.mirror import Mirror
from storage.base import Change, CopyRecord, HandleStore, HomePrefix
from storage.lmdb_store import LmdbStore
from tests.support.signing import ROOT_KEY
from tests.support.sources import MIRROR, MIRROR_KEY, Primary, serving

ALONE = Receiver(hash_option=2, server_count=1, server_number=0)
PREFIX = b"0.NA/88.1"


def values(text: bytes = b"x", timestamp: int = 1) -> bytes:
    return value_list([HandleValue(index=1, type=b"URL", data=text, timestamp=timestamp)])


def put(*handles: bytes, text: bytes = b"x") -> list[Change]:
    return [CopyRecord(handle, values(text)) for handle in handles]


def gone(*handles: bytes) -> list[Change]:
    return [CopyRecord(handle, None) for handle in handles]


def content(store: HandleStore) -> tuple[list[tuple[bytes, bytes]], frozenset[bytes]]:
    """Every record and the homed prefixes."""
    with store.view() as view:
        records = view.records(limit=100_000, size_max=1 << 30)
        return [(record.handle, record.values) for record in records], view.homed()


class Copying:
    """A primary and a mirror of it, each with a store, and a clock for both."""

    def __init__(self, primary: Primary, store: LmdbStore, folder: Path) -> None:
        self.primary = primary
        self.store = store
        self.folder = folder
        self.source = SourceServer("127.0.0.1", primary.port, public_of(ROOT_KEY))
        self.identity = Identity(MIRROR, private_key=MIRROR_KEY)
        self.receiver = ALONE
        self.mirror = self.restarted()

    def restarted(self) -> Mirror:
        """A mirror as after a kill: all that it knows is in its store."""
        self.mirror = Mirror(
            self.source,
            identity=self.identity,
            receiver=self.receiver,
            store=self.store,
            case_sensitive=False,
            folder=self.folder,
            now_ms=lambda: self.primary.now_ms,
            interval_s=0.01,
            silence_s=5,
            chance=lambda: 0.5,
        )
        return self.mirror

    def change(self, *changes: Change) -> None:
        self.primary.now_ms += 1_000
        outcomes = self.primary.store.apply(changes, now_ms=self.primary.now_ms)
        assert not any(outcome.error for outcome in outcomes)

    @property
    def is_equal(self) -> bool:
        return content(self.store) == content(self.primary.store)

    def dumps(self) -> int:
        return self.primary.count(DumpRequest)

    def questions(self) -> int:
        return self.primary.count(RetrieveTransactionsRequest)


@asynccontextmanager
async def copying_pair(tmp_path: Path, *, records: int = 300) -> AsyncIterator[Copying]:
    """A primary with a homed prefix and records, in LMDB, and an empty mirror."""
    with LmdbStore.create(tmp_path / "primary") as theirs, LmdbStore.create(tmp_path / "mirror") as ours:
        primary = Primary(theirs, mirror_key=public_of(MIRROR_KEY))
        handles = [b"88.1/%04d" % n for n in range(records)]
        theirs.apply([HomePrefix(PREFIX), *put(*handles)], now_ms=primary.now_ms)
        async with serving(primary):
            yield Copying(primary, ours, tmp_path / "dump")


def make_batches_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches and pages so small that a stream has many."""
    monkeypatch.setattr(copying, "BATCH_CHANGES", 20)
    monkeypatch.setattr(pages, "PAGE_RECORDS", 16)
    monkeypatch.setattr(dumping, "SWEEP_PAGE", 7)
