"""Administrators and groups: the permission bits as text, the old form, and what is no administrator."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.administrator import (
    ALL_PERMISSIONS,
    Administrator,
    Permission,
    permission_text,
    permissions_from_text,
    read_vlist,
    vlist_octets,
)
from protocol.errors import InvalidValue, Malformed
from protocol.value import Reference

handles = st.binary(max_size=40)
indexes = st.integers(-(2**31), 2**31 - 1)


def test_the_example_of_the_spec_is_written_octet_for_octet() -> None:
    written = Administrator(ALL_PERMISSIONS, b"0.NA/20.1000", 200).to_bytes()
    assert written.hex() == "0fff0000000c302e4e412f32302e31303030000000c8"


def test_the_permission_text_begins_with_listing_and_ends_with_adding_handles() -> None:
    assert permission_text(Permission.LIST_HANDLES) == "100000000000"
    assert permission_text(Permission.ADD_HANDLE) == "000000000001"
    assert permission_text(0x07F3) == "011111110011"


def test_a_permission_above_the_twelve_makes_the_text_longer_and_is_not_lost() -> None:
    assert permission_text(Permission.LIST_DERIVED_PREFIXES) == "1000000000000"
    assert permissions_from_text("1000000000000") == Permission.LIST_DERIVED_PREFIXES


def test_a_short_permission_text_is_read_from_its_right_end() -> None:
    assert permissions_from_text("11") == Permission.ADD_HANDLE | Permission.DELETE_HANDLE
    assert permissions_from_text("") == 0


@pytest.mark.parametrize("text", ["2", "1111111x1111", "1" * 17, " 1", "-1", "0b1", "1_1", "１"])
def test_a_text_that_is_not_binary_digits_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        permissions_from_text(text)


@given(st.integers(0, 0xFFFF))
def test_every_permission_bit_survives_the_text(permissions: int) -> None:
    assert permissions_from_text(permission_text(permissions)) == permissions


@given(st.integers(0, 0xFFFF), handles, indexes, st.booleans())
def test_every_administrator_is_read_as_it_was_written(
    permissions: int, handle: bytes, index: int, legacy: bool
) -> None:
    administrator = Administrator(permissions, handle, index, legacy)
    assert Administrator.from_bytes(administrator.to_bytes()) == administrator


def test_an_administrator_may_do_what_all_its_bits_say() -> None:
    administrator = Administrator(Permission.ADD_VALUE | Permission.READ_VALUE, b"0.NA/1", 300)
    assert administrator.may(Permission.ADD_VALUE)
    assert administrator.may(Permission.ADD_VALUE | Permission.READ_VALUE)
    assert not administrator.may(Permission.ADD_VALUE | Permission.ADD_ADMIN)
    assert administrator.reference == Reference(300, b"0.NA/1")


@pytest.mark.parametrize("end", [b"\x00", b"\x00\x01", b"\x00\x00\x00", b"\x00\x00\x00\x00"])
def test_only_two_zero_octets_may_follow_an_administrator(end: bytes) -> None:
    octets = Administrator(1, b"0.NA/1", 300).to_bytes()
    assert Administrator.from_bytes(octets + bytes(2)).legacy
    with pytest.raises(Malformed):
        Administrator.from_bytes(octets + end)


def test_the_group_of_the_spec_is_written_octet_for_octet() -> None:
    members = (Reference(300, b"0.NA/20.1000"), Reference(0, b"20.1000/u"))
    octets = vlist_octets(members)
    assert octets.hex() == "000000020000000c302e4e412f32302e313030300000012c0000000932302e313030302f7500000000"
    assert read_vlist(octets) == members


def test_a_group_of_more_members_than_the_octets_hold_is_malformed_at_once() -> None:
    with pytest.raises(Malformed):
        read_vlist(bytes.fromhex("7fffffff") + bytes(64))


@given(st.lists(st.builds(Reference, indexes, handles), max_size=5))
def test_every_group_is_read_as_it_was_written(members: list[Reference]) -> None:
    assert read_vlist(vlist_octets(members)) == tuple(members)
