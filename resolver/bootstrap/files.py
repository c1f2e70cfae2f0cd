"""The standard files in a resolver's folder, read one by one: what each says, and what is wrong with it.

All of them may be missing. One that cannot be used is told and left out; the others still count.
Source: spec, resolution: section 2.1.
"""

import ipaddress
import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from protocol.errors import InvalidValue, Malformed
from protocol.identifier import folded, full, is_utf8
from protocol.json_form.fields import items, mapping, octets
from protocol.json_form.sites import site_from_json
from protocol.limits import HANDLE_SIZE_MAX, STRING_SIZE_MAX
from protocol.replication.state_table import Entry, read_table
from protocol.site import Site
from protocol.wire import Reader
from resolver.bootstrap.root_data import (
    SIZE_MAX,
    RootData,
    read_counted_values,
    read_root_data,
    read_root_info,
    write_root_data,
)
from resolver.bootstrap.sites import sites_of

ROOT_DATA: Final = "bootstrap_handles"
ROOT_INFO: Final = "root_info"
NAMES: Final = (
    ROOT_DATA,
    ROOT_INFO,
    "resolver_site",
    "resolver_service",
    "local_nas",
    "local_info",
    "local_info.json",
    "local_addresses",
    "config.dct",
)
"""Every file that is looked at."""

SITES_MAX: Final = 1_024  # Fixed sites of one file, and prefixes of one site: operators write these by hand.
LINES_MAX: Final = 10_000  # Of a text file.
KEYWORDS_MAX: Final = 64
_NO: Final = frozenset(("no", "false", "0", "off"))


@dataclass(frozen=True, slots=True)
class Fault:
    """A file that cannot be used: what is wrong with it, and what mends it."""

    path: Path
    why: str
    then: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.why}" + (f" ({self.then})" if self.then else "")


@dataclass(slots=True, kw_only=True)
class Files:
    """What the files say. `root` is None where neither `bootstrap_handles` nor `root_info` can be used.

    `fixed`: prefix handles, folded, each with its sites, those read later in front. The rest as `World` has it.
    """

    folder: Path
    root: RootData | None = None
    fixed: dict[bytes, tuple[Site, ...]] = field(default_factory=dict)
    caches: tuple[Site, ...] = ()
    cached_prefixes: frozenset[bytes] = frozenset()
    inside: dict[str, str] = field(default_factory=dict)
    preferred_root: bytes | None = None
    keywords: frozenset[bytes] = frozenset()
    is_refreshed: bool = True
    faults: list[Fault] = field(default_factory=list)


def read_files(folder: Path) -> Files:
    """All files of a folder. Never raises for what they hold or for what cannot be read: see `Files.faults`."""
    found = Files(folder=folder)
    if not folder.is_dir():
        if folder.exists():
            why, then = "it is a file, and a folder is expected", "name the folder in which bootstrap_handles stands"
        else:
            why, then = "there is no such folder", f"on the root: hnode upstream bootstrap --out {folder.name or 'DIR'}"
        found.faults.append(Fault(folder, why, then))
        return found
    for name, take in _READERS.items():
        text = _octets(folder / name, found.faults)
        if text is None:
            continue
        try:
            take(found, text)
        except (Malformed, InvalidValue, ValueError, RecursionError) as error:
            found.faults.append(Fault(folder / name, str(error), _MENDS.get(name, f"write it anew, or remove {name}")))
    return found


def _octets(path: Path, faults: list[Fault]) -> bytes | None:
    try:
        with path.open("rb") as file:
            text = file.read(SIZE_MAX + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        faults.append(Fault(path, f"it cannot be read: {error.strerror}", f"ls -l {path}"))
        return None
    if len(text) > SIZE_MAX:
        faults.append(Fault(path, f"it has more than {SIZE_MAX:,} octets", "is it the right file?"))
        return None
    return text


def _root_data(found: Files, text: bytes) -> None:
    found.root = read_root_data(text)


def _root_info(found: Files, text: bytes) -> None:
    if found.root is None:
        found.root = read_root_info(text)


def _resolver_site(found: Files, text: bytes) -> None:
    found.caches += (_site(text),)


def _resolver_service(found: Files, text: bytes) -> None:
    sites = sites_of(read_counted_values(text))
    if not sites:
        raise Malformed("none of its values is a site record that can be read")
    found.caches += sites


def _site(text: bytes) -> Site:
    """A site record, JSON or binary."""
    return site_from_json(json.loads(text)) if text.lstrip()[:1] == b"{" else Site.from_bytes(text)


def _lines(text: bytes) -> list[bytes]:
    lines = [line.strip() for line in text.splitlines()]
    if len(lines) > LINES_MAX:
        raise Malformed(f"{len(lines):,} lines, expected at most {LINES_MAX:,}")
    return [line for line in lines if line and not line.startswith(b"#")]


def _local_nas(found: Files, text: bytes) -> None:
    lines = _lines(text)
    found.cached_prefixes = frozenset() if b"*" in lines else frozenset(_prefix(line) for line in lines)


def _prefix(name: bytes) -> bytes:
    """A prefix handle, folded."""
    if not 0 < len(name) <= HANDLE_SIZE_MAX or not is_utf8(name):
        raise Malformed(f"{name[:40]!r} is no prefix handle")
    return folded(full(name))


def _local_info(found: Files, text: bytes) -> None:
    reader = Reader(text)
    reader.u32()
    for _ in range(reader.count(count_max=SITES_MAX, item_size_min=8)):
        count = reader.count(count_max=SITES_MAX, item_size_min=4)
        names = [_prefix(reader.counted(size_max=HANDLE_SIZE_MAX)) for _ in range(count)]
        _fix(found, names, Site.from_bytes(reader.counted(size_max=STRING_SIZE_MAX)))
    reader.expect_end("local_info")


def _local_info_json(found: Files, text: bytes) -> None:
    for number, entry in enumerate(items(json.loads(text), "the file", SITES_MAX)):
        place = f"[{number}]"
        fields = mapping(entry, place, 'an object with "nas" and "site"')
        names = items(fields.get("nas"), f"{place}.nas", SITES_MAX)
        prefixes = [_prefix(octets(name, f"{place}.nas")) for name in names]
        _fix(found, prefixes, site_from_json(fields.get("site"), f"{place}.site"))


def _fix(found: Files, prefixes: list[bytes], site: Site) -> None:
    for prefix in prefixes:
        found.fixed[prefix] = (site, *found.fixed.get(prefix, ()))


def _local_addresses(found: Files, text: bytes) -> None:
    for line in _lines(text):
        parts = line.decode(errors="replace").split()
        if len(parts) != 2:
            raise Malformed(f"{line[:80]!r}: two addresses are expected, outside and inside")
        outside, inside = (str(ipaddress.ip_address(part)) for part in parts)
        found.inside[outside] = inside


def _config(found: Files, text: bytes) -> None:
    table = read_table(text)
    preferred = table.get("preferred_root") or table.get("preferred_global_service_handle")
    if isinstance(preferred, str):
        found.preferred_root = full(preferred.encode())
    words = table.get("site_filter_keywords", "")
    found.keywords = frozenset(word.encode() for text in _texts(words) for word in text.split()[:KEYWORDS_MAX])
    update = table.get("auto_update_root_info")
    found.is_refreshed = not (isinstance(update, str) and update.strip().lower() in _NO)


def _texts(entry: Entry) -> list[str]:
    parts = entry if isinstance(entry, list) else [entry]
    return [part for part in parts[:KEYWORDS_MAX] if isinstance(part, str)]


_READERS: Final[Mapping[str, Callable[[Files, bytes], None]]] = dict(
    zip(
        NAMES,
        (
            _root_data,
            _root_info,
            _resolver_site,
            _resolver_service,
            _local_nas,
            _local_info,
            _local_info_json,
            _local_addresses,
            _config,
        ),
        strict=True,
    )
)
_MENDS: Final = {
    ROOT_DATA: "fetch it anew from who runs the root; on the root: hnode upstream bootstrap --out DIR writes it",
    "config.dct": 'put every key and value into quotation marks: {"preferred_root" = "0.NA/0.NA"}',
    "local_addresses": "a line has two addresses: 192.0.2.1 10.0.0.1",
}


def write_root_file(folder: Path, data: RootData) -> Path:
    """Put `bootstrap_handles` in place whole, durable before it is seen; `OSError` leaves the old one as it was."""
    path = folder / ROOT_DATA
    beside = folder / f".{ROOT_DATA}.{secrets.token_hex(4)}.part"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(write_root_data(data))
            file.flush()
            os.fsync(descriptor)
        beside.rename(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    names = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(names)
    finally:
        os.close(names)
    return path
