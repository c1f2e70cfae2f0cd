"""A mirror: takes everything of a source once, follows its changes, and takes everything anew where it must.

A dump goes onto the store that is served, record by record: until a record of the source has come, the old one is
answered. What the source no longer has goes in the end, when all has come and all changes made meanwhile have been
taken: so at no moment less is served than before. A dump that is cut goes on where it was; so does all else, since the
state is written with what it tells of. Source: spec, resolution: section 10.
"""

import asyncio
import logging
import secrets
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from protocol.requests import Receiver
from resolver.client_errors import NotProven, Refused
from resolver.client_proof import Identity
from resolver.replication.asking import Asking, BadSource, SourceServer
from resolver.replication.channel import SILENCE_S
from resolver.replication.dumping import Dumper
from resolver.replication.following import Follower, MustDump
from resolver.replication.history import LostHistory, NotRising
from resolver.replication.pair import Pair
from resolver.replication.state import MirrorState, Phase, read_state
from storage.base import HandleStore, StoreError

log = logging.getLogger(__name__)

INTERVAL_S: Final = 30.0
"""How often changes are asked for: what mirrors in service do."""

BACKOFF_FIRST_S: Final = 1.0  # Behind the first failure; it doubles with each further one.
BACKOFF_MAX_S: Final = 300.0  # A source that is back is found again within this.
INTERVAL_JITTER: Final = 0.1  # Mirrors that were started together do not ask together for ever.

_CHANCE: Final = secrets.SystemRandom()
_FAILURES: Final = (OSError, Refused, NotProven, BadSource, NotRising, LostHistory, MustDump, StoreError)
"""What ends a round and not the mirror; `Cut` and `NotTrusted` are `OSError`, and so are errors of TLS."""

assert issubclass(ssl.SSLError, OSError)


class Mirror:
    """Keeps `store` equal to a source's. `folder` is for what a dump needs while it runs; it is made and removed.

    `receiver` is this server's share of the handles, `identity` who asks: the source must list it among those that
    may. `chance` gives numbers from 0 to 1. One mirror writes a store, and nobody else writes records to it.
    """

    def __init__(
        self,
        source: SourceServer,
        *,
        identity: Identity,
        receiver: Receiver,
        store: HandleStore,
        case_sensitive: bool,
        folder: Path,
        now_ms: Callable[[], int],
        interval_s: float = INTERVAL_S,
        silence_s: float = SILENCE_S,
        chance: Callable[[], float] = _CHANCE.random,
    ) -> None:
        self._pair = Pair(
            source=source,
            receiver=receiver,
            asking=Asking(source, identity, now_s=lambda: now_ms() // 1000, silence_s=silence_s),
            store=store,
            case_sensitive=case_sensitive,
            folder=folder,
            now_ms=now_ms,
        )
        self._dumper = Dumper(self._pair)
        self._follower = Follower(self._pair)
        self._interval_s = interval_s
        self._chance = chance
        self.failures = 0
        """Rounds in a row that failed."""

    async def run(self) -> None:
        """Follow the source until cancelled. Failures are told, and tried again later and later."""
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            try:
                await self.round()
            except _FAILURES as error:
                self.failures += 1
                pause_s = self._backoff_s()
                log.warning(
                    "mirror of %s: %s; tried again in %.1f s",
                    self._pair.source.name,
                    error or type(error).__name__,
                    pause_s,
                )
            else:
                if self.failures:
                    log.info("mirror of %s: it answers again", self._pair.source.name)
                self.failures = 0
                jitter = 1 + INTERVAL_JITTER * (2 * self._chance() - 1)
                pause_s = max(0.0, self._interval_s * jitter - (loop.time() - started))
            await asyncio.sleep(pause_s)

    def _backoff_s(self) -> float:
        """Half of the pause to all of it, by chance: the mirrors of a source that restarts do not come together."""
        doubled: float = BACKOFF_FIRST_S * 2 ** min(self.failures - 1, 16)
        return min(doubled, BACKOFF_MAX_S) * (0.5 + 0.5 * self._chance())

    async def round(self) -> None:
        """Become equal to the source as it is now; whatever breaks it, what was taken is kept."""
        state = self.state()
        if state is None or state.phase is Phase.DUMP:
            state = await self._dumper.dump(state)
        try:
            state = await self._follower.follow(state)
        except (LostHistory, MustDump) as error:
            log.error("mirror of %s must take everything anew: %s", self._pair.source.name, error)
            state = await self._follower.follow(await self._dumper.dump(None))
        if state.phase is Phase.SWEEP:
            await self._dumper.sweep(state)

    def state(self) -> MirrorState | None:
        """Where the mirror stands; None where nothing was taken of this source and for this share."""
        with self._pair.store.view() as view:
            found = read_state(view)
        return found if found is not None and found.belongs_to(self._pair.key, self._pair.receiver) else None
