"""A parent's delegation held against what a node is: what differs, and which of the parent's sites is meant."""

from dataclasses import replace

import pytest

from admin.upstream_comparing import compared
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
    "desc": (replace(MINE, attributes=((b"desc", b"old"),)), "'old'", "nothing"),
    "site": (replace(MINE, hash_option=1), "another record", "this node's record"),
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
    assert difference.name == what


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
    old = replace(MINE, serial=9, servers=of(address=address_octets("192.0.2.2")).servers)
    values = [site_value(1, MINE), site_value(11, old, b"HS_SITE.PREFIX")]
    found = compared(P, values, MINE).differences
    assert [(difference.name, difference.there, difference.here) for difference in found] == [
        ("HS_SITE.PREFIX address", "192.0.2.2", "192.0.2.1"),
        ("HS_SITE.PREFIX serial", "9", "1"),
    ]
    assert compared(P, [site_value(1, MINE), site_value(11, MINE, b"HS_SITE.PREFIX")], MINE).is_good


def test_what_both_values_tell_is_told_once() -> None:
    for told, said in ((replace(MINE, serial=9), ["serial"]), (MIRROR, ["site"])):
        found = compared(P, [site_value(1, told), site_value(11, told, b"HS_SITE.PREFIX")], MINE)
        assert [difference.what for difference in found.differences] == said
    assert found.differences[0].there == "192.0.2.8 tcp 2641 udp 2641"
    mirrors = [site_value(2, MIRROR), site_value(12, MIRROR, b"HS_SITE.PREFIX")]
    assert compared(P, [site_value(1, MINE), *mirrors], MINE).others == ("192.0.2.8 tcp 2641 udp 2641",)
