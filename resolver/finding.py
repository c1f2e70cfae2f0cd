"""Where the values of keys, groups and prefix records are found: in our store, else at the responsible server."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from protocol.errors import HandleError
from protocol.value import HandleValue
from resolver.authority import is_served
from resolver.known_values import values_in
from storage.base import HandleStore


class Finder(Protocol):
    """Finds values that decide who may do what."""

    async def values(self, handle: bytes) -> tuple[HandleValue, ...] | None:
        """The values of a handle: all of them where it is homed here, else the public ones, as their server vouches.

        None where there is no such handle, or where nobody can be asked.
        """
        ...


Elsewhere = Callable[[bytes], Awaitable[tuple[HandleValue, ...] | None]]
"""Asks another server for the public values of a handle."""


async def nowhere(handle: bytes) -> None:
    """Nobody else is asked."""


class StoreFinder:
    """Looks in the store; handles that are not homed here are asked for `elsewhere`."""

    def __init__(self, store: HandleStore, elsewhere: Elsewhere = nowhere) -> None:
        self._store = store
        self._elsewhere = elsewhere

    async def values(self, handle: bytes) -> tuple[HandleValue, ...] | None:
        """See `Finder`."""
        try:
            with self._store.view() as view:
                if is_served(handle, view.homed()):
                    record = view.get(handle)
                    return None if record is None else values_in(record.values)
        except HandleError:  # A name that no handle has: a peer's identity may be anything.
            return None
        return await self._elsewhere(handle)
