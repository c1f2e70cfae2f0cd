"""For whom a node asks others: an open recursive resolver is a choice, and one that should be made on purpose."""

from pathlib import Path
from typing import Final

from admin.doctor.findings import Finding, Level, worst
from resolver.bootstrap.deriving import faults_of, world_of
from resolver.bootstrap.files import read_files
from resolver.config import Config
from resolver.config_hierarchy import NEAR
from resolver.config_units import Network

_WIDE: Final = {4: 8, 6: 16}
"""The shortest prefix that one operator has as a rule: a wider network is the world's, or a large part of it."""


def recursion(config: Config) -> Finding:
    """Whether strangers may recurse, and whether anybody can be asked at all: at every node, for old clients too."""
    networks = config.recursion_networks()
    found = []
    for network in networks:
        if not _is_near(network):
            found.append(Finding("recursion", Level.WARN, _told(network), 'allow = ["10.0.0.0/8"] under [recursion]'))
    if networks:
        found += _root(config.upstream.bootstrap_dir)
    names = ", ".join(map(str, networks[:4])) + (f" and {len(networks) - 4} more" if len(networks) > 4 else "")
    good = f"for {names}" if names else "for nobody"
    if config.recursion.legacy:
        good += "; clients below 2.10, wherever they are, have delegations of this node resolved"
    return worst("recursion", found, good)


def _root(folder: Path | None) -> list[Finding]:
    """What is wrong where the folder that names the root does not lead to one."""
    said = "no root is known: nothing is found for anybody"
    if folder is None:
        return [Finding("recursion", Level.WARN, said, 'bootstrap_dir = "bootstrap" under [upstream]')]
    files = read_files(folder)
    if not world_of(files).is_empty:
        return []
    faults = faults_of(files)
    why = f" ({faults[0].path}: {faults[0].why})" if faults else f" ({folder} names no server)"
    return [Finding("recursion", Level.WARN, said + why, faults[0].then if faults else "")]


def _is_near(network: Network) -> bool:
    """Whether a network is loopback or of private use, as far as it goes."""
    return any(
        network.version == near.version and network.subnet_of(near)  # type: ignore[arg-type]
        for near in NEAR
    )


def _told(network: Network) -> str:
    if network.prefixlen == 0:
        return f"everybody ({network}) may have this node ask others: an open resolver is a relay and a reflector"
    width = "a network of many operators" if network.prefixlen < _WIDE[network.version] else "a public network"
    return f"{network} may have this node ask others: {width}, of which replies can be sent to forged addresses"
