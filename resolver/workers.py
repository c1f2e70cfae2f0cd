"""One resolver process a core under a supervisor that owns the sockets and starts again what dies.

The supervisor itself answers nothing and opens no store: it forks, waits, and passes on the signals to stop and to read
changed files again (SIGHUP).
"""

import asyncio
import contextlib
import ctypes
import logging
import os
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

log = logging.getLogger(__name__)

STOP_S: Final = 10.0  # How long workers may drain before they are killed: the drain itself and some.
START_S: Final = 60.0  # How long a worker may take until it answers.
RESTART_PAUSE_MAX_S: Final = 5.0  # A worker that dies at once again and again is started no more often than this.
QUICK_DEATH_S: Final = 1.0  # A worker that lived shorter died of its start.
PAUSE_FIRST_S: Final = 0.1
TICK_S: Final = 0.1
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_HELD_SIGNALS: Final = (*_STOP_SIGNALS, signal.SIGHUP)

WORKER_FAILED: Final = 70
"""Exit code of a worker whose start failed; what failed was logged."""

Work = Callable[[int, Callable[[], None]], int]
"""`work(number, ready)`: serve as worker `number` until SIGTERM, call `ready` once; gives the exit code."""


@dataclass(slots=True)
class _Worker:
    number: int
    process_id: int
    ready: int  # The end of a pipe that the worker writes to when it answers.
    started_at: float
    is_ready: bool = False
    pause_s: float = field(default=PAUSE_FIRST_S)


class Supervisor:
    """Runs `count` workers until SIGTERM or SIGINT. `on_ready` is called once, when all answer for the first time.

    `names` are of those by number that do something else than answer: for the log, and for who lists processes.
    """

    def __init__(
        self,
        work: Work,
        *,
        count: int,
        on_ready: Callable[[], None],
        names: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        self._work = work
        self._names = names
        self._count = count
        self._on_ready = on_ready
        self._workers: dict[int, _Worker] = {}
        self._due: list[tuple[float, int, float]] = []  # When, which number, and its next pause.
        self._stopping = False
        self._reloading = False
        self._was_ready = False

    def run(self) -> int:
        """Until told to stop: 0 after a clean stop, 1 where the workers could not start."""
        for told in _STOP_SIGNALS:
            signal.signal(told, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)
        failed = False
        try:
            for number in range(self._count):
                self._start(number, PAUSE_FIRST_S)
        except OSError as error:
            log.error("a worker cannot be started: %s", error.strerror)
            failed = True
        while not self._stopping and not failed:
            self._wait(TICK_S)
            self._pass_reload_on()
            failed = not self._was_ready and self._reap()
            if self._was_ready:
                self._reap()
                if not self._stopping:
                    self._restart_due()
        self._stop_all()
        return 1 if failed else 0

    @property
    def process_ids(self) -> Sequence[int]:
        """The workers that live."""
        return list(self._workers)

    def _name(self, number: int) -> str:
        return self._names.get(number, f"worker {number}")

    def _on_stop(self, *_: object) -> None:
        self._stopping = True

    def _on_reload(self, *_: object) -> None:
        self._reloading = True

    def _pass_reload_on(self) -> None:
        """Tell every worker to read changed files again. One that is starting hears of it when it can."""
        if not self._reloading:
            return
        self._reloading = False
        log.info("%d workers are told to read changed files again", len(self._workers))
        for process_id in self._workers:  # They are ours until `_reap` has waited for them: no id means another.
            os.kill(process_id, signal.SIGHUP)

    def _start(self, number: int, pause_s: float) -> None:
        reading, writing = os.pipe()
        supervisor = os.getpid()
        # A signal between the fork and the child's own disposition would be lost in a handler that is the parent's.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_SIGNALS)
        try:
            process_id = os.fork()
            if process_id == 0:
                os.close(reading)
                self._become_worker(number, writing, supervisor)
        except OSError:
            os.close(reading)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
            os.close(writing)
        self._workers[process_id] = _Worker(number, process_id, reading, time.monotonic(), pause_s=pause_s)

    def _become_worker(self, number: int, writing: int, supervisor: int) -> None:
        """The child's whole life: it never returns."""
        code = WORKER_FAILED
        try:
            libc = ctypes.CDLL(None)
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # A supervisor that is killed takes us along.
            libc.prctl(_PR_SET_NAME, f"hnode {self._name(number)}".encode())  # The kernel keeps 15 octets.
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches us all; the supervisor passes on SIGTERM.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            # SIGHUP stays held: until `on_reload` it waits, so that it neither ends a worker nor is lost.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
            if os.getppid() != supervisor:  # It was killed before we could ask to be told.
                os._exit(code)
            code = self._work(number, lambda: _tell(writing))
        except Exception:
            log.exception("%s failed", self._name(number))
        finally:
            os._exit(code)

    def _wait(self, timeout_s: float) -> None:
        """Sleep until a worker says it is ready, a signal comes, or the time is over."""
        waiting = {worker.ready: worker for worker in self._workers.values() if not worker.is_ready}
        if not waiting:
            time.sleep(timeout_s)
            return
        readable, _, _ = select.select(list(waiting), [], [], timeout_s)
        for end in readable:
            worker = waiting[end]
            if os.read(end, 1):
                worker.is_ready = True
            else:
                time.sleep(TICK_S / 10)  # It ended without a word: `_reap` hears of it in a moment.
        if (
            not self._was_ready
            and len(self._workers) == self._count
            and all(w.is_ready for w in self._workers.values())
        ):
            self._was_ready = True
            self._on_ready()

    def _reap(self) -> bool:
        """Note the workers that died, and when to start them again. Whether any did."""
        died = False
        for process_id, worker in list(self._workers.items()):
            ended, status = os.waitpid(process_id, os.WNOHANG)
            lived = time.monotonic() - worker.started_at
            if not ended and not worker.is_ready and lived > START_S:
                log.error("%s does not answer after %.0f s: killed", self._name(worker.number), lived)
                os.kill(process_id, signal.SIGKILL)
            if not ended:
                continue
            died = True
            del self._workers[process_id]
            os.close(worker.ready)
            quick = lived < QUICK_DEATH_S
            pause = min(worker.pause_s * 2, RESTART_PAUSE_MAX_S) if quick else PAUSE_FIRST_S
            self._due.append((time.monotonic() + (pause if quick else 0.0), worker.number, pause))
            if not self._stopping:
                log.error("%s (pid %d) %s", self._name(worker.number), process_id, _how(status))
        return died

    def _restart_due(self) -> None:
        now = time.monotonic()
        due = [entry for entry in self._due if entry[0] <= now]
        self._due = [entry for entry in self._due if entry[0] > now]
        for _, number, pause_s in due:
            log.warning("starting %s again", self._name(number))
            try:
                self._start(number, pause_s)
            except OSError as error:  # No memory, processes or descriptors: the others go on.
                log.error("%s cannot be started: %s", self._name(number), error.strerror)
                self._due.append((now + RESTART_PAUSE_MAX_S, number, RESTART_PAUSE_MAX_S))

    def _stop_all(self) -> None:
        for process_id in self._workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGTERM)
        end = time.monotonic() + STOP_S
        while self._workers and time.monotonic() < end:
            self._reap()
            time.sleep(0.01)
        for process_id in list(self._workers):
            log.error("a worker (pid %d) did not stop in %.0f s: killed", process_id, STOP_S)
            os.kill(process_id, signal.SIGKILL)
            os.waitpid(process_id, 0)
        self._workers.clear()


def on_reload(loop: asyncio.AbstractEventLoop, reload: Callable[[], object]) -> None:
    """Call `reload` within a worker's loop at every SIGHUP, and for one that came while the worker started.

    It must not raise, and runs between two events: it may read a file. Several signals may become one call.
    """
    loop.add_signal_handler(signal.SIGHUP, reload)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP,))


def _tell(writing: int) -> None:
    os.write(writing, b"r")


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"was killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"ended with code {os.WEXITSTATUS(status)}"
