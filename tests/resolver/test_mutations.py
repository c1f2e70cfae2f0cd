"""Create, delete, add, remove and modify: checks in their order, rights, results (behaviours 15-19).

One sentence a test; spec, security: sections 9.1, 9.2 and 9.4.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from protocol.administrator import Permission
from protocol.codes import DO_NOT_REFER, MINT_SUFFIX, OVERWRITE, OpCode
from protocol.limits import HANDLE_SIZE_MAX
from protocol.requests import ValuesRequest
from protocol.responses import CreateResponse, ReferralResponse
from protocol.value import HandleValue, value_list
from protocol.version import Version
from resolver.operations.creating import minted
from resolver.operations.rules import RECORD_SIZE_MAX, RecordLimits
from storage.base import Action, PutRecord, UnhomePrefix
from tests.support.engines import NOW, SITE, seeded, value
from tests.support.finding import admin
from tests.support.operating import ALL, ME, NOBODY, PRIVATE, PUBLIC_WRITE, Operating, P, X, lacking, node

UUID = b"ced697dc-6882-4b22-a49f-d92d41b7b212"


# Create: refusals that strangers hear.


@pytest.mark.parametrize(
    ("handle", "values", "code"),
    [
        (b"", (), 102),
        (b"88.100/" + b"x" * HANDLE_SIZE_MAX, (), 102),
        (b"88.100/\xff", (), 102),
        (b"77.1/Y", (value(0),), 301),
        (b"77.1/\xff", (value(0),), 301),
        (b"88.100/\xff", (value(0),), 102),
        (b"88.100/Y", (value(0), value(0)), 202),
        (b"88.100/Y", (value(-1),), 202),
        (b"88.100/Y", (value(1), value(1)), 201),
        (X, (value(1), value(1)), 201),
        (X, (value(1),), 101),
        (b"88.100/x", (value(1),), 101),
    ],
)
def test_create_tells_strangers_what_is_wrong_before_any_challenge(
    handle: bytes, values: tuple[HandleValue, ...], code: int
) -> None:
    asked = node(value(1))
    assert asked.create(handle, *values) == code
    assert asked.stages == ["before"]


def test_create_says_why() -> None:
    asked = node(value(1))

    def told(handle: bytes, *values: HandleValue) -> str:
        return asked.told(OpCode.CREATE_HANDLE, ValuesRequest(handle=handle, values=values))

    assert told(b"77.1/Y") == "That prefix doesn't live here"
    assert told(b"88.100/\xff") == "Invalid UTF8 encoding"
    assert told(b"88.100/Y", value(0)) == "Value indexes must be positive"
    assert told(b"88.100/Y", value(5), value(5)) == "Index conflict for 5"
    assert told(X, value(1)) == ""


def test_a_server_of_several_refuses_what_hashes_to_another() -> None:
    store = seeded({})
    two = replace(SITE, servers=SITE.servers * 2)
    asked = Operating(store, site=two, servers=(ME,))
    codes = {asked.create(b"88.100/%d" % number, who=ME) for number in range(20)}
    assert codes == {1, 301}


# Create: who may, and what comes of it.


@pytest.mark.parametrize(
    ("handle", "prefix", "right"),
    [
        (b"88.100/new", b"0.NA/88.100", P.ADD_HANDLE),
        (b"0.NA/88.100.1", b"0.NA/88.100", P.ADD_DERIVED_PREFIX),
        (b"0.na/88.100.1.2", b"0.NA/88.100.1", P.ADD_DERIVED_PREFIX),
        (b"88.100.1", b"0.NA/88.100", P.ADD_DERIVED_PREFIX),
        (b"0.NA/99", b"0.NA/0.NA", P.ADD_HANDLE),
    ],
)
def test_creating_takes_a_right_at_the_prefix(handle: bytes, prefix: bytes, right: Permission) -> None:
    homed = (b"0.NA/0.NA", b"0.NA/88.100")
    assert Operating(seeded({prefix: [admin(ME, right)]}, homed=homed)).create(handle, value(1), who=ME) == 1
    without = Operating(seeded({prefix: [admin(ME, lacking(right))]}, homed=homed))
    assert without.create(handle, value(1), who=ME) == 400
    assert without.stages == ["before", "challenge", "needs"]
    elsewhere = {b"0.NA/0.NA": [], b"0.NA/88": [admin(ME)], prefix: []}
    assert Operating(seeded(elsewhere, homed=homed)).create(handle, value(1), who=ME) == 400


def test_the_root_is_derived_from_no_prefix() -> None:
    asked = Operating(seeded({b"0.NA/0": [admin(ME)]}, homed=(b"0.NA/0.NA",)))
    assert asked.create(b"0.NA/0.NA", value(1), who=ME) == 400


def test_an_administrator_of_one_prefix_makes_nothing_under_anothers_derived_prefix() -> None:
    store = seeded(
        {b"0.NA/88.100": [admin(ME)], b"0.NA/88.100.1": [admin("300:0.NA/88.100.1")]},
        homed=(b"0.NA/88.100", b"0.NA/88.100.1"),
    )
    asked = Operating(store)
    assert asked.create(b"88.100.1/Y", value(1), who=ME) == 400
    assert asked.create(b"0.NA/88.100.1.5", value(1), who=ME) == 400


def test_a_new_record_keeps_the_order_of_the_message_the_spelling_and_has_the_time_of_the_server() -> None:
    asked = node()
    assert asked.create(b"88.100/aBc", value(100), value(7), value(1), value(5), who=ME) == 1
    assert asked.indexes(b"88.100/ABC") == [100, 7, 1, 5]
    assert {found.timestamp for found in asked.values(b"88.100/aBc")} == {NOW}
    record = asked.store.get(b"88.100/ABC")
    assert record is not None
    assert record.handle == b"88.100/aBc"
    assert asked.said is not None
    assert asked.said.body == CreateResponse(handle=b"88.100/aBc")
    assert not asked.said.overwrote
    row = asked.store.journal(after=0, limit=100)[-1]
    assert (row.action, row.handle, row.who) == (Action.CREATE, b"88.100/aBc", ME)


def test_a_handle_without_administrator_and_one_without_values_can_be_made() -> None:
    asked = node()
    assert asked.create(b"88.100/A", value(1), who=ME) == 1
    assert asked.create(b"88.100/B", who=ME) == 1
    assert asked.values(b"88.100/B") == ()


def test_a_minted_handle_is_what_was_sent_with_a_suffix_and_is_checked_as_a_whole() -> None:
    asked = node()
    request = minted(ValuesRequest(handle=b"88.100/", values=(value(1),)), UUID)
    assert asked.code(OpCode.CREATE_HANDLE, request, who=ME, flags=MINT_SUFFIX) == 1
    assert asked.said is not None
    assert asked.said.body == CreateResponse(handle=b"88.100/" + UUID)
    assert asked.code(OpCode.CREATE_HANDLE, request, who=ME, flags=MINT_SUFFIX) == 101
    too_long = minted(ValuesRequest(handle=b"88.100/" + b"x" * 2_030, values=()), UUID)
    assert asked.code(OpCode.CREATE_HANDLE, too_long, who=ME) == 102


def test_a_derived_prefix_that_another_keeps_is_referred_but_not_for_old_clients_nor_against_their_wish() -> None:
    delegation = value(1, b"HS_SERV.PREFIX", b"0.GHR/88")
    store = seeded({b"0.NA/88.100": [admin(ME), delegation]})
    request = ValuesRequest(handle=b"0.NA/88.100.1", values=(value(1),))
    for opcode in (OpCode.CREATE_HANDLE, OpCode.MODIFY_VALUE, OpCode.ADD_VALUE):
        asked = Operating(store)
        assert asked.code(opcode, request) == 303
        assert asked.said is not None
        assert asked.said.body == ReferralResponse(values=(delegation,))
    asked = Operating(store)
    assert asked.code(OpCode.MODIFY_VALUE, request, version=Version(2, 9)) == 100
    assert asked.code(OpCode.MODIFY_VALUE, request, flags=DO_NOT_REFER) == 100
    assert asked.code(OpCode.CREATE_HANDLE, request, version=Version(2, 9), who=ME) == 1


# Overwriting.


def test_overwriting_is_told_only_where_something_was_overwritten() -> None:
    asked = node(value(1))
    assert asked.create(b"88.100/Y", value(1), who=ME, flags=OVERWRITE) == 1
    assert asked.said is not None
    assert not asked.said.overwrote
    assert asked.create(b"88.100/Y", value(2), who=ME, flags=OVERWRITE) == 400
    everything = node(value(1), mine=ALL)
    assert everything.create(X, value(2), who=ME, flags=OVERWRITE) == 1
    assert everything.said is not None
    assert everything.said.overwrote
    assert everything.indexes(X) == [2]


def test_values_unchanged_by_an_overwrite_keep_their_time() -> None:
    asked = node(value(1), value(2), mine=P.MODIFY_VALUE)
    new = [replace(found, timestamp=5) for found in asked.values(X)]
    new[1] = replace(new[1], data=b"new")
    assert asked.create(X, *new, who=ME, flags=OVERWRITE) == 1
    assert [found.timestamp for found in asked.values(X)] == [NOW - 60, NOW, NOW - 60]


@pytest.mark.parametrize(
    ("new", "rights"),
    [
        ((value(1),), P.REMOVE_VALUE),
        ((value(1), value(2), value(3)), P.ADD_VALUE),
        ((value(1), value(2, data=b"new")), P.MODIFY_VALUE),
        ((value(1, data=b"new"), value(3)), P.MODIFY_VALUE | P.ADD_VALUE | P.REMOVE_VALUE),
        ((value(2), value(1)), P.MODIFY_VALUE),
    ],
)
def test_the_rights_of_the_difference_suffice_to_overwrite(new: tuple[HandleValue, ...], rights: Permission) -> None:
    standing = (value(1), value(2))
    asked = node(*standing, mine=rights, prefix=P(0))
    assert asked.create(X, *new, admin(ME, rights), who=ME, flags=OVERWRITE) == 1
    assert asked.indexes(X) == [*[found.index for found in new], 100]
    for right in rights:
        asked = node(*standing, mine=rights & ~right, prefix=P(0))
        assert asked.create(X, *new, admin(ME, rights & ~right), who=ME, flags=OVERWRITE) == 400


def test_the_right_to_add_administrators_suffices_for_any_overwrite_and_a_new_one_takes_it() -> None:
    assert node(value(1), mine=P.ADD_ADMIN, prefix=P(0)).create(X, value(9), who=ME, flags=OVERWRITE) == 1
    new = admin("300:1/other", index=101)
    assert node(mine=lacking(P.ADD_ADMIN, P.DELETE_HANDLE)).create(X, new, who=ME, flags=OVERWRITE) == 400


def test_deleting_and_making_anew_are_together_enough_to_overwrite() -> None:
    new = admin("300:1/other", index=101)
    assert node(mine=P.DELETE_HANDLE, prefix=P.ADD_HANDLE).create(X, new, who=ME, flags=OVERWRITE) == 1
    assert node(mine=P.DELETE_HANDLE, prefix=lacking(P.ADD_HANDLE)).create(X, new, who=ME, flags=OVERWRITE) == 400
    assert node(mine=P.ADD_HANDLE, prefix=P.ADD_HANDLE).create(X, new, who=ME, flags=OVERWRITE) == 400


def test_an_overwrite_that_changes_nothing_takes_no_right() -> None:
    asked = node(value(1), value(2, permissions=PUBLIC_WRITE))
    assert asked.create(X, *asked.values(X), flags=OVERWRITE) == 1
    assert asked.create(X, value(1), value(2, data=b"new", permissions=PUBLIC_WRITE), flags=OVERWRITE) == 1


def test_an_overwrite_never_tells_whether_a_guess_of_a_private_value_is_right() -> None:
    secret = value(300, b"HS_SECKEY", b"secret", PRIVATE)
    asked = node(secret)
    for guess in (secret, replace(secret, data=b"guess")):
        assert asked.create(X, guess, flags=OVERWRITE) == 400
        assert asked.stages == ["before", "challenge", "needs"]
        assert asked.add(X, guess, flags=OVERWRITE) == 400
        assert asked.stages == ["before", "challenge", "needs"]
    reader = node(secret, mine=P.READ_VALUE)
    assert reader.create(X, *reader.values(X), who=ME, flags=OVERWRITE) == 1
    assert reader.add(X, secret, who=ME, flags=OVERWRITE) == 1


# What came between.


ACTS: dict[str, Callable[[Operating], int]] = {
    "create": lambda asked: asked.create(X, value(9), who=ME, flags=OVERWRITE),
    "add": lambda asked: asked.add(X, value(9), who=ME),
    "modify": lambda asked: asked.modify(X, value(1, data=b"new"), who=ME),
    "remove": lambda asked: asked.remove(X, 1, who=ME),
    "delete": lambda asked: asked.delete(X, who=ME),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_what_was_allowed_is_what_is_changed_or_else_nothing_is(act: Callable[[Operating], int]) -> None:
    asked = node(value(1), mine=ALL)
    asked.between = lambda: asked.applied(PutRecord(X, value_list([value(1), value(2)])))
    assert act(asked) == 3
    assert asked.indexes(X) == [1, 2]


def test_a_handle_that_is_made_meanwhile_is_not_overwritten() -> None:
    asked = node(value(1))
    asked.between = lambda: asked.applied(PutRecord(b"88.100/Y", b"\0\0\0\0"))
    assert asked.create(b"88.100/Y", value(1), who=ME) == 3
    assert asked.values(b"88.100/Y") == ()


# Limits.


def test_a_record_has_at_most_so_many_values_of_at_most_so_many_octets() -> None:
    store = seeded({b"0.NA/88.100": [admin(ME)], X: [value(1), admin(ME)]})
    asked = Operating(store, limits=RecordLimits(values_max=3, value_size_max=20))
    large = replace(value(2), data=b"x" * 21)
    assert asked.create(b"88.100/A", *map(value, (1, 2, 3)), who=ME) == 1
    assert asked.create(b"88.100/B", *map(value, (1, 2, 3, 4)), who=ME) == 202
    assert asked.create(b"88.100/B", large, who=ME) == 202
    assert asked.add(X, value(2), value(3), who=ME) == 202
    assert asked.add(X, large, who=ME) == 202
    assert asked.modify(X, replace(large, index=1), who=ME) == 202
    assert asked.create(b"88.100/B", large) == 400, "only those who may write hear of it"
    assert asked.add(X, replace(large, data=b"x" * 20), who=ME) == 1


def test_a_record_fits_into_one_message() -> None:
    asked = node()
    half = RECORD_SIZE_MAX // 2
    assert asked.create(b"88.100/A", *[replace(value(n), data=b"x" * (half - 100)) for n in (1, 2)], who=ME) == 1
    request = ValuesRequest(handle=b"88.100/B", values=tuple(replace(value(n), data=b"x" * half) for n in (1, 2)))
    assert "fit into one message" in asked.told(OpCode.CREATE_HANDLE, request, who=ME)


def test_a_record_above_the_limits_can_be_made_smaller_but_not_larger() -> None:
    store = seeded({b"0.NA/88.100": [], X: [*map(value, range(1, 9)), admin(ME)]})
    asked = Operating(store, limits=RecordLimits(values_max=3))
    assert asked.add(X, value(9), who=ME) == 202
    assert asked.modify(X, value(1, data=b"new"), who=ME) == 1
    assert asked.remove(X, 2, 3, who=ME) == 1


def test_a_prefix_that_is_homed_no_longer_takes_no_writes() -> None:
    asked = node(value(1), mine=ALL)
    asked.applied(UnhomePrefix(b"0.NA/88.100"))
    assert asked.create(b"88.100/Y", value(1), who=ME) == 301
    assert asked.add(X, value(2), who=ME) == 301
    assert asked.modify(X, value(1), who=ME) == 301
    assert asked.remove(X, 1, who=ME) == 301
    assert asked.delete(b"88.100/Y", who=ME) == 301
    assert asked.delete(X, who=NOBODY) == 400
    assert asked.delete(X, who=ME) == 1, "a stray record can be deleted by its administrator"
