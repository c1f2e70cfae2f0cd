"""Many searches at a time: shared, bounded, given up; answers that are refreshed; and those below this node."""

import asyncio
from dataclasses import replace

import pytest

from protocol.codec import read_response
from protocol.codes import (
    ResponseCode,
)
from protocol.responses import ReferralResponse
from protocol.value import value_list
from protocol.version import Version
from resolver.client import NoAnswer, Transport, ask
from resolver.counters import Counter
from resolver.walk.events import Ended
from resolver.walk.world import World
from storage.base import PutRecord
from tests.support.engines import NOW, value
from tests.support.loops import in_loop
from tests.support.neighbours import Neighbour, Ports, asking, living
from tests.support.three_levels import MAIL, OLD, URL, World3, X, world

# Many at a time


@in_loop
async def test_all_who_ask_the_same_wait_for_one_search() -> None:
    async with world() as w:
        found = await asyncio.gather(*(w.asked(spelling) for spelling in [X, X, b"88.100/x"] * 20))
        assert found == [(URL, MAIL)] * 60
        assert w.heard == (1, 1, 1)
        assert w.counted(Counter.WALKS) + w.counted(Counter.WALKS_JOINED) + w.counted(Counter.CACHE_HITS) == 60
        assert w.counted(Counter.WALKS) == 1


@in_loop
async def test_beyond_the_bound_of_searches_a_client_is_told_to_come_again() -> None:
    async with world(max_walks=2, timeout="1s") as w:
        w.root.mute()
        slow = [asyncio.create_task(w.asked(b"88.100/%d" % n)) for n in range(2)]
        await asyncio.sleep(0.2)
        assert w.counted(Counter.WALKS_NOW) == 2
        assert await w.asked(b"88.100/2") == ResponseCode.SERVER_TOO_BUSY
        joined = asyncio.create_task(w.asked(b"88.100/1"))
        assert await w.asked(b"88.7/own") == (URL,)
        assert await asyncio.gather(*slow, joined) == [ResponseCode.ERROR] * 3
        assert w.counted(Counter.WALKS_REFUSED) == 1
        await asyncio.sleep(0.15)
        assert w.counted(Counter.WALKS_NOW) == 0


@in_loop
async def test_one_who_gives_up_leaves_the_others_waiting() -> None:
    async with world() as w:
        recursion = w.node.recursion
        both = [asyncio.create_task(recursion.ended(w.query(X))) for _ in range(2)]
        await asyncio.sleep(0)
        both[0].cancel()
        assert (await both[1]).code == ResponseCode.SUCCESS


@in_loop
async def test_stopping_tells_those_who_wait() -> None:
    async with world() as w:
        w.root.mute()
        waiting = asyncio.create_task(w.node.recursion.ended(w.query(X)))
        await asyncio.sleep(0.1)
        w.node.recursion.close()
        assert (await waiting).code == ResponseCode.SERVER_TOO_BUSY


# Before it expires


@in_loop
async def test_a_popular_answer_is_asked_for_before_it_expires_and_a_rare_one_is_not() -> None:
    async with world() as w:
        for _ in range(5):
            await w.asked(X, way=Transport.UDP)
        await w.asked(b"88.100/none")
        w.pass_time(545)
        assert await w.asked(X, way=Transport.UDP) == (URL, MAIL)
        await asyncio.sleep(0.2)
        assert w.counted(Counter.CACHE_PREFETCHES) == 1
        heard = w.low.heard
        w.pass_time(100)  # Beyond the life of the first one.
        assert await w.asked(X, way=Transport.UDP) == (URL, MAIL)
        assert w.low.heard == heard


# Those below


DELEGATED = b"0.NA/88.7.5"


def delegating(w: World3, low: Ports) -> None:
    """The recursing node homes 88.7 and delegates 88.7.5 to a node of its own."""
    site = replace(value(1, b"HS_SITE.PREFIX"), ttl=600, data=low.site().to_bytes())
    w.node.answering.store.apply([PutRecord(b"0.NA/88.7", value_list([site]))], now_ms=NOW * 1000)


def below(ports: Ports) -> Neighbour:
    site = replace(value(1, b"HS_SITE"), ttl=600, data=ports.site().to_bytes())
    return Neighbour(ports, {DELEGATED: [site], b"88.7.5/z": [URL]}, [DELEGATED])


@in_loop
async def test_an_old_client_is_told_what_a_delegated_prefix_holds_though_it_may_not_recurse() -> None:
    ports = Ports()
    low = below(ports)
    async with world(allow=[]) as w, living(low):
        delegating(w, ports)
        for world_known in (True, False):  # For those below nobody needs to know the root.
            if not world_known:
                w.node.recursion.world = World()
            for version in (OLD, Version(2, 4)):
                (got,) = await w.asked(DELEGATED, version=version)  # type: ignore[misc]
                assert got.data == ports.site().to_bytes()
        reply = await w.message(DELEGATED)
        assert reply.header.code == ResponseCode.PREFIX_REFERRAL
        assert isinstance(read_response(reply)[1], ReferralResponse)
        assert await w.asked(b"88.7.5/z", version=OLD) == ResponseCode.SERVER_NOT_RESP
        assert w.heard == (0, 0, 0)


@in_loop
async def test_searches_for_strangers_leave_room_for_those_who_may_recurse() -> None:
    ports = Ports()
    async with world(max_walks=4, timeout="1s") as w:
        delegating(w, ports)  # Nobody listens there.
        w.root.mute()
        waiting = asyncio.create_task(w.node.recursion.ended(w.query(X)))
        await asyncio.sleep(0.1)
        access = w.node.answering.service.recursing.access  # type: ignore[union-attr]
        access._hosts["127.0.0.1"] = False
        assert await w.asked(DELEGATED, version=Version(2, 4)) == ResponseCode.SERVER_NOT_RESP
        access._hosts["127.0.0.1"] = True
        await w.asked(DELEGATED, version=OLD)
        assert w.counted(Counter.WALKS) == 2
        waiting.cancel()
    ports.close()


@in_loop
async def test_an_old_client_is_referred_where_the_operator_wants_it() -> None:
    ports = Ports()
    async with world(allow=[], legacy=False) as w:
        delegating(w, ports)
        assert (await w.message(DELEGATED, version=OLD)).header.code == ResponseCode.PREFIX_REFERRAL
        assert (await w.message(DELEGATED, version=Version(2, 4))).header.code == ResponseCode.SERVER_NOT_RESP
    ports.close()


@in_loop
async def test_who_may_recurse_finds_what_this_node_delegated_while_the_root_is_gone() -> None:
    ports = Ports()
    low = below(ports)
    async with world() as w, living(low):
        delegating(w, ports)
        await w.root.stop()
        assert await w.asked(b"88.7.5/z") == (URL,)
        assert await w.asked(b"88.7.5/none") == ResponseCode.HANDLE_NOT_FOUND


@in_loop
async def test_a_search_that_fails_says_why() -> None:
    async with world(timeout="1s") as w:
        await w.low.stop()
        ended: Ended = await w.node.recursion.ended(w.query(X))
        assert (ended.code, ended.is_failure) == (ResponseCode.ERROR, True)
        assert ended.told
        with pytest.raises(NoAnswer):
            await ask(asking(X), "127.0.0.1", w.low.ports.number, transport=Transport.TCP)


@in_loop
async def test_each_of_those_who_wait_hears_his_own_spelling() -> None:
    async with world() as w:
        spellings = [b"0.NA/88.100", b"0.na/88.100"]
        ends = await asyncio.gather(*(w.node.recursion.ended(w.query(spelling)) for spelling in spellings))
        assert [ended.body.handle for ended in ends] == spellings
        assert w.counted(Counter.WALKS) == 1
