"""One search: a walk, begun where this node itself knows more than the root, and an older answer where it fails.

Four things stand around the walk. A prefix that this node has delegated is asked for at those it was delegated to, not
from the root. What expired serves where nobody can be asked: a prefix's record, so that its servers are reached while
the root is silent; and the answer itself, which is given after `STALE_AFTER_S` already. And a search has its time.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from protocol import identifier
from protocol.codes import PUBLIC_ONLY, OpCode, ResponseCode
from protocol.errors import Malformed
from protocol.requests import ResolutionRequest
from protocol.responses import ErrorResponse, ResolutionResponse
from protocol.site import Site
from protocol.value import HandleValue, read_values
from protocol.wire import Reader
from resolver.cache.cache import cache_key
from resolver.cache.kept import Kept
from resolver.driving import FAULT, Drive
from resolver.memory import Memories
from resolver.ticking import Due
from resolver.upstream import Upstream
from resolver.walk.events import Ended, Learnt, NoReply, Query
from resolver.walk.machine import Walk
from resolver.walk.world import World

STALE_AFTER_S: Final = 1.4
"""When an expired answer is given though the search goes on: just before the client library in service asks for the
third time, half a second and a second after the first two."""

HOLD_MS: Final = 30_000
"""How long what expired is used without asking again, once asking has failed: what RFC 8767 recommends."""

TRIES_MAX: Final = 3
"""Walks of one search: each one more uses expired records of one level more, and there are three."""

_PREFIX_SITES: Final = (b"HS_SITE.PREFIX", b"HS_NA_DELEGATE")
_PREFIX_SERVICE: Final = b"HS_SERV.PREFIX"


class Around(Protocol):
    """What a search is given by whoever began it."""

    up: Upstream
    memory: Memories
    world: World
    timeout_s: float

    def walk(self, query: Query, world: World) -> Walk:
        """A walk through that world."""
        ...

    def now_ms(self) -> int:
        """The time, milliseconds since 1970."""
        ...

    def learnt(self, learnt: Learnt) -> None:
        """Remember."""
        ...

    def moved(self) -> None:
        """The root has moved."""
        ...


class Search:
    """Looks for the answer to a query. `early` may be called once before `ended`, which is called once at last.

    `told` is what was told early, for those who come to ask the same later; None until then.
    """

    def __init__(
        self, query: Query, around: Around, *, early: Callable[[Ended], None], ended: Callable[[Ended], None]
    ) -> None:
        self._query = query
        self._around = around
        self._told_early = early
        self._told_ended = ended
        self.told: Ended | None = None
        self._drive: Drive | None = None
        self._tries = 0
        self._is_over = False
        self._key = cache_key(query.handle)
        self._epoch = around.memory.epoch
        self._due: Due = around.up.ticks.after(min(STALE_AFTER_S, around.timeout_s), self._early)

    def begin(self) -> None:
        """Begin where this node's own delegation says, else in the world; not at all where it was cancelled before."""
        if self._is_over:
            return
        prefix = prefix_of(self._query.handle)
        values = self._around.memory.own.delegated(prefix)
        if not values:
            self._walk(self._query, self._around.world, self._ended)
        elif any(value.type in _PREFIX_SITES for value in values):
            self._down(prefix, sites_of(values))
        else:
            self._find_service(prefix, values)

    def cancel(self) -> None:
        """Stop. Nothing is told any more."""
        self._is_over = True
        self._due.cancel()
        if self._drive is not None:
            self._drive.cancel()
            self._drive = None  # It knows us: together we would stay until the next collection, with the whole walk.

    def fail(self) -> None:
        """End it for a fault of ours."""
        self._finish(replace(FAULT, is_failure=True))

    def _walk(self, query: Query, world: World, ended: Callable[[Ended], None]) -> None:
        if self._drive is not None:
            self._drive.cancel()
        around = self._around
        self._drive = Drive(
            around.walk(query, world), around.up, around.now_ms,
            learn=self._learnt, moved=around.moved, ended=ended,
        )  # fmt: skip
        self._drive.start()

    def _learnt(self, learnt: Learnt) -> None:
        """Have it remembered, but not what keys vouched for that are believed no more."""
        if not learnt.is_certified or self._epoch == self._around.memory.epoch:
            self._around.learnt(learnt)

    # Downwards

    def _find_service(self, prefix: bytes, values: tuple[HandleValue, ...]) -> None:
        """Look for the sites of the service that a prefix is delegated to: they stand under its handle."""
        service = next((value.data for value in values if value.type == _PREFIX_SERVICE), b"")
        known = self._around.memory.known(
            service, types=_PREFIX_SITES, certified=self._query.certify, now_ms=self._around.now_ms()
        )
        if known is not None:
            self._down(prefix, sites_of(known.values))
            return

        def found(ended: Ended) -> None:
            body = ended.body
            if ended.is_failure:
                self._ended(ended)
            else:
                self._down(prefix, sites_of(body.values) if isinstance(body, ResolutionResponse) else ())

        self._walk(self._plain(service), self._around.world, found)

    def _down(self, prefix: bytes, sites: tuple[Site, ...]) -> None:
        """Ask those to whom this node has delegated a prefix: for the prefix's record, and then as anywhere."""
        around, query = self._around, self._query
        if not sites:
            told = f"{prefix.decode(errors='replace')} is delegated to nobody who can be asked"
            self._finish(refused(ResponseCode.HANDLE_NOT_FOUND, told))
            return
        below = replace(
            around.world, delegated={identifier.folded(prefix): sites}, caches=(), cached_prefixes=frozenset()
        )
        if cache_key(query.handle) == cache_key(prefix):
            self._walk(query, below, self._ended)
            return
        world = below if around.world.is_empty else around.world

        def record_came(ended: Ended) -> None:
            if ended.code == ResponseCode.SUCCESS:
                self._walk(query, world, self._ended)
            else:
                self._ended(ended)

        if around.memory.known(prefix, types=(), certified=query.certify, now_ms=around.now_ms()) is not None:
            self._walk(query, world, self._ended)
        else:
            self._walk(self._plain(prefix), below, record_came)

    def _plain(self, handle: bytes) -> Query:
        return Query(
            handle=handle,
            body=ResolutionRequest(handle=handle),
            opcode=OpCode.RESOLUTION,
            flags=PUBLIC_ONLY,
            recursion_count=self._query.recursion_count,
            certify=self._query.certify,
        )

    # The end

    def _ended(self, ended: Ended) -> None:
        self._tries += 1
        if ended.is_failure:
            again = self._hold(ended)
            stale = self._stale()
            if stale is not None:
                ended = stale
            elif again and self._tries < TRIES_MAX:
                self.begin()
                return
        self._finish(ended)

    def _hold(self, ended: Ended) -> bool:
        """Let what expired serve for a while in place of what could not be asked; whether a walk now gets further."""
        memory, now_ms = self._around.memory, self._around.now_ms()
        keys = {cache_key(step.handle) for step in ended.steps if isinstance(step.outcome, NoReply)}
        held = [memory.cache.hold(key, until_ms=now_ms + HOLD_MS, now_ms=now_ms) for key in keys | {self._key}]
        return any(held)

    def _may_be_stale(self) -> bool:
        query = self._query
        return query.opcode == OpCode.RESOLUTION and bool(query.flags & PUBLIC_ONLY) and not query.primary_only

    def _stale(self) -> Ended | None:
        body = self._query.body
        if not self._may_be_stale() or not isinstance(body, ResolutionRequest):
            return None
        kept = self._around.memory.stale(
            self._key, body.indexes, body.types, certified=self._query.certify, now_ms=self._around.now_ms()
        )
        return None if kept is None else remembered(kept, self._query)

    def _early(self) -> None:
        """It takes long: give what expired, or begin again with the expired record of the prefix."""
        left_s = self._around.timeout_s - STALE_AFTER_S
        if left_s <= 0:
            self._late()
            return
        self._due = self._around.up.ticks.after(left_s, self._late)
        stale = self._stale()
        if stale is not None:
            self.told = stale
            self._told_early(stale)
            return
        now_ms = self._around.now_ms()
        key = cache_key(prefix_of(self._query.handle))
        if self._around.memory.cache.hold(key, until_ms=now_ms + HOLD_MS, now_ms=now_ms):
            self.begin()

    def _late(self) -> None:
        if self._drive is not None:
            self._drive.cancel()
        told = f"no answer within {self._around.timeout_s:g} s"
        stale = self._stale()
        self._hold(refused(ResponseCode.ERROR, told))
        self._finish(stale or replace(refused(ResponseCode.ERROR, told), is_failure=True))

    def _finish(self, ended: Ended) -> None:
        self.cancel()
        self._told_ended(ended)


def refused(code: ResponseCode, told: str) -> Ended:
    """An end without an answer of anybody's."""
    return Ended(code=code, body=ErrorResponse(message=told.encode()), told=told)


def prefix_of(handle: bytes) -> bytes:
    """The prefix handle whose delegation decides about a handle: its prefix's, or the handle itself if it is one."""
    if identifier.is_prefix_handle(handle):
        return identifier.full(handle)
    return identifier.prefix_handle(handle)


def remembered(kept: Kept, query: Query) -> Ended:
    """The end of a query that a remembered answer covers."""
    body = query.body
    assert isinstance(body, ResolutionRequest)
    values = kept.selected(body.indexes, body.types)
    if values is None:
        code = kept.code if kept.is_negative else ResponseCode.VALUES_NOT_FOUND
        return Ended(code=code, body=ErrorResponse(), is_certified=kept.is_certified)
    response = ResolutionResponse(handle=body.handle, values=read_values(Reader(values)))
    return Ended(code=ResponseCode.SUCCESS, body=response, is_certified=kept.is_certified)


def sites_of(values: tuple[HandleValue, ...]) -> tuple[Site, ...]:
    """The sites that a delegation names; those that cannot be read are left out."""
    found = []
    for value in values:
        if value.type in _PREFIX_SITES:
            try:
                found.append(Site.from_bytes(value.data))
            except Malformed:
                continue
    return tuple(found)
