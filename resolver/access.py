"""Who may have this node ask others: addresses within the operator's networks. Everybody else hears what is kept here.

An open recursive resolver is a relay and a reflector, so nobody may unless it is said.
"""

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from typing import Final

from resolver.admission import Network

HOSTS_MAX: Final = 65_536
"""Addresses whose turn it was that are remembered; beyond, all are looked at anew."""


class Access:
    """Answers by address as text, as a socket tells it; the same address again costs a look into a dictionary."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = tuple(networks)
        self._hosts: dict[str, bool] = {}

    @property
    def is_closed(self) -> bool:
        """Whether nobody may."""
        return not self._networks

    def allows(self, host: str) -> bool:
        """Whether an address is within one of the networks. A text that is no address is not."""
        found = self._hosts.get(host)
        if found is None:
            if len(self._hosts) >= HOSTS_MAX:
                self._hosts.clear()
            found = self._hosts[host] = self._is_within(host)
        return found

    def _is_within(self, host: str) -> bool:
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped  # An IPv4 client of a socket that speaks both.
        return any(address in network for network in self._networks if network.version == address.version)
