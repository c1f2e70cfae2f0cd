"""What the machine gives a node: open files, receive buffers, disk, and a clock that can be believed."""

import os
import resource
import time
from pathlib import Path
from typing import Final

from admin.doctor.findings import Finding, Level, worst
from resolver.config import Config
from resolver.config_units import size_text
from storage.base import StoreFacts

RMEM_MAX: Final = Path("/proc/sys/net/core/rmem_max")
_OTHER_FILES: Final = 64  # Sockets, store, logs and libraries of a worker, with room to spare.
_A_SEARCH: Final = 2  # Sockets at a time of one search: it may ask by IPv6 and by IPv4.
_DISK_LEAST: Final = 256 << 20  # A commit of the largest batch and some logs.
_DISK_LOW: Final = 1 << 30
_MAP_FULL: Final = 0.9
_BUILT_S: Final = 1_735_689_600  # 2025-01-01: no clock of a machine that runs this shows an earlier time.
_FAR_S: Final = 4_102_444_800  # 2100-01-01.
_CLOCK_SLACK_MS: Final = 60_000
_NTP: Final = "timedatectl set-ntp true"


def open_files(config: Config) -> Finding:
    """Whether a worker may open as many files as its connections can need; it raises its own limit to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = config.tcp.max_connections + _listeners(config) + _OTHER_FILES
    needed += _A_SEARCH * config.recursion.max_walks if config.recursion_networks() else 0
    if hard == resource.RLIM_INFINITY or hard >= needed:
        limit = "without limit" if hard == resource.RLIM_INFINITY else f"{hard} allowed"
        return Finding("files", Level.OK, f"{limit}, {needed} needed")
    return Finding("files", Level.WARN, f"{hard} allowed, max_connections can need {needed}", f"LimitNOFILE={needed}")


def _listeners(config: Config) -> int:
    return len(config.udp.listen) + len(config.tcp.listen) + len(config.tls.listen)


def receive_buffer(config: Config, rmem_max: Path = RMEM_MAX) -> Finding:
    """Whether the kernel grants the receive buffer that is configured."""
    wanted = config.udp.recv_buffer
    if not config.udp.listen:
        return Finding("buffer", Level.OK, "no UDP listener")
    try:
        granted = int(rmem_max.read_text())
    except (OSError, ValueError):
        return Finding("buffer", Level.OK, f"{size_text(wanted)} asked; this kernel does not tell its limit")
    if granted >= wanted:
        return Finding("buffer", Level.OK, f"{size_text(wanted)} asked, up to {size_text(granted)} granted")
    said = f"{size_text(wanted)} asked, the kernel grants {size_text(granted)}: bursts of datagrams are lost"
    return Finding("buffer", Level.WARN, said, f"sysctl -w net.core.rmem_max={wanted}")


def disk(config: Config, facts: StoreFacts | None) -> Finding:
    """Whether the store has room to grow: on its disk, and in its map."""
    folder = config.node.data_dir
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    system = os.statvfs(folder)
    free = system.f_bavail * system.f_frsize
    said = f"{_about(free)} free at {folder}"
    found = [Finding("disk", Level.OK, said)]
    if free < _DISK_LEAST:
        found.append(Finding("disk", Level.FAIL, f"only {said}: writes will be refused", f"make room: du -sh {folder}"))
    elif free < _DISK_LOW:
        found.append(Finding("disk", Level.WARN, f"only {said}", f"make room: du -sh {folder}"))
    if facts is not None:
        share = facts.used_size / config.store.map_size_max
        said += f", {share:.1%} of map_size_max used"
        if share > _MAP_FULL:
            mend = f'map_size_max = "{size_text(2 * config.store.map_size_max)}" under [store]'
            found.append(Finding("disk", Level.WARN, f"{share:.0%} of map_size_max used", mend))
    return worst("disk", found, said)


def clock(last_change_ms: int, now_s: float | None = None) -> Finding:
    """Whether the time can be: after this program was made, and not before the store's last change."""
    now = time.time() if now_s is None else now_s
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if not _BUILT_S < now < _FAR_S:
        return Finding("clock", Level.FAIL, f"{shown} cannot be", _NTP)
    if last_change_ms > now * 1000 + _CLOCK_SLACK_MS:
        late = (last_change_ms / 1000) - now
        return Finding("clock", Level.FAIL, f"{shown} is {late:.0f} s before the store's last change", _NTP)
    return Finding("clock", Level.OK, shown)


def _about(octets: int) -> str:
    for unit, size in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20)):
        if octets >= size:
            return f"{octets / size:.1f} {unit}"
    return f"{octets // 1024} KiB"
