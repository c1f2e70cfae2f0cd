"""The configured node's store, opened by a command beside the node that serves from it. Prints nothing."""

import getpass
import os
import time
from collections.abc import Generator
from contextlib import contextmanager

from admin.context import CommandContext
from admin.errors import ExitCode, Failure
from protocol.errors import HandleError
from resolver.authority import checked, is_served
from resolver.config import Config
from storage.base import Change, HandleStore, Outcome, StoreView
from storage.lmdb_store import LmdbStore


@contextmanager
def opened_store(context: CommandContext, *, read_only: bool = False) -> Generator[LmdbStore]:
    """The store, closed at the end of the block. `StoreMissing` and `StoreTooNew` say why there is none."""
    with open_store(context.load(), read_only=read_only) as store:
        yield store


def open_store(config: Config, *, read_only: bool = False) -> LmdbStore:
    """The store that a configuration names, opened as it says; to read alone it waits for nobody who writes."""
    sizes = config.store
    return LmdbStore.open(
        config.node.data_dir,
        map_size=sizes.map_size,
        map_size_max=sizes.map_size_max,
        max_readers=sizes.max_readers,
        read_only=read_only,
    )


def who() -> str:
    """Who the journal says made a command's changes: `cli:` and the user's name."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # A container's user may have no name.
        return f"cli:{os.getuid()}"


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def applied(store: HandleStore, change: Change) -> Outcome:
    """Make one change; the `HandleError` that refused it is raised."""
    (outcome,) = store.apply([change], now_ms=now_ms())
    if outcome.error is not None:
        raise outcome.error
    return outcome


def named_handle(text: str) -> bytes:
    """The handle that an argument names, without a slash the prefix handle; a usage `Failure` where it names none."""
    try:
        return checked(text.encode(errors="surrogateescape"))
    except HandleError as error:
        raise Failure(f"{text!r} is no handle", error.told, code=ExitCode.USAGE) from error


def expect_served(view: StoreView, handle: bytes) -> None:
    """A `Failure` that names the mend where the handle's prefix is not homed here."""
    if not is_served(handle, view.homed()):
        prefix = handle.decode().partition("/")[0]
        name = handle.decode() if prefix.upper() == "0.NA" else prefix
        raise Failure(
            f"{handle.decode()} is not kept here",
            f"prefix {name} is not homed",
            f"hnode prefix home {name}",
            code=ExitCode.NOT_FOUND,
        )
