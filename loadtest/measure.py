"""What a process and its children used, read from /proc. Numbers only: it starts and stops nothing."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_PROC: Final = Path("/proc")
_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
_NS_A_S: Final = 1_000_000_000
_BLOCK_SIZE: Final = 512  # What st_blocks counts, whatever the file system's own blocks are.

# Fields of /proc/PID/stat behind the command, which stands in parentheses (proc(5)).
_PARENT: Final = 1
_USER_TICKS: Final = 11
_SYSTEM_TICKS: Final = 12


@dataclass(frozen=True, slots=True)
class CpuTime:
    """Seconds on a processor: all of them (to the nanosecond), and how the kernel's ticks split them."""

    total_s: float
    user_ticks: int
    system_ticks: int

    def __sub__(self, earlier: Self) -> "CpuTime":
        return CpuTime(
            self.total_s - earlier.total_s,
            self.user_ticks - earlier.user_ticks,
            self.system_ticks - earlier.system_ticks,
        )

    @property
    def user_s(self) -> float:
        """The share of the total spent in the program; half of it where no tick fell into the time."""
        ticks = self.user_ticks + self.system_ticks
        return self.total_s * (self.user_ticks / ticks if ticks else 0.5)

    @property
    def system_s(self) -> float:
        """The share of the total spent in the kernel on the program's behalf."""
        return self.total_s - self.user_s


def _stat(pid: int) -> list[str]:
    text = (_PROC / str(pid) / "stat").read_text()
    return text[text.rindex(")") + 2 :].split()


def family(pid: int) -> list[int]:
    """The process and all that descend from it, as they are now; empty where it does not exist."""
    children: dict[int, list[int]] = {}
    alive = set()
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                parent = int(_stat(int(entry.name))[_PARENT])
            except (FileNotFoundError, ProcessLookupError):
                continue  # It ended since the folder was listed.
            alive.add(int(entry.name))
            children.setdefault(parent, []).append(int(entry.name))
    found = [pid] if pid in alive else []
    for member in found:  # The list grows while it is walked: children of children come later.
        found.extend(children.get(member, ()))
    return found


def _on_processor_ns(pid: int) -> Iterator[int]:
    """Nanoseconds of each thread; threads that ended are not among them."""
    for task in (_PROC / str(pid) / "task").iterdir():
        try:
            yield int((task / "schedstat").read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue


def cpu_time(pid: int) -> CpuTime:
    """What the process and its descendants have used since they started."""
    total_ns = user = system = 0
    for member in family(pid):
        try:
            fields = _stat(member)
            total_ns += sum(_on_processor_ns(member))
        except (FileNotFoundError, ProcessLookupError):
            continue
        user += int(fields[_USER_TICKS])
        system += int(fields[_SYSTEM_TICKS])
    return CpuTime(total_ns / _NS_A_S, user, system)


def anonymous_octets(pid: int) -> int:
    """RssAnon of one process: memory of its own, without files that it maps."""
    for line in (_PROC / str(pid) / "status").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "RssAnon":
            return int(rest.split()[0]) * 1024
    raise ValueError(f"process {pid} has no RssAnon: it has ended, or is a thread of the kernel")


def disk_octets(folder: Path) -> int:
    """What the files in a folder take on the disk: holes of sparse files do not count."""
    return sum(path.stat().st_blocks * _BLOCK_SIZE for path in folder.rglob("*") if path.is_file())
