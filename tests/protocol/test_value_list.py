"""Value lists as octets: what walks and filters them agrees with what decodes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import value_list
from protocol.errors import Malformed
from protocol.value import HandleValue, Reference, read_values
from protocol.value import value_list as written
from protocol.wire import Reader
from tests.support.vectors import vectors

i32 = st.integers(-(2**31), 2**31 - 1)
octet = st.integers(0, 255)
values = st.builds(
    HandleValue,
    index=i32,
    type=st.binary(max_size=12),
    data=st.binary(max_size=20),
    ttl_type=octet,
    ttl=i32,
    timestamp=i32,
    permissions=octet,
    references=st.lists(st.builds(Reference, i32, st.binary(max_size=8)), max_size=3).map(tuple),
)
lists = st.lists(values, max_size=5).map(tuple)


@given(lists)
def test_spans_are_where_the_values_are(given_values: tuple[HandleValue, ...]) -> None:
    octets = written(given_values)
    spans = value_list.spans(octets)
    assert [octets[span.start : span.end] for span in spans] == [value.to_bytes() for value in given_values]
    assert [span.value_index for span in spans] == [value.index for value in given_values]
    assert [span.permissions for span in spans] == [value.permissions for value in given_values]
    assert [span.type for span in spans] == [value.type.upper() for value in given_values]
    assert value_list.joined(octets, spans) == octets
    assert value_list.all_public(octets) == (bool(spans) and all(value.is_public for value in given_values))
    assert value_list.count(octets) == len(given_values)


@given(st.binary(max_size=200))
def test_any_octets_are_walked_just_where_they_can_be_decoded(octets: bytes) -> None:
    try:
        spans = value_list.spans(octets)
    except Malformed:
        with pytest.raises(Malformed):
            value_list.all_public(octets)
        with pytest.raises(Malformed):
            reader = Reader(octets)
            read_values(reader)
            reader.expect_end("a list")
        return
    assert written(read_values(Reader(octets))) == octets
    assert len(spans) == value_list.count(octets)
    assert value_list.all_public(octets) == (bool(spans) and all(span.permissions & 2 for span in spans))


@given(lists)
def test_a_list_cut_anywhere_is_malformed(given_values: tuple[HandleValue, ...]) -> None:
    octets = written(given_values)
    for end in range(len(octets)):
        with pytest.raises(Malformed):
            value_list.spans(octets[:end])
        with pytest.raises(Malformed):
            value_list.all_public(octets[:end])


@given(values, i32)
def test_only_the_time_of_writing_is_left_out(value: HandleValue, timestamp: int) -> None:
    later = HandleValue(
        index=value.index, type=value.type, data=value.data, ttl_type=value.ttl_type, ttl=value.ttl,
        timestamp=timestamp, permissions=value.permissions, references=value.references,
    )  # fmt: skip
    assert value_list.without_timestamps(written([value])) == value_list.without_timestamps(written([later]))


def found(wanted_types: tuple[bytes, ...], wanted_indexes: tuple[int, ...] = ()) -> list[bytes]:
    kept = [
        HandleValue(index=index, type=kind, data=b"")
        for index, kind in enumerate((b"URL", b"url.x", b"URLS", b"EMAIL", b"URL.X.Y", b""), 1)
    ]
    spans = value_list.spans(written(kept))
    return [kept[span.value_index - 1].type for span in spans if value_list.matcher(wanted_indexes, wanted_types)(span)]


def test_a_type_matches_itself_in_any_case() -> None:
    assert found((b"URL",)) == [b"URL"] == found((b"uRl",))


def test_a_type_that_ends_in_a_dot_takes_the_bare_type_and_its_subtypes() -> None:
    assert found((b"URL.",)) == [b"URL", b"url.x", b"URL.X.Y"]
    assert found((b"url.X.",)) == [b"url.x", b"URL.X.Y"]


def test_types_and_indexes_are_a_union_in_stored_order() -> None:
    assert found((b"EMAIL",), (1,)) == [b"URL", b"EMAIL"]


def test_nothing_asked_for_is_everything() -> None:
    assert len(found(())) == 6


def test_index_0_and_unknown_types_match_nothing() -> None:
    assert found((b"NOSUCH",)) == [] == found((), (0,))


def test_a_list_is_public_where_it_has_values_and_all_are() -> None:
    public, private = HandleValue(index=1, type=b"", data=b""), HandleValue(index=2, type=b"", data=b"", permissions=12)
    assert value_list.all_public(written([public]))
    assert not value_list.all_public(written([public, private]))
    assert not value_list.all_public(value_list.EMPTY)


def test_the_19_captured_values_are_read_and_written_alike() -> None:
    captured = vectors()["handleValues"]
    assert len(captured) == 19
    for entry in captured:
        octets = bytes.fromhex(entry["wireHex"])
        assert HandleValue.read(Reader(octets)).to_bytes() == octets
