"""Who may do what (behaviours 16, 22 and 23; spec, security: section 9.3), one sentence a test."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from protocol.administrator import Permission
from protocol.value import HandleValue, Reference
from resolver.authorization import (
    DEPTH_MAX,
    LOOKUPS_MAX,
    MEMBERS_MAX,
    PROOFS_MAX,
    Alternatives,
    Authorizer,
    Group,
    Listed,
    Need,
    Proves,
)
from tests.support.engines import value
from tests.support.finding import KnownFinder, admin, group, reference

PREFIX = b"0.NA/88.100"
DELETE = Permission.DELETE_HANDLE
MAY_DELETE: Alternatives = ((Need(PREFIX, DELETE),),)
Records = Mapping[bytes, Sequence[HandleValue]]


def allowed(
    who: str | Reference,
    records: Records,
    needs: Alternatives = MAY_DELETE,
    *,
    servers: tuple[str, ...] = (),
    full_access: bool = True,
    in_session: bool = False,
    proves: Proves | None = None,
    finder: KnownFinder | None = None,
) -> bool:
    authorizer = Authorizer(
        server_admins=[reference(text) for text in servers],
        full_access=full_access,
        finder=finder or KnownFinder(records),
    )
    identity = reference(who) if isinstance(who, str) else who
    return asyncio.run(authorizer.is_allowed(identity, needs, in_session=in_session, proves=proves))


def test_each_permission_is_a_bit_of_its_own() -> None:
    for given in Permission:
        for needed in Permission:
            records = {PREFIX: [admin("300:0.NA/88.100", given)]}
            assert allowed("300:0.NA/88.100", records, ((Need(PREFIX, needed),),)) == (given == needed)


def test_one_single_value_must_have_all_permissions() -> None:
    both = ((Need(PREFIX, Permission.ADD_VALUE | Permission.ADD_ADMIN),),)
    apart = [admin("300:1/a", Permission.ADD_VALUE), admin("300:1/a", Permission.ADD_ADMIN, index=101)]
    assert not allowed("300:1/a", {PREFIX: apart}, both)
    assert allowed("300:1/a", {PREFIX: [admin("300:1/a", Permission.ADD_VALUE | Permission.ADD_ADMIN)]}, both)


def test_nobody_is_allowed_by_a_handle_that_does_not_exist() -> None:
    assert not allowed("300:1/a", {})


@pytest.mark.parametrize(
    ("listed", "who", "is_met"),
    [
        ("300:0.NA/88.100", "300:0.na/88.100", True),
        ("300:ab.c/Key", "300:AB.C/Key", True),
        ("300:ab.c/Key", "300:ab.c/KEY", False),
        ("300:0.NA/abc", "300:0.NA/ABC", False),
        ("300:0.NA/88.100", "301:0.NA/88.100", False),
        ("0:0.NA/88.100", "301:0.NA/88.100", True),
        ("0:0.NA/88.100", "0:0.NA/88.100", True),
        ("300:0.NA/88.100", "0:0.NA/88.100", False),
        ("0:0.NA/88.100", "301:0.NA/88.101", False),
    ],
)
def test_references_compare_with_the_prefix_folded_and_index_0_for_any(listed: str, who: str, is_met: bool) -> None:
    assert allowed(who, {PREFIX: [admin(listed)]}) == is_met


def test_the_nameless_identity_is_nobody_even_where_a_record_names_nobody() -> None:
    assert not allowed(Reference(-1, b""), {PREFIX: [admin("0:")]})


def test_values_that_cannot_be_read_count_as_none() -> None:
    broken = value(100, b"HS_ADMIN", b"\x0f")
    assert not allowed("300:1/a", {PREFIX: [broken]})
    assert allowed("300:1/a", {PREFIX: [broken, admin("300:1/a", index=101)]})
    of_group = [admin("200:1/g")]
    assert not allowed("300:1/a", {PREFIX: of_group, b"1/g": [value(200, b"HS_VLIST", b"\0\0\0\x09")]})


def test_members_of_a_group_have_its_permissions_also_through_nested_groups() -> None:
    records = {
        PREFIX: [admin("200:1/g", DELETE)],
        b"1/g": [group("300:1/x", "201:1/h")],
        b"1/h": [group("300:1/other", index=200), group("300:1/deep", index=201)],
    }
    assert allowed("300:1/x", records)
    assert allowed("300:1/deep", records)
    assert not allowed("300:1/other", records), "another group of that handle"
    assert not allowed("300:1/deep", records, ((Need(PREFIX, Permission.ADD_VALUE),),))


def test_index_0_leads_to_no_group() -> None:
    finder = KnownFinder({PREFIX: [admin("0:1/g")], b"1/g": [group("300:1/x"), group("300:1/x", index=0)]})
    assert not allowed("300:1/x", {}, finder=finder)
    assert finder.asked == [PREFIX]


def test_groups_in_a_circle_end_and_each_handle_is_looked_up_once() -> None:
    finder = KnownFinder(
        {
            PREFIX: [admin("200:1/g"), admin("201:1/g", index=101)],
            b"1/g": [group("200:1/h", "200:1/g"), group("200:1/h", index=201)],
            b"1/h": [group("200:1/g", "201:1/g")],
        }
    )
    assert not allowed("300:1/x", {}, finder=finder)
    assert sorted(finder.asked) == [PREFIX, b"1/g", b"1/h"]


def test_nesting_is_followed_to_its_limit_and_not_beyond() -> None:
    records: dict[bytes, list[HandleValue]] = {PREFIX: [admin("200:1/g1")]}
    for depth in range(1, DEPTH_MAX + 3):
        records[b"1/g%d" % depth] = [group(f"200:1/g{depth + 1}", f"300:1/x{depth}")]
    assert allowed(f"300:1/x{DEPTH_MAX}", records)
    assert not allowed(f"300:1/x{DEPTH_MAX + 1}", records)


def test_look_ups_of_one_decision_are_bounded() -> None:
    crowd = [f"300:1/m{number}" for number in range(LOOKUPS_MAX + 50)]
    finder = KnownFinder({PREFIX: [admin("200:1/g")], b"1/g": [group(*crowd)]})
    assert not allowed("300:1/x", {}, finder=finder)
    assert len(finder.asked) == LOOKUPS_MAX + 1, "and the record itself"
    assert allowed(crowd[-1], {}, finder=finder), "a member is met without being looked up"


def test_members_of_one_decision_are_bounded() -> None:
    crowd = ["1:1/m"] * MEMBERS_MAX
    records = {PREFIX: [admin("200:1/g"), admin("200:1/h", index=101)], b"1/h": [group("300:1/x")]}
    assert allowed("300:1/x", {**records, b"1/g": [group(*crowd[1:])]})
    assert not allowed("300:1/x", {**records, b"1/g": [group(*crowd)]})


def test_server_admins_may_do_everything_where_that_is_configured() -> None:
    assert allowed("300:1/root", {}, servers=("300:1/root",))
    assert not allowed("300:1/root", {}, servers=("300:1/root",), full_access=False)
    assert not allowed("300:1/other", {}, servers=("300:1/root",))


def test_server_admins_may_be_a_group() -> None:
    records = {b"1/g": [group("300:1/root")]}
    assert allowed("300:1/root", records, servers=("200:1/g",))
    assert allowed("300:1/root", records, ((Listed("home"),),), servers=("200:1/g",), full_access=False)


def test_the_last_administrator_gone_the_server_admins_can_still_mend() -> None:
    assert allowed("300:1/root", {PREFIX: []}, ((Need(PREFIX, Permission.ADD_ADMIN, ()),),), servers=("300:1/root",))


@pytest.mark.parametrize("asked", ["home", "replication", "backup", "status"])
def test_each_list_lets_in_its_own_and_the_server_admins(asked: Group) -> None:
    authorizer = Authorizer(
        server_admins=[reference("1:1/server")],
        full_access=False,
        home_only_admins=[reference("1:1/home")],
        replication_admins=[reference("1:1/replication")],
        backup_admins=[reference("1:1/backup")],
        status_admins=[reference("1:1/status")],
        finder=KnownFinder({}),
    )
    groups = ("server", "home", "replication", "backup", "status")
    let_in = {who for who in groups if asyncio.run(authorizer.is_allowed(reference(f"1:1/{who}"), ((Listed(asked),),)))}
    assert let_in == {"server", asked}


def test_any_alternative_suffices_and_all_of_its_needs_must_be_met() -> None:
    records = {PREFIX: [admin("300:1/a", DELETE)], b"1/x": [admin("300:1/a", Permission.ADD_HANDLE)]}
    met, unmet = Need(PREFIX, DELETE), Need(b"1/x", Permission.ADD_ADMIN)
    assert not allowed("300:1/a", records, ((met, unmet),))
    assert not allowed("300:1/a", records, ((unmet,), (unmet, met)))
    assert allowed("300:1/a", records, ((unmet,), (met,)))
    assert allowed("300:1/a", records, ((met, Need(b"1/x", Permission.ADD_HANDLE)),))
    assert allowed("300:1/nobody", records, ())


def test_values_that_were_looked_at_are_decided_on_and_not_looked_up_again() -> None:
    finder = KnownFinder({PREFIX: [admin("300:1/a")]})
    assert not allowed("300:1/a", {}, ((Need(PREFIX, DELETE, (value(1),)),),), finder=finder)
    assert finder.asked == []


def test_index_0_works_in_a_session_with_a_key_that_is_listed_and_not_outside() -> None:
    records = {PREFIX: [admin("200:1/g")], b"1/g": [group("300:1/a", "301:1/a", "302:1/b")]}
    tried: list[int] = []

    async def holds_301(index: int) -> bool:
        tried.append(index)
        return index == 301

    assert allowed("0:1/a", records, in_session=True, proves=holds_301)
    assert tried == [300, 301], "keys of that handle alone"
    assert not allowed("0:1/a", records, in_session=False, proves=holds_301)
    assert not allowed("0:1/a", records, in_session=True)
    assert not allowed("0:1/c", records, in_session=True, proves=holds_301)
    assert not allowed("303:1/a", records, in_session=True, proves=holds_301)


def test_index_0_is_tried_with_a_bounded_number_of_keys() -> None:
    records = {PREFIX: [admin("200:1/g")], b"1/g": [group(*[f"{index}:1/a" for index in range(1, 100)])]}
    tried: list[int] = []

    async def holds_none(index: int) -> bool:
        tried.append(index)
        return False

    assert not allowed("0:1/a", records, in_session=True, proves=holds_none)
    assert len(tried) == PROOFS_MAX
