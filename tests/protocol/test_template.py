"""Computed handles: what a template makes of a base record and an extension, and that none can run away."""

from collections.abc import Sequence
from time import process_time
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.computed.namespace import Namespace
from protocol.computed.template import NAMESPACE_TEXT_MAX, ExtendedHandle, computed, cut
from protocol.limits import (
    NAMESPACE_OUTPUT_MAX,
    NAMESPACE_REFERENCES_MAX,
    NAMESPACE_STEPS_MAX,
    PATTERN_INPUT_MAX,
    VALUE_COUNT_MAX,
)
from protocol.value import HandleValue, Reference
from tests.support.vectors import vectors

BASE: Final = (
    HandleValue(index=3, type=b"URL", data=b"https://example.org/", ttl=60, timestamp=7, permissions=0x0F),
    HandleValue(index=1, type=b"DESC", data=b"\xff\x00raw", references=(Reference(1, b"88.1/x"),)),
)


def nothing(index: int, handle: bytes) -> bytes | None:
    return None


def namespace(content: str, attributes: str = "") -> Namespace:
    return Namespace.read(f'<namespace><template delimiter="@"{attributes}>{content}</template></namespace>'.encode())


def run(
    content: str,
    handle: str = "88.1/a@ext",
    *,
    base: Sequence[HandleValue] | None = BASE,
    case_sensitive: bool = False,
) -> tuple[HandleValue, ...] | None:
    asked = cut(handle.encode(), b"@")
    assert asked is not None
    return computed(asked, namespace=namespace(content), base_values=base, load=nothing, case_sensitive=case_sensitive)


def data(content: str, handle: str = "88.1/a@ext", *, case_sensitive: bool = False) -> list[bytes] | None:
    found = run(content, handle, case_sensitive=case_sensitive)
    return None if found is None else [value.data for value in found]


def filled(text: str, handle: str = "88.1/a@ext") -> bytes:
    found = data(f'<value type="T" data="{text}"/>', handle)
    assert found is not None and len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("handle", "delimiter", "parts"),
    [
        (b"88.1/a@b", b"@", (b"88.1/a", b"b")),
        (b"88.1/a@b@c", b"@", (b"88.1/a", b"b@c")),
        (b"8@8/a@b", b"@", (b"8@8/a", b"b")),
        (b"88.1/a@", b"@", (b"88.1/a", b"")),
        (b"88.1/@b", b"@", (b"88.1/", b"b")),
        (b"88.1/a/b/c", b"/", (b"88.1/a", b"b/c")),
        (b"88.1/a--b-c", b"--", (b"88.1/a", b"b-c")),
        (b"88.1/a", b"@", None),
        (b"8@8/a", b"@", None),
        (b"88.1/a", b"/", None),
        (b"88.1/a", b"", None),
    ],
)
def test_a_handle_is_cut_at_the_first_delimiter_behind_its_prefix(
    handle: bytes, delimiter: bytes, parts: tuple[bytes, bytes] | None
) -> None:
    assert cut(handle, delimiter) == (None if parts is None else ExtendedHandle(handle, *parts))


def test_the_namespace_of_the_vectors_computes_a_handle() -> None:
    entries = [entry for entry in vectors()["valueData"] if entry["name"] == "HS_NAMESPACE"]
    assert len(entries) == 1
    read = Namespace.read(bytes.fromhex(entries[0]["hex"]))
    asked = cut(b"88.1/a@p1", read.delimiter or b"")
    assert asked is not None
    (found,) = computed(asked, namespace=read, base_values=BASE, load=nothing) or ()
    assert found == HandleValue(
        index=1, type=b"URL", data=b"https://example.org/?x=p1", ttl=60, timestamp=7, permissions=0x0F
    )


def test_foreach_copies_what_is_not_changed() -> None:
    assert run("<foreach><value/></foreach>") == BASE
    found = run('<foreach><value index="9" type="X-${type}" data="${index}:${data}"/></foreach>')
    assert found is not None
    assert [(value.index, value.type, value.data) for value in found] == [
        (9, b"X-URL", b"3:https://example.org/"),
        (10, b"X-DESC", b"1:\xff\x00raw"),
    ]
    assert found[0].ttl == 60 and found[1].references == BASE[1].references


def test_an_index_that_is_taken_is_raised_until_it_is_free() -> None:
    found = run("<foreach><value/><value/></foreach><foreach><value/></foreach>")
    assert found is not None
    assert [value.index for value in found] == [3, 4, 1, 2, 5, 6]
    assert run('<foreach><value index="2147483647"/></foreach>') is None


def test_many_values_of_one_index_are_numbered_in_little_time() -> None:
    def seconds(base: list[HandleValue]) -> float:
        begun = process_time()
        found = run("<foreach><value/></foreach>", base=base)
        assert found is not None
        assert [value.index for value in found] == list(range(1, VALUE_COUNT_MAX + 1))
        return process_time() - begun

    same = [HandleValue(index=1, type=b"T", data=b"") for _ in range(VALUE_COUNT_MAX)]
    assert min(seconds(same) for _ in range(3)) < 4 * min(seconds(many(VALUE_COUNT_MAX)) for _ in range(3))


def test_values_outside_foreach_are_numbered_from_1_whatever_their_index() -> None:
    found = run('<value index="50" type="A" data="a"/><value index="7" type="B">b ${extension} </value>')
    assert found == (HandleValue(index=1, type=b"A", data=b"a"), HandleValue(index=2, type=b"B", data=b"b ext "))


def test_a_value_outside_foreach_needs_type_and_data() -> None:
    assert run('<value type="A"/><value data="a"/><value/><value type="" data=""/>') == (
        HandleValue(index=1, type=b"", data=b""),
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("${handle}|${base}|${extension}", b"88.1/a@ext|88.1/a|ext"),
        ("${unknown}${type}${extension[9]}${a[b]}${}", b""),
        ("${extension[0]}${0}$0", b"extextext"),
        (r"\${base}\\\$1\x", rb"${base}\$1x"),
        ("$ $x ${ ${base", b"$ $x ${ ${base"),
        ("a\\", b"a\\"),
        ("${0}${n}${extension[n]}".replace("n", "9" * 5_000) + "$" + "9" * 5_000, b"ext"),
        ("é${extension}漢", "éext漢".encode()),
    ],
)
def test_variables_are_replaced(text: str, wanted: bytes) -> None:
    assert filled(text) == wanted


def test_groups_of_a_pattern_are_variables_inside_the_condition() -> None:
    content = (
        r'<if test="matches" expression="box\((\d+),(\d+)\)" parameter="x">'
        '<value type="T" data="${x[2]}-${x[1]}-${x}"/></if>'
        r'<if test="matches" expression="(b)(ox.*)"><value type="T" data="$2$1${2}${extension[1]}"/></if>'
        '<value type="T" data="[${x}$1]"/>'
    )
    assert data(content, "88.1/a@box(10,20)") == [b"20-10-box(10,20)", b"ox(10,20)box(10,20)b", b"[]"]


def test_a_condition_that_needs_no_pattern_leaves_the_groups_of_an_outer_one() -> None:
    content = (
        '<if test="matches" expression="(.)(.*)"><if expression="ext"><value type="T" data="$2"/></if>'
        '<if value="extension" parameter="y" expression="ext"><value type="T" data="${y}${y[1]}$1"/></if></if>'
    )
    assert data(content) == [b"xt", b"exte"]


def test_else_is_the_opposite_and_negate_turns_both_around() -> None:
    def said(condition: str) -> list[bytes] | None:
        return data(f'<if {condition}><value type="T" data="yes"/></if> <else><value type="T" data="no"/></else>')

    assert said('expression="ext"') == [b"yes"]
    assert said('expression="EXT"') == [b"no"]
    assert said('expression="ext" negate="true"') == [b"no"]
    assert said('expression="other" negate="true"') == [b"yes"]
    assert said('expression="ext" negate="false"') == [b"yes"]
    assert said('value="base" expression="88.1/a"') == [b"yes"]
    assert said('value="missing" expression=""') == [b"yes"]
    assert said('test="matches" expression="E.*"') == [b"yes"]
    assert said('test="matches" expression="x"') == [b"no"]
    assert said('test="matches" expression="x" negate="true"') == [b"yes"]


def test_patterns_mind_case_where_the_server_does() -> None:
    content = '<if test="matches" expression="E.*"><value type="T" data="yes"/></if>'
    assert data(content) == [b"yes"]
    assert data(content, case_sensitive=True) == []


def test_a_definition_is_the_data_of_its_first_value() -> None:
    content = (
        '<def parameter="x"><value data="1"/><value data="2"/></def><def parameter="y"></def>'
        '<def parameter="z"><foreach><value data="${type}"/></foreach></def>'
        '<foreach><def parameter="x"><value data="${x}+"/></def><value data="${x}"/></foreach>'
        '<value type="T" data="${x}|${y}|${z}"/>'
    )
    assert data(content) == [b"1+", b"1+", b"1||URL"]


def test_a_definition_inside_another_is_unknown_outside() -> None:
    content = '<def parameter="x"><def parameter="y"><value data="1"/></def><value data="[${y}]"/></def>'
    assert data(content + '<value type="T" data="${x}${y}"/>') == [b"[1]"]


def test_notfound_takes_the_whole_result_with_it() -> None:
    assert run('<value type="T" data="d"/><if expression="ext"><notfound/></if>') is None
    assert run('<def parameter="x"><notfound/></def>') is None
    assert run('<value type="T" data="d"/><if expression="other"><notfound/></if>') is not None


def test_a_template_may_work_on_an_empty_base() -> None:
    content = '<foreach><value/></foreach><value type="T" data="${extension}"/>'
    assert run(content, base=None) == (HandleValue(index=1, type=b"T", data=b"ext"),)
    assert run("", base=None) == ()


def test_without_a_template_the_values_of_the_base_are_the_answer() -> None:
    asked = ExtendedHandle(b"88.1/a@b", b"88.1/a", b"b")
    for found in (None, Namespace(contact=b"c")):
        assert computed(asked, namespace=found, base_values=BASE, load=nothing) == BASE
        assert computed(asked, namespace=found, base_values=None, load=nothing) is None


def test_a_namespace_in_the_base_record_overrides_that_of_the_prefix() -> None:
    asked = ExtendedHandle(b"88.1/a@b", b"88.1/a", b"b")
    prefix = namespace('<value type="T" data="prefix"/>')

    def said(xml: bytes) -> list[bytes]:
        values = [HandleValue(index=1, type=b"HS_NAMESPACE", data=xml)]
        found = computed(asked, namespace=prefix, base_values=values, load=nothing)
        assert found is not None
        return [value.data for value in found]

    assert said(b'<namespace><template><value type="T" data="base"/></template></namespace>') == [b"base"]
    assert said(b"<namespace><contact>c</contact></namespace>") == [b"prefix"]
    assert said(b"no XML") == [b"prefix"]


def chain(length: int) -> dict[tuple[int, bytes], bytes]:
    """Templates that refer on, the last with a value."""
    found = {(n, b"88.1/t"): f'<template ref="{n + 1}:88.1/t"/>'.encode() for n in range(1, length)}
    return found | {(length, b"88.1/t"): b'<template><value type="T" data="end"/></template>'}


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        (chain(1), [b"end"]),
        (chain(NAMESPACE_REFERENCES_MAX), [b"end"]),
        (chain(NAMESPACE_REFERENCES_MAX + 1), None),
        ({(1, b"88.1/t"): b'<template ref="1:88.1/t"/>'}, None),
        ({}, None),
        ({(1, b"88.1/t"): b"no XML"}, None),
        ({(1, b"88.1/t"): b"<namespace/>"}, None),
    ],
)
def test_templates_in_other_values_are_loaded_ten_deep(
    stored: dict[tuple[int, bytes], bytes], wanted: list[bytes] | None
) -> None:
    loaded: list[tuple[int, bytes]] = []

    def load(index: int, handle: bytes) -> bytes | None:
        loaded.append((index, handle))
        return stored.get((index, handle))

    asked = ExtendedHandle(b"88.1/a@b", b"88.1/a", b"b")
    found = computed(asked, namespace=namespace("", ' ref="1:88.1/t"'), base_values=BASE, load=load)
    assert (None if found is None else [value.data for value in found]) == wanted
    assert len(loaded) <= NAMESPACE_REFERENCES_MAX


def many(count: int, size: int = 0) -> list[HandleValue]:
    return [HandleValue(index=n + 1, type=b"", data=bytes(size)) for n in range(count)]


def test_the_elements_obeyed_are_bounded() -> None:
    inside = "<if/>".replace("/", ' expression="x"/')
    fits = (NAMESPACE_STEPS_MAX - 1) // 101
    assert run(f"<foreach>{inside * 100}</foreach>", base=many(fits)) == ()
    assert run(f"<foreach>{inside * 100}</foreach>", base=many(fits + 1)) is None
    assert run("<foreach>" * 28 + "</foreach>" * 28, base=many(2)) is None
    assert run("<foreach></foreach>" * 10, base=many(NAMESPACE_STEPS_MAX // 10)) is None


def test_the_number_of_values_is_bounded() -> None:
    found = run("<foreach><value/></foreach>", base=many(VALUE_COUNT_MAX))
    assert found is not None and len(found) == VALUE_COUNT_MAX
    assert run('<foreach><value/></foreach><value type="T" data=""/>', base=many(VALUE_COUNT_MAX)) is None


def test_the_octets_of_the_result_are_bounded() -> None:
    content = "<foreach><value/></foreach>"
    assert run(content, base=many(4, NAMESPACE_OUTPUT_MAX // 4)) is not None
    assert run(content + '<value type="T" data=""/>', base=many(4, NAMESPACE_OUTPUT_MAX // 4)) is None


def test_definitions_are_no_output() -> None:
    defined = '<foreach><def parameter="x"><value/></def></foreach>'
    assert run(defined * 3, base=many(4, NAMESPACE_OUTPUT_MAX // 4)) == ()


def test_definitions_that_double_do_not_grow_without_bound() -> None:
    double = '<def parameter="x"><value data="${x}${x}"/></def>'
    content = '<def parameter="x"><value data="ab"/></def>' + double * 200 + '<value type="T" data="d"/>'
    begun = process_time()
    assert run(content) is None
    assert process_time() - begun < 1.0


def test_text_that_is_read_and_leaves_nothing_is_bounded() -> None:
    for text in ("${x}" * 1_000, "x" * 4_000):
        content = f'<foreach><def parameter="y"><value data="{text}"/></def></foreach>'
        assert run(content, base=many(NAMESPACE_TEXT_MAX // 20_000)) == ()
        assert run(content, base=many(NAMESPACE_TEXT_MAX // 4_000 + 1)) is None


@pytest.mark.parametrize(
    "expression", ["(?=e)ext", r"(e)\1", "(", "a" * 1_025, "[a-z&amp;&amp;[^e]]+", "((a{30}){30}){30}"]
)
def test_a_pattern_beyond_the_bounds_makes_the_handle_not_found(expression: str) -> None:
    assert run(f'<if test="matches" expression="{expression}"/><value type="T" data="d"/>') is None


def test_a_text_beyond_the_bounds_makes_the_handle_not_found() -> None:
    content = '<foreach><if value="data" test="matches" expression=".*"/></foreach>'
    assert run(content, base=many(1, PATTERN_INPUT_MAX)) == ()
    assert run(content, base=many(1, PATTERN_INPUT_MAX + 1)) is None


@pytest.mark.parametrize("expression", ["(a+)+$", "(?:(a|aa|aaa)*)*b", "(.*)" * 30 + "b", "(?:a?){300}a{300}"])
def test_no_pattern_repeated_over_a_record_takes_long(expression: str) -> None:
    content = f'<foreach><if test="matches" expression="{expression}"/></foreach>' * 4
    begun = process_time()
    run(content, "88.1/a@" + "a" * 2_000, base=many(VALUE_COUNT_MAX))
    assert process_time() - begun < 1.0


def test_the_work_of_all_patterns_together_is_bounded() -> None:
    content = '<foreach><if test="matches" expression="[a-z]{50}.*"/></foreach>'
    assert run(content, "88.1/a@" + "a" * 100, base=many(10)) == ()
    assert run(content, "88.1/a@" + "a" * 100, base=many(VALUE_COUNT_MAX)) is None


CONTENT: Final = st.recursive(
    st.sampled_from(
        [
            "<value/>",
            '<value type="T" data="${x}$1${data}"/>',
            '<value index="3" data="${extension[1]}\\"/>',
            '<if test="matches" expression="(a|b)*c?" parameter="x"/>',
            "<notfound/>",
        ]
    ),
    lambda inner: st.tuples(
        st.sampled_from(
            ["<foreach>%s</foreach>", '<if expression="a">%s</if>', "<else>%s</else>", '<def parameter="x">%s</def>']
        ),
        st.lists(inner, max_size=4).map("".join),
    ).map(lambda pair: pair[0] % pair[1]),
    max_leaves=12,
)


@given(CONTENT, st.text(alphabet="ab$\\{}[]1@", max_size=12))
def test_any_template_computes_bounded_values_or_none(content: str, extension: str) -> None:
    found = run(content, "88.1/a@" + extension)
    if found is not None:
        assert len({value.index for value in found}) == len(found) <= VALUE_COUNT_MAX
        assert sum(len(value.data) + len(value.type) for value in found) <= NAMESPACE_OUTPUT_MAX


@given(st.text(alphabet="ab$\\{}[]1x", max_size=40))
def test_any_text_is_filled(text: str) -> None:
    if "\\" not in text and "$" not in text:
        assert filled(text) == text.encode()
    else:
        assert len(filled(text)) <= len(text) * len("88.1/a@ext")
