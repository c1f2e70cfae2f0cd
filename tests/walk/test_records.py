"""What values say of services, and which of them a question asked for."""

from dataclasses import replace

import pytest

from protocol.site import Site, address_octets
from protocol.value import HandleValue
from resolver.walk.records import (
    SITES,
    alias_in,
    asks_for_aliases,
    domain_of,
    handles_in,
    keys_of,
    namespaces_in,
    sites_of,
    wanted,
)
from tests.support.keys import captured_keys
from tests.walk.servers import server_record


def value(type_: str, data: bytes = b"", index: int = 1) -> HandleValue:
    return HandleValue(index=index, type=type_.encode(), data=data)


def site(*addresses: str, **attributes: str) -> Site:
    servers = tuple([server_record(text, number=number) for number, text in enumerate(addresses, 10)])
    pairs = tuple(
        [
            (name.replace("_10", ".10").replace("_11", ".11").encode(), text.encode())
            for name, text in attributes.items()
        ]
    )
    return Site(servers=servers, attributes=pairs)


def addresses(found: tuple[Site, ...]) -> list[list[str]]:
    return [[server.address_text for server in one.servers] for one in found]


def of(one: Site) -> tuple[Site, ...]:
    return sites_of([value("HS_SITE", one.to_bytes())], SITES, count_max=9)


def test_types_of_service_values_are_compared_exactly() -> None:
    octets = site("192.0.2.1").to_bytes()
    for name, count in (("HS_SITE", 1), ("HS_SITE.6", 1), ("hs_site", 0), ("HS_SITE.PREFIX", 0), ("HS_SITE.7", 0)):
        assert len(sites_of([value(name, octets)], SITES, count_max=9)) == count, name


def test_data_that_is_no_site_is_passed_over() -> None:
    good = site("192.0.2.1").to_bytes()
    assert len(sites_of([value("HS_SITE", good[:-1]), value("HS_SITE", good)], SITES, count_max=9)) == 1


def test_of_a_record_with_many_sites_the_first_count() -> None:
    values = [value("HS_SITE", site(f"192.0.2.{number}").to_bytes()) for number in range(1, 30)]
    assert addresses(sites_of(values, SITES, count_max=2)) == [["192.0.2.1"], ["192.0.2.2"]]


def test_a_long_record_is_read_as_well() -> None:
    assert len(of(site("192.0.2.1", desc="long " * 2_000))) == 1


def test_the_only_servers_second_address_is_another_site() -> None:
    assert addresses(of(site("192.0.2.1", alt_addr="192.0.2.9"))) == [["192.0.2.1"], ["192.0.2.9"]]


def test_second_addresses_go_by_server_id_and_unknown_ids_by_nobody() -> None:
    found = of(site("192.0.2.1", "192.0.2.2", **{"alt_addr.11": "192.0.2.9", "alt_addr.77": "192.0.2.8"}))
    assert addresses(found) == [["192.0.2.1", "192.0.2.2"], ["192.0.2.1", "192.0.2.9"]]


@pytest.mark.parametrize("text", ["", "nonsense", "é", "fe80::1%eth0", "192.0.2.1"])
def test_a_second_address_that_is_none_or_the_first_makes_no_site(text: str) -> None:
    assert len(of(site("192.0.2.1", alt_addr=text))) == 1


def test_a_domain_belongs_to_its_server_or_to_all() -> None:
    one = Site(attributes=((b"domain", b"h.example"), (b"domain.1", b"second.example")))
    assert [domain_of(one, number) for number in (0, 1)] == ["h.example", "second.example"]


@pytest.mark.parametrize("name", [b"", b"-x.example", b"a b", b"x/../y", "é.example".encode(), b"a" * 254, b"x\n"])
def test_what_is_no_dns_name_is_no_domain(name: bytes) -> None:
    assert domain_of(Site(attributes=((b"domain", name),)), 0) is None


def test_service_handles_are_full_and_bounded() -> None:
    values = [value("HS_SERV", data) for data in (b"", b"\xff", b"x" * 3_000, b" 0.GHR/1 ", b"88", b"0.GHR/2")]
    assert handles_in(values, b"HS_SERV", count_max=5) == [b"0.GHR/1", b"0.NA/88"]


def test_the_first_alias_counts_and_its_subtypes_too() -> None:
    assert alias_in([value("URL", b"x"), value("hs_alias.old", b"88/A"), value("HS_ALIAS", b"88/B")]) == b"88/A"
    assert alias_in([value("HS_ALIASES", b"88/A")]) is None
    assert alias_in([value("HS_ALIAS", b"\xff")]) is None


def test_who_asks_for_aliases_wants_to_see_them() -> None:
    assert asks_for_aliases([b"URL", b"hs_alias"])
    assert not asks_for_aliases([b"URL"])


def test_namespaces_come_lowest_index_first() -> None:
    values = [value("HS_NAMESPACE", b"b", 7), value("hs_namespace", b"a", 3), value("URL", b"c", 1)]
    assert namespaces_in(values) == (b"a", b"b")


def test_a_key_that_checks_no_signature_is_none() -> None:
    octets = captured_keys()["server"][1]
    assert len(keys_of(octets)) == 1
    assert keys_of(b"") == keys_of(octets[:20]) == ()


@pytest.mark.parametrize(
    ("indexes", "types", "kept"),
    [
        ((), (), [1, 2, 3, 4, 0]),
        ((2,), (), [2]),
        ((0, 2), (), [2]),
        ((), (b"url",), [1]),
        ((), (b"URL.",), [1, 2]),
        ((), (b"UR.",), []),
        ((4,), (b"URL",), [1, 4]),
        ((), (b".",), []),
    ],
)
def test_values_are_kept_by_the_rule_of_servers(
    indexes: tuple[int, ...], types: tuple[bytes, ...], kept: list[int]
) -> None:
    values = (
        value("URL", index=1),
        value("url.Old", index=2),
        value("URLS", index=3),
        value("DESC", index=4),
        value("DESC", index=0),
    )
    assert [found.index for found in wanted(values, indexes, types)] == kept


def test_values_that_were_all_asked_for_are_not_copied() -> None:
    values = (value("URL"), replace(value("URL"), index=2))
    assert wanted(values, (), (b"URL",)) is values


def test_an_address_can_stand_in_a_record_as_ipv6() -> None:
    assert address_octets("2001:db8::1") == site("2001:db8::1").servers[0].address
