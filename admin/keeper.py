"""The process beside the workers that keeps the store: a mirror's copying, a primary's forgetting of old changes."""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from admin.errors import ExitCode, Failure
from admin.local_store import now_ms, open_store
from protocol.identifier import HASH_BY_HANDLE
from protocol.requests import Receiver
from resolver.config import Config
from resolver.replication.mirror import Mirror
from resolver.replication.pruning import FOREVER_S, Pruner
from resolver.replication.settings import BadReplication, MirrorSettings, mirror_settings
from storage.base import HandleStore, Outcome, PruneJournal

log = logging.getLogger(__name__)

MIRROR_FOLDER: Final = Path("run") / "mirror"
"""Where a dump keeps what it has seen, in the store's folder."""


def is_mirror(config: Config) -> bool:
    """Whether this node copies another one."""
    return config.replication.role == "mirror"


def is_wanted(config: Config) -> bool:
    """Whether there is anything to keep."""
    return is_mirror(config) or config.replication.journal_age > FOREVER_S


def settings(config: Config) -> MirrorSettings | None:
    """What a mirror is made of, None for a primary; a `Failure` where one of its files cannot be used."""
    if not is_mirror(config):
        return None
    try:
        return mirror_settings(config.replication)
    except BadReplication as error:
        raise Failure("the mirror cannot start", str(error), error.then, code=ExitCode.CONFIG) from error


def keep(config: Config, ready: Callable[[], None]) -> int:
    """The life of the process, until SIGTERM."""
    with open_store(config) as store:
        asyncio.run(_until_stopped(_work(config, store), ready))
    return 0


def _work(config: Config, store: HandleStore) -> Coroutine[Any, Any, None]:
    found = settings(config)
    if found is not None:
        return Mirror(
            found.source,
            identity=found.identity,
            receiver=Receiver(hash_option=HASH_BY_HANDLE, server_count=1, server_number=0),
            store=store,
            case_sensitive=config.store.case_sensitive,
            folder=config.node.data_dir / MIRROR_FOLDER,
            now_ms=now_ms,
            interval_s=found.interval_s,
        ).run()

    async def change(row: PruneJournal) -> Outcome:
        (outcome,) = await asyncio.to_thread(lambda: store.apply([row], now_ms=now_ms()))
        return outcome

    wanted = config.replication
    return Pruner(change, wanted.journal_age, wanted.mirror_grace, now_ms).run()


async def _until_stopped(work: Coroutine[Any, Any, None], ready: Callable[[], None]) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    started = time.monotonic()
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(part) for part in (work, stopped.wait())]
        ready()
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in running:
            task.cancel()
    log.info("the store was kept for %.0f s", time.monotonic() - started)
