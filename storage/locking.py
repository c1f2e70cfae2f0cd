"""One node a store: a lock on a file that lives as long as the process that serves."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from storage.base import StoreError, StoreInUse, StoreMissing

LOCK_FILE: Final = "node.lock"


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
        raise StoreError(f"{path / LOCK_FILE}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip()
            raise StoreInUse(f"another node (pid {holder or 'unknown'}) serves the store in {path}") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
