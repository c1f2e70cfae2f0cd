"""The one writer of a process: gathers changes from every thread, and one transaction carries all that wait.

While one commit is under way on the disk, further changes gather; the next transaction takes them all (group commit).
A future is done only when its change is on disk, or refused.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from storage.base import Change, HandleStore, Outcome, StoreCorrupt, StoreError

WAITING_MAX: Final = 10_000
"""Changes that may wait: some seconds of work. Beyond, a submit is refused, so that memory and waiting stay bounded."""

BATCH_MAX: Final = 2_000
"""Changes of one transaction: far more than a disk's sync costs, and soon over for those behind."""


class StoreBusy(StoreError):
    """Too many changes wait for the disk, or the writer has been closed: ask again later."""


_Job = tuple[Change, "Future[Outcome]"]


class Writer:
    """A thread that applies changes to a store. `now_ms` gives milliseconds since 1970."""

    def __init__(self, store: HandleStore, now_ms: Callable[[], int], *, waiting_max: int = WAITING_MAX) -> None:
        self._store = store
        self._now_ms = now_ms
        self._waiting: queue.Queue[_Job | None] = queue.Queue(waiting_max)
        self._closing = threading.Lock()
        self._is_closed = False
        self.batches = 0
        self.changes = 0
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def submit(self, change: Change) -> "Future[Outcome]":
        """Have a change made. `StoreBusy` at once where too many wait; never blocks.

        The future gives the change's outcome once it is durable, or the error that kept it from being made: the
        `StoreError` of its whole transaction, or what its own `decide` raised by mistake.
        """
        done: Future[Outcome] = Future()
        with self._closing:
            if self._is_closed:
                raise StoreBusy("the writer is closed: the node is stopping")
            try:
                self._waiting.put_nowait((change, done))
            except queue.Full:
                raise StoreBusy(f"{self._waiting.maxsize} changes wait for the disk: ask again later") from None
        return done

    def close(self) -> None:
        """Take no more changes, make those that wait, and end."""
        with self._closing:
            is_first, self._is_closed = not self._is_closed, True
        if is_first:
            self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        is_over = False
        while not is_over:
            jobs, is_over = self._gathered()
            if jobs:
                self._make(jobs)

    def _gathered(self) -> tuple[list[_Job], bool]:
        """All that waits, up to a batch; waits for the first. Whether the end was among it."""
        jobs: list[_Job] = []
        first = self._waiting.get()
        while first is not None:
            jobs.append(first)
            if len(jobs) >= BATCH_MAX:
                return jobs, False
            try:
                first = self._waiting.get_nowait()
            except queue.Empty:
                return jobs, False
        return jobs, True

    def _make(self, jobs: list[_Job]) -> None:
        self._apply([job for job in jobs if job[1].set_running_or_notify_cancel()])

    def _apply(self, jobs: list[_Job]) -> None:
        try:
            outcomes = self._store.apply([change for change, _ in jobs], now_ms=self._now_ms())
        except Exception as error:
            if len(jobs) > 1 and _is_of_one_change(error):
                for job in jobs:
                    self._apply([job])
                return
            for _, done in jobs:
                done.set_exception(error)
            return
        self.batches += 1
        self.changes += len(jobs)
        for (_, done), outcome in zip(jobs, outcomes, strict=True):
            done.set_result(outcome)


def _is_of_one_change(error: Exception) -> bool:
    """Whether one change broke its transaction, and the others can be made without it.

    So it is with a record that cannot be read, and with a mistake of ours in a `decide`.
    """
    return isinstance(error, StoreCorrupt) or not isinstance(error, StoreError)
