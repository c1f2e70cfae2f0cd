"""Sites: addresses as text and octets, bits that are kept, counts that lie, and every site there can be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import Malformed
from protocol.site import (
    ADMIN_SERVICE,
    PRIMARY,
    QUERY_SERVICE,
    Interface,
    Server,
    Site,
    Transport,
    address_octets,
    address_text,
)
from protocol.version import Version
from protocol.wire import Reader

octet = st.integers(0, 255)
i32 = st.integers(-(2**31), 2**31 - 1)
short = st.binary(max_size=12)
interfaces = st.builds(Interface, octet, octet, i32)
servers = st.builds(
    Server,
    id=i32,
    address=st.binary(min_size=16, max_size=16),
    public_key=short,
    interfaces=st.lists(interfaces, max_size=3).map(tuple),
)
sites = st.builds(
    Site,
    format_version=st.integers(0, 0xFFFF),
    protocol=st.builds(Version, octet, octet),
    serial=st.integers(0, 0xFFFF),
    flags=octet,
    hash_option=octet,
    hash_filter=short,
    attributes=st.lists(st.tuples(short, short), max_size=3).map(tuple),
    servers=st.lists(servers, max_size=3).map(tuple),
)
EXAMPLE = (
    "0001 02 0b 0001 80 02 00000000 00000001 00000004 64657363 00000004 54657374 00000001"
    "00000001 000000000000000000000000c0000201 00000000 00000003 03 01 00000a51 02 00 00000a51 03 02 00001f40"
)


def example() -> Site:
    return Site(
        serial=1,
        flags=PRIMARY,
        attributes=((b"desc", b"Test"),),
        servers=(
            Server(
                id=1,
                address=address_octets("192.0.2.1"),
                interfaces=(
                    Interface(ADMIN_SERVICE | QUERY_SERVICE, Transport.TCP, 2641),
                    Interface(QUERY_SERVICE, Transport.UDP, 2641),
                    Interface(ADMIN_SERVICE | QUERY_SERVICE, Transport.HTTP, 8000),
                ),
            ),
        ),
    )


def test_the_example_of_the_spec_is_written_and_read_octet_for_octet() -> None:
    octets = bytes.fromhex(EXAMPLE)
    assert example().to_bytes() == octets
    assert Site.from_bytes(octets) == example()


def test_a_site_says_what_its_flags_and_services_mean() -> None:
    site = Site.from_bytes(bytes.fromhex(EXAMPLE))
    assert (site.is_primary, site.is_multi_primary) == (True, False)
    tcp, udp, _ = site.servers[0].interfaces
    assert (tcp.is_admin, tcp.is_query) == (True, True)
    assert (udp.is_admin, udp.is_query) == (False, True)


@given(sites)
def test_every_site_is_read_as_it_was_written(site: Site) -> None:
    assert Site.from_bytes(site.to_bytes()) == site


def test_octets_behind_a_site_are_malformed_in_a_value_and_left_in_a_message() -> None:
    octets = bytes.fromhex(EXAMPLE) + b"\x00"
    with pytest.raises(Malformed):
        Site.from_bytes(octets)
    reader = Reader(octets)
    assert Site.read(reader) == example()
    assert reader.remaining == 1


@pytest.mark.parametrize("at", [8, 12, 32, 56, 60])
def test_a_count_or_length_the_rest_cannot_hold_is_malformed_at_once(at: int) -> None:
    octets = bytearray.fromhex(EXAMPLE)
    octets[at : at + 4] = b"\x7f\xff\xff\xff"
    with pytest.raises(Malformed):
        Site.from_bytes(bytes(octets))


def test_an_address_of_another_size_makes_no_server() -> None:
    with pytest.raises(Malformed):
        Server(id=1, address=bytes(4))


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("192.0.2.1", "000000000000000000000000c0000201"),
        ("0.0.0.0", "00000000000000000000000000000000"),
        ("127.0.0.1", "0000000000000000000000007f000001"),
        ("::1", "00000000000000000000000000000001"),
        ("2001:db8::7", "20010db8000000000000000000000007"),
        ("::ffff:c000:201", "00000000000000000000ffffc0000201"),
    ],
)
def test_an_address_has_one_text_and_sixteen_octets(text: str, octets: str) -> None:
    assert address_octets(text).hex() == octets
    assert address_octets(address_text(bytes.fromhex(octets))).hex() == octets
    assert address_text(bytes.fromhex(octets)).startswith(text.rpartition(":")[0])


@given(st.binary(min_size=16, max_size=16))
def test_every_address_survives_its_text(octets: bytes) -> None:
    assert address_octets(address_text(octets)) == octets


@given(st.binary(min_size=4, max_size=4))
def test_every_ipv4_address_survives_its_text(octets: bytes) -> None:
    packed = bytes(12) + octets
    assert address_octets(address_text(packed)) == packed


@pytest.mark.parametrize(
    "text", ["", "localhost", "1.2.3", "1.2.3.4.5", "01.2.3.4", "fe80::1%eth0", "1.2.3.4/8", "::g"]
)
def test_what_is_no_address_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        address_octets(text)
