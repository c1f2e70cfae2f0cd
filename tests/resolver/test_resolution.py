"""Resolution as the deployed software does it (behaviours 8-14), one sentence a test."""

import pytest

from protocol.codes import DEFAULT_REQUEST_FLAGS, DO_NOT_REFER, PUBLIC_ONLY
from protocol.responses import ErrorResponse, ReferralResponse, ResolutionResponse
from protocol.value import HandleValue
from protocol.version import Version
from tests.support.engines import SITE, Answering, seeded, value

ALL = DEFAULT_REQUEST_FLAGS & ~PUBLIC_ONLY
PRIVATE = 0x0C
SEALED = 0x00


def node(*values: HandleValue, handle: bytes = b"88.100/X") -> Answering:
    return Answering(seeded({handle: values}))


def indexes_of(answer: tuple[int, object]) -> list[int]:
    code, body = answer
    assert code == 1, (code, body)
    assert isinstance(body, ResolutionResponse)
    return [found.index for found in body.values]


def test_values_come_in_stored_order_whatever_order_was_asked_for() -> None:
    asked = node(value(100), value(7), value(1, b"EMAIL"), value(5))
    assert indexes_of(asked.resolved(b"88.100/X")) == [100, 7, 1, 5]
    assert indexes_of(asked.resolved(b"88.100/X", indexes=(5, 1, 100))) == [100, 1, 5]


def test_types_and_indexes_are_a_union() -> None:
    asked = node(value(1), value(2, b"EMAIL"), value(3, b"DESC"))
    assert indexes_of(asked.resolved(b"88.100/X", indexes=(3,), types=(b"email",))) == [2, 3]


def test_a_type_with_a_dot_at_its_end_takes_subtypes() -> None:
    asked = node(value(1), value(2, b"URL.mobile"), value(3, b"URLS"))
    assert indexes_of(asked.resolved(b"88.100/X", types=(b"url.",))) == [1, 2]


@pytest.mark.parametrize("spelling", [b"88.100/AbC", b"88.100/abc", b"88.100/ABC"])
def test_the_answer_repeats_the_handle_as_the_client_spelled_it(spelling: bytes) -> None:
    _, body = node(value(1), handle=b"88.100/aBc").resolved(spelling)
    assert isinstance(body, ResolutionResponse)
    assert body.handle == spelling


def test_only_ascii_letters_are_folded() -> None:
    asked = node(value(1), handle="88.100/é".encode())
    assert asked.resolved("88.100/é".encode())[0] == 1
    assert asked.resolved("88.100/É".encode())[0] == 100


def test_a_case_sensitive_node_folds_the_prefix_alone() -> None:
    store = seeded({b"ab.c/Xy": [value(1)]}, homed=(b"0.NA/AB.C",), case_sensitive=True)
    asked = Answering(store, case_sensitive=True)
    assert asked.resolved(b"AB.c/Xy")[0] == 1
    assert asked.resolved(b"ab.c/XY")[0] == 100


def test_a_handle_without_a_slash_is_its_prefix_handle() -> None:
    asked = node(value(1), handle=b"0.NA/88.100")
    code, body = asked.resolved(b"88.100")
    assert code == 1
    assert isinstance(body, ResolutionResponse)
    assert body.handle == b"88.100"


def test_a_missing_handle_is_100_and_missing_values_are_200() -> None:
    assert node(value(1)).resolved(b"88.100/NONE")[0] == 100
    assert node(value(1)).resolved(b"88.100/X", types=(b"NOSUCH",))[0] == 200
    assert node().resolved(b"88.100/X")[0] == 200


def test_a_prefix_that_is_not_homed_is_301() -> None:
    code, body = node(value(1)).resolved(b"77.7/X")
    assert (code, body) == (301, ErrorResponse(message=b"That prefix doesn't live here"))


def test_a_record_whose_prefix_is_no_longer_homed_is_301() -> None:
    assert Answering(seeded({b"88.100/X": [value(1)]}, homed=())).resolved(b"88.100/X")[0] == 301


def test_public_only_leaves_private_values_out_silently() -> None:
    asked = node(value(1), value(2, permissions=PRIVATE), value(3))
    assert indexes_of(asked.resolved(b"88.100/X")) == [1, 3]
    assert asked.resolved(b"88.100/X", indexes=(2,))[0] == 200


def test_without_public_only_a_private_value_among_the_matches_is_challenged() -> None:
    asked = node(value(1), value(2, permissions=PRIVATE))
    assert asked.resolved(b"88.100/X", flags=ALL)[0] == 402
    assert indexes_of(asked.resolved(b"88.100/X", indexes=(1,), flags=ALL)) == [1]


def test_without_public_only_a_value_that_nobody_may_read_refuses_the_whole() -> None:
    assert node(value(1), value(2, permissions=SEALED)).resolved(b"88.100/X", flags=ALL)[0] == 401


def test_the_first_value_that_is_not_public_decides() -> None:
    asked = node(value(1, permissions=PRIVATE), value(2, permissions=SEALED))
    assert asked.resolved(b"88.100/X", flags=ALL)[0] == 402
    asked = node(value(1, permissions=SEALED), value(2, permissions=PRIVATE))
    assert asked.resolved(b"88.100/X", flags=ALL)[0] == 401


def test_public_values_need_no_public_only() -> None:
    assert indexes_of(node(value(1), value(2)).resolved(b"88.100/X", flags=ALL)) == [1, 2]


@pytest.mark.parametrize(
    ("handle", "code"),
    [(b"", 102), (b"88.100/" + b"X" * 2042, 102), (b"88.100/\xff", 102), (b"88.100/\xc3", 102), (b"\xff", 102)],
)
def test_a_handle_that_is_none_is_102(handle: bytes, code: int) -> None:
    assert node(value(1)).resolved(handle)[0] == code


def test_a_handle_of_2048_octets_works() -> None:
    handle = b"88.100/" + b"X" * 2041
    assert indexes_of(node(value(1), handle=handle).resolved(handle)) == [1]
    assert node(value(1), handle=handle).resolved(handle[:-1])[0] == 100


def test_a_type_that_is_not_utf8_matches_nothing() -> None:
    assert node(value(1)).resolved(b"88.100/X", types=(b"\xff\xfe",))[0] == 200


def test_prefix_handles_of_homed_prefixes_and_those_derived_are_served() -> None:
    asked = Answering(seeded({b"0.NA/88.100": [value(1)], b"0.NA/88.100.7": [value(2)]}))
    assert indexes_of(asked.resolved(b"0.na/88.100")) == [1]
    assert indexes_of(asked.resolved(b"0.NA/88.100.7")) == [2]
    assert asked.resolved(b"0.NA/88.100.8.9")[0] == 100
    assert asked.resolved(b"0.NA/88")[0] == 301
    assert asked.resolved(b"0.NA/88.1001")[0] == 301
    assert asked.resolved(b"0.NA/0.NA")[0] == 301


def test_a_homed_marker_brings_the_derived_prefix_handles_alone() -> None:
    asked = Answering(seeded({b"0.NA/88.1": [value(1)]}, homed=(b"0.NA/0.NA/88",)))
    assert indexes_of(asked.resolved(b"0.NA/88.1")) == [1]
    assert asked.resolved(b"0.NA/88")[0] == 301
    assert asked.resolved(b"88.1/x")[0] == 301


DELEGATED = {b"0.NA/88.100": [value(1, b"HS_SITE.PREFIX", b"site"), value(2, b"HS_ADMIN")]}


@pytest.mark.parametrize("kind", [b"HS_SITE.PREFIX", b"HS_NA_DELEGATE", b"HS_SERV.PREFIX"])
def test_a_delegated_derived_prefix_is_referred_with_just_those_values(kind: bytes) -> None:
    asked = Answering(seeded({b"0.NA/88.100": [value(2, b"HS_ADMIN"), value(1, kind, b"there")]}))
    code, body = asked.resolved(b"0.NA/88.100.7.8")
    assert code == 303
    assert isinstance(body, ReferralResponse)
    assert body.handle == b""
    assert [(found.index, found.type) for found in body.values or ()] == [(1, kind)]


def test_the_nearest_ancestor_that_delegates_is_the_one() -> None:
    records = DELEGATED | {b"0.NA/88.100.7": [value(3, b"HS_SERV.PREFIX", b"0.SERV/near")]}
    _, body = Answering(seeded(records)).resolved(b"0.NA/88.100.7.1")
    assert isinstance(body, ReferralResponse)
    assert [found.index for found in body.values or ()] == [3]


def test_a_derived_prefix_that_stands_here_is_answered_here() -> None:
    asked = Answering(seeded(DELEGATED | {b"0.NA/88.100.7": [value(9)]}))
    assert indexes_of(asked.resolved(b"0.NA/88.100.7")) == [9]


def test_who_does_not_want_to_be_referred_is_not() -> None:
    asked = Answering(seeded(DELEGATED))
    assert asked.resolved(b"0.NA/88.100.7", flags=DEFAULT_REQUEST_FLAGS | DO_NOT_REFER)[0] == 100


def test_private_or_misspelled_delegations_refer_nobody() -> None:
    for kept in (value(1, b"HS_SITE.PREFIX", permissions=PRIVATE), value(1, b"hs_site.prefix")):
        assert Answering(seeded({b"0.NA/88.100": [kept]})).resolved(b"0.NA/88.100.7")[0] == 100


def test_a_peer_too_old_to_be_referred_hears_301() -> None:
    asked = Answering(seeded(DELEGATED))
    assert asked.resolved(b"0.NA/88.100.7", version=Version(2, 4))[0] == 301
    assert asked.resolved(b"0.NA/88.100.7", version=Version(2, 5))[0] == 303


def test_handles_under_a_delegated_prefix_are_not_referred() -> None:
    assert Answering(seeded(DELEGATED)).resolved(b"88.100.7/x")[0] == 301


def test_the_status_handle_shows_nothing_in_public_and_is_challenged_otherwise() -> None:
    assert node(value(1)).resolved(b"0.SITE/status")[0] == 200
    assert node(value(1)).resolved(b"0.site/STATUS", flags=ALL)[0] == 402


def test_a_server_of_several_refuses_the_handles_of_the_others() -> None:
    from dataclasses import replace

    site = replace(SITE, servers=SITE.servers * 3)
    handles = [b"88.100/%d" % number for number in range(40)]
    store = seeded({handle: [value(1)] for handle in handles})
    answers = [
        [Answering(store, site=site, server_number=number).resolved(handle)[0] for handle in handles]
        for number in range(3)
    ]
    for said in zip(*answers, strict=True):
        assert sorted(said) == [1, 301, 301]
