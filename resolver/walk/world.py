"""What is known of the world before anybody is asked: the root's sites and keys, fixed sites, who asks for us.

Made from the standard files or the configuration (`resolver.bootstrap`), replaced as a whole when the root's record is
refreshed. Source: spec, resolution: sections 2 and 3.5.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from types import MappingProxyType
from typing import Final

from protocol.site import Site
from protocol.trust.keys import PublicKey, public_key_octets

TRUST_SIZE: Final = 16
"""Octets of `World.trust`: enough that no two sets of keys share them by chance."""

NO_FIXED: Final[Mapping[bytes, tuple[Site, ...]]] = MappingProxyType({})
NO_ADDRESSES: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A walk begins here.

    `root_sites`: the global sites. `root_keys`: public keys that may end a signature chain (HS_PUBKEY of `0.0/0.0`).
    `fixed`: sites of folded prefix handles (`0.NA/88.100`) that need no look-up. `caches`: sites that resolve for us
    what `cached_prefixes` (folded prefix handles; empty: everything) names. `namespace`: HS_NAMESPACE XML that all
    prefixes inherit. `inside`: addresses as records tell them → as this machine reaches them. `keywords`: of sites to
    be preferred. `ours`: addresses and ports where this very
    node listens: a walk never asks itself. `delegated`:
    who keeps folded prefix handles, as this node itself says; they are asked about these handles alone, and everything
    else begins at the root as ever.
    """

    root_sites: tuple[Site, ...] = ()
    root_keys: tuple[PublicKey, ...] = ()
    fixed: Mapping[bytes, tuple[Site, ...]] = field(default_factory=lambda: NO_FIXED)
    caches: tuple[Site, ...] = ()
    cached_prefixes: frozenset[bytes] = frozenset()
    namespace: bytes | None = None
    inside: Mapping[str, str] = field(default_factory=lambda: NO_ADDRESSES)
    keywords: frozenset[bytes] = frozenset()
    ours: frozenset[tuple[str, int]] = frozenset()
    delegated: Mapping[bytes, tuple[Site, ...]] = field(default_factory=lambda: NO_FIXED)

    @property
    def is_empty(self) -> bool:
        """Whether nobody at all can be asked: then this node recurses for nobody."""
        return not (self.root_sites or self.fixed or self.caches)

    def trust(self) -> bytes:
        """`TRUST_SIZE` octets that stand for all keys which certified answers go back to: other ones, other octets."""
        held = {b"root " + public_key_octets(key) for key in self.root_keys}
        groups = {b"sites": self.root_sites, b"caches": self.caches, **self.fixed}
        for name, sites in groups.items():
            held |= {name + b" " + server.public_key for site in sites for server in site.servers}
        digest = sha256()
        for octets in sorted(held):
            digest.update(len(octets).to_bytes(4, "big") + octets)
        return digest.digest()[:TRUST_SIZE]
