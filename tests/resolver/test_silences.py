"""A server that answers nobody is found out, asked now and then, and believed again at its first word."""

import asyncio

import pytest

from resolver.clock import SystemClock
from resolver.silences import PLACES_MAX, PROBE_S, QUESTIONS_MAX, SILENT_S, Silences
from resolver.upstream import Upstream
from resolver.walk.events import NoReply, Place, Way
from tests.resolver.test_upstream import ask, good
from tests.support.loops import in_loop
from tests.support.neighbours import toy

PLACE = Place("192.0.2.1", 2641)


def dead(silences: Silences, place: Place = PLACE) -> float:
    """Leave as many questions unanswered as it takes; the time of the last one."""
    for _ in range(QUESTIONS_MAX):
        assert silences.may_ask(place, Way.UDP, 0.0)
        silences.heard(place, Way.UDP, NoReply.SILENT, since=0.0)
    return SILENT_S


def test_neither_few_questions_nor_a_short_time_make_a_server_dead() -> None:
    silences = Silences()
    for n in range(QUESTIONS_MAX - 1):
        silences.heard(PLACE, Way.UDP, NoReply.SILENT, since=n * 10.0)
    assert silences.may_ask(PLACE, Way.UDP, 1_000.0)
    silences = Silences()
    dead(silences)
    assert silences.may_ask(PLACE, Way.UDP, SILENT_S - 0.1)


def test_a_dead_server_is_asked_once_in_a_while_and_others_as_ever() -> None:
    silences = Silences()
    now = dead(silences)
    asked = [silences.may_ask(PLACE, Way.UDP, now + n / 10) for n in range(30)]
    assert asked.count(True) == 3 / PROBE_S
    assert silences.may_ask(PLACE, Way.TCP, now)
    assert silences.may_ask(Place("192.0.2.1", 2642), Way.UDP, now)


@pytest.mark.parametrize("why", [None, NoReply.UNREADABLE, NoReply.UNPROVEN])
def test_its_first_word_makes_it_alive(why: NoReply | None) -> None:
    silences = Silences()
    now = dead(silences)
    silences.heard(PLACE, Way.UDP, why, since=now)
    assert all(silences.may_ask(PLACE, Way.UDP, now) for _ in range(50))
    assert len(silences) == 0


def test_the_servers_that_are_remembered_are_bounded() -> None:
    silences = Silences()
    for n in range(PLACES_MAX + 10):
        silences.heard(Place("192.0.2.1", n), Way.UDP, NoReply.UNREACHABLE, since=0.0)
    assert len(silences) == PLACES_MAX


@in_loop
async def test_questions_to_a_dead_server_end_at_once_until_it_is_back() -> None:
    alive = False

    def answers(octets: bytes) -> list[bytes]:
        return [good(octets)] if alive else []

    async with toy(answers) as server:
        up = Upstream(asyncio.get_running_loop(), SystemClock())

        async def asked() -> object:
            told: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            up.ask(ask(server.port, waits=(100,)), told.set_result)
            return await told

        await asyncio.gather(*(asked() for _ in range(QUESTIONS_MAX)))
        await asyncio.sleep(SILENT_S)
        heard, began = len(server.heard), asyncio.get_running_loop().time()
        assert await asyncio.gather(*(asked() for _ in range(200))) == [NoReply.SILENT] * 200
        assert len(server.heard) == heard + 1, "one that looks whether it is back"
        assert asyncio.get_running_loop().time() - began < 0.5
        alive = True
        await asyncio.sleep(PROBE_S)
        await asked()
        assert not any(found is NoReply.SILENT for found in await asyncio.gather(*(asked() for _ in range(20))))
        up.close()
