"""What a node has of its own: configuration, keys, store, and the records of its prefixes."""

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from admin.doctor.findings import Finding, Level, worst
from admin.errors import Failure
from admin.local_store import open_store
from admin.setup.initialise import public_half
from protocol.errors import HandleError
from protocol.site import Site
from protocol.trust.keys import fingerprint, public_key_octets
from protocol.value import read_values
from protocol.wire import Reader
from resolver.config import Config
from resolver.config_loading import LoadedConfig, file_problems
from resolver.identity import Identity, read_identity, site_of
from storage.base import StoreError, StoreFacts, StoreMissing, StoreView

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
MARKERS: Final = b"0.NA/0.NA/"
"""Homed names that never have a record (spec, records: section 1.1)."""


@dataclass(frozen=True, slots=True)
class StoreRead:
    """What one look into the store told: all None where it cannot be opened."""

    finding: Finding
    facts: StoreFacts | None = None
    identity: Identity | None = None
    last_change_ms: int = 0
    prefixes: Finding | None = None


def server_key(config: Config, identity: Identity | None) -> Finding:
    """Whether the key is there, for this user alone, can be used, and is the one that clients were told."""
    path = config.node.server_key
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        key = public_half(path)
    except FileNotFoundError:
        return Finding("key", Level.FAIL, f"{path} is missing", f"hnode key generate --out {path}")
    except OSError as error:
        return Finding("key", Level.FAIL, f"{path}: {error.strerror}", f"ls -l {path}")
    except (Failure, HandleError) as error:
        return Finding("key", Level.FAIL, str(error), f"hnode key show {path}")
    found = [
        Finding("key", Level.FAIL, f"{open_} has mode {stat.S_IMODE(open_.stat().st_mode):04o}", f"chmod 600 {open_}")
        for open_ in _open_to_others(path)
    ]
    if identity is not None and identity.public_key != public_key_octets(key):
        said = "the store still tells clients of another key; the next start of the node puts that right"
        found.append(Finding("key", Level.WARN, said, "restart the node"))
    return worst("key", found, f"{path} {mode:04o} {fingerprint(key)[:23]}…")


def _open_to_others(path: Path) -> list[Path]:
    """The server key and its neighbours, such as the prefixes' keys, that group or others have rights on."""
    private = [path, *sorted(found for found in path.parent.glob("*.pem") if found != path)]
    return [found for found in private if found.stat().st_mode & _OTHERS]


def configuration(loaded: LoadedConfig) -> Finding:
    """Whether the files that the configuration names are usable; the key has a check of its own."""
    problems = [problem for problem in file_problems(loaded) if problem.key != "node.server_key"]
    found = [Finding("config", Level.FAIL, f"{p.key}: {p.text}", p.hint) for p in problems]
    return worst("config", found, str(loaded.path))


def store(config: Config, init: str) -> StoreRead:
    """Open the store and look at it once. `init` is the command that would make what is missing."""
    try:
        opened = open_store(config)
    except StoreMissing as error:
        return StoreRead(Finding("store", Level.FAIL, str(error), init))
    except (StoreError, OSError) as error:
        return StoreRead(Finding("store", Level.FAIL, str(error), f"ls -l {config.node.data_dir}"))
    try:
        with opened.view() as view:
            facts, identity = view.facts(), read_identity(view)
            said = f"{facts.records} records, {facts.homed} prefixes, change {facts.last_number}"
            last = view.journal(after=facts.last_number - 1, limit=1)
            return StoreRead(
                Finding("store", Level.OK, said),
                facts,
                identity,
                last[-1].date_ms if last else 0,
                _prefixes(view, config, identity, init),
            )
    except (StoreError, HandleError) as error:
        return StoreRead(Finding("store", Level.FAIL, str(error), "hnode store verify"))
    finally:
        opened.close()


def _prefixes(view: StoreView, config: Config, identity: Identity | None, init: str) -> Finding:
    """Whether each homed prefix has its record, with an administrator and with the site that this node tells."""
    handles = sorted(handle for handle in view.homed() if not handle.startswith(MARKERS))
    if not handles and config.node.role == "recursive":
        return Finding("prefixes", Level.OK, "none is homed, and a recursive node needs none")
    if not handles:
        return Finding("prefixes", Level.WARN, "none is homed: every question is answered with 301", init)
    found = [finding for handle in handles for finding in _record(view, handle, identity, init)]
    if identity is not None:
        old = Site.from_bytes(identity.site)
        if site_of(config, identity.public_key, serial=old.serial) != old:
            said = "the configuration describes another site than clients are told"
            found.append(Finding("prefixes", Level.WARN, said, "restart the node"))
    names = ", ".join(handle.partition(b"/")[2].decode(errors="replace") for handle in handles[:5])
    more = f" and {len(handles) - 5} more" if len(handles) > 5 else ""
    return worst("prefixes", found, f"{names}{more}: homed, with record, administrator and site")


def _record(view: StoreView, handle: bytes, identity: Identity | None, init: str) -> list[Finding]:
    name = handle.decode(errors="replace")
    record = view.get(handle)
    if record is None:
        mend = init.replace("PREFIX", name.partition("/")[2])
        return [Finding("prefixes", Level.FAIL, f"{name} has no record: clients cannot find this node", mend)]
    try:
        values = read_values(Reader(record.values))
    except HandleError as error:
        return [Finding("prefixes", Level.FAIL, f"{name} cannot be read: {error}", "hnode store verify")]
    found = []
    if not any(value.type.upper() == b"HS_ADMIN" for value in values):
        said = f"{name} has no HS_ADMIN: nobody can change it over the network"
        found.append(Finding("prefixes", Level.WARN, said, f"hnode handle set-value {name} 100 HS_ADMIN …"))
    sites = [value.data for value in values if value.type.upper() == b"HS_SITE"]
    if identity is not None and identity.site not in sites:
        said = f"{name} has no HS_SITE that names this node"
        found.append(Finding("prefixes", Level.WARN, said, f"hnode handle get {name} --type HS_SITE"))
    return found
