"""From the configuration of a mirror to whom it copies and who it is: the files that it names, read and judged."""

import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protocol.errors import Malformed
from protocol.json_form.sites import site_from_json
from protocol.site import Server, Site, address_octets
from protocol.trust.keys import PrivateKey, PublicKey, UnknownPublicKey, UnusableKey, from_pem, read_public_key
from protocol.version import NEWEST
from resolver.client_proof import Identity
from resolver.config import ReplicationSection
from resolver.config_units import place
from resolver.replication.asking import SourceServer

_SIZE_MAX: Final = 1 << 20  # Octets of a site record or a key: real ones have some thousand.
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class BadReplication(Exception):
    """A file of [replication] that cannot be used: the text says which and why, `then` what mends it."""

    def __init__(self, text: str, then: str = "") -> None:
        super().__init__(text)
        self.then = then


@dataclass(frozen=True, slots=True)
class MirrorSettings:
    """What a `Mirror` is made of; `interval_s` in seconds."""

    source: SourceServer
    identity: Identity
    interval_s: float


def mirror_settings(section: ReplicationSection) -> MirrorSettings:
    """The settings of a mirror, its files read now; `BadReplication` for the first that cannot be used."""
    assert section.role == "mirror", "a primary copies nobody"
    assert section.key is not None, "the configuration was checked"
    return MirrorSettings(
        source=_source(section),
        identity=Identity(section.identity[0], private_key=_private_key(section.key)),
        interval_s=section.interval,
    )


def _source(section: ReplicationSection) -> SourceServer:
    host, port = place(section.source)
    host = host.strip("[]")
    if section.source_site is None:
        assert section.source_key is not None, "the configuration was checked"
        return SourceServer(host, port, _public_key(section.source_key))
    site = _site(section.source_site)
    server = _server_of(site, host, section.source_site)
    try:
        key = read_public_key(server.public_key)
    except Malformed as error:
        raise BadReplication(f"{section.source_site}: the server's public key cannot be read: {error}") from error
    if isinstance(key, UnknownPublicKey):
        raise BadReplication(f"{section.source_site}: the server's public key is of a kind that is not known")
    return SourceServer(host, port, key, site.protocol if NEWEST.at_least(site.protocol) else NEWEST)


def _server_of(site: Site, host: str, path: Path) -> Server:
    """The server at that address; the only one, where there is one alone."""
    if len(site.servers) == 1:
        return site.servers[0]
    try:
        address = address_octets(host)
    except ValueError:
        address = b""
    for server in site.servers:
        if server.address == address:
            return server
    said = f"{path} has {len(site.servers)} servers, and none of them is at {host}"
    raise BadReplication(said, "write the address of one in [replication] source")


def _site(path: Path) -> Site:
    octets = _octets(path, "the source's site record")
    try:
        return site_from_json(json.loads(octets)) if octets.lstrip()[:1] == b"{" else Site.from_bytes(octets)
    except (ValueError, RecursionError, Malformed) as error:
        raise BadReplication(f"{path} holds no site record: {error}", "take siteinfo.bin of the source") from error


def _public_key(path: Path) -> PublicKey:
    octets = _octets(path, "the source's public key")
    try:
        key = from_pem(octets) if octets.lstrip().startswith(b"-----") else read_public_key(octets)
    except (Malformed, UnusableKey) as error:
        raise BadReplication(f"{path} holds no public key: {error}", "take pubkey.bin of the source") from error
    if isinstance(key, PrivateKey):
        raise BadReplication(f"{path} holds a private key: a mirror must not have that of its source")
    if isinstance(key, UnknownPublicKey):
        raise BadReplication(f"{path} holds a key of a kind that is not known")
    return key


def _private_key(path: Path) -> PrivateKey:
    octets = _octets(path, "the mirror's private key")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & _OTHERS:
        raise BadReplication(f"{path} has mode {mode:04o}: others may use this private key", f"chmod 600 {path}")
    try:
        key = from_pem(octets)
    except (Malformed, UnusableKey) as error:
        raise BadReplication(f"{path} holds no private key: {error}", f"hnode key generate --out {path}") from error
    if not isinstance(key, PrivateKey):
        raise BadReplication(f"{path} holds a public key", "name the private one")
    return key


def _octets(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            octets = file.read(_SIZE_MAX + 1)
    except OSError as error:
        raise BadReplication(f"{what} {path} cannot be read: {error.strerror}", f"ls -l {path}") from error
    if len(octets) > _SIZE_MAX:
        raise BadReplication(f"{what} {path} has more than {_SIZE_MAX} octets")
    return octets
