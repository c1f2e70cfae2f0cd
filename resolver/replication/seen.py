"""What a dump has brought so far, by handle, in a store of its own: so that in the end it is known what to remove.

It lies beside the mirror's store, outlives kills, and is gone when the dump is over.
"""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Self

from protocol.value_list import EMPTY
from storage.base import Change, HomePrefix, PutRecord, SetMeta, StoreError, UnhomePrefix
from storage.keys import storage_key
from storage.lmdb_store import LmdbStore

_NAME: Final = b"dump"


class Seen:
    """Handles and homed prefixes of one dump, whose name is kept inside. Close it; `removed` forgets it."""

    def __init__(self, store: LmdbStore) -> None:
        self._store = store

    @classmethod
    def begun(cls, path: Path, name: str, *, case_sensitive: bool) -> Self:
        """A new and empty one; what was in the folder is gone."""
        removed(path)
        store = LmdbStore.create(path, case_sensitive=case_sensitive)
        store.apply([SetMeta(_NAME, name.encode())], now_ms=0)
        return cls(store)

    @classmethod
    def opened(cls, path: Path, name: str) -> Self | None:
        """The one of the dump of that name; None where there is none that can be used."""
        try:
            store = LmdbStore.open(path)
        except StoreError:
            return None
        with store.view() as view:
            found = view.meta(_NAME)
        if found != name.encode():
            store.close()
            return None
        return cls(store)

    def add(self, handles: Iterable[bytes], homed: Iterable[bytes] = (), unhomed: Iterable[bytes] = ()) -> None:
        """Keep what was brought; what cannot be a handle of a store is none that the mirror could have kept."""
        self._store.replace_all([PutRecord(handle, EMPTY) for handle in handles], now_ms=0)
        changes: list[Change] = [*map(HomePrefix, homed), *map(UnhomePrefix, unhomed)]
        if changes:
            self._store.apply(changes, now_ms=0)

    def missing(self, handles: Sequence[bytes]) -> list[bytes]:
        """Those of the handles that were not brought."""
        keys = [storage_key(handle, case_sensitive=self._store.case_sensitive) for handle in handles]
        with self._store.view() as view:
            found = view.stored(keys)
        return [handle for handle, key in zip(handles, keys, strict=True) if key not in found]

    def homed(self) -> frozenset[bytes]:
        """The homed prefixes that were brought, folded."""
        with self._store.view() as view:
            return view.homed()

    def count(self) -> int:
        """How many handles were brought."""
        with self._store.view() as view:
            return view.facts().records

    def close(self) -> None:
        """Give back files and memory."""
        self._store.close()


def removed(path: Path) -> None:
    """Have nothing in that folder."""
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise StoreError(f"{path} cannot be removed: {error.strerror}") from error
