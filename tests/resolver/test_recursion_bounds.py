"""Searches that fail within, strangers who ask for too much, those who come late and those who give up."""

import asyncio
import socket

import pytest

from protocol.codes import ResponseCode
from protocol.value import HandleValue
from resolver.counters import Counter
from resolver.own import NothingKept
from resolver.recursion import NO_ROOT, STRANGERS_SHARE, WAITERS_A_WALK
from resolver.walk.world import World
from storage.base import StoreError, StoreView
from tests.resolver.test_recursion_many import DELEGATED, delegating
from tests.support.loops import in_loop
from tests.support.neighbours import Ports, asking
from tests.support.three_levels import MAIL, OLD, URL, X, world

# A fault of ours


class Faulty(NothingKept):
    """Cannot say whom a prefix is delegated to, so many times."""

    def __init__(self, times: int) -> None:
        self.times = times

    def delegated(self, prefix_handle: bytes, view: StoreView | None = None) -> tuple[HandleValue, ...]:
        """See `Own`."""
        self.times -= 1
        if self.times >= 0:
            raise RuntimeError("a fault of ours")
        return ()


@in_loop
async def test_a_search_that_cannot_begin_is_told_and_stops_no_other() -> None:
    async with world(timeout="2s") as w:
        recursion = w.node.recursion
        recursion.memory.own = Faulty(1)
        handles = [b"88.100/first", X, b"88.100/none"]
        ends = await asyncio.gather(*(recursion.ended(w.query(handle)) for handle in handles))
        expected = [ResponseCode.ERROR, ResponseCode.SUCCESS, ResponseCode.HANDLE_NOT_FOUND]
        assert [ended.code for ended in ends] == expected
        assert ends[0].is_failure
        assert (await recursion.ended(w.query(b"88.100/first"))).code == ResponseCode.HANDLE_NOT_FOUND


@in_loop
async def test_who_asks_again_after_a_fault_is_answered() -> None:
    async with world(timeout="2s") as w:
        recursion = w.node.recursion
        recursion.memory.own, recursion.world = Faulty(1), World()
        with pytest.raises(RuntimeError):
            await recursion.ended(w.query(X))
        async with asyncio.timeout(1):
            assert (await recursion.ended(w.query(X))).told == NO_ROOT


@pytest.mark.parametrize("world_known", [True, False])
@in_loop
async def test_while_its_own_store_cannot_be_read_the_node_asks_as_if_it_kept_nothing(
    world_known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable() -> StoreView:
        raise StoreError("too many readers")

    async with world(timeout="2s") as w:
        recursion = w.node.recursion
        if not world_known:
            recursion.world = World()
        monkeypatch.setattr(w.node.answering.store, "view", unreadable)
        for handle in (X, b"88.7.5/z"):
            async with asyncio.timeout(1):
                ended = await recursion.ended(w.query(handle))
            found = ResponseCode.SUCCESS if handle == X else ResponseCode.HANDLE_NOT_FOUND
            assert ended.code == (found if world_known else ResponseCode.ERROR)


# Strangers


@in_loop
async def test_strangers_who_wait_leave_room_for_those_who_may_recurse() -> None:
    ports = Ports()  # Nobody is here.
    async with world(max_walks=40, timeout="2s") as w:
        delegating(w, ports)
        access = w.node.answering.service.recursing.access  # type: ignore[union-attr]
        access._hosts["127.0.0.1"] = False
        strangers = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        strangers.connect(("127.0.0.1", w.node.ports.number))
        for _ in range(8 * 40):
            strangers.send(asking(DELEGATED, version=OLD).to_bytes())
            await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        recursion = w.node.recursion
        assert recursion.is_strained
        waiting_max = WAITERS_A_WALK * 40
        assert STRANGERS_SHARE * waiting_max <= recursion._waiting < waiting_max
        access._hosts["127.0.0.1"] = True
        assert await w.asked(X) == (URL, MAIL)
        strangers.close()
    ports.close()


# Those who come late, and those who leave


@in_loop
async def test_who_joins_a_search_that_gave_an_expired_answer_has_it_at_once() -> None:
    async with world(timeout="3s") as w:
        await w.asked(X)
        w.pass_time(601)
        for other in (w.root, w.national, w.low):
            other.mute()
        recursion, loop = w.node.recursion, asyncio.get_running_loop()
        first = asyncio.create_task(recursion.ended(w.query(X)))
        await first
        began = loop.time()
        ended = await recursion.ended(w.query(X))
        assert ended.code == ResponseCode.SUCCESS
        assert loop.time() - began < 0.5, "the search itself goes on for more than a second"
        assert w.counted(Counter.WALKS_JOINED) == 1


@in_loop
async def test_of_those_who_give_up_nothing_is_kept_until_the_search_ends() -> None:
    async with world(timeout="2s") as w:
        w.root.mute()
        recursion = w.node.recursion
        patient = asyncio.create_task(recursion.ended(w.query(X)))
        await asyncio.sleep(0)
        for _ in range(20):
            many = [asyncio.create_task(recursion.ended(w.query(X))) for _ in range(100)]
            await asyncio.sleep(0)
            for task in many:
                task.cancel()
            await asyncio.gather(*many, return_exceptions=True)
        (waiting,) = recursion._under_way.values()
        assert len(waiting) == 1
        assert recursion._waiting == 1
        assert (await patient).code == ResponseCode.ERROR
