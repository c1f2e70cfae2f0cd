"""Seeds: whatever a world does, a walk ends within its bounds, asks no more than it may, and takes nothing for
somebody else's.

A failure names its seed: `WALK_SEEDS=4711:4712` runs that one, `WALK_SEEDS=0:200000` the long campaign.
"""

import os
from collections import Counter
from collections.abc import Iterator

import pytest

from protocol.codes import DEFAULT_REQUEST_FLAGS, OpCode, ResponseCode
from protocol.identifier import folded, full
from protocol.requests import ResolutionRequest
from protocol.responses import ResolutionResponse
from protocol.value import HandleValue
from resolver.walk.events import Learnt, Query, Surroundings
from resolver.walk.round_trips import Measured
from tests.simulation.worlds import SimWorld, owner
from tests.walk.net import STARTED_MS, Dice, Net, Walked
from tests.walk.remembering import Remembering

SEEDS = 2_000
QUERIES = 3


def seeds() -> range:
    start, _, stop = os.environ.get("WALK_SEEDS", f"0:{SEEDS}").partition(":")
    return range(int(start), int(stop))


def blocks(size: int = 250) -> Iterator[range]:
    """Seeds by the hundred, so that workers share them."""
    whole = seeds()
    for start in range(whole.start, whole.stop, size):
        yield range(start, min(start + size, whole.stop))


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("block", list(blocks()), ids=lambda block: f"{block.start}")
def test_every_walk_ends_within_its_bounds_and_with_its_own_data(block: range) -> None:
    ends: Counter[str] = Counter()
    for seed in block:
        try:
            ends.update(history(seed))
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
    if len(block) >= 100:  # The worlds are neither all well nor all broken.
        assert all(ends[name] >= len(block) // 50 for name in ("SUCCESS", "ERROR", "HANDLE_NOT_FOUND")), ends


def history(seed: int) -> list[str]:
    """Some walks in one world, one after the other; how they ended."""
    world = SimWorld(seed)
    memory = Remembering()
    around = Surroundings(world=world.world, memory=memory, round_trips=Measured(64), chance=Dice(seed))
    net, now_ms, ends = Net(world.servers, drift=world.drift()), STARTED_MS, []
    for _ in range(QUERIES):
        query = query_in(world)
        walked = net.walk(query, around, now_ms=now_ms)
        expect_own_data(query, walked, world)
        if not world.mood.lying and query.primary_only:
            expect_primaries(query, walked, net)
        if world.mood.is_mild:
            expect_found(query, walked, world)
        now_ms += walked.took_ms + world.random.choice((0, 1_000, 100_000))
        memory.learn(walked.learnt, now_ms)
        ends.append(ResponseCode(walked.ended.code).name)
    return ends


def query_in(world: SimWorld) -> Query:
    draw = world.random
    handle = draw.choice([*world.truth, b"88/MISSING", b"99/X", b"88.88.5/Y"])
    types, indexes = draw.choice((((), ()), ((b"URL",), ()), ((), (1,)), ((b"URL", b"HS_SITE"), ())))
    return Query(
        handle=full(handle),
        body=ResolutionRequest(handle=handle, types=types, indexes=indexes),
        opcode=OpCode.RESOLUTION,
        flags=DEFAULT_REQUEST_FLAGS,
        recursion_count=draw.choice((0, 1, 9)),
        follow_aliases=draw.random() < 0.5,
        primary_only=draw.random() < 0.1,
    )


def expect_own_data(query: Query, walked: Walked, world: SimWorld) -> None:
    """No value of one handle stands under another's name, in the answer or in what is learnt."""
    asked = {ask.body.handle for ask in walked.asks if isinstance(ask.body, ResolutionRequest)}
    for learnt in walked.learnt:
        assert learnt.handle in asked
        expect_tagged(learnt.handle, learnt.values)
        expect_asked_for(learnt)
    body = walked.ended.body
    if isinstance(body, ResolutionResponse):
        assert isinstance(query.body, ResolutionRequest)
        assert query.follow_aliases or body.handle == query.body.handle
        expect_tagged(body.handle, body.values)
    assert walked.ended.code != ResponseCode.SUCCESS or isinstance(body, ResolutionResponse)
    assert bool(walked.ended.told) == (walked.ended.reply is None) or walked.ended.told == ""


def expect_primaries(query: Query, walked: Walked, net: Net) -> None:
    for ask in walked.asks:
        server = net.server_at(ask)
        if server is not None and ask.body.handle == query.handle:  # type: ignore[attr-defined]
            assert server.site.is_primary


def expect_tagged(handle: bytes, values: tuple[HandleValue, ...]) -> None:
    for value in values:
        whose = owner(value.data)
        assert whose is None or folded(whose) == folded(full(handle)), (handle, value.data)


def expect_asked_for(learnt: Learnt) -> None:
    for value in learnt.values:
        assert value.is_public
        every = not learnt.types and not learnt.indexes
        assert every or value.index in learnt.indexes or value.type.upper() in learnt.types


def expect_found(query: Query, walked: Walked, world: SimWorld) -> None:
    """Where an honest server is at hand for everything, the truth is found."""
    ended = walked.ended
    told = (ended.told, [(step.why, step.handle, str(step.place), step.outcome) for step in ended.steps])
    if query.follow_aliases:
        assert not ended.is_failure or "questions" in ended.told, told  # Long chains may need more than a walk asks.
        return
    assert isinstance(query.body, ResolutionRequest)
    true = world.truth.get(query.handle)
    if true is None:
        assert ended.code == ResponseCode.HANDLE_NOT_FOUND, told
        return
    body = query.body
    every = not body.types and not body.indexes
    wanted = tuple([v for v in true if every or v.index in body.indexes or v.type in body.types])
    if not wanted:
        assert ended.code == ResponseCode.VALUES_NOT_FOUND, told
        return
    assert ended.code == ResponseCode.SUCCESS, told
    assert isinstance(ended.body, ResolutionResponse)
    assert [(v.index, v.data) for v in ended.body.values] == [(v.index, v.data) for v in wanted]
