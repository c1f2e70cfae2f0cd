"""Which process holds a port, as far as this user may see. Reads /proc and guesses nothing."""

from pathlib import Path
from typing import Final

_TABLES: Final = {True: ("/proc/net/tcp", "/proc/net/tcp6"), False: ("/proc/net/udp", "/proc/net/udp6")}
_LISTENING: Final = "0A"  # State of a TCP socket that waits for connections (Linux, include/net/tcp_states.h).


def holder(port: int, *, tcp: bool) -> str:
    """`pid 812 (java)`, or the empty text where nobody is seen to hold the port."""
    inodes = _inodes(port, tcp)
    if not inodes:
        return ""
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and _holds(process, inodes):
            return f"pid {process.name} ({_name(process)})"
    return ""


def _inodes(port: int, tcp: bool) -> frozenset[str]:
    """The sockets of a port, as the kernel numbers them."""
    found = set()
    for table in _TABLES[tcp]:
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[1].endswith(f":{port:04X}") and (not tcp or fields[3] == _LISTENING):
                found.add(f"socket:[{fields[9]}]")
    return frozenset(found)


def _holds(process: Path, inodes: frozenset[str]) -> bool:
    try:
        return any(str(entry.readlink()) in inodes for entry in (process / "fd").iterdir())
    except OSError:  # Another user's process, or one that ended meanwhile.
        return False


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "?"
