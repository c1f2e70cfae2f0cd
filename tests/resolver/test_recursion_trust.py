"""What was certified is so under the keys that were believed then: under others it is not, after a start neither."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from protocol.codes import ResponseCode
from protocol.site import Site
from protocol.trust.keys import public_key_octets, public_of
from resolver.cache.cache import Cache, cache_key
from resolver.cache.ready import Ready
from resolver.memory import Memories
from resolver.own import NothingKept
from resolver.walk.world import TRUST_SIZE, World
from storage.answers import Answers
from tests.cache.asking import KEY, LIVES, NOW, cache, learn, value
from tests.support.loops import in_loop
from tests.support.neighbours import Ports
from tests.support.signing import ADMIN_KEY, DSA_KEY, OTHER_KEY, ROOT_KEY
from tests.support.three_levels import World3, X, world

NONE = b"88.100/none"


def moved_root(w: World3, *, key: bytes | None = None) -> World:
    """A root where nobody listens, with the old one's key or another."""
    (old,) = w.node.recursion.world.root_sites
    ports = Ports()
    (here,) = ports.site().servers
    ports.close()
    return World(root_sites=(replace(old, servers=(replace(here, public_key=key or old.servers[0].public_key),)),))


@in_loop
async def test_an_answer_that_is_certified_does_not_outlive_the_keys_of_its_root() -> None:
    async with world(timeout="1s") as w:
        recursion = w.node.recursion
        for handle in (X, NONE):
            await recursion.ended(w.query(handle, certify=True))
        recursion.world = moved_root(w)
        assert (await recursion.ended(w.query(X, certify=True))).is_certified, "the keys are the same"
        recursion.world = moved_root(w, key=public_key_octets(public_of(OTHER_KEY)))
        for handle in (X, NONE):
            ended = await recursion.ended(w.query(handle, certify=True))
            assert (ended.code, ended.is_failure) == (ResponseCode.ERROR, True)


@pytest.mark.parametrize("handle", [X, NONE])
@in_loop
async def test_what_a_search_learns_after_its_root_was_replaced_is_not_remembered_as_certified(handle: bytes) -> None:
    async with world(timeout="2s") as w:
        recursion = w.node.recursion
        under_way = asyncio.create_task(recursion.ended(w.query(handle, certify=True)))
        for _ in range(5):
            await asyncio.sleep(0)
        assert recursion.up.questions
        recursion.world = moved_root(w, key=public_key_octets(public_of(OTHER_KEY)))
        assert not (await under_way).is_failure
        for name in (handle, b"0.NA/88.100", b"0.NA/88"):
            assert not [kept for kept in recursion.memory.cache.answers(cache_key(name)) if kept.is_certified]


def site(key: bytes) -> Site:
    ports = Ports()
    ports.close()
    made = ports.site()
    return replace(made, servers=(replace(made.servers[0], public_key=key),))


FIRST, SECOND = (public_key_octets(public_of(key)) for key in (ROOT_KEY, OTHER_KEY))
MAKERS: dict[str, Callable[[bytes], World]] = {
    "root": lambda key: World(root_sites=(site(key),)),
    "fixed": lambda key: World(fixed={b"0.NA/88": (site(key),)}),
    "caches": lambda key: World(caches=(site(key),)),
}


@pytest.mark.parametrize("made", MAKERS.values(), ids=MAKERS)
def test_other_keys_are_another_trust_and_other_places_are_not(made: Callable[[bytes], World]) -> None:
    assert made(FIRST).trust() == made(FIRST).trust() != made(SECOND).trust()
    assert len(made(FIRST).trust()) == TRUST_SIZE


def test_the_keys_of_the_trust_root_and_their_number_count() -> None:
    keys = tuple(public_of(key) for key in (ROOT_KEY, ADMIN_KEY, DSA_KEY))
    worlds = [World(), *(World(root_keys=keys[:count]) for count in (1, 2, 3)), World(root_sites=(site(FIRST),))]
    assert len({found.trust() for found in worlds}) == 5
    assert World(root_keys=keys).trust() == World(root_keys=keys[::-1]).trust()


# In tables and files


def test_forgetting_what_is_certified_leaves_the_rest() -> None:
    known, ready = cache(), Ready()
    plain, certified = learn(known, value(data=b"plain")), learn(known, value(), types=(b"URL",), certified=True)
    alone = learn(known, value(), key=b"88.100/alone", certified=True)
    assert plain is not None
    assert certified is not None
    assert alone is not None
    ready.add(b"88.100/alone", alone, now_ms=NOW, is_prefetched=False)
    size = known.size
    known.forget_certified()
    assert list(known.answers(KEY)) == [plain]
    assert known.answers(b"88.100/alone") == ()
    assert len(known) == 1
    assert known.size < size
    assert not alone.is_quick(NOW // 1000)


def remembering(answers: Answers, trust: bytes) -> Memories:
    made = Memories(Cache(1 << 20, LIVES), NothingKept(), answers)
    made.believe(trust)
    return made


def test_a_node_that_starts_with_other_keys_believes_nothing_that_was_certified_before(tmp_path: Path) -> None:
    answers = Answers.prepare(tmp_path / "cache", 1 << 20, boot=b"b")
    first = remembering(answers, bytes(TRUST_SIZE))
    for name, certified in ((b"88.100/plain", False), (b"88.100/sure", True)):
        first.remember(name, 1, [value()], indexes=(), types=(), is_certified=certified, now_ms=NOW)
    first.share(first.unshared())
    for trust, believed in ((bytes(TRUST_SIZE), True), (b"\x01" * TRUST_SIZE, False)):
        again = remembering(answers, trust)
        assert again.fresh(b"88.100/plain", (), (), certified=False, now_ms=NOW) is not None
        assert (again.fresh(b"88.100/sure", (), (), certified=True, now_ms=NOW) is not None) == believed
        assert (again.fresh(b"88.100/sure", (), (), certified=False, now_ms=NOW) is not None) == believed
    answers.close()
