"""The data of one value in JSON: which format shows it, what each format takes, and what it refuses."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.administrator import Administrator, vlist_octets
from protocol.errors import InvalidValue
from protocol.json_form.data import data_from_json, data_to_json
from protocol.json_form.keys import key_from_json, key_to_json
from protocol.trust.keys import DhPublicKey, DsaPublicKey, RsaPublicKey, public_key_octets
from protocol.value import Reference
from tests.support.keys import captured_keys

ADMIN = {"handle": "0.NA/20.1000", "index": 200, "permissions": "011111110011"}
RSA = captured_keys()["server"][1]


def taken(form: str, value: object) -> bytes:
    return data_from_json({"format": form, "value": value})


def admin(**fields: object) -> Administrator:
    return Administrator.from_bytes(taken("admin", ADMIN | fields))


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (b"", "string"),
        ("飞天茅台".encode(), "string"),
        (b"tab\tline\r\n\x0b\x0c\x10\x13", "string"),
        (b"\x7f", "string"),
        (b"\x00", "base64"),
        (b"a\x08b", "base64"),
        (b"a\x14b", "base64"),
        (b"a\x1fb", "base64"),
        (b"\xff", "base64"),
        (b"\xed\xa0\x80", "base64"),
    ],
)
def test_data_is_a_string_where_it_is_text_without_control_signs_and_base64_otherwise(data: bytes, form: str) -> None:
    shown = data_to_json(b"DESC", data)
    assert shown["format"] == form
    assert data_from_json(shown) == data


@given(st.binary(max_size=60))
def test_any_data_survives(data: bytes) -> None:
    assert data_from_json(data_to_json(b"DESC", data)) == data


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        (b"HS_ADMIN", "admin"),
        (b"HS_ADMIN.x", "admin"),
        (b"hs_admin", "admin"),
        (b"HS_ADMINS", "base64"),
        (b"X.HS_ADMIN", "base64"),
    ],
)
def test_the_type_says_which_structured_format_shows_the_data(kind: bytes, form: str) -> None:
    assert data_to_json(kind, Administrator(0x07F3, b"0.NA/20.1000", 200).to_bytes())["format"] == form


@pytest.mark.parametrize("kind", [b"HS_SITE", b"HS_SITE.6", b"HS_SITE.PREFIX", b"HS_NA_DELEGATE"])
def test_every_kind_of_site_is_shown_as_one(kind: bytes) -> None:
    empty = bytes.fromhex("0001020b00070002000000000000000000000000")
    assert data_to_json(kind, empty)["format"] == "site"


@pytest.mark.parametrize("kind", [b"HS_ADMIN", b"HS_VLIST", b"HS_SITE", b"HS_PUBKEY"])
def test_data_that_its_type_does_not_fit_is_shown_as_any_other(kind: bytes) -> None:
    assert data_to_json(kind, b"plain") == {"format": "string", "value": "plain"}
    assert data_to_json(kind, b"\x00\x01") == {"format": "base64", "value": "AAE="}


def test_a_key_that_json_has_no_form_for_is_shown_as_any_other_data() -> None:
    for octets in (public_key_octets(DhPublicKey(1, 2, 3)), b"\x00\x00\x00\x03SM2\x00\x00key"):
        assert data_to_json(b"HS_PUBKEY", octets)["format"] == "base64"


def test_exact_json_shows_a_structured_format_only_where_no_octet_is_lost() -> None:
    assert data_to_json(b"HS_PUBKEY", RSA, exact=True)["format"] == "key"
    short = RSA[:-4]
    assert data_to_json(b"HS_PUBKEY", short)["format"] == "key"
    assert data_to_json(b"HS_PUBKEY", short, exact=True)["format"] == "base64"
    spelled = Administrator(1, b"0.NA/\xff", 300).to_bytes()
    assert data_to_json(b"HS_ADMIN", spelled)["format"] == "admin"
    assert data_from_json(data_to_json(b"HS_ADMIN", spelled, exact=True)) == spelled


@pytest.mark.parametrize(
    ("form", "value", "data"),
    [
        ("string", "é", b"\xc3\xa9"),
        ("STRING", "", b""),
        ("base64", "AAE=", b"\x00\x01"),
        ("base64", "AAE", b"\x00\x01"),
        ("Base64", "-_-_", b"\xfb\xff\xbf"),
        ("base64", "AA\r\n E=", b"\x00\x01"),
        ("base64", "", b""),
        ("hex", "00Ff", b"\x00\xff"),
        ("HEX", "00 ff\n", b"\x00\xff"),
        ("vlist", [], bytes(4)),
        ("vlist", [{"handle": "a/b", "index": "300"}], vlist_octets([Reference(300, b"a/b")])),
    ],
)
def test_a_format_is_taken_in_any_case(form: str, value: object, data: bytes) -> None:
    assert taken(form, value) == data


@pytest.mark.parametrize(
    ("permissions", "bits"),
    [
        ("011111110011", 0x07F3),
        ("0011111110011", 0x07F3),
        ("1000000000000", 0x1000),
        ("11", 0x0003),
        ("*", 0x0FFF),
        (True, 0x0FFF),
        (False, 0),
        (None, 0),
        (0x07F3, 0x07F3),
        ([True, 0, False, 1, None], 0x0009),
        ([1] * 12, 0x0FFF),
    ],
)
def test_admin_permissions_are_taken_in_every_form_the_spec_names(permissions: object, bits: int) -> None:
    assert admin(permissions=permissions).permissions == bits


def test_an_administrator_takes_a_numeric_string_as_index_and_keeps_the_old_length() -> None:
    assert admin(index="300") == Administrator(0x07F3, b"0.NA/20.1000", 300)
    old = Administrator(0x07F3, b"0.NA/20.1000", 300, legacy=True)
    shown: Any = data_to_json(b"HS_ADMIN", old.to_bytes())
    assert list(shown["value"]) == ["handle", "index", "permissions", "legacyByteLength"]
    assert data_from_json(shown) == old.to_bytes()


def test_a_key_takes_standard_base64_and_padding_as_well() -> None:
    key = RsaPublicKey(int.from_bytes(b"\xfb\xff\xbf\x01", "big"), 65537)
    assert key_to_json(key) == {"kty": "RSA", "n": "-_-_AQ", "e": "AQAB"}
    for n in ("-_-_AQ", "+/+/AQ==", "AAD7/78B"):
        assert key_from_json({"kty": "RSA", "n": n, "e": "AQAB"}, "key") == key


@given(st.builds(DsaPublicKey, *[st.integers(0, 2**90)] * 4) | st.builds(RsaPublicKey, *[st.integers(0, 2**90)] * 2))
def test_every_rsa_and_dsa_key_survives(key: DsaPublicKey | RsaPublicKey) -> None:
    assert key_from_json(key_to_json(key), "key") == key


WRONG: list[tuple[object, str]] = [
    ([], "data: a list of 0, expected a string, or an object"),
    ({}, "data.format: missing, expected one of string, base64, hex, admin, vlist, site, key"),
    ({"format": ["string"]}, "data.format: a list of 1, expected one of"),
    ({"format": "text", "value": "x"}, "data.format: 'text', expected one of"),
    ({"format": "string"}, "data.value: missing, expected a string"),
    ({"format": "string", "value": 7}, "data.value: 7, expected a string"),
    ({"format": "base64", "value": "A"}, "data.value: 'A', expected base64 text"),
    ({"format": "base64", "value": "AA=A"}, "data.value: 'AA=A', expected base64 text"),
    ({"format": "base64", "value": "äöü"}, "data.value: 'äöü', expected base64 text"),
    ({"format": "base64", "value": "\ud800"}, r"data.value: '\ud800', expected base64 text"),
    ({"format": "base64", "value": None}, "data.value: missing, expected base64 text"),
    ({"format": "hex", "value": "abc"}, "data.value: 'abc', expected an even number of hexadecimal digits"),
    ({"format": "hex", "value": "١١"}, "data.value: '١١', expected an even number of hexadecimal digits"),
    ({"format": "admin", "value": "x"}, 'data.value: \'x\', expected an object with "handle", "index" and'),
    ({"format": "admin", "value": ADMIN | {"index": None}}, "data.value.index: missing, expected a whole number"),
    ({"format": "admin", "value": ADMIN | {"handle": 1}}, "data.value.handle: 1, expected a string"),
    ({"format": "admin", "value": ADMIN | {"permissions": "2"}}, "data.value.permissions: '2', expected twelve digits"),
    ({"format": "admin", "value": ADMIN | {"permissions": "1" * 17}}, "data.value.permissions: '11111111111111111'"),
    ({"format": "admin", "value": ADMIN | {"permissions": 65536}}, "data.value.permissions: 65536, expected a whole"),
    ({"format": "admin", "value": ADMIN | {"permissions": 1.0}}, "data.value.permissions: 1.0, expected twelve digits"),
    ({"format": "admin", "value": ADMIN | {"permissions": [2]}}, "data.value.permissions[0]: 2, expected a whole"),
    ({"format": "admin", "value": ADMIN | {"permissions": [1] * 17}}, "data.value.permissions: a list of 17, expected"),
    ({"format": "admin", "value": ADMIN | {"legacyByteLength": 1}}, "data.value.legacyByteLength: 1, expected true"),
    ({"format": "vlist", "value": {}}, 'data.value: an object, expected a list, each an object with "handle"'),
    ({"format": "vlist", "value": [{"handle": "a"}]}, "data.value[0].index: missing, expected a whole number"),
    ({"format": "site", "value": {"servers": [{}]}}, "data.value.servers[0].address: missing, expected an IP address"),
    ({"format": "key", "value": {}}, 'data.value.kty: missing, expected "RSA", "DSA" or "SM2"'),
    ({"format": "key", "value": {"kty": ["RSA"]}}, 'data.value.kty: a list of 1, expected "RSA", "DSA" or "SM2"'),
    ({"format": "key", "value": {"kty": "RSA", "n": "AQ"}}, "data.value.e: missing, expected base64 text"),
    ({"format": "key", "value": {"kty": "RSA", "n": "", "e": "AQ"}}, "data.value.n: '', expected a number in base64"),
    ({"format": "key", "value": {"kty": "RSA", "n": "_" * 3000, "e": "AQ"}}, "data.value: a key number of 18000 bits"),
]


@pytest.mark.parametrize(("found", "text"), WRONG, ids=[text[:50] for _, text in WRONG])
def test_a_wrong_field_is_told_by_place_find_and_expectation(found: object, text: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        data_from_json(found)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("form", ["base64", "hex"])
def test_data_of_more_than_a_mebibyte_is_refused(form: str) -> None:
    with pytest.raises(InvalidValue, match="expected at most 1048576"):
        taken(form, "00000000" * 400_000)
