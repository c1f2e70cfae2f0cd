"""Answers to queries whatever node keeps them: from memory, else by one search for all who ask the same. Bounded.

The one place that others use: `Recursion.ended`. What the world does never raises. Sources: spec, resolution: sections
3.4 and 6.3.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeAlias

from protocol.codes import AUTHORITATIVE, PUBLIC_ONLY, RECURSIVE, OpCode, ResponseCode
from protocol.requests import ResolutionRequest
from protocol.responses import ResolutionResponse
from resolver.cache.cache import cache_key
from resolver.cache.kept import NEGATIVE, Kept
from resolver.clock import Clock
from resolver.counters import Counter, Counters
from resolver.log_limits import limited
from resolver.memory import Memories
from resolver.search import Search, prefix_of, refused, remembered
from resolver.ticking import SLICE_S
from resolver.upstream import Upstream
from resolver.walk.events import Chance, Ended, Learnt, Query, Surroundings
from resolver.walk.limits import Limits
from resolver.walk.machine import Walk
from resolver.walk.round_trips import Measured
from resolver.walk.world import World

log = limited(__name__)

SHARE_S: Final = 0.1
"""How often what was learnt is written for the other workers, and orders to forget are followed."""

WAITERS_A_WALK: Final = 4
"""Of those who wait for answers, how many there may be for each search that may run: a client that waits over UDP asks
three times."""

STRANGERS_SHARE: Final = 0.25
"""Of the searches that may run, how many may run when one for somebody is begun who may not recurse."""

REFRESH_SHARE: Final = 0.25
"""Of the searches that may run, how many may be for popular answers that nobody waits for."""

_Waiting: TypeAlias = dict["asyncio.Future[Ended]", None]
"""Those who wait for one end, first come first: a set that keeps its order."""

_ALIAS: Final = b"HS_ALIAS"
_NOT_STARTED: Final = "this node has not begun to ask others"
NO_ROOT: Final = "no root is known here, so that nobody can be asked: [upstream] bootstrap_dir is empty"


class Dice:
    """Chance that spreads questions over sites. Whoever foretells it learns nothing: ids and ports are the system's."""

    def __init__(self) -> None:
        self.below = random.Random().randrange  # noqa: S311


@dataclass(frozen=True, slots=True, kw_only=True)
class RecursionLimits:
    """Searches at a time, seconds for one, and whether popular answers are asked for again before they expire."""

    walks_max: int = 1000
    timeout_s: float = 10.0
    prefetch: bool = True


class Recursion:
    """Finds answers. `world` may be replaced at any time, by the whole. Nothing is asked before `start`."""

    def __init__(
        self,
        *,
        world: World,
        memory: Memories,
        limits: RecursionLimits,
        clock: Clock,
        counters: Counters,
        chance: Chance | None = None,
    ) -> None:
        self.memory = memory
        self.world = world
        self.limits = limits
        self.timeout_s = limits.timeout_s
        self.root_moved: Callable[[], object] = lambda: None
        """Called whenever a root server says that what is known of the root is out of date."""
        self._clock = clock
        self._counters = counters
        self._chance = chance or Dice()
        self._round_trips = Measured()
        self._around: Surroundings | None = None
        self._walk_limits = Limits(total_ms=int(limits.timeout_s * 1000))
        self._searches: dict[Hashable, Search] = {}
        self._beginning: deque[Search] = deque()
        self._refreshing = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting = 0
        self._sharing: asyncio.TimerHandle | None = None

    @property
    def world(self) -> World:
        """What is known before anybody is asked."""
        return self._world

    @world.setter
    def world(self, world: World) -> None:
        self._world = world
        self.memory.believe(world.trust())

    # A life-time

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to ask others, within a loop that runs."""
        self._loop = loop
        self.up = Upstream(loop, self._clock)
        self._under_way: dict[Hashable, _Waiting] = {}
        self._share(loop)

    @property
    def is_started(self) -> bool:
        """Whether others can be asked."""
        return self._loop is not None

    def close(self) -> None:
        """Give up every search: who waits is told so. What was learnt is written for the next start."""
        if self._loop is None:
            return
        for question, search in list(self._searches.items()):
            search.cancel()  # One that has not begun yet is left where it waits, and never does.
            self._ended(question, refused(ResponseCode.SERVER_TOO_BUSY, "this node is stopping"))
        self._loop = None
        self.up.close()
        if self._sharing is not None:
            self._sharing.cancel()
        self.memory.share(self.memory.unshared())

    def _share(self, loop: asyncio.AbstractEventLoop) -> None:
        self.memory.follow_orders()
        items = self.memory.unshared()
        if items:
            self.up.aside(partial(self.memory.share, items))
        counts, cache = self._counters.counts, self.memory.cache
        counts[Counter.CACHE_HANDLES], counts[Counter.CACHE_OCTETS] = len(cache), cache.size
        counts[Counter.CACHE_EVICTED] = cache.evicted
        counts[Counter.WALKS_NOW] = len(self._searches)
        self._sharing = loop.call_later(SHARE_S, self._share, loop)

    # Asking

    async def ended(self, query: Query) -> Ended:
        """The end of a query: remembered, or found. Never raises for what the world does.

        Beyond the bound of searches it ends at once with SERVER_TOO_BUSY; `is_failure` then, too.
        """
        return self.remembered(query) or await self.searched(query)

    async def searched(self, query: Query) -> Ended:
        """As `ended`, for whoever has just looked into the memory in vain."""
        if self.memory.cache.answers(cache_key(query.handle)):  # Another search may have ended since.
            found = self.remembered(query)
            if found is not None:
                return found
        question = _question(query)
        why = self.obstacle(query)
        if why is not None:
            return why
        assert self._loop is not None, "nothing stands in the way"
        mine: asyncio.Future[Ended] = self._loop.create_future()
        waiting = self._under_way.get(question)
        if waiting is None:
            self._begin(question, query, mine)
        else:
            self._counters.add(Counter.WALKS_JOINED)
            search = self._searches.get(question)
            if search is not None and search.told is not None:
                return _spelled(search.told, query)
            waiting[mine] = None
        self._waiting += 1
        try:
            return _spelled(await mine, query)
        finally:
            self._waiting -= 1
            if mine.cancelled():  # Who gave up is not kept until the search ends: there may be ever more of them.
                self._under_way.get(question, {}).pop(mine, None)

    @property
    def is_strained(self) -> bool:
        """Whether so many searches run that none is begun for a stranger."""
        walks_max = self.limits.walks_max
        return (
            len(self._searches) >= STRANGERS_SHARE * walks_max
            or self._waiting >= STRANGERS_SHARE * WAITERS_A_WALK * walks_max
        )

    def obstacle(self, query: Query) -> Ended | None:
        """Why nothing can be searched for now, or None."""
        if self._loop is None:
            return replace(refused(ResponseCode.SERVER_TOO_BUSY, _NOT_STARTED), is_failure=True)
        full = len(self._searches) >= self.limits.walks_max and _question(query) not in self._under_way
        if full or self._waiting >= WAITERS_A_WALK * self.limits.walks_max:
            self._counters.add(Counter.WALKS_REFUSED)
            told = f"{len(self._searches)} searches are under way here: ask again"
            return replace(refused(ResponseCode.SERVER_TOO_BUSY, told), is_failure=True)
        return None

    def remembered(self, query: Query) -> Ended | None:
        """The end of a query that needs nobody to be asked, or None."""
        kept = self.kept(query)
        return None if kept is None else remembered(kept, query)

    def kept(self, query: Query) -> Kept | None:
        """The remembered answer that covers a query, or None. A popular one near its end is asked for again."""
        body = query.body
        if not is_cacheable(query) or not isinstance(body, ResolutionRequest):
            return None
        now_ms = self.now_ms()
        kept = self.memory.fresh(
            cache_key(query.handle), body.indexes, body.types, certified=query.certify, now_ms=now_ms
        )
        if kept is None or (query.follow_aliases and not _shows_no_alias(kept)):
            return None
        self._counters.add(Counter.CACHE_HITS if kept.is_fresh(now_ms) else Counter.CACHE_STALE)
        if self.limits.prefetch and self.memory.cache.is_due(kept, now_ms):
            self._refresh(kept, query)
        return kept

    def _refresh(self, kept: Kept, query: Query) -> None:
        """Ask for what a popular answer holds, while that one still serves."""
        kept.is_refreshing = True
        asked = ResolutionRequest(handle=query.handle, indexes=tuple(kept.indexes), types=tuple(kept.types))
        again = replace(query, body=asked, certify=kept.is_certified, follow_aliases=False)
        question = _question(again)
        room = REFRESH_SHARE * self.limits.walks_max
        if self._loop is not None and question not in self._under_way and self._refreshing < room:
            self._counters.add(Counter.CACHE_PREFETCHES)
            self._refreshing += 1
            # Not now: who asks holds a view of the store, and a search looks into the store, too.
            self._loop.call_soon(self._begin_refresh, question, again)

    def _begin_refresh(self, question: Hashable, again: Query) -> None:
        if self._loop is None or question in self._under_way:
            self._refreshing -= 1
            return
        mine: asyncio.Future[Ended] = self._loop.create_future()
        mine.add_done_callback(self._refreshed)
        self._begin(question, again, mine)

    def _refreshed(self, _: "asyncio.Future[Ended]") -> None:
        self._refreshing -= 1

    def _begin(self, question: Hashable, query: Query, mine: "asyncio.Future[Ended]") -> None:
        """Begin the search that all wait for who ask the same meanwhile; `mine` is the first of them."""
        assert self._loop is not None, "nothing stands in the way"
        is_hopeless = self.world.is_empty and not self.memory.own.delegated(prefix_of(query.handle))
        self._counters.add(Counter.WALKS)  # Nothing from here on raises: others will wait for the same end.
        waiting: _Waiting = {mine: None}
        self._under_way[question] = waiting
        if is_hopeless:
            self._ended(question, replace(refused(ResponseCode.ERROR, NO_ROOT), is_failure=True))
            return
        search = self._searches[question] = Search(
            query,
            self,
            early=partial(_settle, waiting),
            ended=partial(self._found, question, query, self.memory.epoch),
        )
        if not self._beginning:
            self._loop.call_soon(self._begin_some)
        self._beginning.append(search)

    def _begin_some(self) -> None:
        """Begin searches for a short while, then let others have their turn.

        Nor are they begun within `ended`: whoever asks may have a view of the store open, and a search opens one.
        """
        if self._loop is None:
            return
        end = self._loop.time() + SLICE_S
        while self._beginning:
            search = self._beginning.popleft()
            try:
                search.begin()
            except Exception:  # One fault must not stop the searches of all others.
                log.exception("fault while a search begins")
                search.fail()
            if self._loop is None or self._loop.time() > end:
                break
        if self._beginning and self._loop is not None:
            self._loop.call_soon(self._begin_some)

    def _found(self, question: Hashable, query: Query, epoch: int, ended: Ended) -> None:
        is_believed = not ended.is_certified or epoch == self.memory.epoch
        if ended.is_failure:
            self._counters.add(Counter.WALKS_FAILED)
        elif (
            is_believed
            and ended.reply is None
            and ended.code in NEGATIVE
            and is_cacheable(query)
            and not query.follow_aliases
        ):
            body = query.body
            assert isinstance(body, ResolutionRequest)
            self.memory.remember(
                query.handle, ended.code, (),
                indexes=body.indexes, types=body.types, is_certified=ended.is_certified, now_ms=self.now_ms(),
            )  # fmt: skip
        self._ended(question, ended)

    def _ended(self, question: Hashable, ended: Ended) -> None:
        self._searches.pop(question, None)
        _settle(self._under_way.pop(question, {}), ended)

    # What a search is given (`resolver.search.Around`)

    def walk(self, query: Query, world: World) -> Walk:
        """A walk through a world."""
        around = self._around
        if around is None or around.world is not world:
            around = Surroundings(world=world, memory=self.memory, round_trips=self._round_trips, chance=self._chance)
            self._around = around
        return Walk(query, around, self._walk_limits)

    def now_ms(self) -> int:
        """The time, milliseconds since 1970: the cache's, and so that of walks."""
        return int(self._clock.wall() * 1000)

    def learnt(self, learnt: Learnt) -> None:
        """Remember what a walk learnt."""
        self.memory.learn(learnt, self.now_ms())

    def moved(self) -> None:
        """A root server says that the root has moved."""
        self.root_moved()


def is_cacheable(query: Query) -> bool:
    """Whether an answer may come from memory: public values, not asked of the primary (resolution, 3.4)."""
    return (
        query.opcode == OpCode.RESOLUTION
        and query.flags & (PUBLIC_ONLY | AUTHORITATIVE) == PUBLIC_ONLY
        and not query.primary_only
    )


def _shows_no_alias(kept: Kept) -> bool:
    """Whether an answer shows that its handle is no alias of another: only then it is the end of a search for it."""
    return kept.is_negative or (kept.covers((), (_ALIAS,)) and kept.selected((), (_ALIAS,)) is None)


def _question(query: Query) -> Hashable:
    """What equal questions have in common, however the handle's prefix is spelled."""
    body = query.body
    wanted: object = body
    if isinstance(body, ResolutionRequest):
        wanted = (frozenset(body.indexes), frozenset([name.upper() for name in body.types]))
    return (
        cache_key(query.handle), query.opcode, query.flags & ~RECURSIVE, wanted, query.recursion_count,
        query.certify, query.follow_aliases, query.primary_only,
    )  # fmt: skip


def _spelled(ended: Ended, query: Query) -> Ended:
    """The end for one of those who asked the same: the handle as he spelled it."""
    asked, body = query.body, ended.body
    if isinstance(asked, ResolutionRequest) and isinstance(body, ResolutionResponse) and body.handle != asked.handle:
        return replace(ended, body=replace(body, handle=asked.handle))
    return ended


def _settle(waiting: _Waiting, ended: Ended) -> None:
    """Tell all who wait; one may have given up."""
    for future in waiting:
        if not future.done():
            future.set_result(ended)
    waiting.clear()
