"""The playground's folder: for each node a configuration, keys and a store, with its records and its delegations.

Starts nothing. All of it can be kept, looked at, and served again: `hnode --config FOLDER/NODE/hnode.toml serve`.
"""

import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from admin.config_text import example
from admin.delegating import delegated, delegation_sites, delegation_values
from admin.errors import Failure
from admin.files import PUBLIC, make_folder, write_whole
from admin.handle_values import ADMIN_INDEX, ADMIN_KEY_INDEX
from admin.local_store import open_store
from admin.playground.goods import Item, items
from admin.playground.plan import (
    DELEGATIONS,
    HOSTED,
    ROOT,
    SEATS,
    SECONDARY_A,
    Delegation,
    Seat,
    keeper_of,
    parent_of,
)
from admin.prefixes import KEY_INDEX
from admin.root_signing import root_data
from admin.setup.free_ports import free_port
from admin.setup.initialise import CONFIG_NAME, LOOPBACK, Wish, initialise, public_half
from admin.setup.sample import load_sample
from protocol.administrator import ALL_PERMISSIONS, Administrator
from protocol.identifier import PREFIX_HANDLES
from protocol.site import Site
from protocol.value import HandleValue, value_list
from resolver.bootstrap.files import write_root_file
from resolver.config import Config
from resolver.config_units import Endpoint
from resolver.identity import read_identity
from storage.base import Change, PutRecord, UpdateRecord
from storage.lmdb_store import LmdbStore

BOOTSTRAP: Final = "bootstrap"
SITE_FILE: Final = "siteinfo.bin"
WHO: Final = "playground"
SEARCH_TIMEOUT: Final = "3s"
"""How long the recursive node searches: long enough for a silent server and a mirror, short enough to watch."""


@dataclass(frozen=True, slots=True)
class BuiltNode:
    """A node's seat, its configuration file, and the port of UDP and TCP on loopback."""

    seat: Seat
    config: Path
    port: int

    def key_of(self, prefix: str) -> Path:
        """The file with the private key of the administrator of a prefix that it homes."""
        return self.config.parent / "keys" / f"{prefix}.admin.pem"


@dataclass(frozen=True, slots=True)
class Built:
    """The folder, its nodes by their names, the folder that tells a client of the root, and how many records stand."""

    folder: Path
    nodes: Mapping[str, BuiltNode]
    bootstrap: Path
    records: int


def expect_empty(folder: Path) -> None:
    """A `Failure` where something is in the folder."""
    if folder.is_dir() and any(folder.iterdir()):
        raise Failure(f"{folder} is not empty", "a playground wants a folder of its own", "--keep ANOTHER")


def build(folder: Path) -> Built:
    """Make everything in an empty or missing folder; a `Failure` where something is in it."""
    folder = folder.absolute()
    expect_empty(folder)
    make_folder(folder)
    ports: list[int] = []
    for _ in SEATS:
        ports.append(free_port([LOOPBACK], avoid=ports))
    nodes = {
        seat.name: BuiltNode(seat, folder / seat.name / CONFIG_NAME, port)
        for seat, port in zip(SEATS, ports, strict=True)
    }
    now_s = int(time.time())
    configs = _configured(nodes, now_s)
    sites = {name: _site_of(config) for name, config in configs.items()}
    records = 0
    for name, config in configs.items():
        with open_store(config) as store:
            records += _filled(store, nodes, name, sites, now_s)
    _write_bootstrap(folder / BOOTSTRAP, configs[ROOT], now_s)
    return Built(folder, nodes, folder / BOOTSTRAP, records)


def _configured(nodes: Mapping[str, BuiltNode], now_s: int) -> dict[str, Config]:
    """Make every node's folder; a mirror's last, since it is told its source's site record and key."""
    configs: dict[str, Config] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # To find the primes of some twenty keys takes its time.
        sources = [node for node in nodes.values() if not node.seat.copies]
        for node, config in zip(sources, pool.map(lambda node: _made(node, nodes, now_s), sources), strict=True):
            configs[node.seat.name] = config
    for node in nodes.values():
        if node.seat.copies:
            source = nodes[node.seat.copies].config.parent
            write_whole(source / SITE_FILE, _site_of(configs[node.seat.copies]), mode=PUBLIC)
            configs[node.seat.name] = _made(node, nodes, now_s)
    return {name: configs[name] for name in nodes}


def _made(node: BuiltNode, nodes: Mapping[str, BuiltNode], now_s: int) -> Config:
    make_folder(node.config.parent)
    write_whole(node.config, example(_settings(node, nodes)).encode(), mode=PUBLIC)
    return initialise(Wish(folder=node.config.parent, prefixes=node.seat.homes), {}, now_s=now_s).config


def _settings(node: BuiltNode, nodes: Mapping[str, BuiltNode]) -> dict[str, object]:
    """What a node's configuration sets; the rest is as every node has it."""
    listen = [str(Endpoint(LOOPBACK, node.port))]
    seat = node.seat
    found: dict[str, object] = {
        "node.name": seat.name,
        "node.role": seat.role,
        "node.workers": 1,
        "udp.listen": listen,
        "tcp.listen": listen,
        "store.map_size": "64MiB",
    }
    if seat.name != ROOT:
        found["upstream.bootstrap_dir"] = f"../{BOOTSTRAP}"
    above = parent_of(seat.name)
    if above and not seat.copies:
        found["upstream.parent"] = str(Endpoint(LOOPBACK, nodes[above].port))
    if seat.is_asking:
        found |= {"recursion.timeout": SEARCH_TIMEOUT, "cache.negative_ttl": "2s"}
    if seat.name == SECONDARY_A:
        found["replication.admins"] = [_mirror_identity(seat)]
    if seat.copies:
        source = nodes[seat.copies]
        found |= {
            "replication.role": "mirror",
            "replication.source": str(Endpoint(LOOPBACK, source.port)),
            "replication.source_site": f"../{source.seat.name}/{SITE_FILE}",
            "replication.key": f"../{source.seat.name}/keys/{source.seat.homes[0]}.admin.pem",
            "replication.identity": [_mirror_identity(source.seat)],
            "replication.interval": "0.5s",
        }
    return found


def _mirror_identity(source: Seat) -> str:
    return f"{KEY_INDEX}:{PREFIX_HANDLES.decode()}{source.homes[0]}"


def _site_of(config: Config) -> bytes:
    """The octets of the node's own HS_SITE record."""
    with open_store(config, read_only=True) as store, store.view() as view:
        identity = read_identity(view)
    assert identity is not None, "the folder was just made"
    return identity.site


def _filled(store: LmdbStore, nodes: Mapping[str, BuiltNode], name: str, sites: Mapping[str, bytes], now_s: int) -> int:
    """Write what the node keeps: records of products and prefix records. The number of product records."""
    if nodes[name].seat.copies:
        return 0  # A mirror gets all of it from its source.
    mine = [item for item in items() if item.prefix in nodes[name].seat.homes]
    changes: list[Change] = [PutRecord(item.handle.encode(), record_of(item, now_s), who=WHO) for item in mine]
    for delegation in DELEGATIONS:
        if delegation.at == name:
            changes.append(_delegation(delegation, nodes, sites, now_s))
    for outcome in store.apply(changes, now_ms=now_s * 1000):
        if outcome.error is not None:
            raise outcome.error
    return len(mine) + (load_sample(store) if HOSTED in nodes[name].seat.homes else 0)


def record_of(item: Item, now_s: int) -> bytes:
    """The value list of a product's record, its administrator the one of its prefix."""
    prefix = PREFIX_HANDLES + item.prefix.encode()
    rows = [(number, kind.encode(), text.encode()) for number, (kind, text) in enumerate(item.rows, 1)]
    rows.append((ADMIN_INDEX, b"HS_ADMIN", Administrator(ALL_PERMISSIONS, prefix, ADMIN_KEY_INDEX).to_bytes()))
    made = [HandleValue(index=i, type=k, data=data, ttl=item.ttl_s, timestamp=now_s) for i, k, data in rows]
    return value_list(made)


def _delegation(
    delegation: Delegation, nodes: Mapping[str, BuiltNode], sites: Mapping[str, bytes], now_s: int
) -> UpdateRecord:
    """What sends clients to whoever keeps the prefix, and says whose it is."""
    handle = PREFIX_HANDLES + delegation.prefix.encode()
    primary, *mirrors = [Site.from_bytes(sites[name]) for name in delegation.to]
    key = public_half(nodes[keeper_of(delegation.prefix)].key_of(delegation.prefix))
    values = delegation_values(handle, delegation_sites(primary, mirrors), key=key, now_s=now_s)
    return UpdateRecord(handle, delegated(values), WHO)


def _write_bootstrap(folder: Path, root: Config, now_s: int) -> None:
    """The file by which others know the root, as its operator would hand it out."""
    with open_store(root, read_only=True) as store, store.view() as view:
        data = root_data(view, now_ms=now_s * 1000)
    make_folder(folder)
    write_root_file(folder, data)
