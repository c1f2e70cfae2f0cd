"""A root record that was truly signed, but long ago, does not displace a newer one."""

import asyncio
import logging

import pytest

from protocol.value import HandleValue
from resolver.bootstrap.refreshing import NotRefreshed, Refresh
from resolver.bootstrap.rollback import is_serial_below, older
from resolver.bootstrap.root_data import RootData
from tests.support.roots import (
    NOW_MS,
    Records,
    Telling,
    key_value,
    root_data,
    service_value,
    signed,
    site,
    site_value,
    trust_record,
)
from tests.support.signing import ADMIN_KEY, NOW, OTHER_KEY, cert_value, certificate, record_signature, signature_value

YEAR_S = 31_536_000
ROOT_PREFIX = b"0.NA/0.NA"


def root(host: str = "192.0.2.9", *, serial: int = 9, issued_at: int | None = NOW) -> Records:
    """The trust root and `0.NA/0.NA` with one site."""
    return trust_record() | signed(ROOT_PREFIX, site_value(1, site(host, serial=serial)), issued_at=issued_at)


def refreshed(told: Records, known: Records) -> RootData:
    old = root_data(known, updated_ms=NOW_MS)
    return asyncio.run(Refresh(old, Telling(told).ended, now_ms=NOW_MS + 1_000).done())


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (root("192.0.2.66", issued_at=NOW - YEAR_S), "signed before what is known"),
        (root("192.0.2.66", issued_at=NOW - 1), "signed before what is known"),
        (root("192.0.2.66", issued_at=None), "signed before what is known"),
        (root("192.0.2.66", serial=10, issued_at=NOW - YEAR_S), "signed before what is known"),
        (root("192.0.2.66", serial=3), "serial 3, and 9 is known"),
        (root("192.0.2.66", serial=65_530), "serial 65530, and 9 is known"),
    ],
)
def test_an_older_record_of_the_root_keeps_the_newer(told: Records, why: str) -> None:
    with pytest.raises(NotRefreshed, match=f"0.NA/0.NA is an old one: .*{why}.*take bootstrap_handles"):
        refreshed(told, root())


@pytest.mark.parametrize(
    "told",
    [
        root(),
        root("192.0.2.10", serial=10, issued_at=NOW + 1),
        root("192.0.2.10", serial=9, issued_at=NOW + 1),
    ],
)
def test_the_same_and_a_newer_record_are_taken(told: Records) -> None:
    assert refreshed(told, root()).values(ROOT_PREFIX) == told[ROOT_PREFIX]


def test_a_root_that_a_file_tells_without_signature_is_followed_by_a_signed_one() -> None:
    told = root(issued_at=None)
    unsigned = trust_record() | {ROOT_PREFIX: (site_value(1, site(serial=9)),)}
    assert refreshed(told, unsigned).values(ROOT_PREFIX) == told[ROOT_PREFIX]


def test_an_old_trust_root_does_not_bring_back_a_key_that_was_given_up() -> None:
    """The old record still is signed by a key that is trusted."""
    given_up = key_value(302, OTHER_KEY), cert_value(402, certificate(b"302:0.0/0.0", OTHER_KEY))
    itself = trust_record()[b"0.0/0.0"][:2]
    before = signed(b"0.0/0.0", *itself, *given_up, issued_at=NOW - YEAR_S)
    with pytest.raises(NotRefreshed, match=r"0\.0/0\.0 is an old one"):
        refreshed(root() | before, root())


def test_an_old_record_of_a_service_leaves_the_known_one(caplog: pytest.LogCaptureFixture) -> None:
    names = trust_record() | signed(ROOT_PREFIX, service_value(1, b"0.GHR/20"))
    known = names | signed(b"0.GHR/20", site_value(1, site(serial=9)))
    before = signed(b"0.GHR/20", site_value(1, site("192.0.2.66", serial=9)), issued_at=NOW - YEAR_S)
    with caplog.at_level(logging.WARNING):
        found = refreshed(names | before, known)
    assert found.values(b"0.GHR/20") == known[b"0.GHR/20"]
    assert "what was told of 0.GHR/20 is an old one" in caplog.text


def twice(site_at: int, other_at: int) -> tuple[HandleValue, ...]:
    """A record whose site and whose key are signed apart from one another."""
    values = site_value(1, site()), key_value(300, ADMIN_KEY)
    signatures = (
        record_signature((value,), handle=ROOT_PREFIX, issued_at=issued_at)
        for value, issued_at in zip(values, (site_at, other_at), strict=True)
    )
    return (*values, *(signature_value(401 + number, found) for number, found in enumerate(signatures)))


def test_each_value_is_held_against_its_own_signature() -> None:
    assert "the value at 1 was" in older(twice(NOW - 5, NOW), twice(NOW - 9, NOW + 1), now_s=NOW + 2)
    assert older(twice(NOW - 5, NOW), twice(NOW - 5, NOW + 1), now_s=NOW + 2) == ""


def test_a_signature_from_the_future_does_not_keep_out_all_that_follows() -> None:
    known, told = twice(NOW + YEAR_S, NOW + YEAR_S), twice(NOW, NOW)
    assert older(known, told, now_s=NOW) == ""
    assert older(known, told, now_s=NOW + YEAR_S) != ""


def test_what_cannot_be_read_compares_with_nothing() -> None:
    bad = (
        HandleValue(index=401, type=b"HS_SIGNATURE", data=b"\xff.\xff"),
        HandleValue(index=1, type=b"HS_SITE", data=b"\x00"),
    )
    assert older(bad, bad, now_s=NOW) == older((), bad, now_s=NOW) == older(bad, twice(NOW, NOW), now_s=NOW) == ""


@pytest.mark.parametrize(
    ("serial", "known", "is_below"),
    [
        (3, 9, True), (9, 9, False), (10, 9, False), (65_535, 0, True), (0, 65_535, False),
        (0, 32_767, True), (0, 32_768, False), (32_768, 0, False), (32_769, 0, True),
    ],
)  # fmt: skip
def test_serial_numbers_are_compared_on_their_circle(serial: int, known: int, is_below: bool) -> None:
    assert is_serial_below(serial, known) is is_below
