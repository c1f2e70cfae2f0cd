"""Handle values and records in JSON: what deployed clients see and send, and what a person is told of a mistake."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import InvalidValue
from protocol.json_form.fields import described
from protocol.json_form.values import record_to_json, value_from_json, value_to_json
from protocol.value import HandleValue, Reference

URL = HandleValue(index=1, type=b"URL", data=b"http://example.com/", timestamp=1600000000)
DESC = HandleValue(
    index=7,
    type=b"DESC",
    data=b"x",
    permissions=0x0C,
    ttl_type=1,
    ttl=1610612736,
    references=(Reference(300, b"0.NA/20.1000"),),
)
URL_TEXT = (
    '{"index":1,"type":"URL","data":{"format":"string","value":"http://example.com/"},'
    '"ttl":86400,"timestamp":"2020-09-13T12:26:40Z"}'
)
DESC_TEXT = (
    '{"index":7,"type":"DESC","data":{"format":"string","value":"x"},"permissions":"1100",'
    '"ttl":"2021-01-14T08:25:36Z","references":[{"handle":"0.NA/20.1000","index":300}]}'
)
PLAIN = {"index": 1, "type": "URL", "data": "x"}


def compact(found: object) -> str:
    return json.dumps(found, separators=(",", ":"), ensure_ascii=False)


def taken(**fields: object) -> HandleValue:
    """A value of plain fields with some added or changed."""
    return value_from_json(PLAIN | fields)


@pytest.mark.parametrize(("value", "text"), [(URL, URL_TEXT), (DESC, DESC_TEXT)], ids=["URL", "DESC"])
def test_the_examples_of_the_spec_are_shown_key_for_key_and_read_back(value: HandleValue, text: str) -> None:
    assert compact(value_to_json(value)) == text
    assert value_from_json(json.loads(text)) == value


def test_what_is_left_out_has_its_default() -> None:
    assert taken() == HandleValue(index=1, type=b"URL", data=b"x")
    nothing = dict.fromkeys(["ttl", "permissions", "timestamp", "references"])
    assert taken(**nothing, handle="ignored") == taken()


def test_a_ttl_is_seconds_as_a_number_and_a_moment_as_text() -> None:
    assert (taken(ttl=60).ttl_type, taken(ttl=60).ttl) == (0, 60)
    moment = taken(ttl="2021-01-14T08:25:36Z")
    assert (moment.ttl_type, moment.ttl) == (1, 1610612736)


@pytest.mark.parametrize(
    "text",
    [
        "2020-09-13T12:26:40Z",
        "2020-09-13t12:26:40z",
        "2020-09-13 12:26:40",
        "2020-09-13T12:26:40",
        "2020-09-13T12:26:40.9Z",
        "2020-09-13T12:26:40.999999999Z",
        "2020-09-13T14:26:40+02:00",
        "2020-09-13T14:26:40+0200",
        1600000000,
    ],
)
def test_a_timestamp_is_iso_8601_in_utc_unless_it_says_otherwise(text: object) -> None:
    assert taken(timestamp=text).timestamp == 1600000000


def test_moments_before_1970_and_at_both_ends_of_the_field_survive() -> None:
    for seconds in (-(2**31), -1, 1, 2**31 - 1):
        value = HandleValue(index=1, type=b"T", data=b"", timestamp=seconds, ttl_type=1, ttl=seconds)
        assert value_from_json(value_to_json(value)) == value


@pytest.mark.parametrize(
    ("text", "permissions"),
    [
        ("1110", 0x0E),
        ("1100", 0x0C),
        ("1111", 0x0F),
        ("1000", 0x08),
        ("0110", 0x0E),  # Four digits leave admin read on: deployed servers do so.
        ("0000", 0x08),
        ("00110", 0x06),
        ("00000", 0x00),
        ("11110", 0x0E),
        ("1", 0x0F),
        ("00", 0x0C),
        ("", 0x0E),
        ("*", 0x0F),
    ],
)
def test_permissions_are_read_from_their_right_end(text: str, permissions: int) -> None:
    assert taken(permissions=text).permissions == permissions


@given(st.integers(0, 15))
def test_exact_permissions_survive_where_four_digits_would_give_admin_read(permissions: int) -> None:
    value = HandleValue(index=1, type=b"T", data=b"", permissions=permissions)
    assert value_from_json(value_to_json(value, exact=True)) == value
    shown = value_to_json(value).get("permissions", "1110")
    assert shown == format(permissions, "04b")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"index": None}, "index: missing, expected a whole number from -2147483648 to 2147483647"),
    ({"index": 1.5}, "index: 1.5, expected a whole number from -2147483648 to 2147483647"),
    ({"index": float("nan")}, "index: nan, expected a whole number"),
    ({"index": True}, "index: true, expected a whole number"),
    ({"index": 2**31}, "index: 2147483648, expected a whole number"),
    ({"index": 10**5000}, "index: a number of 16610 bits, expected a whole number"),
    ({"index": "9" * 5000}, "index: '9999999999999999999999999999999999999999'..., expected a whole number"),
    ({"index": [1]}, "index: a list of 1, expected a whole number"),
    ({"type": None}, "type: missing, expected a string"),
    ({"type": 7}, "type: 7, expected a string"),
    ({"type": "\ud800"}, "type: half of a surrogate pair, expected whole characters"),
    ({"data": None}, 'data: missing, expected a string, or an object with "format" and "value"'),
    ({"data": 5}, "data: 5, expected a string, or an object"),
    ({"data": "\udfff"}, "data: half of a surrogate pair, expected whole characters"),
    ({"data": "x" * 1_048_577}, "data: 1048577 octets, expected at most 1048576"),
    ({"ttl": "soon"}, "ttl: 'soon', expected a number of seconds, or a time such as"),
    ({"ttl": "86400"}, "ttl: '86400', expected a number of seconds, or a time such as"),
    ({"ttl": 1e300}, "ttl: 1e+300, expected a whole number"),
    ({"ttl": False}, "ttl: false, expected a whole number"),
    ({"ttl": "2038-01-19T03:14:08Z"}, "ttl: '2038-01-19T03:14:08Z', expected a number of seconds, or a time"),
    ({"timestamp": "2020-13-01T00:00:00Z"}, "timestamp: '2020-13-01T00:00:00Z', expected a time such as"),
    ({"timestamp": "9999-12-31T23:59:59-23:59"}, "timestamp: '9999-12-31T23:59:59-23:59', expected a time"),
    ({"timestamp": "0001-01-01T00:00:00+23:59"}, "timestamp: '0001-01-01T00:00:00+23:59', expected a time"),
    ({"timestamp": "٢٠٢٠-09-13T12:26:40Z"}, "timestamp: '٢٠٢٠-09-13T12:26:40Z', expected a time"),
    ({"timestamp": 10**12}, "timestamp: 1000000000000, expected a whole number"),
    ({"timestamp": {}}, "timestamp: an object, expected a whole number"),
    ({"permissions": "1112"}, "permissions: '1112', expected four digits 0 or 1 as text"),
    ({"permissions": 1110}, "permissions: 1110, expected four digits 0 or 1 as text"),
    ({"permissions": "1" * 9}, "permissions: '111111111', expected four digits 0 or 1 as text"),
    ({"references": {}}, "references: an object, expected a list"),
    ({"references": [1]}, 'references[0]: 1, expected an object with "handle" and "index"'),
    ({"references": [{"handle": "a/b"}]}, "references[0].index: missing, expected a whole number"),
    ({"references": [{"index": 1}]}, "references[0].handle: missing, expected a string"),
    ({"references": [{}] * 32769}, "references: a list of 32769, expected a list of at most 32768"),
]


@pytest.mark.parametrize(("fields", "text"), WRONG, ids=[text[:40] for _, text in WRONG])
def test_a_wrong_field_is_told_by_place_find_and_expectation(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        taken(**fields)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("found", [None, True, 3, float("inf"), "x", [], [PLAIN], b"octets"])
def test_what_is_no_object_is_no_value(found: object) -> None:
    with pytest.raises(InvalidValue, match='expected an object with "index", "type" and "data"'):
        value_from_json(found)


def test_an_object_nested_ten_thousand_deep_is_told_like_any_other() -> None:
    deep: Any = []
    for _ in range(10_000):
        deep = [{"value": deep, "format": deep}]
    for fields in ({"data": deep}, {"data": {"format": "site", "value": deep}}, {"index": deep}, {"references": deep}):
        with pytest.raises(InvalidValue):
            taken(**fields)


def test_what_stands_there_is_described_in_a_few_words_whatever_it_is() -> None:
    assert described("ß" * 41) == "'" + "ß" * 40 + "'..."
    assert described("\ud800\n") == r"'\ud800\n'"
    assert described({"a": 1}) == "an object"
    assert described(b"x") == "a bytes"


texts = st.text(max_size=20)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), texts, st.sampled_from(["*", "110", "2020-01-01"])
)
names = st.sampled_from(
    [
        *("index", "type", "data", "ttl", "permissions", "timestamp", "references", "format", "value", "handle"),
        *("kty", "n", "e", "servers", "ServerList", "address", "publicKey", "interfaces", "protocol", "port"),
        *("serverId", "attributes", "name", "legacyByteLength", "protocolVersion", "hashFilter"),
    ]
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names | texts, inner, max_size=6),
    max_leaves=12,
)
formats = st.sampled_from(["string", "base64", "hex", "admin", "vlist", "site", "key", "KEY", "other"])
nearly_values = st.fixed_dictionaries(
    {"index": st.integers(-(2**33), 2**33) | scalars, "type": texts | scalars},
    optional={
        "data": texts | anything | st.fixed_dictionaries({"format": formats, "value": anything}),
        "ttl": st.integers() | scalars,
        "permissions": st.text("01", max_size=9) | scalars,
        "timestamp": st.datetimes().map(str) | scalars,
        "references": anything,
    },
)


@given(anything | nearly_values)
def test_any_json_is_a_value_or_told_to_be_none(found: object) -> None:
    try:
        value = value_from_json(found)
    except InvalidValue as error:
        told = str(error).encode()
    else:
        told = compact(value_to_json(value, exact=True)).encode()
        assert value_from_json(json.loads(told)) == value
    assert told


i32 = st.integers(-(2**31), 2**31 - 1)
handle_values = st.builds(
    HandleValue,
    index=i32,
    type=texts.map(str.encode),
    data=st.binary(max_size=40),
    ttl_type=st.integers(0, 1),
    ttl=i32,
    timestamp=i32,
    permissions=st.integers(0, 15),
    references=st.lists(st.builds(Reference, i32, texts.map(str.encode)), max_size=2).map(tuple),
)


@given(handle_values)
def test_every_value_survives_exact_json(value: HandleValue) -> None:
    assert value_from_json(json.loads(json.dumps(value_to_json(value, exact=True)))) == value


@given(st.sampled_from([b"HS_ADMIN", b"HS_VLIST", b"HS_SITE.6", b"HS_PUBKEY", b"hs_site"]), st.binary(max_size=60))
def test_the_data_of_a_structured_type_survives_whatever_it_holds(kind: bytes, data: bytes) -> None:
    value = HandleValue(index=1, type=kind, data=data)
    assert value_from_json(value_to_json(value, exact=True)) == value
    value_to_json(value)


def test_a_record_is_shown_in_its_own_order_or_by_index() -> None:
    assert compact(record_to_json(b"20.1000/1", [DESC, URL])) == (
        f'{{"responseCode":1,"handle":"20.1000/1","values":[{DESC_TEXT},{URL_TEXT}]}}'
    )
    assert compact(record_to_json(b"20.1000/1", [DESC, URL], by_index=True)) == (
        f'{{"responseCode":1,"handle":"20.1000/1","values":[{URL_TEXT},{DESC_TEXT}]}}'
    )


def test_a_record_without_values_is_shown_with_code_200() -> None:
    assert compact(record_to_json("88.100/é".encode(), [])) == '{"responseCode":200,"values":[],"handle":"88.100/é"}'


def test_a_type_or_handle_that_is_no_utf8_is_shown_with_replacement_signs() -> None:
    assert value_to_json(HandleValue(index=1, type=b"\xff", data=b""))["type"] == "\ufffd"
    assert record_to_json(b"1/\xff", [])["handle"] == "1/\ufffd"
