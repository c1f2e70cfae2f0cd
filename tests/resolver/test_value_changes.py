"""Delete, add, remove and modify: checks in their order, rights, results (behaviours 8, 15, 16, 18 and 19)."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from protocol.administrator import Permission
from protocol.codes import OVERWRITE, OpCode
from protocol.limits import HANDLE_SIZE_MAX
from protocol.requests import ValuesRequest
from protocol.value import HandleValue
from storage.base import Action
from tests.support.engines import NOW, value
from tests.support.finding import admin
from tests.support.operating import ALL, ME, PRIVATE, PUBLIC_WRITE, SEALED, Operating, P, X, lacking, node

MISSING = b"88.100/MISSING"
CHALLENGED = ["before", "challenge"]


STANDING: dict[str, Callable[[Operating, bytes], int]] = {
    "delete": lambda asked, handle: asked.delete(handle),
    "add": lambda asked, handle: asked.add(handle, value(1)),
    "remove": lambda asked, handle: asked.remove(handle, 1),
    "modify": lambda asked, handle: asked.modify(handle, value(1)),
}


@pytest.mark.parametrize("operation", STANDING)
@pytest.mark.parametrize("handle", [b"88.100/\xff", b"0.NA/88.100.\xff"])
def test_a_name_that_is_not_utf8_is_that_of_a_handle_which_is_missing(operation: str, handle: bytes) -> None:
    asked = node(value(1))
    assert STANDING[operation](asked, handle) == 100
    assert asked.stages == (["before"] if operation == "modify" else CHALLENGED)
    assert STANDING[operation](asked, b"77.1/\xff") == 301
    assert asked.stages == ["before"]


def test_a_name_that_cannot_be_looked_for_is_refused_before_all() -> None:
    asked = node(value(1))
    for handle in (b"", b"77.1/" + b"x" * HANDLE_SIZE_MAX):
        assert (asked.delete(handle), asked.modify(handle, value(1)), asked.stages) == (102, 102, ["before"])


# Delete.


def test_delete_challenges_before_it_tells_that_nothing_is_there() -> None:
    asked = node(value(1))
    assert asked.delete(MISSING) == 100
    assert asked.stages == CHALLENGED
    assert asked.delete(b"77.1/X") == 301
    assert asked.stages == ["before"]


def test_delete_takes_the_right_to_delete_the_handle_even_of_a_derived_prefix() -> None:
    asked = node(value(1, permissions=SEALED), mine=P.DELETE_HANDLE)
    assert asked.delete(X, who=ME) == 1
    assert asked.store.get(X) is None
    row = asked.store.journal(after=0, limit=100)[-1]
    assert (row.action, row.handle, row.who) == (Action.DELETE, X, ME)
    assert node(value(1), mine=lacking(P.DELETE_HANDLE)).delete(X, who=ME) == 400
    derived = node()
    derived.create(b"0.NA/88.100.1", admin(ME, P.DELETE_DERIVED_PREFIX), who=ME)
    assert derived.delete(b"0.NA/88.100.1", who=ME) == 400


# Add.


@pytest.mark.parametrize(
    ("handle", "values", "code", "stages"),
    [
        (b"77.1/X", (), 301, ["before"]),
        (X, (), 202, ["before"]),
        (X, (value(0),), 202, ["before"]),
        (X, (value(5), value(5)), 201, ["before"]),
        (MISSING, (value(1),), 100, CHALLENGED),
        (X, (value(1),), 201, CHALLENGED),
    ],
)
def test_add_tells_what_is_wrong_in_this_order(
    handle: bytes, values: tuple[HandleValue, ...], code: int, stages: list[str]
) -> None:
    asked = node(value(1))
    assert asked.add(handle, *values) == code
    assert asked.stages == stages


def test_add_says_why() -> None:
    asked = node(value(5))
    request = ValuesRequest(handle=X, values=(value(5),))
    assert asked.told(OpCode.ADD_VALUE, request) == "Index conflict for 5"
    assert asked.told(OpCode.ADD_VALUE, replace(request, values=())) == "Value list was empty"


def test_add_takes_the_right_to_add_values_or_administrators() -> None:
    other = admin("300:1/other", index=101)
    assert node(mine=P.ADD_VALUE).add(X, value(2), who=ME) == 1
    assert node(mine=lacking(P.ADD_VALUE)).add(X, value(2), who=ME) == 400
    assert node(mine=P.ADD_ADMIN).add(X, other, who=ME) == 1
    assert node(mine=lacking(P.ADD_ADMIN)).add(X, other, who=ME) == 400
    assert node(mine=lacking(P.ADD_ADMIN)).add(X, replace(other, type=b"hs_admin.x"), who=ME) == 400
    assert node(mine=P.ADD_ADMIN).add(X, other, value(2), who=ME) == 400
    assert node(mine=P.ADD_ADMIN | P.ADD_VALUE).add(X, other, value(2), who=ME) == 1


def test_one_add_sorts_the_whole_record_by_index_and_leaves_the_times_of_the_others() -> None:
    asked = node(value(7), value(1), value(5), mine=P.ADD_VALUE)
    assert asked.add(X, value(6), value(3), who=ME) == 1
    assert asked.indexes(X) == [1, 3, 5, 6, 7, 100]
    assert [found.index for found in asked.values(X) if found.timestamp == NOW] == [3, 6]
    assert {found.timestamp for found in asked.values(X)} == {NOW, NOW - 60}


def test_add_over_what_stands_takes_the_right_to_modify_too() -> None:
    new = (value(1, data=b"new"), value(2))
    assert node(value(1), mine=P.ADD_VALUE | P.MODIFY_VALUE).add(X, *new, who=ME, flags=OVERWRITE) == 1
    assert node(value(1), mine=lacking(P.MODIFY_VALUE)).add(X, *new, who=ME, flags=OVERWRITE) == 400
    assert node(value(1), mine=lacking(P.ADD_VALUE)).add(X, *new, who=ME, flags=OVERWRITE) == 400
    asked = node(value(1), mine=P.ADD_VALUE)
    assert asked.add(X, value(1), value(2), who=ME, flags=OVERWRITE) == 1
    assert [found.timestamp for found in asked.values(X)] == [NOW - 60, NOW, NOW - 60]


# Remove.


def test_remove_challenges_before_it_tells_what_is_missing() -> None:
    asked = node(value(1))
    assert asked.remove(b"77.1/X", 1) == 301
    assert asked.stages == ["before"]
    assert asked.remove(MISSING, 1) == 100
    assert asked.stages == CHALLENGED
    assert asked.remove(X, 1, 99) == 200
    assert asked.stages == CHALLENGED


def test_remove_takes_the_rights_of_each_kind_that_is_named() -> None:
    assert node(value(1), mine=P.REMOVE_VALUE).remove(X, 1, who=ME) == 1
    assert node(value(1), mine=lacking(P.REMOVE_VALUE)).remove(X, 1, who=ME) == 400
    assert node(value(1), mine=lacking(P.REMOVE_ADMIN)).remove(X, 100, who=ME) == 400
    assert node(value(1), mine=lacking(P.REMOVE_ADMIN)).remove(X, 1, 100, who=ME) == 400
    assert node(value(1), mine=P.REMOVE_ADMIN | P.REMOVE_VALUE).remove(X, 1, 100, who=ME) == 1
    assert node(value(1), mine=P.READ_VALUE).remove(X, who=ME) == 400, "naming nothing is no way around"


def test_remove_keeps_the_order_and_the_times_and_takes_sealed_values() -> None:
    asked = node(value(7), value(3, permissions=SEALED), value(1), mine=P.REMOVE_VALUE)
    assert asked.remove(X, 3, 3, who=ME) == 1
    assert asked.indexes(X) == [7, 1, 100]
    assert {found.timestamp for found in asked.values(X)} == {NOW - 60}


def test_the_last_administrator_may_be_removed() -> None:
    asked = node(value(1), mine=P.REMOVE_ADMIN)
    assert asked.remove(X, 100, who=ME) == 1
    assert asked.indexes(X) == [1]


# Modify.


@pytest.mark.parametrize(
    ("handle", "values", "code"),
    [
        (b"77.1/X", (value(1),), 301),
        (MISSING, (value(1),), 100),
        (X, (value(1), value(99)), 200),
        (X, (value(2),), 401),
        (X, (value(2), value(99)), 200),
    ],
)
def test_modify_tells_strangers_what_is_wrong_before_any_challenge(
    handle: bytes, values: tuple[HandleValue, ...], code: int
) -> None:
    asked = node(value(1), value(2, permissions=SEALED))
    assert asked.modify(handle, *values) == code
    assert asked.stages == ["before"]


def test_a_sealed_value_is_read_only() -> None:
    asked = node(value(1, permissions=SEALED))
    assert asked.told(OpCode.MODIFY_VALUE, ValuesRequest(handle=X, values=(value(1),))) == "Value is read-only"


PLAIN, OTHER, RIGHTS = value(1), value(1, data=b"new"), admin("300:1/other", index=1)


@pytest.mark.parametrize(
    ("old", "new", "rights"),
    [
        (PLAIN, OTHER, P.MODIFY_VALUE),
        (RIGHTS, admin("300:1/another", index=1), P.MODIFY_ADMIN),
        (RIGHTS, OTHER, P.REMOVE_ADMIN | P.MODIFY_VALUE),
        (PLAIN, RIGHTS, P.ADD_ADMIN | P.MODIFY_VALUE),
        (replace(PLAIN, permissions=PUBLIC_WRITE), RIGHTS, P.ADD_ADMIN | P.MODIFY_VALUE),
        (replace(RIGHTS, permissions=PUBLIC_WRITE), OTHER, P.REMOVE_ADMIN | P.MODIFY_VALUE),
        (replace(RIGHTS, permissions=PUBLIC_WRITE), RIGHTS, P.MODIFY_ADMIN),
    ],
)
def test_modify_takes_the_rights_of_old_and_new(old: HandleValue, new: HandleValue, rights: Permission) -> None:
    assert node(old, mine=rights).modify(X, new, who=ME) == 1
    for right in rights:
        asked = node(old, mine=lacking(right))
        assert asked.modify(X, new, who=ME) == 400
        assert asked.stages == ["before", "challenge", "needs"]


def test_values_that_everybody_may_write_are_modified_without_a_challenge() -> None:
    asked = node(value(1, permissions=PUBLIC_WRITE), value(2))
    assert asked.modify(X, value(1, data=b"new")) == 1
    assert asked.stages == ["before", "needs", "allowed"]
    assert asked.values(X)[0].data == b"new"
    assert asked.modify(X, value(1, data=b"newer", permissions=PUBLIC_WRITE), value(2, data=b"new")) == 400


def test_modify_keeps_the_order_and_the_times_of_the_others() -> None:
    asked = node(value(7), value(1), value(5), mine=P.MODIFY_VALUE)
    assert asked.modify(X, value(5, data=b"b", permissions=PRIVATE), value(7, data=b"a"), who=ME) == 1
    assert [(found.index, found.data, found.timestamp) for found in asked.values(X)][:3] == [
        (7, b"a", NOW),
        (1, b"https://example.org/", NOW - 60),
        (5, b"b", NOW),
    ]
    assert asked.values(X)[2].permissions == PRIVATE


def test_modify_stamps_an_equal_value_anew_and_the_journal_tells_it() -> None:
    asked = node(value(1), value(2), mine=P.MODIFY_VALUE)
    before = asked.store.last_number()
    assert asked.modify(X, value(1), who=ME) == 1
    assert [found.timestamp for found in asked.values(X)] == [NOW, NOW - 60, NOW - 60]
    (row,) = asked.store.journal(after=before, limit=9)
    assert (row.action, row.handle, row.who) == (Action.UPDATE, X, ME)


def test_add_over_equal_values_changes_nothing_and_has_no_row() -> None:
    asked = node(value(1), value(2), mine=ALL)
    before = asked.store.last_number()
    assert asked.add(X, value(1), who=ME, flags=OVERWRITE) == 1
    assert {found.timestamp for found in asked.values(X)} == {NOW - 60}
    assert asked.store.last_number() == before


def test_an_index_that_comes_twice_is_refused_to_the_allowed_alone() -> None:
    new = (value(1, data=b"a"), value(1, data=b"b"))
    assert node(value(1), mine=P.MODIFY_VALUE).modify(X, *new, who=ME) == 202
    assert node(value(1), mine=lacking(P.MODIFY_VALUE)).modify(X, *new, who=ME) == 400


def test_the_clock_of_a_later_century_writes_the_greatest_time_that_the_field_has() -> None:
    asked = node(mine=P.ADD_VALUE)
    row = asked.rules[OpCode.ADD_VALUE]
    request = ValuesRequest(handle=X, values=(value(1),))
    asked.applied(row.change(request, 0, 1 << 40, asked.store.get(X), ME))  # type: ignore[attr-defined]
    assert asked.values(X)[0].timestamp == 0x7FFFFFFF
