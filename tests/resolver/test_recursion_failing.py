"""What a node that recurses says while the world above it, or below, does not answer."""

import asyncio

from protocol.codes import (
    CERTIFY,
    DEFAULT_REQUEST_FLAGS,
    ResponseCode,
)
from protocol.value import value_list
from resolver.client import Transport
from resolver.counters import Counter
from resolver.search import HOLD_MS
from storage.base import PutRecord
from tests.support.engines import NOW
from tests.support.loops import in_loop
from tests.support.three_levels import MAIL, URL, X, world

# When nobody answers


@in_loop
async def test_while_its_servers_are_silent_an_expired_answer_is_given_and_kept_at_hand() -> None:
    async with world(timeout="2s") as w:
        await w.asked(X)
        w.pass_time(601)
        for other in (w.root, w.national, w.low):
            await other.stop()
        assert await w.asked(X) == (URL, MAIL)
        began = asyncio.get_running_loop().time()
        for way in (Transport.UDP, Transport.TCP) * 3:
            assert await w.asked(X, way=way) == (URL, MAIL)
        assert asyncio.get_running_loop().time() - began < 1, "nobody is asked meanwhile"
        assert w.counted(Counter.WALKS) == 2
        assert w.counted(Counter.CACHE_STALE) >= 1
        w.pass_time(HOLD_MS / 1000 + 1)
        assert await w.asked(X) == (URL, MAIL)
        assert w.counted(Counter.WALKS) == 3


@in_loop
async def test_an_expired_answer_is_not_waited_for_long() -> None:
    async with world(timeout="3s") as w:
        await w.asked(X)
        w.pass_time(601)
        w.low.mute()
        w.root.mute()
        w.national.mute()
        began = asyncio.get_running_loop().time()
        assert await w.asked(X, way=Transport.UDP) == (URL, MAIL)
        assert 1.0 < asyncio.get_running_loop().time() - began < 2.0


@in_loop
async def test_an_answer_too_old_is_not_given() -> None:
    async with world(timeout="1s") as w:
        await w.asked(X)
        for other in (w.root, w.national, w.low):
            await other.stop()
        w.pass_time(600 + 86_401)
        assert await w.asked(X) == ResponseCode.ERROR


@in_loop
async def test_a_certified_answer_is_never_an_expired_one() -> None:
    async with world(timeout="1s") as w:
        await w.message(X, flags=DEFAULT_REQUEST_FLAGS | CERTIFY)
        w.pass_time(601)
        for other in (w.root, w.national, w.low):
            await other.stop()
        assert (await w.message(X, flags=DEFAULT_REQUEST_FLAGS | CERTIFY)).header.code == ResponseCode.ERROR
        assert await w.asked(X) == (URL, MAIL)


@in_loop
async def test_while_the_root_is_gone_an_expired_prefix_record_leads_to_the_enterprise() -> None:
    async with world(timeout="3s") as w:
        await w.asked(X)
        w.pass_time(601)
        await w.root.stop()
        w.low.answering.store.apply([PutRecord(b"88.100/new", value_list([URL]))], now_ms=NOW * 1000)
        assert await w.asked(b"88.100/new") == (URL,)
        assert await w.asked(b"88.100/none") == ResponseCode.HANDLE_NOT_FOUND


@in_loop
async def test_while_the_root_is_silent_the_expired_prefix_record_is_used_soon() -> None:
    async with world(timeout="3s") as w:
        await w.asked(X)
        w.pass_time(601)
        w.root.mute()
        began = asyncio.get_running_loop().time()
        assert await w.asked(b"88.100/none") == ResponseCode.HANDLE_NOT_FOUND
        assert asyncio.get_running_loop().time() - began < 2.5


@in_loop
async def test_a_search_ends_in_its_time() -> None:
    async with world(timeout="0.5s") as w:
        w.root.mute()
        began = asyncio.get_running_loop().time()
        assert await w.asked(X) == ResponseCode.ERROR
        assert asyncio.get_running_loop().time() - began < 1.0


@in_loop
async def test_remembered_and_homed_answers_go_on_while_many_wait_for_a_silent_server() -> None:
    async with world(timeout="2s") as w:
        await w.asked(X)
        await w.asked(X)
        w.pass_time(1)
        w.root.mute()
        w.low.mute()
        waiting = [asyncio.create_task(w.node.recursion.ended(w.query(b"88.100/%d" % n))) for n in range(500)]
        await asyncio.sleep(0.2)
        for _ in range(20):
            began = asyncio.get_running_loop().time()
            assert await w.asked(X, way=Transport.UDP) == (URL, MAIL)
            assert await w.asked(b"88.7/own", way=Transport.UDP) == (URL,)
            assert asyncio.get_running_loop().time() - began < 0.5
        for task in waiting:
            task.cancel()
