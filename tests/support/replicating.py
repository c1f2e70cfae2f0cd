"""A primary that changes all the time, or a mirror of it, as a process that a test kills.

Run as `python -m tests.support.replicating primary FOLDER PORT SEED CHANGES` or `… mirror FOLDER PORT`.
"""

import asyncio
import itertools
import random
import sys
import time
from pathlib import Path

from protocol.requests import Receiver
from protocol.trust.keys import public_of
from resolver.client_proof import Identity
from resolver.replication import mirror
from resolver.replication.asking import SourceServer
from resolver.replication.mirror import Mirror
from storage.base import Change, CopyRecord, HomePrefix, PruneJournal, UnhomePrefix
from storage.lmdb_store import LmdbStore
from tests.support.sources import MIRROR, MIRROR_KEY, SERVER_KEY, Primary, serving
from tests.support.writing import values_of

HANDLES = 3_000
PAUSE_S = 0.005


def now_ms() -> int:
    """The machine's clock."""
    return time.time_ns() // 1_000_000


def changed(chance: random.Random) -> list[Change]:
    """Some changes of one transaction."""
    found: list[Change] = []
    for _ in range(chance.randrange(1, 8)):
        handle = b"88.1/%05d" % chance.randrange(HANDLES)
        found.append(CopyRecord(handle, values_of(chance.randrange(10_000)) if chance.random() < 0.7 else None))
    if chance.random() < 0.05:
        prefix = b"0.NA/88.%d" % chance.randrange(9)
        found.append(HomePrefix(prefix) if chance.random() < 0.6 else UnhomePrefix(prefix))
    return found


async def primary(folder: Path, port: int, seed: int, changes: int) -> None:
    """Serve, and change so many times (-1: without end)."""
    chance = random.Random(seed)
    with LmdbStore.create(folder) as store:
        source = Primary(store, mirror_key=public_of(MIRROR_KEY))
        source.now_ms = now_ms()
        store.apply([HomePrefix(b"0.NA/88.1")], now_ms=source.now_ms)
        async with serving(source, port):
            print("ready", flush=True)
            for number in itertools.count():
                source.now_ms = now_ms()
                if number == changes:
                    break
                store.apply(changed(chance), now_ms=source.now_ms)
                if chance.random() < 0.01:  # Now and then without regard for mirrors: they must dump.
                    claim = source.now_ms + 1 if chance.random() < 0.2 else 0
                    store.apply([PruneJournal(source.now_ms, claim)], now_ms=source.now_ms)
                await asyncio.sleep(PAUSE_S)
            await asyncio.Event().wait()


async def copy(folder: Path, port: int) -> None:
    """Follow the primary at that port."""
    mirror.BACKOFF_MAX_S = 0.2  # type: ignore[misc]
    with LmdbStore.create(folder) as store:
        await Mirror(
            SourceServer("127.0.0.1", port, public_of(SERVER_KEY)),
            identity=Identity(MIRROR, private_key=MIRROR_KEY),
            receiver=Receiver(hash_option=2, server_count=1, server_number=0),
            store=store,
            case_sensitive=False,
            folder=folder / "dump",
            now_ms=now_ms,
            interval_s=0.05,
        ).run()


def main() -> None:
    """One of the two."""
    role, folder, port = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if role == "primary":
        asyncio.run(primary(folder, port, int(sys.argv[4]), int(sys.argv[5])))
    else:
        asyncio.run(copy(folder, port))


if __name__ == "__main__":
    main()
