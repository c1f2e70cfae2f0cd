"""StreamTable texts and the replication state in them."""

from time import process_time
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import Malformed
from protocol.replication.state_table import (
    STREAM_TABLE_DEPTH_MAX,
    STREAM_TABLE_SIZE_MAX,
    Entry,
    SourceState,
    read_replication_state,
    read_table,
    write_replication_state,
)

# Spec, resolution: section 9.
EXAMPLE: Final = b"""{
  "301:0.NA/20.1000" = (
{
      "last_timestamp" = "1600000000000"
      "last_txn_id" = "7"
    }
  )

}"""


def test_the_example_of_the_spec_is_read_and_written() -> None:
    state = {"301:0.NA/20.1000": (SourceState(number=7, date_ms=1_600_000_000_000),)}
    assert read_replication_state(EXAMPLE) == state
    assert write_replication_state(state) == EXAMPLE


def test_a_state_may_be_empty_and_a_server_may_lack_what_it_has_not_reached() -> None:
    assert read_replication_state(write_replication_state({})) == {}
    assert read_replication_state(b'{"sources"=({}{"last_txn_id"="3"}{"other"={}})}') == {
        "sources": (SourceState(), SourceState(number=3), SourceState())
    }


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"{}", {}),
        (b" {\n}\r\n", {}),
        (b'{"a"="b"}', {"a": "b"}),
        (b'{a = b, c = d; "e" = (f "g", {h = ()}) }', {"a": "b", "c": "d", "e": ["f", "g", {"h": []}]}),
        (b'{"a" = "x\\"y\\\\z\\nn\\q"}', {"a": 'x"y\\z\nnq'}),
        ('{"é" = "漢\n字"}'.encode(), {"é": "漢\n字"}),
        (b'{a = "1" a = "2"}', {"a": "2"}),
    ],
)  # fmt: skip
def test_the_grammar_is_read(text: bytes, wanted: dict[str, Entry]) -> None:
    assert read_table(text) == wanted


@pytest.mark.parametrize(
    "text",
    [b"", b"a", b'"a"', b"()", b"{", b"{a}", b"{a=}", b"{=b}", b"{a=b", b"{a=(}", b"{a=b)}", b'{"a"="b}', b'{"a"="\\"}']
    + [b"{}{}", b"{} x", b"{{}=a}", b"{a=\xff}", b"{a==b}", b'{"a" "b"}'],
)
def test_what_is_no_table_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        read_table(text)


@pytest.mark.parametrize(
    "text",
    [b'{a="b"}', b"{a={}}", b'{a=("b")}', b"{a=(())}", b'{a=({last_txn_id="x"})}', b'{a=({last_txn_id=""})}']
    + [b'{a=({last_txn_id=()})}', b'{a=({last_txn_id="9223372036854775808"})}', b'{a=({last_timestamp="1.5"})}']
    + [b'{a=({last_txn_id="' + b"9" * 9_000 + b'"})}', '{a=({last_txn_id="٣"})}'.encode()],
)  # fmt: skip
def test_what_is_no_state_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        read_replication_state(text)


def test_size_and_depth_are_bounded() -> None:
    deepest = b"{a=" + b"(" * (STREAM_TABLE_DEPTH_MAX - 1) + b")" * (STREAM_TABLE_DEPTH_MAX - 1) + b"}"
    assert read_table(deepest)
    for text in (deepest.replace(b"()", b"(())"), b"{a=" + b"(" * 100_000, b"{a=" * 100_000):
        with pytest.raises(Malformed):
            read_table(text)
    assert read_table(b"{}" + b" " * (STREAM_TABLE_SIZE_MAX - 2)) == {}
    with pytest.raises(Malformed):
        read_table(b"{}" + b" " * (STREAM_TABLE_SIZE_MAX - 1))


@pytest.mark.parametrize("unit", [b"\\n", b"\\", b'"', b"x", b" ", b"a=b ", b'"a"="b"', b"(", b"=", b"\\\\"])
def test_no_text_within_the_bounds_takes_long(unit: bytes) -> None:
    for start in (b"{", b'{"', b'{a="'):
        text = (start + unit * STREAM_TABLE_SIZE_MAX)[:STREAM_TABLE_SIZE_MAX]
        begun = process_time()
        with pytest.raises(Malformed):
            read_table(text)
        assert process_time() - begun < 3.0


i64 = st.integers(-(2**63), 2**63 - 1)


@given(
    st.dictionaries(st.text(max_size=9), st.lists(st.builds(SourceState, i64, i64), max_size=3).map(tuple), max_size=3)
)
def test_what_was_written_is_read(state: dict[str, tuple[SourceState, ...]]) -> None:
    once = write_replication_state(state)
    assert read_replication_state(once) == state
    assert write_replication_state(read_replication_state(once)) == once


@given(st.text(alphabet='{}()="\\ a,;\n', max_size=30).map(str.encode) | st.binary(max_size=30))
def test_any_text_is_a_table_or_malformed(text: bytes) -> None:
    for read in (read_table, read_replication_state):
        try:
            read(text)
        except Malformed:
            continue
