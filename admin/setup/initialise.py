"""Make a node's folder: configuration, server key, store, prefixes with their records and keys. Prints nothing.

Done twice it changes nothing: what is there is kept, only what is missing is made. Each file appears whole, and what
the store gets it gets in one transaction, so that a run that is cut short is mended by the next one.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from admin.config_text import example
from admin.errors import ExitCode, Failure
from admin.files import PRIVATE, PRIVATE_FOLDER, PUBLIC, make_folder, remove_unfinished, write_whole
from admin.importing.rows import RowLimits
from admin.prefixes import checked_prefix, prefix_record
from admin.root_signing import KEY_FILE, root_state, sign_root
from admin.setup.free_ports import ANY, can_bind, free_port
from admin.setup.roles import ROOT, expect_bootstrap, expect_readable, expect_role, role_markers, role_prefixes
from protocol.errors import HandleError
from protocol.identifier import PREFIX_HANDLES, prefix_handle
from protocol.trust.chains import TRUST_ROOT
from protocol.trust.keys import (
    PrivateKey,
    PublicKey,
    fingerprint,
    from_pem,
    generate_rsa,
    private_pem,
    public_key_octets,
    public_of,
)
from resolver.config import Config
from resolver.config_loading import LoadedConfig, load_config
from resolver.config_units import Endpoint
from resolver.identity import identity_change, new_identity, read_identity
from storage.base import Change, HomePrefix, IfExists, PutRecord
from storage.lmdb_store import DATA_FILE, LmdbStore

CONFIG_NAME: Final = "hnode.toml"
DEFAULT_PORT: Final = 2641
KEY_BITS: Final = 2048
LOOPBACK: Final = "127.0.0.1"
WHO: Final = "init"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the node shall be. A port of 0 is chosen among the free ones; None for a later one leaves it out."""

    folder: Path
    prefixes: tuple[str, ...] = ()
    listen: tuple[str, ...] = ()
    port: int = DEFAULT_PORT
    http_port: int | None = None
    admin_port: int | None = None
    role: str | None = None
    bootstrap: Path | None = None


@dataclass(frozen=True, slots=True)
class MadePrefix:
    """A prefix that was asked for; `key` is the private key file that was made or found for it, or None."""

    prefix: str
    is_new: bool
    key: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What stands in the folder now, and which of it is new."""

    loaded: LoadedConfig
    config_is_new: bool
    key_is_new: bool
    store_is_new: bool
    key: PublicKey
    records: int
    homed: int
    prefixes: tuple[MadePrefix, ...]

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self.loaded.config

    @property
    def fingerprint(self) -> str:
        """Of the server's public key."""
        return fingerprint(self.key)


def initialise(wish: Wish, environment: Mapping[str, str], *, now_s: int) -> Made:
    """Make what is missing. `Failure`, `ConfigError`, `StoreError` or `OSError` where it cannot be."""
    wished = tuple([checked_prefix(prefix) for prefix in wish.prefixes])
    expect_readable(wish.bootstrap)
    make_folder(wish.folder)
    with _alone(wish.folder):
        path = wish.folder / CONFIG_NAME
        remove_unfinished(path)
        config_is_new = not path.exists()
        if config_is_new:
            write_whole(path, example(_settings(wish)).encode(), mode=PUBLIC)
        loaded = load_config(path, environment)
        role = loaded.config.node.role
        expect_role(wish.role, role, path)
        expect_bootstrap(wish.bootstrap, loaded.config.upstream.bootstrap_dir, path)
        prefixes = role_prefixes(role, wished)
        key, key_is_new = _server_key(loaded.config.node.server_key)
        store, store_is_new = _store(loaded.config)
        try:
            made = _homed(store, loaded.config, prefixes, public_key_octets(key), path.parent / "keys", now_s)
            if role == ROOT:
                _sign_root(store, loaded.config, path.parent / KEY_FILE, now_s)
            with store.view() as view:
                records, homed = view.facts().records, len(view.homed())
        finally:
            store.close()
    return Made(
        loaded=loaded,
        config_is_new=config_is_new,
        key_is_new=key_is_new,
        store_is_new=store_is_new,
        key=key,
        records=records,
        homed=homed,
        prefixes=made,
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder against a second run at the same time; the lock goes with the process that holds it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _settings(wish: Wish) -> dict[str, object]:
    """The keys that the new configuration sets, as the file writes them."""
    hosts = list(dict.fromkeys(_host(host) for host in wish.listen)) or [host for host in ANY if can_bind(host)]
    port = wish.port or free_port(hosts)
    listen = [str(Endpoint(host, port)) for host in hosts]
    settings: dict[str, object] = {"udp.listen": listen, "tcp.listen": listen}
    if wish.role is not None:
        settings["node.role"] = wish.role
    if wish.bootstrap is not None:
        settings["upstream.bootstrap_dir"] = str(wish.bootstrap.absolute())
    taken = [port]
    if wish.http_port is not None:
        taken.append(wish.http_port or free_port(hosts, udp=False, avoid=taken))
        settings["http.listen"] = [str(Endpoint(host, taken[-1])) for host in hosts]
    if wish.admin_port is not None:
        taken.append(wish.admin_port or free_port([LOOPBACK], udp=False, avoid=taken))
        settings["admin.listen"] = [str(Endpoint(LOOPBACK, taken[-1]))]
    if len(set(taken)) != len(taken):
        raise Failure(
            "two services cannot share a port",
            f"{', '.join(map(str, taken))}",
            "hnode init --help",
            code=ExitCode.USAGE,
        )
    return settings


def _host(host: str) -> str:
    try:
        return Endpoint.of(f"[{host}]:1" if ":" in host and not host.startswith("[") else f"{host}:1").host
    except ValueError as error:
        raise Failure(f"--listen {host}", str(error), "--listen 0.0.0.0 --listen ::", code=ExitCode.USAGE) from error


def _server_key(path: Path) -> tuple[PublicKey, bool]:
    remove_unfinished(path)
    if path.exists():
        return public_half(path), False
    make_folder(path.parent, mode=PRIVATE_FOLDER)
    key = generate_rsa(KEY_BITS)
    write_whole(path, private_pem(key), mode=PRIVATE)
    return public_of(key), True


def public_half(path: Path) -> PublicKey:
    """The public half of a private key file, PEM without a passphrase; a `Failure` where it is none."""
    try:
        key = from_pem(path.read_bytes())
    except HandleError as error:
        raise Failure(f"{path} cannot be used", str(error), f"hnode key show {path}") from error
    if not isinstance(key, PrivateKey):
        raise Failure(f"{path} cannot be used", "it holds a public key, not a private one", f"hnode key show {path}")
    return public_of(key)


def _store(config: Config) -> tuple[LmdbStore, bool]:
    """The store, opened; made where there is none, and finished where a cut run left it without its format."""
    folder = config.node.data_dir
    is_new = not (folder / DATA_FILE).exists()
    make_folder(folder, mode=PRIVATE_FOLDER)
    store = LmdbStore.create(
        folder,
        case_sensitive=config.store.case_sensitive,
        map_size=config.store.map_size,
        map_size_max=config.store.map_size_max,
        max_readers=config.store.max_readers,
    )
    return store, is_new


def _homed(
    store: LmdbStore, config: Config, prefixes: Sequence[str], public_key: bytes, keys: Path, now_s: int
) -> tuple[MadePrefix, ...]:
    """Home the prefixes and write their records and the node's identity, all that is missing in one transaction."""
    with store.view() as view:
        identity, homed = read_identity(view), view.homed()
        recorded = {prefix for prefix in prefixes if view.get(PREFIX_HANDLES + prefix.encode()) is not None}
    changes: list[Change] = []
    if identity is None:
        identity = new_identity(config, public_key, now_s=now_s)
        changes.append(identity_change(identity))
    made = []
    changes += [HomePrefix(marker, WHO) for marker in role_markers(config.node.role, prefixes) if marker not in homed]
    for prefix in prefixes:
        handle = prefix_handle(prefix.encode() + b"/")
        if handle not in homed:
            changes.append(HomePrefix(handle, WHO))
        path = keys / f"{prefix}.admin.pem"
        if prefix not in recorded:
            values = prefix_record(handle, identity.site, _admin_key(path), now_s)
            changes.append(PutRecord(handle, values, IfExists.KEEP, WHO))
        is_new = handle not in homed or prefix not in recorded
        made.append(MadePrefix(prefix, is_new, path if path.exists() else None))
    for outcome in store.apply(changes, now_ms=now_s * 1000) if changes else ():
        if outcome.error is not None:
            raise outcome.error
    return tuple(made)


def _sign_root(store: LmdbStore, config: Config, path: Path, now_s: int) -> None:
    """Have the root's records signed with its key, which is made where there is none."""
    limits = RowLimits(value_size=config.limits.value_bytes, value_count=config.limits.values_per_handle)
    with store.view() as view:
        is_good = not root_state(view, now_s=now_s).bad
        is_known = view.get(TRUST_ROOT) is not None
    if is_known and (is_good or not path.exists()):  # A key that is kept elsewhere signs by `hnode upstream bootstrap`.
        return
    _admin_key(path)
    key = from_pem(path.read_bytes())
    assert isinstance(key, PrivateKey), "its public half was just taken"
    sign_root(store, key, now_s=now_s, limits=limits, who=WHO)


def _admin_key(path: Path) -> PublicKey:
    """The public half of an administrator's key: of the file where an earlier run left one, else of a fresh one."""
    remove_unfinished(path)
    if path.exists():
        return public_half(path)
    make_folder(path.parent, mode=PRIVATE_FOLDER)
    key = generate_rsa(KEY_BITS)
    write_whole(path, private_pem(key), mode=PRIVATE)
    return public_of(key)
