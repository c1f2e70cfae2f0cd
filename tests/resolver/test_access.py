"""Who may have a node ask others: by network, whichever family the socket speaks, and nobody by default."""

from ipaddress import ip_network

import pytest

from resolver.access import HOSTS_MAX, Access
from resolver.config import Config
from tests.support.neighbours import config

NEAR = Access([ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"), ip_network("127.0.0.1/32")])


@pytest.mark.parametrize(
    ("host", "may"),
    [
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("127.0.0.1", True),
        ("127.0.0.2", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("::ffff:10.1.2.3", True),  # An IPv4 client of a socket that speaks both.
        ("::ffff:11.1.2.3", False),
        ("2001:db8::1%eth0", True),
        ("::a01:203", False),  # Ends in the octets of 10.1.2.3, and is not that address.
        ("", False),
        ("localhost", False),
    ],
)
def test_an_address_may_if_it_is_in_one_of_the_networks(host: str, may: bool) -> None:
    assert NEAR.allows(host) is may
    assert NEAR.allows(host) is may, "also the second time"


def test_without_networks_nobody_may() -> None:
    assert Access([]).is_closed
    assert not Access([]).allows("127.0.0.1")
    assert not NEAR.is_closed


def test_what_strangers_make_us_remember_is_bounded() -> None:
    access = Access([ip_network("10.0.0.0/8")])
    for n in range(HOSTS_MAX + 10):
        access.allows(f"11.{n >> 16}.{n >> 8 & 255}.{n & 255}")
    assert len(access._hosts) <= HOSTS_MAX
    assert access.allows("10.0.0.1")


def test_by_default_only_a_recursive_node_asks_for_others_and_only_for_those_near() -> None:
    assert Access(Config().recursion_networks()).is_closed
    role = Config.model_validate({"node": {"role": "recursive"}})
    access = Access(role.recursion_networks())
    assert access.allows("127.0.0.1")
    assert access.allows("192.168.1.1")
    assert not access.allows("8.8.8.8")
    assert Access(config(allow=[]).recursion_networks()).is_closed
