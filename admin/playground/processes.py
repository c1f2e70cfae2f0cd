"""One node of the playground as processes of their own: started, awaited, paused, resumed, killed, and always ended."""

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from admin.errors import Failure
from admin.playground.building import BuiltNode

LOG_NAME: Final = "log"
READY_S: Final = 60.0  # Eight nodes that start at once on a busy machine of two cores.
STOP_S: Final = 15.0
POLL_S: Final = 0.01
LOG_END: Final = 1_500  # Octets of a log that an error shows.
_PROJECT: Final = Path(__file__).parent.parent.parent
_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None)  # Loaded now: nothing may be loaded between fork and exec.


def environment() -> dict[str, str]:
    """Nothing that is configured elsewhere is touched; the code that runs is this very program's."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("HNODE_")}
    return kept | {"PYTHONPATH": str(_PROJECT)}


def command(*arguments: str | Path) -> list[str]:
    """The command line of a run of this program."""
    return [sys.executable, "-m", "admin", *map(str, arguments)]


def _end_with_us() -> None:
    """In the child: should we be killed, it is told to stop. Its workers end with it (`resolver.workers`)."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class RunningNode:
    """A node that serves in a session of its own, so that Ctrl-C reaches us alone, and we end it in our order."""

    def __init__(self, built: BuiltNode) -> None:
        self.built = built
        self.log = built.config.parent / LOG_NAME
        self.is_paused = False
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self._is_told = False

    @property
    def name(self) -> str:
        """Its name on the map."""
        return self.built.seat.name

    @property
    def port(self) -> int:
        """Of UDP and TCP on loopback."""
        return self.built.port

    @property
    def process_id(self) -> int:
        """Of the supervisor, 0 where it does not run. Its group has the same number."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Start it; `wait` tells when it answers."""
        assert self._process is None, "it runs already"
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - this very program
                command("--config", self.built.config, "serve"),
                cwd=self.built.config.parent,  # Where no folder of the user's stands in for one of our packages.
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_us,
            )

    def wait(self) -> None:
        """Until it says that it is ready; a `Failure` with the end of its log where it does not."""
        assert self._process is not None, "it was not started"
        end = time.monotonic() + READY_S
        while time.monotonic() < end:
            if re.search(rb"^ready ", self.said(), re.MULTILINE):
                return
            if self._process.poll() is not None:
                break
            time.sleep(POLL_S)
        said = self.said()[-LOG_END:].decode(errors="replace").strip()
        raise Failure(f"the node {self.name} did not start", said, f"hnode --config {self.built.config} doctor")

    def said(self) -> bytes:
        """What this run wrote to its log."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read()

    def has_died(self) -> bool:
        """Whether it ended by itself, or by somebody else's hand, while it should serve."""
        return self._process is not None and self._process.poll() is not None

    def pause(self) -> None:
        """Hold all its processes: it is there and silent, like a machine that hangs."""
        self._tell(signal.SIGSTOP)
        self.is_paused = True

    def resume(self) -> None:
        """Let it go on."""
        self._tell(signal.SIGCONT)
        self.is_paused = False

    def kill(self) -> None:
        """End all its processes at once, as a power cut would. Behind it none of them holds a port or a lock."""
        workers = self._workers()
        self._tell(signal.SIGKILL)
        self._forget()
        end = time.monotonic() + STOP_S
        while any(_is_alive(worker) for worker in workers) and time.monotonic() < end:
            time.sleep(POLL_S)

    def tell_to_stop(self) -> None:
        """Ask it to end, once: a second signal would meet an interpreter that is leaving. `stop` waits for the end."""
        if self.is_paused:
            self.resume()
        if self._process is not None and not self._is_told:
            self._process.terminate()
            self._is_told = True

    def stop(self) -> int:
        """End it tidily: its exit code. What does not end in time is killed, and gives a code below 0."""
        if self._process is None:
            return 0
        self.tell_to_stop()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._tell(signal.SIGKILL)
        return self._forget()

    def _workers(self) -> list[int]:
        """The process ids of the supervisor's children."""
        try:
            listed = Path(f"/proc/{self.process_id}/task/{self.process_id}/children").read_text()
        except OSError:  # It has gone, or never was.
            return []
        return [int(found) for found in listed.split()]

    def _tell(self, number: signal.Signals) -> None:
        """Send the whole group a signal. It is ours until `_forget` has waited for its leader."""
        if self._process is not None:
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                pass

    def _forget(self) -> int:
        if self._process is None:
            return 0
        code = self._process.wait()
        self._process = None
        self.is_paused = self._is_told = False
        return code


def _is_alive(process_id: int) -> bool:
    """Whether the process still runs: one that ended and that nobody has waited for holds nothing any more."""
    try:
        return Path(f"/proc/{process_id}/stat").read_bytes().rpartition(b") ")[2][:1] not in b"ZX"
    except OSError:
        return False
