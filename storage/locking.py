"""Who may at a time: one node serves a store, one thread of a process reads it. Opens no store."""

import fcntl
import os
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from storage.base import StoreError, StoreInUse, StoreMissing

LOCK_FILE: Final = "node.lock"
_ASKING_S: Final = 0.02


@contextmanager
def node_lock(path: Path) -> Iterator[None]:
    """Hold the store in a folder for this node; `StoreInUse` names the process that serves it already."""
    try:
        descriptor = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        raise StoreMissing(f"there is no store in {path}") from None
    except NotADirectoryError as error:
        raise StoreError(f"{path} is no folder, and a store needs one: choose another [node] data_dir") from error
    except OSError as error:
        raise StoreError(f"{path / LOCK_FILE}: {error.strerror}. Choose another [node] data_dir, or mend it") from error
    try:
        if not _takes(descriptor):
            holder = os.read(descriptor, 32).decode(errors="replace").strip()
            raise StoreInUse(f"another node (pid {holder or 'unknown'}) serves the store in {path}")
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError:  # The lock holds without a name in it; a full disk keeps nobody from reading.
            pass
        yield
    finally:
        os.close(descriptor)


def _takes(descriptor: int) -> bool:
    """Take the lock; tried twice, since whoever asks `is_served` holds it for an instant."""
    for pause_s in (_ASKING_S, 0.0):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(pause_s)
    return False


def is_served(path: Path) -> bool:
    """Whether a node holds the store in a folder at this moment."""
    try:
        descriptor = os.open(path / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


class Gate:
    """Lets one in at a time: a view of the process, or who moves the map, which must not move under a view.

    Views could share it, but the engine's binding lets a commit wait for a moment in which no thread is within a call:
    two threads that read without a pause would keep it waiting for ever.
    """

    __slots__ = ("_path", "give", "inside", "take")

    def __init__(self, path: Path) -> None:
        lock = threading.Lock()
        self._path = path
        self.take = lock.acquire
        self.give = lock.release
        self.inside = 0  # The thread that has a view open.

    def wait(self) -> None:
        """Take the turn that another has now; `StoreError` where that is a view of this thread."""
        self.expect_outside()
        self.take()

    def expect_outside(self) -> None:
        """A thread that waited for its own view would wait for ever: our own mistake is told instead."""
        if self.inside == threading.get_ident():
            raise StoreError(f"{self._path}: a view is open in this thread: close it first")

    @contextmanager
    def alone(self) -> Generator[None]:
        """Be inside while no view is open."""
        self.wait()
        try:
            yield
        finally:
            self.give()
