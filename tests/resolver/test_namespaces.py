"""Handles that are computed from a namespace, as a client sees them (behaviours 14)."""

from protocol.codes import DEFAULT_REQUEST_FLAGS, DO_NOT_REFER, PUBLIC_ONLY
from protocol.responses import ResolutionResponse
from protocol.value import HandleValue
from tests.support.engines import Answering, seeded, value
from tests.support.vectors import vectors

CAPTURED = next(entry for entry in vectors()["valueData"] if entry["name"] == "HS_NAMESPACE")
NAMESPACE = bytes.fromhex(CAPTURED["hex"])
PAGES = b"""<namespace><template delimiter="@">
<if value="extension" test="matches" expression="page=([0-9]+)">
<foreach><if value="type" test="equals" expression="URL"><value data="${data}?p=${extension[1]}"/></if></foreach>
</if><else><notfound/></else></template></namespace>"""


def namespace(data: bytes, index: int = 10) -> HandleValue:
    return value(index, b"HS_NAMESPACE", data)


def data_of(answer: tuple[int, object]) -> list[bytes]:
    code, body = answer
    assert code == 1, answer
    assert isinstance(body, ResolutionResponse)
    return [found.data for found in body.values]


def node(*prefix_values: HandleValue, **options: str) -> Answering:
    records = {b"0.NA/88.100": prefix_values, b"88.100/BOOK": [value(1, data=b"https://b.example/"), value(2, b"DESC")]}
    return Answering(seeded(records), delimiter=options.get("delimiter", ""))


def test_a_template_computes_the_values_of_an_extended_handle() -> None:
    asked = node(namespace(PAGES))
    assert data_of(asked.resolved(b"88.100/book@page=12")) == [b"https://b.example/?p=12"]
    assert asked.resolved(b"88.100/book@chapter=1")[0] == 100
    assert asked.resolved(b"88.100/book")[0] == 1


def test_the_answer_repeats_the_extended_handle_and_is_filtered_by_type() -> None:
    asked = node(namespace(PAGES))
    code, body = asked.resolved(b"88.100/Book@page=1", types=(b"url",))
    assert code == 1
    assert isinstance(body, ResolutionResponse)
    assert body.handle == b"88.100/Book@page=1"
    assert asked.resolved(b"88.100/Book@page=1", types=(b"EMAIL",))[0] == 200


def test_the_captured_namespace_is_obeyed() -> None:
    assert CAPTURED["fields"]["templateDelimiter"] == "@"
    assert node(namespace(NAMESPACE)).resolved(b"88.100/BOOK@x")[0] in (1, 200)
    assert node().resolved(b"88.100/BOOK@x")[0] == 100


def test_without_a_template_the_base_values_stand_for_all_its_extensions() -> None:
    asked = node(delimiter="@")
    assert data_of(asked.resolved(b"88.100/BOOK@anything", indexes=(1,))) == [b"https://b.example/"]
    assert asked.resolved(b"88.100/OTHER@anything")[0] == 100


def test_of_several_namespaces_the_lowest_index_that_parses_is_used() -> None:
    asked = node(namespace(b"<broken", 5), namespace(PAGES, 6), namespace(b"<namespace/>", 7))
    assert data_of(asked.resolved(b"88.100/book@page=1")) == [b"https://b.example/?p=1"]


def test_a_stored_handle_is_never_computed() -> None:
    store = seeded({b"0.NA/88.100": [namespace(PAGES)], b"88.100/BOOK@PAGE=1": [value(1, data=b"stored")]})
    assert data_of(Answering(store).resolved(b"88.100/book@page=1")) == [b"stored"]


def test_a_strangers_pattern_beyond_the_bounds_is_not_found() -> None:
    for expression in (b"(a+)+$", b"(" * 200 + b"a" + b")" * 200, b"a" * 5_000, b"(?=a)a", b"((a{500}){500})"):
        xml = PAGES.replace(b"page=([0-9]+)", expression)
        assert node(namespace(xml)).resolved(b"88.100/book@" + b"a" * 1_900 + b"!")[0] == 100


def test_computed_private_values_stay_private() -> None:
    records = {b"0.NA/88.100": [namespace(PAGES)], b"88.100/BOOK": [value(1, permissions=12)]}
    asked = Answering(seeded(records))
    assert asked.resolved(b"88.100/book@page=1")[0] == 200
    assert asked.resolved(b"88.100/book@page=1", flags=DEFAULT_REQUEST_FLAGS & ~PUBLIC_ONLY)[0] == 402


def test_a_delegation_goes_before_a_template() -> None:
    records = {b"0.NA/88.100": [value(1, b"HS_SITE.PREFIX")], b"0.NA/0.NA": [namespace(PAGES)]}
    asked = Answering(seeded(records, homed=(b"0.NA/0.NA",)))
    assert asked.resolved(b"0.NA/88.100.7@page=1")[0] == 303
    assert (
        asked.resolved(b"0.NA/88.100.7@page=1", flags=DEFAULT_REQUEST_FLAGS | DO_NOT_REFER)[0] == 200
    )  # Computed, on no base.
