"""Requests about handles that are kept elsewhere, answered on behalf of those who may ask for that.

Cached answers are given at once; for the others a search begins, if there is room for one. Source: spec, resolution:
section 6.3.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, cast

from protocol import codec
from protocol.codes import (
    AUTHORITATIVE,
    CACHE_CERTIFY,
    CERTIFY,
    DO_NOT_REFER,
    PUBLIC_ONLY,
    RECURSIVE,
    OpCode,
    ResponseCode,
)
from protocol.errors import HandleError, NotResponsible
from protocol.identifier import full
from protocol.requests import Body, ResolutionRequest, VerifyChallengeRequest
from protocol.responses import ErrorResponse, ReferralResponse, ResolutionResponse, StoredValuesResponse
from protocol.version import V_OWN_CODES, V_PREFIX_REFERRALS, Version
from resolver.access import Access
from resolver.authority import DelegatedAway, Said, checked
from resolver.cache.kept import Kept
from resolver.cache.ready import Ready
from resolver.pending import Part, Pending
from resolver.recursion import NO_ROOT, Recursion
from resolver.replies import Answer, Asked, Replies, refused
from resolver.search import prefix_of
from resolver.walk.events import Ended, Query
from storage.base import StoreView

_PASSED_ON: Final = PUBLIC_ONLY | AUTHORITATIVE | CACHE_CERTIFY | DO_NOT_REFER
"""Flags of a request that are those of the questions on its behalf: proofs and connections are each hop's own."""

_NOT_FOR_US: Final = "The server that keeps the handle wants to know who asks: ask it yourself"

Certified = Callable[[codec.Message], Awaitable[bytes]]
"""The octets of a message with this server's signature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the operator wants of every search; `legacy`: also for clients that cannot follow a prefix referral."""

    certify: bool = False
    aliases: bool = False
    legacy: bool = True


class Recursing:
    """Stands behind the engine: hears what it would say, and says something else where it may."""

    def __init__(
        self, recursion: Recursion, access: Access, replies: Replies, wishes: Wishes, *, certified: Certified
    ) -> None:
        self.recursion = recursion
        self.access = access
        self.ready = Ready()
        self._replies = replies
        self._wishes = wishes
        self._certified = certified

    def instead(self, asked: Asked, outcome: Said | HandleError, view: StoreView) -> Answer | Pending | None:
        """What a resolution hears instead of a refusal or a referral; None where it hears just that.

        Begins no search while `view` is open: a search looks into the store as well.

        `NotResponsible` where it could be found elsewhere, but nobody is known who could be asked.
        """
        is_delegated = isinstance(outcome, DelegatedAway) or (
            isinstance(outcome, Said) and outcome.code == ResponseCode.PREFIX_REFERRAL
        )
        if not self.recursion.is_started or not (is_delegated or isinstance(outcome, NotResponsible)):
            return None
        is_theirs = self._may(asked)
        if not is_theirs and not (is_delegated and self._is_legacy(asked.version)):
            return None
        request = cast(ResolutionRequest, asked.body)
        query = self._query(asked, full(request.handle), OpCode.RESOLUTION)
        kept = self.recursion.kept(query)
        if kept is not None:
            return self._remembered(asked, request, kept)
        if self.recursion.world.is_empty and not self.recursion.memory.own.delegated(prefix_of(query.handle), view):
            raise NotResponsible("nobody can be asked", told=f"That prefix doesn't live here, and {NO_ROOT}")
        if not is_theirs and self.recursion.is_strained:
            return None
        return self._searched(asked, query)

    def verification(self, asked: Asked, keeps: Callable[[bytes], bool]) -> Answer | Pending | None:
        """The answer to VERIFY_CHALLENGE about a secret that is kept elsewhere; None where that is nothing for us."""
        request = cast(VerifyChallengeRequest, asked.body)
        if self.recursion.world.is_empty or not self._may(asked) or keeps(request.key.handle):
            return None
        try:
            handle = checked(request.key.handle)
        except HandleError:
            return None
        return self._searched(asked, self._query(asked, handle, OpCode.VERIFY_CHALLENGE))

    def _is_legacy(self, version: Version) -> bool:
        return self._wishes.legacy and not version.at_least(V_PREFIX_REFERRALS)

    def _may(self, asked: Asked) -> bool:
        return bool(asked.message.header.flags & RECURSIVE) and self.access.allows(asked.peer.host)

    def _query(self, asked: Asked, handle: bytes, opcode: OpCode) -> Query:
        header, wishes, body = asked.message.header, self._wishes, asked.body
        if isinstance(body, ResolutionRequest):
            body = ResolutionRequest(handle=handle, indexes=body.indexes, types=body.types)
        return Query(
            handle=handle,
            body=body,
            opcode=opcode,
            flags=header.flags & _PASSED_ON,
            recursion_count=header.recursion_count,
            certify=wishes.certify or bool(header.flags & CERTIFY),
            follow_aliases=wishes.aliases and opcode == OpCode.RESOLUTION,
            primary_only=opcode != OpCode.RESOLUTION or bool(header.flags & AUTHORITATIVE),
        )

    def _remembered(self, asked: Asked, request: ResolutionRequest, kept: Kept) -> Answer | Pending:
        """The answer from memory, in the spelling of whoever asks; the next like it need not come here."""
        values = kept.selected(request.indexes, request.types)
        if values is None:
            code = ResponseCode(kept.code) if kept.is_negative else ResponseCode.VALUES_NOT_FOUND
            return self._written(asked, Said(code, ErrorResponse()))
        if not (request.indexes or request.types or self._wishes.certify or self._wishes.aliases):
            recursion = self.recursion
            is_prefetched = recursion.limits.prefetch and not kept.is_refreshing
            self.ready.add(request.handle, kept, now_ms=recursion.now_ms(), is_prefetched=is_prefetched)
        return self._written(
            asked, Said(ResponseCode.SUCCESS, StoredValuesResponse(handle=request.handle, value_list=values))
        )

    def _written(self, asked: Asked, said: Said) -> Answer | Pending:
        message = self._replies.message(asked, said, is_ours=False)
        if asked.message.header.flags & CERTIFY:
            return Pending(partial(self._signed, message))
        return Answer(said.code, message.to_bytes())

    async def _signed(self, message: codec.Message) -> AsyncIterator[Part]:
        yield await self._certified(message)

    def _searched(self, asked: Asked, query: Query) -> Answer | Pending:
        obstacle = self.recursion.obstacle(query)
        if obstacle is not None:
            return self._written(asked, said_of(obstacle, asked.body, asked.version))
        return Pending(partial(self._parts, asked, query))

    async def _parts(self, asked: Asked, query: Query) -> AsyncIterator[Part]:
        ended = await self.recursion.searched(query)
        said = said_of(ended, asked.body, asked.version)
        message = self._replies.message(asked, said, is_ours=False)
        if asked.message.header.flags & CERTIFY:
            yield await self._certified(message)
        else:
            yield message.to_bytes()


def said_of(ended: Ended, request: Body, version: Version) -> Said:
    """What a client of that version hears of the end of its query (spec, resolution: section 6.3)."""
    body = ended.body
    try:
        code = ResponseCode(ended.code)
    except ValueError:
        told = f"The server that keeps the handle answered with code {ended.code}"
        return Said(ResponseCode.ERROR, ErrorResponse(message=told.encode()))
    if isinstance(body, ResolutionResponse) and isinstance(request, ResolutionRequest):
        if ended.octets:
            return Said(code, StoredValuesResponse(handle=request.handle, value_list=ended.octets))
        return Said(code, ResolutionResponse(handle=request.handle, values=body.values))
    if code == ResponseCode.AUTHENTICATION_NEEDED:
        return Said(ResponseCode.AUTHEN_ERROR, ErrorResponse(message=_NOT_FOR_US.encode()))
    if isinstance(body, ReferralResponse) and not version.at_least(V_OWN_CODES):
        return refused(NotResponsible(told="That prefix is delegated"))
    return Said(code, body)
