"""What a search leaves behind and what it does once for many: nothing to the collector, records read once."""

import asyncio
import gc
from dataclasses import replace

import pytest

from protocol import codec
from protocol.codes import REQUEST_DIGEST, OpCode
from protocol.envelope import Envelope
from protocol.header import Header
from protocol.requests import ResolutionRequest
from protocol.responses import ResolutionResponse, StoredValuesResponse
from protocol.site import Site
from protocol.trust.challenge import request_digest
from protocol.value import HandleValue, Reference, value_list
from protocol.version import NEWEST
from resolver.authority import Authority
from resolver.cache.cache import Cache
from resolver.cache.lifetimes import Lifetimes
from resolver.memory import READ_MAX, Memories
from resolver.namespaces import Namespaces
from resolver.own import ELSEWHERE_MAX, NothingKept, OwnStore
from resolver.recursing import said_of
from resolver.walk import answers
from resolver.walk.events import Ended, Place
from resolver.walk.question import Candidate, Question, Reply
from tests.support.engines import seeded, value
from tests.support.loops import in_loop
from tests.support.three_levels import world

NOW = 1_700_000_000_000
PREFIX = b"0.NA/88.100"
SITE = replace(value(1, b"HS_SITE"), ttl=600)
VALUES = (value(1), HandleValue(index=2, type=b"HS_VLIST", data=b"", references=(Reference(3, b"88.100/y"),)))


@in_loop
async def test_a_search_that_ended_leaves_nothing_to_the_collector() -> None:
    async with world() as nodes:
        await nodes.asked(b"88.100/x")
        await asyncio.sleep(0.05)
        gc.collect()
        gc.disable()
        try:
            for number in range(20):
                await nodes.asked(b"88.100/none%d" % number)
            await asyncio.sleep(0.05)
            assert gc.collect() < 20, "a search is more than one object"
        finally:
            gc.enable()


def memories() -> Memories:
    return Memories(Cache(8 << 20, Lifetimes()), NothingKept())


def learn(memory: Memories, handle: bytes, *values: HandleValue, now_ms: int = NOW) -> None:
    memory.remember(handle, 1, values, indexes=(), types=(b"HS_SITE",), is_certified=False, now_ms=now_ms)


def test_a_record_is_read_once_and_anew_when_another_came() -> None:
    memory = memories()
    learn(memory, PREFIX, SITE)
    first = memory.known(PREFIX, types=(b"HS_SITE",), certified=False, now_ms=NOW)
    again = memory.known(PREFIX, types=(b"HS_SITE",), certified=False, now_ms=NOW + 5)
    assert first is not None
    assert again is not None
    assert again.values is first.values
    assert (first.age_ms, again.age_ms) == (0, 5)
    moved = replace(SITE, data=b"elsewhere")
    learn(memory, PREFIX, moved, now_ms=NOW + 10)
    now = memory.known(PREFIX, types=(b"HS_SITE",), certified=False, now_ms=NOW + 10)
    assert now is not None
    assert now.values == (moved,)


def test_records_that_were_read_are_remembered_up_to_a_bound() -> None:
    memory = memories()
    for number in range(READ_MAX + 10):
        name = b"0.NA/88.%d" % number
        learn(memory, name, SITE)
        assert memory.known(name, types=(b"HS_SITE",), certified=False, now_ms=NOW) is not None
    assert len(memory._read) <= READ_MAX


def test_what_is_not_kept_here_is_looked_at_anew_when_another_prefix_is_homed() -> None:
    store = seeded({PREFIX: [SITE]}, homed=[b"0.NA/0.NA"])
    own = OwnStore(store, Authority(namespaces=Namespaces(), site=Site()))
    own.note_homed(frozenset([b"0.NA/77"]))
    assert own.known(PREFIX, ()) is None
    own.note_homed(frozenset([b"0.NA/0.NA"]))
    found = own.known(PREFIX, ())
    assert found is not None
    assert found.values == (SITE,)
    own.note_homed(frozenset([b"0.NA/77"]))
    for number in range(ELSEWHERE_MAX + 10):
        assert own.known(b"0.NA/88.%d" % number, ()) is None
    assert len(own._elsewhere) <= ELSEWHERE_MAX


def replied(body: bytes, *, flags: int = 0) -> Reply:
    """What a walk makes of a success with these octets for a body."""
    head = Header(opcode=OpCode.RESOLUTION, code=1, flags=flags, expiration=0, body_size=len(body))
    envelope = Envelope(version=NEWEST, suggested=NEWEST, session_id=0, request_id=7, message_size=0)
    asked = ResolutionRequest(handle=b"88.100/x")
    question = Question(
        why="target", handle=asked.handle, body=asked, opcode=OpCode.RESOLUTION, flags=0, sites=(), recursion_count=1,
        depth=0, is_lookup=False,
    )  # fmt: skip
    server = Candidate(Site(), "192.0.2.1", 2641, 2641, ())
    reply = answers.read(
        codec.Message(envelope=envelope, header=head, body=body), question, server, Place("192.0.2.1", 2641)
    )
    assert isinstance(reply, Reply)
    return reply


@pytest.mark.parametrize("values", [VALUES, VALUES[1:], ()])
def test_the_list_of_an_answer_is_passed_on_as_it_came(values: tuple[HandleValue, ...]) -> None:
    body = ResolutionResponse(handle=b"88.100/x", values=values)
    reply = replied(codec.response_body(body, code=1, version=NEWEST, digest=None))
    assert reply.octets == value_list(values)


def test_a_list_with_anything_before_or_behind_it_is_written_anew() -> None:
    body = ResolutionResponse(handle=b"88.100/x", values=VALUES)
    plain = codec.response_body(body, code=1, version=NEWEST, digest=None)
    digest = request_digest(NEWEST, b"a request")
    proven = codec.response_body(body, code=1, version=NEWEST, digest=digest)
    for reply in (replied(plain + b"more"), replied(proven, flags=REQUEST_DIGEST)):
        assert reply.octets == b""
        assert reply.body == body


def test_who_asked_hears_the_same_octets_either_way() -> None:
    asked, body = ResolutionRequest(handle=b"88.100/X"), ResolutionResponse(handle=b"88.100/x", values=VALUES)
    slow = said_of(Ended(code=1, body=body), asked, NEWEST)
    quick = said_of(Ended(code=1, body=body, octets=value_list(VALUES)), asked, NEWEST)
    assert isinstance(quick.body, StoredValuesResponse)
    told = [codec.response_body(said.body, code=1, version=NEWEST, digest=None) for said in (slow, quick) if said.body]
    assert told[0] == told[1]
