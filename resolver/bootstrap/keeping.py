"""The root's data of a running process: read again when the files change, refreshed when they are old.

Every process of a node has one keeper and looks at the same folder. Whoever finds the data old refreshes them, one at a
time by a lock on the folder; the others take over what was written. So no process has to tell another anything.
Source: spec, resolution: section 2.3.
"""

import asyncio
import fcntl
import logging
import os
import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from resolver.bootstrap.deriving import faults_of, own_places, world_of
from resolver.bootstrap.files import NAMES, Files, read_files, write_root_file
from resolver.bootstrap.refreshing import Ask, NotRefreshed, Refresh
from resolver.config import Config
from resolver.recursion import Recursion
from resolver.walk.world import World

log = logging.getLogger(__name__)

LOOK_S: Final = 5.0
"""How often the files' times are looked at: a new root is in force in all processes within this time."""

MOVED_PAUSE_S: Final = 60.0
"""Between two refreshes that answers of servers ask for: a root with two opinions costs no more than this."""

RETRY_S: Final = 600.0
"""After a refresh that failed."""

_OLD_SHARE: Final = 23 / 24  # Deployed software looks every 24 h whether 23 h have passed.
_SPREAD: Final = 0.1  # Of a pause, at random: machines that were started together do not ask together.


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Times in seconds; `refresh_s` 0 never refreshes by time or because a server says so."""

    refresh_s: float
    look_s: float = LOOK_S
    moved_pause_s: float = MOVED_PAUSE_S
    retry_s: float = RETRY_S


class RootKeeper:
    """Keeps the world of one process. `take` is given each new world, the first one at `start`."""

    def __init__(
        self,
        folder: Path,
        *,
        ask: Ask,
        take: Callable[[World], None],
        pace: Pace,
        ours: frozenset[tuple[str, int]],
        now_ms: Callable[[], int],
    ) -> None:
        self._folder = folder
        self._ask = ask
        self._take = take
        self._pace = pace
        self._ours = ours
        self._now_ms = now_ms
        self._files = Files(folder=folder)
        self._seen: tuple[object, ...] = ()
        self._moved = asyncio.Event()
        self._next_ms = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Take the world as the files tell it, and keep it from now on, within a loop that runs."""
        self.look()
        self._task = asyncio.get_running_loop().create_task(self.run())

    def close(self) -> None:
        """Keep it no longer."""
        if self._task is not None:
            self._task.cancel()

    def look(self) -> None:
        """Take over the files where they changed. What cannot be read any more leaves the old world in force."""
        stamps = _stamps(self._folder)
        if stamps == self._seen:
            return
        self._seen = stamps
        found = read_files(self._folder)
        for fault in faults_of(found):
            log.error("of the root's files: %s", fault)
        world = world_of(found, ours=self._ours)
        if world.is_empty and not world_of(self._files).is_empty:
            log.error("%s names nobody to ask any more: what was known stays in force", self._folder)
            return
        self._files = found
        self._take(world)

    def moved(self) -> None:
        """A server of the root says that what is known of it is out of date."""
        self._moved.set()

    async def run(self) -> None:
        """Look and refresh until cancelled."""
        while True:
            try:
                self.look()  # Nine file times, and now and then some hundred kilobytes: not worth a thread.
                if self._is_due():
                    await self.refresh()
            except Exception:  # A fault of ours ends this look, and not the keeping.
                log.exception("fault while keeping the root's data")
                self._wait(self._pace.retry_s)
            if self._moved.is_set():  # So soon after the last refresh this has to wait.
                await asyncio.sleep(self._pace.look_s)
            elif await self._told_within(self._pace.look_s):
                # All processes may have heard it at once: the first to wake asks, the others find it done.
                await asyncio.sleep(self._pace.look_s * random.random())  # noqa: S311

    async def _told_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._moved.wait()
        except TimeoutError:
            return False

    def _is_due(self) -> bool:
        root, now_ms = self._files.root, self._now_ms()
        if root is None or not self._pace.refresh_s or not self._files.is_refreshed or now_ms < self._next_ms:
            return False
        if self._moved.is_set():
            return True
        return not 0 <= now_ms - root.updated_ms < self._pace.refresh_s * 1000 * _OLD_SHARE

    async def refresh(self) -> bool:
        """Refresh once, unless another process does; whether new data are in force now."""
        self._moved.clear()
        before = None if self._files.root is None else self._files.root.updated_ms
        with _alone(self._folder) as is_mine:
            if not is_mine:
                return False
            self.look()
            root = self._files.root
            if root is None or root.updated_ms != before:  # Another process was quicker.
                return root is not None
            self._wait(self._pace.retry_s)
            try:
                refresh = Refresh(root, self._ask, now_ms=self._now_ms(), preferred=self._files.preferred_root)
                new = await refresh.done()
                await asyncio.to_thread(write_root_file, self._folder, new)
            except NotRefreshed as error:
                log.warning("the root's data were not refreshed: %s", error)
                return False
            except OSError as error:
                log.error("the root's new data cannot be written to %s: %s", self._folder, error.strerror)
                return False
            self._wait(self._pace.moved_pause_s)
            self.look()
        log.info(
            "the root's data were refreshed: %d records", len(self._files.root.records if self._files.root else ())
        )
        return True

    def _wait(self, seconds: float) -> None:
        self._next_ms = self._now_ms() + int(seconds * 1000 * (1 + _SPREAD * random.random()))  # noqa: S311


def _stamps(folder: Path) -> tuple[object, ...]:
    """What changes when one of the files does."""
    found: list[object] = []
    for name in NAMES:
        try:
            about = (folder / name).stat()
            found.append((about.st_mtime_ns, about.st_size, about.st_ino))
        except OSError:
            found.append(None)
    return tuple(found)


@contextmanager
def _alone(folder: Path) -> Generator[bool]:
    """Whether this process holds the folder now; the lock goes with the process that holds it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def keep_root(config: Config, recursion: Recursion, now_ms: Callable[[], int]) -> RootKeeper | None:
    """Who keeps the world of a process's searches; None where no folder is configured: then nobody is asked.

    `now_ms` is the time since 1970. Who cannot know the world above still serves what it keeps.
    """
    ours, folder = own_places(config), config.upstream.bootstrap_dir
    if folder is None:
        if recursion.world.is_empty:
            recursion.world = World(ours=ours)
            if config.recursion_networks():
                log.warning("no root is known: nothing is resolved for others (set [upstream] bootstrap_dir)")
        return None

    def take(world: World) -> None:
        recursion.world = world
        if world.is_empty:
            log.error("no root is known: nobody is asked for what this node does not keep")

    pace = Pace(refresh_s=config.upstream.refresh)
    keeper = RootKeeper(folder, ask=recursion.ended, take=take, pace=pace, ours=ours, now_ms=now_ms)
    recursion.root_moved = keeper.moved
    return keeper
