"""Sites in JSON: a captured `siteinfo.json`, the old spelling, and what a person is told who wrote one wrong."""

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given

from protocol.errors import InvalidValue
from protocol.json_form.sites import site_from_json, site_to_json
from protocol.site import Interface, Server, Site, address_octets
from protocol.version import Version
from tests.protocol.test_site import sites
from tests.support.keys import captured_keys
from tests.support.vectors import octets, vectors

CAPTURED: dict[str, Any] = vectors()["siteInfoJson"]
SERVER_KEY = captured_keys()["server"][1]


def changed(**fields: object) -> dict[str, Any]:
    return deepcopy(CAPTURED) | fields


def server(**fields: object) -> dict[str, Any]:
    return changed(servers=[CAPTURED["servers"][0] | fields])


def interface(**fields: object) -> dict[str, Any]:
    return server(interfaces=[CAPTURED["servers"][0]["interfaces"][0] | fields])


def test_the_captured_site_is_read_as_described() -> None:
    assert len(CAPTURED) == 7
    assert site_from_json(CAPTURED) == Site(
        serial=1,
        flags=0x80,
        attributes=((b"desc", b"CNRI 9.3.1 local peer"),),
        servers=(
            Server(
                id=1,
                address=address_octets("127.0.0.1"),
                public_key=SERVER_KEY,
                interfaces=(Interface(3, 1, 2841), Interface(2, 0, 2841), Interface(3, 2, 8200)),
            ),
        ),
    )


def test_the_captured_site_is_shown_key_for_key_and_is_the_record_that_its_server_answered() -> None:
    site = site_from_json(CAPTURED)
    assert json.dumps(site_to_json(site)) == json.dumps(CAPTURED)
    assert octets("siteinfo.response").count(site.to_bytes()) == 1


def test_an_empty_object_is_a_site_of_defaults() -> None:
    assert site_from_json({}) == Site()
    assert site_from_json(dict.fromkeys(CAPTURED)) == Site()


def test_hash_option_and_filter_are_shown_only_where_they_say_something() -> None:
    shown = site_to_json(Site(hash_option=1, hash_filter=b"f", protocol=Version(2, 9)))
    assert list(shown) == [
        *("version", "protocolVersion", "serialNumber", "primarySite", "multiPrimary"),
        *("hashOption", "hashFilter", "attributes", "servers"),
    ]
    assert (shown["hashOption"], shown["hashFilter"], shown["protocolVersion"]) == (1, "f", "2.9")


def test_a_key_that_is_empty_unknown_or_broken_is_shown_as_base64() -> None:
    for key in (b"", SERVER_KEY[:40], b"\x00\x00\x00\x0bSM2_PUB_KEY\x00\x00"):
        site = Site(servers=(Server(id=1, address=bytes(16), public_key=key),))
        shown: Any = site_to_json(site)
        assert shown["servers"][0]["publicKey"]["format"] == "base64"
        assert site_from_json(shown) == site


@given(sites)
def test_every_site_with_ports_that_exist_is_shown_read_and_shown_alike(site: Site) -> None:
    shown: Any = site_to_json(site)
    for one in shown["servers"]:
        for way in one["interfaces"]:
            way["port"] &= 0xFFFF
    found = site_from_json(json.loads(json.dumps(shown)))
    assert site_to_json(found) == shown
    assert [one.address for one in found.servers] == [one.address for one in site.servers]
    assert [one.public_key for one in found.servers] == [one.public_key for one in site.servers]


def test_the_old_spelling_means_the_same_site() -> None:
    old = {
        "Version": 1,
        "ProtocolVersion": "2.11",
        "SerialNumber": 1,
        "PrimarySite": True,
        "MultiPrimary": False,
        "Attributes": [{"Name": "desc", "Value": "CNRI 9.3.1 local peer"}],
        "ServerList": [
            {
                "ServerId": 1,
                "Address": "127.0.0.1",
                "PublicKey": SERVER_KEY.hex().upper(),
                "InterfaceList": [
                    {"Query": True, "Admin": True, "Protocol": "TCP", "Port": 2841},
                    {"Query": True, "Admin": False, "Protocol": "udp", "Port": 2841},
                    {"Query": True, "Admin": True, "Protocol": 2, "Port": "8200"},
                ],
            }
        ],
    }
    assert site_from_json(old) == site_from_json(CAPTURED)


def test_attributes_may_be_one_object_of_names_and_values_or_lists_of_values() -> None:
    site = site_from_json(changed(attributes={"desc": "a", "domain": ["b", "c"], "none": []}))
    assert site.attributes == ((b"desc", b"a"), (b"domain", b"b"), (b"domain", b"c"))


def test_a_transport_without_a_name_is_a_number_both_ways() -> None:
    site = site_from_json(interface(protocol=77))
    assert site.servers[0].interfaces[0].transport == 77
    shown: Any = site_to_json(site)
    assert shown["servers"][0]["interfaces"][0]["protocol"] == 77


WRONG: list[tuple[object, str]] = [
    (None, "site: missing, expected an object"),
    ([], "site: a list of 0, expected an object"),
    (changed(version=65536), "site.version: 65536, expected a whole number from 0 to 65535"),
    (changed(serialNumber=-1), "site.serialNumber: -1, expected a whole number from 0 to 65535"),
    (changed(hashOption=256), "site.hashOption: 256, expected a whole number from 0 to 255"),
    (changed(hashFilter=0), "site.hashFilter: 0, expected a string"),
    (changed(primarySite="yes"), "site.primarySite: 'yes', expected true or false"),
    (changed(multiPrimary=1), "site.multiPrimary: 1, expected true or false"),
    (changed(protocolVersion=2.11), "site.protocolVersion: 2.11, expected a version such as"),
    (changed(protocolVersion="2.256"), "site.protocolVersion: '256', expected a whole number from 0 to 255"),
    (changed(protocolVersion="2"), "site.protocolVersion: '2', expected a version such as"),
    (changed(attributes=7), "site.attributes: 7, expected a list or an object"),
    (changed(attributes=["x"]), "site.attributes[0]: 'x', expected an object"),
    (changed(attributes=[{"name": "x"}]), "site.attributes[0].value: missing, expected a string"),
    (changed(attributes={"x": 1}), "site.attributes['x']: 1, expected a string or a list of strings"),
    (changed(attributes={"x": ["y"] * 1025}), "site.attributes: a list of 1025, expected at most 1024 attributes"),
    (changed(attributes=[{}] * 1025), "site.attributes: a list of 1025, expected a list of at most 1024"),
    (changed(servers={}), "site.servers: an object, expected a list"),
    (changed(servers=[{}] * 1025), "site.servers: a list of 1025, expected a list of at most 1024"),
    (changed(servers=[1]), "site.servers[0]: 1, expected an object"),
    (server(serverId=None), "site.servers[0].serverId: missing, expected a whole number"),
    (server(address=None), "site.servers[0].address: missing, expected an IP address"),
    (server(address="hdl.example.org"), "site.servers[0].address: 'hdl.example.org', expected an IPv4 or IPv6 address"),
    (server(address="fe80::1%1"), "site.servers[0].address: 'fe80::1%1', expected an IPv4 or IPv6 address"),
    (server(publicKey="xyz"), "site.servers[0].publicKey: 'xyz', expected an even number of hexadecimal digits"),
    (server(publicKey=5), 'site.servers[0].publicKey: 5, expected an object with "format" and "value"'),
    (server(publicKey={"format": "pem"}), 'site.servers[0].publicKey.format: \'pem\', expected "key", "base64"'),
    (server(publicKey={"format": "key"}), 'site.servers[0].publicKey.value: missing, expected an object with "kty"'),
    (server(interfaces=[{}] * 65), "site.servers[0].interfaces: a list of 65, expected a list of at most 64"),
    (interface(port=65536), "site.servers[0].interfaces[0].port: 65536, expected a whole number from 0 to 65535"),
    (interface(port=None), "site.servers[0].interfaces[0].port: missing, expected a whole number"),
    (interface(protocol="QUIC"), "site.servers[0].interfaces[0].protocol: 'QUIC', expected one of UDP, TCP"),
    (interface(protocol=256), "site.servers[0].interfaces[0].protocol: 256, expected a whole number from 0 to 255"),
    (interface(protocol=True), "site.servers[0].interfaces[0].protocol: true, expected a whole number"),
    (interface(query="yes"), "site.servers[0].interfaces[0].query: 'yes', expected true or false"),
]


@pytest.mark.parametrize(("found", "text"), WRONG, ids=[text[:60] for _, text in WRONG])
def test_a_wrong_field_is_told_by_place_find_and_expectation(found: object, text: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        site_from_json(found)
    assert str(caught.value).startswith(text)
