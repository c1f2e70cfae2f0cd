"""The course of one walk: what was asked for, by caching sites or by who is responsible, and along its aliases.

Sources: spec, resolution: sections 3.3, 3.5 and 6.3; records: section 7; http-api: section 7.4 (aliases).
"""

from dataclasses import dataclass, replace
from typing import Final

from protocol import identifier
from protocol.codes import (
    AUTHORITATIVE,
    CACHE_CERTIFY,
    CERTIFY,
    CONTINUOUS,
    ENCRYPT,
    KEEP_CONNECTION,
    PUBLIC_ONLY,
    RECURSIVE,
    REQUEST_DIGEST,
    OpCode,
    ResponseCode,
)
from protocol.requests import Body, ResolutionRequest
from protocol.responses import ErrorResponse, ResolutionResponse
from protocol.value import HandleValue
from resolver.walk import records
from resolver.walk.answers import ABSENT
from resolver.walk.events import Query, Surroundings
from resolver.walk.lookups import Going, Lookups
from resolver.walk.question import Question, Reply, Stuck, shown
from resolver.walk.trail import Trail

_OF_A_HOP: Final = RECURSIVE | CERTIFY | REQUEST_DIGEST | ENCRYPT | CONTINUOUS | KEEP_CONNECTION
"""Flags that hold between two peers, and not along a way."""


@dataclass(frozen=True, slots=True)
class Result:
    """The answer, and the namespaces of its handle's prefix."""

    reply: Reply
    namespaces: tuple[bytes, ...]


class Course:
    """One walk's course. `run` is a generator of questions that ends with a `Result`, or is `Stuck`."""

    def __init__(self, query: Query, around: Surroundings, trail: Trail) -> None:
        self._query = query
        self._around = around
        self._trail = trail
        self._proof = CERTIFY | REQUEST_DIGEST if query.certify else 0
        flags = PUBLIC_ONLY | query.flags & CACHE_CERTIFY | self._proof
        self._lookups = Lookups(around, trail, flags=flags, is_certified=query.certify)

    def run(self) -> Going[Result]:
        """The whole course."""
        body, follows = self._first_body()
        handle, why = self._query.handle, "target"
        chain = [handle]
        while True:
            reply = self._kept(handle, body) if len(chain) > 1 else None
            if reply is None:
                reply = yield from self._asked(handle, body, why)
            following = _alias(reply) if follows else None
            if following is None:
                return Result(reply, self._lookups.namespaces_of(handle))
            self._expect_progress(chain, following)
            assert isinstance(body, ResolutionRequest), "only resolutions follow aliases"
            handle, why, body = following, "alias", replace(body, handle=following)
            chain.append(handle)

    def _first_body(self) -> tuple[Body, bool]:
        """What is sent, and whether aliases are followed: to see them, a selective question asks for them as well."""
        query, body = self._query, self._query.body
        if not query.follow_aliases or query.opcode != OpCode.RESOLUTION or not isinstance(body, ResolutionRequest):
            return body, False
        if records.asks_for_aliases(body.types):
            return body, False
        if body.indexes or body.types:
            body = replace(body, types=(*body.types, records.ALIAS))
        return body, True

    def _expect_progress(self, chain: list[bytes], following: bytes) -> None:
        limit = self._trail.limits.aliases
        key = identifier.prefix_folded(following)
        if any(identifier.prefix_folded(name) == key for name in chain):
            told = "aliases go in a circle: " + " → ".join([shown(name) for name in (*chain, following)])
            raise Stuck(told, is_failure=False)
        if len(chain) > limit:
            raise Stuck(f"more than {limit} aliases, from {shown(chain[0])} on", is_failure=False, is_limit=True)

    def _kept(self, handle: bytes, body: Body) -> Reply | None:
        """What is kept here or remembered of the handle that an alias names: this node is never asked by itself."""
        assert isinstance(body, ResolutionRequest), "only resolutions follow aliases"
        types = () if body.indexes else body.types
        known = self._around.memory.known(handle, types=types, certified=self._query.certify, now_ms=self._trail.now_ms)
        if known is None:
            return None
        self._trail.remembered("alias", handle, known.code, 0)
        values = records.wanted(known.values, body.indexes, body.types)
        return Reply(code=known.code, body=_values_body(handle, values)) if values else _absent(known.code)

    # One handle

    def _asked(self, handle: bytes, body: Body, why: str) -> Going[Reply]:
        query = self._query
        question = Question(
            why=why,
            handle=handle,
            body=body,
            opcode=query.opcode,
            flags=query.flags & ~_OF_A_HOP | self._proof,
            sites=(),
            recursion_count=query.recursion_count + 1,
            depth=0,
            is_lookup=False,
            is_primary_only=query.primary_only or bool(query.flags & AUTHORITATIVE),
            is_certified=query.certify,
        )
        reply = yield from self._by_caches(question)
        if reply is None:
            reply = yield from self._lookups.answered(question)
        if query.opcode == OpCode.RESOLUTION and isinstance(body, ResolutionRequest):
            reply = self._read(handle, reply, body)
        return reply

    def _by_caches(self, question: Question) -> Going[Reply | None]:
        """The answer of a caching site, where this question goes to one; None where it does not, or none answers."""
        world, flags = self._around.world, self._query.flags
        is_plain = question.opcode == OpCode.RESOLUTION and flags & PUBLIC_ONLY and not question.is_primary_only
        if not world.caches or not is_plain:
            return None
        if world.cached_prefixes and identifier.prefix_handle(question.handle) not in world.cached_prefixes:
            return None
        reply = yield question._replace(sites=world.caches, flags=question.flags | RECURSIVE)
        if isinstance(reply, Reply):
            return reply
        if not world.root_sites and not world.fixed:
            raise Stuck(reply.told, is_failure=True)
        return None

    def _read(self, handle: bytes, reply: Reply, body: ResolutionRequest) -> Reply:
        """The reply with those values alone that were asked for; what it teaches is told."""
        if reply.code in ABSENT:
            self._lookups.learn(handle, body.indexes, body.types, reply.code, ())
            return reply
        if reply.code != ResponseCode.SUCCESS or not isinstance(reply.body, ResolutionResponse):
            return reply
        sent = reply.body.values
        values = records.wanted(sent, body.indexes, body.types)
        octets = reply.octets if values is sent else b""
        self._lookups.learn(handle, body.indexes, body.types, reply.code, values, octets)
        if values is sent and values:
            return reply
        if not values:
            return reply._replace(code=ResponseCode.VALUES_NOT_FOUND, body=ErrorResponse(), octets=b"")
        return reply._replace(body=_values_body(body.handle, values), octets=b"")


def _values_body(handle: bytes, values: tuple[HandleValue, ...]) -> ResolutionResponse:
    return ResolutionResponse(handle=handle, values=values)


def _absent(code: int) -> Reply:
    code = ResponseCode.VALUES_NOT_FOUND if code == ResponseCode.SUCCESS else code
    return Reply(code=code, body=ErrorResponse())


def _alias(reply: Reply) -> bytes | None:
    """Where a successful answer sends us by an alias."""
    if reply.code != ResponseCode.SUCCESS or not isinstance(reply.body, ResolutionResponse):
        return None
    return records.alias_in(reply.body.values)
