"""The node's place in the hierarchy: its role, what is above it, for whom it resolves, and what it remembers.

A role sets defaults and nothing else: every node is the same program. Source: spec, resolution: sections 2, 6.3.
"""

import ipaddress
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal, cast

from pydantic import PlainSerializer, PlainValidator

from resolver import config_units as units
from resolver.config_keys import (
    AS_DURATION,
    AS_SIZE,
    MIB,
    References,
    Section,
    ServerPlace,
    SomePath,
    listed,
    octets,
    seconds,
    setting,
)
from resolver.config_units import Network

Role = Literal["root", "national", "secondary", "enterprise", "recursive"]

BY_ROLE: Final[Literal["by role"]] = "by role"
"""What `[recursion] allow` says where nobody set it."""

_DAY_S: Final = 86_400.0
_GIB: Final = 1 << 30

NEAR: Final[tuple[Network, ...]] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)
"""Loopback and the networks of private use: for whom a recursive node resolves unless told otherwise."""

_RECURSION: Final[Mapping[Role, tuple[Network, ...]]] = MappingProxyType({"recursive": NEAR})


def recursion_of(role: Role) -> tuple[Network, ...]:
    """For which networks a node of that role resolves what it does not keep, where nothing else is configured."""
    return _RECURSION.get(role, ())


def _allowed(value: object) -> tuple[Network, ...] | Literal["by role"]:
    """Networks from a list or from text with commas between them; or the word that leaves it to the role."""
    texts = listed(value)
    if texts in (BY_ROLE, [BY_ROLE]):
        return BY_ROLE
    if not isinstance(texts, (list, tuple)):
        raise ValueError(f'{value!r} is neither a list of networks nor "{BY_ROLE}"')
    return tuple(units.network(text) for text in texts)


def _allowed_text(value: object) -> object:
    return value if value == BY_ROLE else [str(network) for network in cast(tuple[Network, ...], value)]


class UpstreamSection(Section):
    """What is above this node: how the root is known, and whose delegation makes this node found."""

    bootstrap_dir: SomePath = setting(
        "", description="folder with bootstrap_handles and its like; empty: no root is known, and nobody is asked"
    )
    refresh: Annotated[float, seconds(0, 30 * _DAY_S), AS_DURATION] = setting(
        "24h", description="how often the root's record is asked for anew; 0s for never"
    )
    parent: ServerPlace = setting("", description="host:port of the node that delegates this node's prefixes")
    parent_site: SomePath = setting(
        "", description="file with its site record, binary or JSON: what it says is then verified"
    )
    key: SomePath = setting("", description="a private key, PEM, to write the delegation at the parent (mode 0600)")
    identity: References = setting((), description='what the parent knows that key as, one "index:handle"')


class RecursionSection(Section):
    """For whom this node finds what it does not keep."""

    allow: Annotated[
        tuple[Network, ...] | Literal["by role"], PlainValidator(_allowed), PlainSerializer(_allowed_text)
    ] = setting(
        BY_ROLE,
        description='networks that may ask for anything; [] for nobody; "by role": loopback and private networks for a '
        "recursive node, nobody for the others (but see legacy: for old clients whatever this says)",
    )
    max_walks: int = setting(1000, ge=1, le=1_000_000, description="searches at a time, for each worker")
    timeout: Annotated[float, seconds(0.1, 120), AS_DURATION] = setting(
        "10s", description="how long one search may take"
    )
    certify: bool = setting(False, description="every answer on the way must be signed, from the root down")
    aliases: bool = setting(False, description="follow an HS_ALIAS to the handle that it names")
    legacy: bool = setting(
        True,
        description="resolve what is under a delegation of this node for clients before 2.10 from any network: these "
        "cannot follow a referral to it; false: they are refused",
    )


class CacheSection(Section):
    """What is remembered of other nodes' answers."""

    size: Annotated[int, octets(MIB, 64 * _GIB), AS_SIZE] = setting("64MiB", description="memory of each worker")
    shared_size: Annotated[int, octets(0, 64 * _GIB), AS_SIZE] = setting(
        "256MiB", description="memory that all workers share; 0 for none"
    )
    ttl_max: Annotated[float, seconds(0, 30 * _DAY_S), AS_DURATION] = setting(
        "1h", description="no answer is used longer than this without asking again"
    )
    negative_ttl: Annotated[float, seconds(0, _DAY_S), AS_DURATION] = setting(
        "60s", description="how long it is remembered that a handle does not exist"
    )
    stale: Annotated[float, seconds(0, 30 * _DAY_S), AS_DURATION] = setting(
        "24h", description="how long an expired answer may be used while its servers cannot be reached; 0s for never"
    )
    prefetch: bool = setting(True, description="ask for popular answers again before they expire")
