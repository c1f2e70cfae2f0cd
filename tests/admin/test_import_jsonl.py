"""JSON lines as rows: values in every data format, named fields, and what is wrong with a line."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin.importing.jsonl import JsonLines
from admin.importing.rows import RowFault, RowLimits
from admin.importing.values import ValueOctets
from protocol.json_form.values import value_from_json, value_to_json
from protocol.value import HandleValue, value_list
from tests.admin.rows_of import NOW_S, errors, read, rows, texts, values
from tests.support.vectors import vectors


def line(**record: Any) -> str:
    return json.dumps({"handle": "88.100/A1", **record}, ensure_ascii=False) + "\n"


def value(index: int = 1, kind: str = "URL", data: object = "https://example.com/", **more: Any) -> dict[str, Any]:
    return {"index": index, "type": kind, "data": data, **more}


def only_error(path: Path, content: str | bytes) -> tuple[str, str]:
    (error,) = errors(read(path, content))
    return error.column, error.reason


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.jsonl"


def test_a_value_of_text_gets_the_defaults_and_the_time_of_the_run(path: Path) -> None:
    (row,) = rows(read(path, line(values=[value()])))
    assert row.handle == b"88.100/A1"
    assert values(row) == (HandleValue(index=1, type=b"URL", data=b"https://example.com/", timestamp=NOW_S),)


def test_all_that_a_value_says_is_kept(path: Path) -> None:
    said = value(
        7,
        "DESC",
        {"format": "string", "value": "x"},
        permissions="1100",
        ttl="2021-01-14T08:25:36Z",
        timestamp="2020-09-13T12:26:40Z",
        references=[{"handle": "0.NA/20.1000", "index": 300}],
    )
    (found,) = values(rows(read(path, line(values=[said])))[0])
    assert found == value_from_json(said)
    assert found.timestamp == 1_600_000_000


def test_values_stand_in_the_order_of_the_file(path: Path) -> None:
    (row,) = rows(read(path, line(values=[value(9), value(3), value(5)])))
    assert [found.index for found in values(row)] == [9, 3, 5]


def test_data_in_every_format_is_the_octets_of_the_vectors(path: Path) -> None:
    entries = vectors()["valueData"]
    assert len(entries) == 27
    for entry in entries:
        octets = bytes.fromhex(entry["hex"])
        stored = HandleValue(index=1, type=entry["name"].partition(".")[0].encode(), data=octets)
        said = [value_to_json(stored), value(data={"format": "base64", "value": b64encode(octets).decode()})]
        said.append(value(data={"format": "hex", "value": entry["hex"]}))
        for one in said:
            (found,) = values(rows(read(path, line(values=[one])))[0])
            assert found.data == octets, entry["name"]


def test_a_repeated_administrator_is_the_same_octets_each_time(path: Path) -> None:
    admin = {"format": "admin", "value": {"handle": "0.NA/88.100", "index": 300, "permissions": "011111110011"}}
    both = line(values=[value(100, "HS_ADMIN", admin)]) + line(values=[value(100, "HS_ADMIN", admin), value(1)])
    first, second = rows(read(path, both))
    assert values(first)[0] == values(second)[0]
    assert values(first)[0].data == value_from_json(value(100, "HS_ADMIN", admin)).data


texts_of_values = st.text(st.characters(codec="utf-8"), max_size=20)
json_values = st.fixed_dictionaries(
    {"index": st.integers(1, 0x7FFFFFFF), "type": texts_of_values, "data": texts_of_values},
    optional={
        "ttl": st.one_of(st.integers(0, 0x7FFFFFFF), st.just("2030-01-01T00:00:00Z")),
        "permissions": st.sampled_from(["1110", "1100", "0110", "00110", "*"]),
        "timestamp": st.sampled_from(["2020-09-13T12:26:40Z", "1970-01-01T00:00:00Z"]),
        "references": st.just([{"handle": "0.NA/1", "index": 1}]),
    },
)


@given(st.lists(json_values, max_size=5, unique_by=lambda found: found["index"]), st.booleans())
def test_quick_octets_are_those_of_the_slow_way(found: list[dict[str, Any]], as_object: bool) -> None:
    if as_object:
        found = [one | {"data": {"format": "string", "value": one["data"]}} for one in found]
    octets = ValueOctets(timestamp=NOW_S, limits=RowLimits())
    slow = []
    for one in found:
        expected = value_from_json(one if "timestamp" in one else one | {"timestamp": NOW_S})
        slow.append(expected)
    assert octets.of_json(found) == octets.of_json(found) == value_list(slow)


junk = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["index", "type", "data", "ttl", "format", "value", "handle", "permissions", "wire"]), inner
        ),
    ),
    max_leaves=12,
)


@given(st.lists(junk, max_size=3))
def test_any_json_is_values_or_a_fault_that_names_its_place(found: list[Any]) -> None:
    said = "values[0] reads"
    try:
        ValueOctets(timestamp=NOW_S, limits=RowLimits()).of_json(found)
    except RowFault as fault:
        said = f"{fault.column} {fault.reason}"
    assert said.startswith("values[")
    assert len(said.split()) > 1


def test_fields_become_values_from_2000_in_their_order(path: Path) -> None:
    (row,) = rows(read(path, line(template="88/META", fields={"name": "轴承", "batch": "B1"})))
    assert texts(row) == [(2000, "name", "轴承"), (2001, "batch", "B1")]


def test_an_empty_field_makes_no_value_and_keeps_its_place(path: Path) -> None:
    (row,) = rows(read(path, line(fields={"a": "1", "b": "", "c": None, "d": "4"})))
    assert texts(row) == [(2000, "a", "1"), (2003, "d", "4")]


def test_a_number_becomes_the_text_that_the_file_has(path: Path) -> None:
    content = '{"handle":"88.100/A1","fields":{"a":126.7,"b":399,"c":1.10,"d":1e3,"e":-5,"f":true}}'
    (row,) = rows(read(path, content))
    assert [text for _, _, text in texts(row)] == ["126.7", "399", "1.10", "1e3", "-5", "true"]


def test_a_joined_list_stays_one_value_and_a_list_is_joined(path: Path) -> None:
    (row,) = rows(read(path, line(fields={"boxes": "88.1/a|88.1/b", "parts": ["88.1/c", "88.1/d"]})))
    assert texts(row) == [(2000, "boxes", "88.1/a|88.1/b"), (2001, "parts", "88.1/c|88.1/d")]


def test_the_row_behind_a_broken_one_is_read(path: Path) -> None:
    found = read(path, line(values=[value()]) + "{\n" + "\n" + line(values=[value(2)]))
    assert [type(row).__name__ for row in found] == ["Row", "RowError", "Row"]
    assert [row.line for row in found] == [1, 2, 4]


def test_a_byte_order_mark_is_left_out(path: Path) -> None:
    assert len(rows(read(path, b"\xef\xbb\xbf" + line(values=[value()]).encode()))) == 1


@pytest.mark.parametrize(
    ("content", "column", "says"),
    [
        ("nonsense", "", "not JSON"),
        ('{"handle":"88.100/A1","values":[]} x', "", "more follows"),
        ("[1]", "", "is no record"),
        ('{"values":[]}', "handle", "missing"),
        ('{"handle":5,"values":[]}', "handle", "must be a text"),
        ('{"handle":"","values":[]}', "handle", "missing"),
        ('{"handle":"88.100","values":[]}', "handle", "no slash"),
        ('{"handle":"/A1","values":[]}', "handle", "no prefix"),
        ('{"handle":"88.100/\\ud800","values":[]}', "handle", "surrogate"),
        ('{"handle":"88.100/A1"}', "", "neither values nor fields"),
        ('{"handle":"88.100/A1","values":[],"fields":{}}', "", "not both"),
        ('{"handle":"88.100/A1","values":{}}', "values", "must be a list"),
        ('{"handle":"88.100/A1","values":[3]}', "values[0]", "is no value"),
        ('{"handle":"88.100/A1","values":[{"index":1,"type":"URL"}]}', "values[0].data", ""),
        ('{"handle":"88.100/A1","values":[{"index":0,"type":"URL","data":"x"}]}', "values[0].index", "outside"),
        ('{"handle":"88.100/A1","values":[{"index":1,"type":1.5,"data":"x"}]}', "values[0].type", ""),
        ('{"handle":"88.100/A1","values":[{"index":9999999999,"type":"U","data":"x"}]}', "values[0].index", ""),
        ('{"handle":"88.100/A1","values":[{"index":1,"type":"U","data":"x","ttl":-1e99}]}', "values[0].ttl", ""),
        ('{"handle":"88.100/A1","values":[{"index":1,"type":"U","data":"x","ttl":"soon"}]}', "values[0].ttl", ""),
        ('{"handle":"88.100/A1","values":[{"index":1,"type":"U","data":"\\udfff"}]}', "values[0].data", "surrogate"),
        ('{"handle":"88.100/A1","values":[{"index":1,"type":"U","data":{"format":"odd","value":1}}]}', "values[0]", ""),
        ('{"handle":"88.100/A1","fields":[]}', "fields", "object"),
        ('{"handle":"88.100/A1","fields":{}}', "", "no values"),
        ('{"handle":"88.100/A1","fields":{"a":""}}', "", "no values"),
        ('{"handle":"88.100/A1","fields":{"a":{"b":1}}}', "fields.a", "a field is a text"),
        ('{"handle":"88.100/A1","fields":{"a":["x|y"]}}', "fields.a", "joins"),
        ('{"handle":"88.100/A1","fields":{"a":"x\\u0000y"}}', "fields.a", "NUL"),
        ('{"handle":"88.100/A1","fields":{"":"x"}}', "fields", "without a name"),
        ('{"handle":"88.100/A1","fields":{"a":NaN}}', "", "no number of JSON"),
    ],
)
def test_a_broken_line_names_its_field_and_the_reason(path: Path, content: str, column: str, says: str) -> None:
    found = only_error(path, content)
    assert found[0].startswith(column)
    assert says in found[1]
    assert found[1]


def test_an_index_that_stands_twice_names_both_places(path: Path) -> None:
    column, reason = only_error(path, line(values=[value(4), value(5), value(4, "DESC")]))
    assert column == "values[2].index"
    assert reason == "index 4 stands at values[0] already"


def test_the_error_carries_the_handle_of_its_row(path: Path) -> None:
    (error,) = errors(read(path, line(values=7)))
    assert error.handle == "88.100/A1"


def test_a_reader_remembers_a_bounded_number_of_plans() -> None:
    octets = ValueOctets(timestamp=NOW_S, limits=RowLimits())
    reader = JsonLines(octets, limits=RowLimits())
    for number in range(1_100):
        reader._row(1, {"handle": "88.100/A1", "fields": {f"field{number}": "x"}}, b"{}")
    assert len(reader._plans) <= 1_000
