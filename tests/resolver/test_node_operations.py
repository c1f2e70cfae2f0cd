"""Listing, homing, reading for administrators, mirrors' requests: checks, rights, pages (behaviours 13, 25 and 34)."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

import pytest

from protocol.codes import DEFAULT_REQUEST_FLAGS, PUBLIC_ONLY, OpCode, ResponseCode
from protocol.errors import HandleError
from protocol.identifier import server_of
from protocol.requests import HandleRequest, ResolutionRequest
from protocol.responses import EmptyResponse, StoredValuesResponse
from protocol.value import value_list
from protocol.value_list import EMPTY
from protocol.version import NEWEST
from resolver.authority import CHALLENGE, Said
from resolver.operations.listing import PAGE_SIZE, pages
from resolver.operations.reading import Reading
from storage.base import Action, HomePrefix, JournalRow, PutRecord
from storage.memory import MemoryStore
from tests.support.engines import SITE, seeded, value
from tests.support.finding import admin, reference
from tests.support.operating import ME, PRIVATE, SEALED, Operating, P, X, lacking, node

ROOT = "300:1/root"
ALL_VALUES = DEFAULT_REQUEST_FLAGS & ~PUBLIC_ONLY


def listed(store: MemoryStore, prefix: bytes) -> list[bytes]:
    return [name for found in pages(store, prefix) for name in found.handles]


# Listing.


@pytest.mark.parametrize(
    ("asked_for", "homed", "code"),
    [
        (b"0.NA/88.100", b"0.NA/88.100", 1),
        (b"0.na/88.100", b"0.NA/88.100", 1),
        (b"88.100", b"0.NA/88.100", 1),
        (b"0.NA/77.1", b"0.NA/88.100", 301),
        (b"0.NA/88.100.1", b"0.NA/88.100", 301),
        (b"88.100/X", b"0.NA/88.100", 301),
        (b"0.NA/0.NA", b"0.NA/88.100", 301),
        (b"0.NA/0.NA", b"0.NA/0.NA", 1),
        (b"0.NA/0.NA/88.100", b"0.NA/0.NA", 1),
        (b"0.NA/0.NA/88.100", b"0.NA/88.100", 1),
        (b"0.NA/0.NA/88.100", b"0.NA/0.NA/88.100", 1),
        (b"0.NA/0.NA/88.100", b"0.NA/88.101", 301),
        (b"0.NA/0.NA/", b"0.NA/88.100", 301),
        (b"", b"0.NA/88.100", 102),
    ],
)
def test_a_prefix_that_is_not_homed_is_told_before_any_challenge(asked_for: bytes, homed: bytes, code: int) -> None:
    asked = Operating(seeded({}, homed=(homed,)), servers=(ROOT,))
    assert asked.code(OpCode.LIST_HANDLES, HandleRequest(handle=asked_for), who=ROOT) == code
    assert asked.stages[1:2] == ([] if code != 1 else ["challenge"])


def test_listing_takes_the_right_at_the_prefix() -> None:
    for prefix in (b"88.100", b"0.NA/88.100", b"0.NA/0.NA/88.100"):
        request = HandleRequest(handle=prefix)
        assert node(prefix=P.LIST_HANDLES).code(OpCode.LIST_HANDLES, request, who=ME) == 1
        assert node(prefix=lacking(P.LIST_HANDLES)).code(OpCode.LIST_HANDLES, request, who=ME) == 400


def test_what_is_listed_begins_with_the_prefix_and_is_spelled_as_it_is_stored() -> None:
    names = [b"0.NA/0.NA", b"0.NA/88.100", b"0.na/88.100.1", b"0.NA/88.1001", b"88.100/b", b"88.100/A", b"88.1001/c"]
    store = seeded({name: [value(1)] for name in names})
    assert listed(store, b"0.NA/88.100") == [b"88.100/A", b"88.100/b"]
    assert listed(store, b"88.100") == [b"88.100/A", b"88.100/b"]
    assert listed(store, b"0.NA/0.NA") == [b"0.NA/0.NA", b"0.NA/88.100", b"0.na/88.100.1", b"0.NA/88.1001"]
    assert listed(store, b"0.NA/0.NA/88.100") == [b"0.na/88.100.1"]
    assert listed(store, b"0.NA/77.1") == []


@pytest.mark.parametrize("count", [0, 1, PAGE_SIZE, PAGE_SIZE + 1, 3 * PAGE_SIZE])
def test_a_page_has_fifty_names_and_the_last_one_says_so(count: int) -> None:
    names = [b"88.100/%04d" % number for number in range(count)]
    store = seeded({name: [value(1)] for name in names})
    found = list(pages(store, b"0.NA/88.100"))
    assert [name for part in found for name in part.handles] == names
    assert [part.more for part in found] == [True] * (len(found) - 1) + [False]
    assert [len(part.handles) for part in found[:-1]] == [PAGE_SIZE] * (len(found) - 1)
    assert len(found) == max(1, -(-count // PAGE_SIZE))


class Watched(MemoryStore):
    """Knows how many views are open."""

    open_views = 0

    @contextmanager
    def view(self) -> Iterator[MemoryStore]:
        self.open_views += 1
        yield self
        self.open_views -= 1


def test_no_view_is_held_between_pages_and_what_goes_meanwhile_does_no_harm() -> None:
    store = Watched()
    names = [b"88.100/%03d" % number for number in range(120)]
    store.apply([HomePrefix(b"0.NA/88.100"), *[PutRecord(name, EMPTY) for name in names]], now_ms=0)
    asked, seen = Operating(store, servers=(ROOT,)), []
    for found in pages(store, b"88.100"):
        assert store.open_views == 0
        seen += found.handles
        assert asked.delete(found.handles[-1], who=ROOT) == 1
    assert seen == names


def test_homed_prefixes_are_listed_for_those_who_may_home() -> None:
    homed = [b"0.NA/%03d" % number for number in range(PAGE_SIZE + 1)]
    store = seeded({}, homed=homed)
    assert [len(found.handles) for found in pages(store, None)] == [PAGE_SIZE, 1]
    assert [name for found in pages(store, None) for name in found.handles] == homed
    asked = Operating(store, servers=(ROOT,))
    for handle in (b"/", b"", b"0.NA/0.NA"):
        assert asked.code(OpCode.LIST_HOMED_NAS, HandleRequest(handle=handle), who=ROOT) == 1
        assert asked.code(OpCode.LIST_HOMED_NAS, HandleRequest(handle=handle), who=ME) == 400


# Homing, and what mirrors ask.


@pytest.mark.parametrize("handle", [b"0.NA/88.777", b"88.777", b"0.na/88.777"])
def test_home_and_unhome_take_a_prefix_handle_or_a_bare_prefix(handle: bytes) -> None:
    asked = Operating(seeded({}, homed=()), servers=(ROOT,))
    for opcode, homed, action in (
        (OpCode.HOME_NA, {b"0.NA/88.777"}, Action.HOME),
        (OpCode.HOME_NA, {b"0.NA/88.777"}, Action.HOME),
        (OpCode.UNHOME_NA, set(), Action.UNHOME),
        (OpCode.UNHOME_NA, set(), Action.UNHOME),
    ):
        assert asked.code(opcode, HandleRequest(handle=handle), who=ROOT) == 1
        assert asked.said is not None
        assert asked.said.body == EmptyResponse()
        assert asked.store.homed() == homed
        row = asked.store.journal(after=0, limit=100)[-1]
        assert (row.action, row.who) == (action, ROOT)


@pytest.mark.parametrize("opcode", [OpCode.HOME_NA, OpCode.UNHOME_NA])
def test_homing_other_handles_is_102_before_any_challenge_and_without_being_listed_400(opcode: OpCode) -> None:
    asked = Operating(seeded({b"0.NA/88.100": [admin(ME)]}), servers=(ROOT,))
    for handle in (b"88.100/x", b"", b"0.NA/", b"0.NA/a/b"):
        assert asked.code(opcode, HandleRequest(handle=handle), who=ROOT) == 102
        assert asked.stages == ["before"]
    assert asked.told(opcode, HandleRequest(handle=b"88.100/x")) == "Handle is not a prefix handle"
    assert asked.code(opcode, HandleRequest(handle=b"0.NA/88.100"), who=ME) == 400
    assert asked.store.homed() == {b"0.NA/88.100"}


def test_of_a_site_with_several_servers_one_writes_the_row_of_a_homed_prefix() -> None:
    servers = tuple([replace(SITE.servers[0], id=number) for number in (1, 2, 3)])
    site = replace(SITE, servers=servers)
    rows: list[list[JournalRow]] = []
    for number in range(len(servers)):
        asked = Operating(seeded({}, homed=()), servers=(ROOT,), site=site, server_number=number)
        for opcode in (OpCode.HOME_NA, OpCode.UNHOME_NA, OpCode.HOME_NA):
            assert asked.code(opcode, HandleRequest(handle=b"0.na/88.777"), who=ROOT) == 1
        assert asked.store.homed() == {b"0.NA/88.777"}, "each server is told, and serves its share"
        rows.append(asked.store.journal(after=0, limit=9))
    writes = server_of(b"0.NA/88.777", site.hash_option, len(servers))
    assert [row.action for row in rows[writes]] == [Action.HOME, Action.UNHOME, Action.HOME]
    assert [len(found) for number, found in enumerate(rows) if number != writes] == [0, 0]


@pytest.mark.parametrize("opcode", [OpCode.BACKUP_SERVER, OpCode.RETRIEVE_TXN_LOG, OpCode.DUMP_HANDLES])
def test_the_node_as_a_whole_is_for_those_who_are_listed(opcode: OpCode) -> None:
    asked = Operating(seeded({b"0.NA/88.100": [admin(ME)]}), servers=(ROOT,))
    assert asked.code(opcode, HandleRequest(handle=b"/"), who=ME) == 400
    assert asked.stages == ["before", "challenge", "needs"]
    assert asked.code(opcode, HandleRequest(handle=b"/"), who=ROOT) == 1


# Reading.


def reading(asked: Operating) -> Reading:
    return cast(Reading, asked.rules[OpCode.RESOLUTION])


def may_read(asked: Operating, request: ResolutionRequest, who: str) -> bool:
    with asked.store.view() as view:
        needs = reading(asked).needs(view, request, ALL_VALUES)
    return asyncio.run(asked.authorizer.is_allowed(reference(who), needs))


def test_reading_private_values_takes_the_right_to_read_at_the_handle() -> None:
    request = ResolutionRequest(handle=X)
    assert may_read(node(value(1, permissions=PRIVATE), mine=P.READ_VALUE), request, ME)
    assert not may_read(node(value(1, permissions=PRIVATE), mine=lacking(P.READ_VALUE)), request, ME)
    assert not may_read(node(value(1, permissions=PRIVATE)), request, ME), "rights at the prefix are none here"


def test_one_who_was_allowed_gets_all_values_that_were_asked_for() -> None:
    values = [value(2, permissions=PRIVATE), value(1), value(3, permissions=0)]
    asked = node(*values)
    got = reading(asked).answer(asked.store, ResolutionRequest(handle=b"88.100/x"))
    assert got.body == StoredValuesResponse(handle=b"88.100/x", value_list=value_list(values))
    got = reading(asked).answer(asked.store, ResolutionRequest(handle=X, indexes=(3, 2)))
    assert got.body == StoredValuesResponse(handle=X, value_list=value_list([values[0], values[2]]))


def in_session(asked: Operating, request: ResolutionRequest, flags: int) -> object:
    try:
        return reading(asked).before_in_session(asked.store, request, flags, NEWEST)
    except HandleError as error:
        return int(error.code)


def test_in_a_session_all_but_public_values_take_the_right_to_read() -> None:
    asked = node(value(1), value(2, permissions=0))
    request = ResolutionRequest(handle=X, indexes=(1,))
    assert in_session(asked, request, ALL_VALUES) == CHALLENGE
    assert in_session(asked, ResolutionRequest(handle=X), ALL_VALUES) == CHALLENGE
    public = StoredValuesResponse(handle=X, value_list=value_list([value(1)]))
    said = in_session(asked, ResolutionRequest(handle=X), DEFAULT_REQUEST_FLAGS)
    assert said == Said(ResponseCode.SUCCESS, public)
    assert in_session(asked, ResolutionRequest(handle=b"88.100/NONE"), ALL_VALUES) == 100
    assert in_session(asked, ResolutionRequest(handle=X, indexes=(9,)), ALL_VALUES) == 200
    assert in_session(asked, ResolutionRequest(handle=b"77.1/X"), ALL_VALUES) == 301


def test_outside_sessions_the_first_value_that_is_not_public_decides() -> None:
    asked = node(value(1), value(2, permissions=PRIVATE), value(3, permissions=SEALED & 0x04))
    row = reading(asked)
    assert row.before(asked.store, ResolutionRequest(handle=X), ALL_VALUES, NEWEST) == CHALLENGE
    with pytest.raises(HandleError) as refused:
        row.before(asked.store, ResolutionRequest(handle=X, indexes=(3,)), ALL_VALUES, NEWEST)
    assert refused.value.code == 401


def test_the_status_of_the_server_is_for_those_who_are_listed() -> None:
    asked = Operating(seeded({}), servers=(ROOT,))
    request = ResolutionRequest(handle=b"0.site/status")
    assert reading(asked).before(asked.store, request, ALL_VALUES, NEWEST) == CHALLENGE
    assert in_session(asked, request, ALL_VALUES) == CHALLENGE
    assert in_session(asked, request, DEFAULT_REQUEST_FLAGS) == 200
    assert may_read(asked, request, ROOT)
    assert not may_read(asked, request, ME)
