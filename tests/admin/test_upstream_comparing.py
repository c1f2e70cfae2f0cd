"""A parent's delegation held against what a node is: what differs, and which of the parent's sites is meant."""

from dataclasses import replace

import pytest

from admin.upstream_comparing import compared, summary
from protocol.site import Interface, Site, address_octets
from protocol.value import HandleValue
from tests.support.roots import site, site_value
from tests.support.signing import ADMIN_KEY

P = b"0.NA/88.100"
MINE = site("192.0.2.1")
SERVER = MINE.servers[0]
MIRROR = Site(serial=1, flags=0, servers=site("192.0.2.8", key=ADMIN_KEY).servers)


def of(**changes: object) -> Site:
    """Our site with a server that differs so."""
    return replace(MINE, servers=(replace(SERVER, **changes),))  # type: ignore[arg-type]


def test_the_same_site_is_good_and_mirrors_beside_it_are_told() -> None:
    found = compared(P, [site_value(3, MIRROR), site_value(1, MINE), site_value(11, MINE, b"HS_SITE.PREFIX")], MINE)
    assert found.is_good
    assert (found.index, found.differences) == (1, ())
    assert found.others == ("192.0.2.8 tcp 2641 udp 2641",)


DIFFERENT = {
    "address": (of(address=address_octets("192.0.2.2")), "192.0.2.2", "192.0.2.1"),
    "ports": (of(interfaces=(Interface(3, 1, 2642), *SERVER.interfaces[1:])), "tcp 2642 udp 2641", "tcp 2641 udp 2641"),
    "key": (of(public_key=site(key=ADMIN_KEY).servers[0].public_key), "SHA256:", "SHA256:"),
    "serial": (replace(MINE, serial=7), "7", "1"),
    "kind": (replace(MINE, flags=0), "a mirror", "a primary"),
    "servers": (replace(MINE, servers=(SERVER, SERVER)), "2", "1"),
    "site": (replace(MINE, attributes=((b"desc", b"old"),)), "another record", "this node's record"),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_each_difference_is_told_with_both_sides(what: str) -> None:
    told, there, here = DIFFERENT[what]
    found = compared(P, [site_value(1, told)], MINE)
    assert not found.is_good
    assert found.index == 1
    (difference,) = found.differences
    assert difference.what == what
    assert difference.there.startswith(there)
    assert difference.here.startswith(here)
    assert f"{what}: the parent tells" in str(difference)


def test_a_key_that_cannot_be_read_is_told() -> None:
    (difference,) = compared(P, [site_value(1, of(public_key=b"x"))], MINE).differences
    assert difference.there == "none that can be read"


def test_a_delegation_to_somebody_else_or_to_nobody() -> None:
    broken = HandleValue(index=1, type=b"HS_SITE", data=b"x")
    for values, there in (
        ([site_value(1, MIRROR)], "192.0.2.8 tcp 2641 udp 2641"),
        ([broken], "no site"),
        ([], "no site"),
    ):
        found = compared(P, values, MINE)
        assert (found.index, found.is_good) == (0, False)
        assert found.differences[0].there == there


def test_derived_prefixes_must_lead_to_the_same() -> None:
    values = [site_value(1, MINE), site_value(11, replace(MINE, serial=9), b"HS_SITE.PREFIX")]
    (difference,) = compared(P, values, MINE).differences
    assert difference.what == "HS_SITE.PREFIX"


def test_the_summary_counts() -> None:
    good, bad = compared(P, [site_value(1, MINE)], MINE), compared(P, [], MINE)
    assert summary([good]) == "1 prefix: 1 delegated as this node is"
    assert summary([good, bad]) == "2 prefixes: 1 delegated as this node is, 1 not"
