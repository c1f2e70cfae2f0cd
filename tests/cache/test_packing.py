"""Answers as octets between processes: all of them come back, and damaged octets are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.value import HandleValue, value_list
from resolver.cache.kept import Kept
from resolver.cache.packing import packed, unpacked

ONE = value_list([HandleValue(index=1, type=b"URL", data=b"u")])


def kept(code: int = 1, indexes: tuple[int, ...] = (), types: tuple[bytes, ...] = (), certified: bool = False) -> Kept:
    return Kept(
        code, ONE if code == 1 else value_list([]),
        indexes=indexes, types=types, is_certified=certified, received_ms=1_000, fresh_until_ms=9_000,
    )  # fmt: skip


def told(found: Kept) -> tuple[object, ...]:
    return (
        found.code, found.values, found.indexes, found.types,
        found.is_certified, found.received_ms, found.fresh_until_ms,
    )  # fmt: skip


@given(
    st.lists(
        st.builds(
            kept, st.sampled_from([1, 100, 200]), st.lists(st.integers(1, 2**31 - 1), max_size=3).map(tuple),
            st.lists(st.binary(max_size=5), max_size=3).map(tuple), st.booleans(),
        ),
        max_size=4,
    )
)  # fmt: skip
def test_answers_come_back_as_they_were(answers: list[Kept]) -> None:
    assert [told(found) for found in unpacked(packed(answers))] == [told(found) for found in answers]


def test_octets_cut_anywhere_or_of_another_layout_are_no_answers() -> None:
    octets = packed([kept(indexes=(3,), types=(b"URL",)), kept(100)])
    whole = [told(found) for found in unpacked(octets)]
    assert len(whole) == 2
    for end in range(len(octets)):
        assert [told(found) for found in unpacked(octets[:end])] in ([], whole[:1])
    assert unpacked(b"\x02" + octets[1:]) == []


@given(st.binary(max_size=100))
def test_any_octets_are_read_or_none(octets: bytes) -> None:
    for found in unpacked(b"\x01" + octets):
        assert isinstance(found, Kept)


@pytest.mark.parametrize("code", [0, 2, 301, 402])
def test_a_code_that_is_never_kept_is_no_answer(code: int) -> None:
    assert unpacked(packed([kept(code)])) == []
