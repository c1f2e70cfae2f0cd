"""Keys, stored records and journal rows as octets: what is kept under what, and what is refused."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.errors import InvalidHandle, Malformed
from protocol.value import HandleValue, value_list
from storage.base import Action, JournalRow, Record, StoreCorrupt
from storage.changes import homed_key, with_kept_timestamps
from storage.journal import GROUP_SIZE_MAX, groups, read_group, row_key
from storage.keys import KEY_SIZE_MAX, PLAIN_KEY_SIZE_MAX, storage_key, writable_key
from storage.records import PLAIN_PUBLIC_HEAD, read_stored, stored

VALUES = value_list([HandleValue(index=1, type=b"URL", data=b"x", timestamp=5)])
PRIVATE = value_list([HandleValue(index=1, type=b"URL", data=b"x", permissions=12)])


def test_a_short_key_is_the_folded_handle() -> None:
    assert storage_key(b"88.100/aBc") == b"88.100/ABC"
    assert storage_key(b"ab.c/aBc", case_sensitive=True) == b"AB.C/aBc"


@given(st.binary(min_size=1, max_size=2048), st.binary(min_size=1, max_size=2048))
def test_two_handles_share_a_key_just_where_they_fold_alike(one: bytes, other: bytes) -> None:
    assert (storage_key(one) == storage_key(other)) == (one.upper() == other.upper())
    assert len(storage_key(one)) <= KEY_SIZE_MAX


def test_long_handles_with_one_head_have_keys_of_their_own() -> None:
    head = b"88.100/" + b"X" * 600
    keys = {storage_key(head + b"%d" % number) for number in range(50)}
    assert len(keys) == 50
    assert {len(key) for key in keys} == {KEY_SIZE_MAX}
    assert {key[:PLAIN_KEY_SIZE_MAX] for key in keys} == {head[:PLAIN_KEY_SIZE_MAX]}


@pytest.mark.parametrize("handle", [b"", b"x" * 2049, b"88.100/\xff"])
def test_what_is_no_handle_has_no_key_to_write_under(handle: bytes) -> None:
    with pytest.raises(InvalidHandle):
        writable_key(handle)


def test_the_stored_form_is_a_head_and_the_wire_form() -> None:
    assert stored(Record(b"88.100/A", VALUES), b"88.100/A") == PLAIN_PUBLIC_HEAD + VALUES
    assert stored(Record(b"88.100/A", PRIVATE), b"88.100/A")[:3] == b"\x01\x00\x00"
    assert stored(Record(b"88.100/A", value_list([])), b"88.100/A")[:3] == b"\x01\x00\x00"


@given(st.binary(min_size=1, max_size=700), st.sampled_from([VALUES, PRIVATE, value_list([])]))
def test_a_stored_record_is_read_as_it_was(handle: bytes, values: bytes) -> None:
    record, key = Record(handle, values), storage_key(handle)
    assert read_stored(key, stored(record, key)) == record


@given(st.binary(max_size=60))
def test_any_octets_are_a_record_or_corrupt(octets: bytes) -> None:
    try:
        read_stored(b"88.100/A", octets)
    except StoreCorrupt:
        return
    assert octets[:2] == b"\x01\x00"


def test_values_that_are_no_list_are_not_stored() -> None:
    with pytest.raises(Malformed):
        stored(Record(b"88.100/A", VALUES[:-1]), b"88.100/A")


noted = st.tuples(st.sampled_from(Action), st.binary(max_size=2048), st.sampled_from(["", "cli:she", "王"]))


@given(st.lists(noted, max_size=40), st.integers(1, 2**40))
def test_journal_rows_are_read_as_they_were_and_their_groups_lie_in_order(
    rows: list[tuple[Action, bytes, str]], first: int
) -> None:
    made = list(groups(first, rows, date_ms=1_700_000_000_123))
    assert [key for key, _ in made] == sorted(key for key, _ in made)
    assert [row for key, octets in made for row in read_group(key, octets)] == [
        JournalRow(first + place, action, handle, 1_700_000_000_123, who)
        for place, (action, handle, who) in enumerate(rows)
    ]


def test_a_group_of_short_journal_rows_fills_a_page_of_the_engine() -> None:
    rows = [(Action.CREATE, b"88.131.1000/A%09d" % number, "import") for number in range(1_000)]
    sizes = [len(octets) for _, octets in groups(1, rows, date_ms=1_700_000_000_123)]
    assert all(GROUP_SIZE_MAX - 40 < size <= 4_096 - 16 for size in sizes[:-1])
    assert sum(sizes) < 1_000 * (22 + 3.2)


def test_the_group_that_holds_a_row_is_the_first_whose_key_is_not_below_it() -> None:
    assert row_key(255) < row_key(256) < row_key(70_000)
    assert row_key(2**64) == row_key(2**64 - 1)


@given(st.binary(max_size=30), st.one_of(st.binary(max_size=10), st.just(row_key(3))))
@example(b"\x94\x01\xa1x\x01\x05", row_key(3))
@example(b"\x94\x01\xa1x\x09\xc4\x01a", row_key(3))
@example(b"\x93\x01\xa1x\x01", row_key(3))
@example(b"\x92\x01\xa1x", row_key(3))
@example(b"\x94\x01\xa1x\x01\xc4\x01a", row_key(0))
def test_any_octets_are_journal_rows_or_corrupt(octets: bytes, key: bytes) -> None:
    try:
        rows = read_group(key, octets)
    except StoreCorrupt:
        return
    assert rows
    assert row_key(rows[-1].number) == key
    assert all(isinstance(row.handle, bytes) and row.number > 0 for row in rows)


def test_values_that_did_not_change_keep_their_timestamps() -> None:
    kept = value_list([HandleValue(index=i, type=b"URL", data=b"%d" % i, timestamp=5) for i in (1, 2)])
    new = value_list([HandleValue(index=i, type=b"URL", data=d, timestamp=9) for i, d in ((2, b"2"), (1, b"new"))])
    mixed = value_list(
        [
            HandleValue(index=2, type=b"URL", data=b"2", timestamp=5),
            HandleValue(index=1, type=b"URL", data=b"new", timestamp=9),
        ]
    )
    assert with_kept_timestamps(new, kept) == mixed


def test_what_stands_and_is_no_value_list_is_replaced_as_a_whole() -> None:
    assert with_kept_timestamps(VALUES, VALUES[:-1]) == VALUES


@pytest.mark.parametrize(
    ("handle", "key"),
    [
        (b"88.100", b"0.NA/88.100"),
        (b"0.na/ab.c", b"0.NA/AB.C"),
        (b"0.NA/0.NA", b"0.NA/0.NA"),
        (b"0.NA/0.NA/88", b"0.NA/0.NA/88"),
    ],
)
def test_a_prefix_is_homed_by_its_prefix_handle(handle: bytes, key: bytes) -> None:
    assert homed_key(handle) == key


@pytest.mark.parametrize("handle", [b"", b"88.100/x", b"0.NA/", b"0.NA/88/x", b"10/0.NA", b"0.NA/\xff", b"1" * 600])
def test_what_names_no_prefix_is_not_homed(handle: bytes) -> None:
    with pytest.raises(InvalidHandle):
        homed_key(handle)
