"""What a namespace's XML says, and what of it is refused."""

from time import thread_time
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.computed.namespace import (
    Define,
    ForEach,
    If,
    Namespace,
    NotFound,
    Template,
    Value,
    namespace_of,
)
from protocol.errors import Malformed
from protocol.limits import NAMESPACE_DEPTH_MAX, NAMESPACE_SIZE_MAX
from protocol.value import HandleValue, Reference
from tests.support.vectors import vectors


def templated(content: str, attributes: str = "") -> Template:
    found = Namespace.read(f"<namespace><template{attributes}>{content}</template></namespace>".encode()).template
    assert found is not None
    return found


def namespace_value(index: int, data: bytes, kind: bytes = b"HS_NAMESPACE") -> HandleValue:
    return HandleValue(index=index, type=kind, data=data)


def test_every_namespace_of_the_vectors_is_read() -> None:
    entries = [entry for entry in vectors()["valueData"] if entry["name"] == "HS_NAMESPACE"]
    assert len(entries) == 1
    for entry in entries:
        octets = bytes.fromhex(entry["hex"])
        assert octets == entry["fields"]["xml"].encode()
        found = Namespace.read(octets)
        assert found.delimiter == entry["fields"]["templateDelimiter"].encode()
        assert found.contact == b"a@example.org"
        assert (found.status, found.status_message, found.locations) == (None, None, None)
        copied = Value(index=1, type=b"URL", data=b"${data}?x=${extension}")
        condition = If(
            variable=b"type",
            parameter=b"type",
            is_pattern=False,
            expression=b"URL",
            negate=False,
            content=(copied,),
            otherwise=(),
        )
        assert found.template == Template(delimiter=b"@", content=(ForEach((condition,)),))


def test_every_tag_is_read() -> None:
    found = Namespace.read(
        b'<?xml version="1.0" encoding="UTF-8"?>\n<!-- ours -->\n'
        b"<namespace>\n  <contact> admin@example.org </contact>\n"
        b"  <status>inactive</status>\n  <statusmsg>bald wieder da: \xc3\xa9 &amp; &lt;mehr&gt;</statusmsg>\n"
        b'  <locs no_nslocs="true">10320/some-handle</locs>\n  <template delimiter="@"/>\n</namespace>\n'
    )
    assert found == Namespace(
        contact=b"admin@example.org",
        status=b"inactive",
        status_message="bald wieder da: é & <mehr>".encode(),
        locations=b"10320/some-handle",
        locations_end=True,
        template=Template(delimiter=b"@"),
    )


def test_an_empty_namespace_has_no_tags() -> None:
    found = Namespace.read(b"<namespace/>")
    assert found == Namespace()
    assert found.delimiter is None


def test_an_empty_delimiter_parts_nothing() -> None:
    assert templated("", ' delimiter=""').delimiter is None
    assert templated("").delimiter is None


def test_missing_tags_come_from_the_parent_and_present_ones_do_not() -> None:
    parent = Namespace(
        contact=b"p", status=b"active", locations=b"10/l", locations_end=True, template=Template(delimiter=b"@")
    )
    child = Namespace(contact=b"", status_message=b"m")
    assert child.inheriting(parent) == Namespace(
        contact=b"",
        status=b"active",
        status_message=b"m",
        locations=b"10/l",
        locations_end=True,
        template=Template(delimiter=b"@"),
    )
    assert child.inheriting(None) == child
    assert parent.inheriting(Namespace(status=b"inactive", template=Template(delimiter=b"#"))) == parent
    assert Namespace(locations=b"10/m").inheriting(parent).locations_end is False


def test_every_element_of_the_language_is_read() -> None:
    found = templated(
        """<foreach>
          <value index=" 7 " type="T">text ${data}</value><value data="d">ignored</value><value> </value>
        </foreach>
        <def parameter="p"><value data="x"/></def>
        <if value="index" parameter="i" test="matches" expression="(\\d+)" negate="true"><notfound/></if>
        <!-- a comment parts nothing --> between
        <else><value type="U" data="v"/></else>
        <if expression="e"/><unknown><notfound/></unknown><else><notfound/></else>"""
    )
    matches = If(
        variable=b"index",
        parameter=b"i",
        is_pattern=True,
        expression=b"(\\d+)",
        negate=True,
        content=(NotFound(),),
        otherwise=(Value(type=b"U", data=b"v"),),
    )
    equals = If(
        variable=b"extension",
        parameter=b"extension",
        is_pattern=False,
        expression=b"e",
        negate=False,
        content=(),
        otherwise=(),
    )
    assert found.content == (
        ForEach((Value(index=7, type=b"T", data=b"text ${data}"), Value(data=b"d"), Value())),
        Define(parameter=b"p", content=(Value(data=b"x"),)),
        matches,
        equals,
    )


def test_names_of_elements_are_lower_case() -> None:
    assert templated("<Value/><FOREACH/><NotFound/>").content == ()


@pytest.mark.parametrize(
    "element",
    [
        '<value index="one" type="T" data="d"/>',
        '<value index="0"/>',
        '<value index="-1"/>',
        '<value index="2147483648"/>',
        '<value index="%s"/>' % ("9" * 5_000),
        '<if test="contains" expression="e"/>',
        '<if test="matches"/>',
        "<def><value/></def>",
    ],
)
def test_what_cannot_be_obeyed_makes_the_handle_not_found(element: str) -> None:
    assert templated(element).content == (NotFound(),)


def test_a_template_may_stand_in_another_value() -> None:
    assert templated("<value/>", ' delimiter="@" ref="300:88.1/tmpl:x"') == Template(
        delimiter=b"@", reference=Reference(300, b"88.1/tmpl:x")
    )


@pytest.mark.parametrize("reference", ["", "300", "300:", ":88.1/t", "x:88.1/t", "0:88.1/t", "-1:88.1/t"])
def test_a_reference_that_names_nothing_makes_the_handle_not_found(reference: str) -> None:
    assert templated("<value/>", f' ref="{reference}"').content == (NotFound(),)


def test_a_referred_value_holds_a_template_or_a_namespace_with_one() -> None:
    plain = Template.read(b'<template delimiter="#"><notfound/></template>')
    assert plain == Template(delimiter=b"#", content=(NotFound(),))
    wrapped = b'<namespace><template delimiter="#"><notfound/></template></namespace>'
    assert Template.read(wrapped) == plain
    assert Template.read(b"<namespace/>") is None
    with pytest.raises(Malformed):
        Template.read(b"<foreach/>")


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b" ",
        b"text",
        b"<namespace>",
        b"<namespace></namespaces>",
        b"<namespace/><namespace/>",
        b"<template/>",
        b"<Namespace/>",
        b"<namespace><contact>&nbsp;</contact></namespace>",
        b"<namespace><contact>&#xD800;</contact></namespace>",
        b"<namespace><contact>\xff</contact></namespace>",
        b"<namespace><contact>\xed\xa0\x80</contact></namespace>",
        b"<namespace><contact>\x00</contact></namespace>",
        "<namespace/>".encode("utf-16"),
        b'<?xml version="1.0" encoding="no-such"?><namespace><contact>\xe9</contact></namespace>',
        b"<!DOCTYPE namespace><namespace/>",
        b'<!DOCTYPE namespace SYSTEM "file:///etc/passwd"><namespace/>',
        b'<!DOCTYPE namespace [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><namespace><contact>&b;</contact></namespace>',
        b'<!DOCTYPE namespace [<!ENTITY x SYSTEM "file:///etc/passwd">]><namespace><contact>&x;</contact></namespace>',
        b'<!DOCTYPE namespace [<!ENTITY % p SYSTEM "http://127.0.0.1/x"> %p;]><namespace/>',
        b'<namespace a="1" a="2"/>',
    ],
)
def test_what_is_no_namespace_is_malformed(octets: bytes) -> None:
    with pytest.raises(Malformed):
        Namespace.read(octets)


def test_the_size_of_the_xml_is_bounded() -> None:
    frame = b"<namespace><contact></contact></namespace>"
    padded = frame.replace(b"></c", b">" + b"x" * (NAMESPACE_SIZE_MAX - len(frame)) + b"</c")
    assert len(padded) == NAMESPACE_SIZE_MAX
    assert Namespace.read(padded).contact is not None
    with pytest.raises(Malformed):
        Namespace.read(padded + b" ")


def test_the_depth_of_the_xml_is_bounded() -> None:
    def nested(depth: int) -> bytes:
        inside = depth - 2  # Behind namespace and template.
        content = b"<foreach>" * inside + b"</foreach>" * inside
        return b"<namespace><template>" + content + b"</template></namespace>"

    assert Namespace.read(nested(NAMESPACE_DEPTH_MAX)).template is not None
    for depth in (NAMESPACE_DEPTH_MAX + 1, 3_000):
        with pytest.raises(Malformed):
            Namespace.read(nested(depth))


@pytest.mark.parametrize("unit", [b"<a>", b"<!--", b"<a b='", b"&lt;", b"<![CDATA[", b"<a/>", b"]]>", b"<?a ?>", b"&#"])
def test_no_xml_within_the_bounds_takes_long(unit: bytes) -> None:
    octets = (b"<namespace>" + unit * NAMESPACE_SIZE_MAX)[:NAMESPACE_SIZE_MAX]
    begun = thread_time()
    with pytest.raises(Malformed):
        Namespace.read(octets)
    assert thread_time() - begun < 2.0


def test_of_a_record_the_lowest_index_that_can_be_read_is_the_namespace() -> None:
    values = [
        namespace_value(9, b"<namespace><contact>nine</contact></namespace>"),
        namespace_value(1, b"<namespace><contact>one</contact>"),
        namespace_value(2, b"<namespace><contact>two</contact></namespace>", b"HS_SITE"),
        namespace_value(5, b"<namespace><contact>five</contact></namespace>", b"hs_namespace"),
    ]
    assert namespace_of(values) == Namespace(contact=b"five")
    assert namespace_of(values[1:3]) is None
    assert namespace_of([]) is None


@given(st.binary(max_size=200))
def test_any_octets_are_a_namespace_or_malformed(octets: bytes) -> None:
    for read in (Namespace.read, Template.read):
        try:
            read(octets)
        except Malformed:
            continue


PIECES: Final = [
    *("<namespace>", "</namespace>", '<template delimiter="@">', "</template>", "<template", 'ref="1:a/b"', "/>", ">"),
    *(
        "<foreach>",
        "</foreach>",
        "<value/>",
        "<value>",
        "</value>",
        '<if expression="x">',
        "</if>",
        "<else>",
        "</else>",
    ),
    *(
        '<def parameter="p">',
        "</def>",
        "<notfound/>",
        "<value",
        'index="1"',
        "&amp;",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
    ),
    *("&#0;", "&#233;", "<!DOCTYPE", "]>", "<?", "?>", "é", "text"),
]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map(" ".join))
def test_any_mixture_of_what_a_namespace_is_made_of_is_read_or_malformed(text: str) -> None:
    for octets in (text, f"<namespace>{text}</namespace>", f"<namespace><template>{text}</template></namespace>"):
        try:
            found = Namespace.read(octets.encode())
        except Malformed:
            continue
        assert found.inheriting(Namespace()) == found
