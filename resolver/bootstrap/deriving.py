"""From what the standard files say to the `World` that a walk begins in.

Source: spec, resolution: sections 2.2 and 3.5.
"""

from collections.abc import Iterator
from types import MappingProxyType
from typing import Final

from protocol.identifier import ROOT_PREFIX_HANDLE, prefix_folded
from protocol.site import Site
from protocol.trust.chains import TRUST_ROOT, TrustRoot
from protocol.value import HandleValue
from resolver.bootstrap.files import Fault, Files
from resolver.bootstrap.root_data import RootData
from resolver.bootstrap.sites import services_of, sites_of
from resolver.config import Config
from resolver.identity import own_address, published_address
from resolver.walk.world import World

SERVICE_DEPTH_MAX: Final = 20
"""Service handles that lead on from one to the next: what deployed clients follow."""

_NAMESPACE: Final = b"HS_NAMESPACE"
_LOOPBACK: Final = ("127.0.0.1", "::1")


def world_of(files: Files, *, ours: frozenset[tuple[str, int]] = frozenset()) -> World:
    """What is known before anybody is asked. With files that say nothing it is empty: then nobody is asked."""
    root, fixed = files.root or RootData(), dict(files.fixed)
    replaced = fixed.pop(ROOT_PREFIX_HANDLE, None)
    values = root.values(ROOT_PREFIX_HANDLE) or ()
    sites = root_sites(root, files.preferred_root) if replaced is None else replaced
    return World(
        root_sites=sites,
        root_keys=tuple(sorted(trust_root(root).keys, key=repr)),
        fixed=MappingProxyType(fixed),
        caches=files.caches,
        cached_prefixes=files.cached_prefixes,
        namespace=next((value.data for value in values if value.type == _NAMESPACE), None),
        inside=MappingProxyType(dict(files.inside)),
        keywords=files.keywords,
        ours=ours,
    )


def root_sites(root: RootData, preferred: bytes | None = None) -> tuple[Site, ...]:
    """The global sites: of the preferred handle if it is there and has some, else of `0.NA/0.NA`; each once."""
    wished = tuple(_sites(root, preferred)) if preferred is not None else ()
    return tuple(dict.fromkeys(wished or _sites(root, ROOT_PREFIX_HANDLE)))


def trust_root(root: RootData) -> TrustRoot:
    """The keys that may end a signature chain."""
    return TrustRoot.of_values(root.values(TRUST_ROOT) or ())


def _sites(root: RootData, start: bytes) -> Iterator[Site]:
    """Sites of a handle and of the services that it names, level by level, all looked up in the same data."""
    seen: set[bytes] = set()
    level = [start]
    for _ in range(SERVICE_DEPTH_MAX + 1):
        further: list[bytes] = []
        for handle in level:
            if prefix_folded(handle) not in seen:
                seen.add(prefix_folded(handle))
                values: tuple[HandleValue, ...] = root.values(handle) or ()
                yield from sites_of(values)
                further.extend(services_of(values))
        level = further


def faults_of(files: Files) -> list[Fault]:
    """What is wrong with the files, and with what they say together: a root without sites or without keys."""
    found = list(files.faults)
    if files.root is None:
        if not found and world_of(files).is_empty:
            why = "there is neither bootstrap_handles nor another file that names a server: no root is known"
            found.append(Fault(files.folder, why, "take bootstrap_handles from who runs the root"))
        return found
    if not root_sites(files.root, files.preferred_root) and ROOT_PREFIX_HANDLE not in files.fixed:
        why = "0.NA/0.NA names no site that can be read: nobody could be asked"
        found.append(Fault(files.folder, why, "take bootstrap_handles from who runs the root"))
    preferred = files.preferred_root
    if preferred is not None and not tuple(_sites(files.root, preferred)):
        why = f"preferred_root {preferred.decode(errors='replace')} has no sites in bootstrap_handles"
        found.append(Fault(files.folder / "config.dct", why, "leave preferred_root out"))
    return found


def own_places(config: Config) -> frozenset[tuple[str, int]]:
    """Addresses and ports at which this very node is reached, as far as it can know: a walk never asks itself."""
    found: set[tuple[str, int]] = set()
    for section in (config.udp, config.tcp, config.tls):
        for listener in section.listen:
            hosts = {listener.host}
            if listener.is_wildcard:
                hosts = {own_address(listener), *_LOOPBACK}
            found.update((host, listener.port) for host in hosts)
            if config.udp.listen or config.tcp.listen:
                found.add((published_address(config), listener.port))
    return frozenset(found)
