"""One read transaction over a store's databases, as `StoreView`. Knows what a transaction offers, not which engine."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

from storage.base import JournalRow, Record, StoreFacts
from storage.keys import storage_key
from storage.layout import FACT, GENERATION, HANDLES, HOMED, JOURNAL, LAST_NUMBER, META, read_number
from storage.records import read_stored
from storage.scan import handles_under, journal_rows, journal_size, problems, records_behind


class Sizes(NamedTuple):
    """What the engine tells of itself, in octets and places for readers."""

    map_size: int
    used_size: int
    file_size: int
    readers: int
    readers_max: int


class View:
    """What the store held at one moment. One object serves a store for its life: each `with` block is a new moment.

    `begin` gives a transaction whose default database holds the records; `end` is called when it was given back, with
    the error that left the `with` block, and may raise another for it. A view that stays open keeps other threads of
    the process from reading, its pages from being used again, and the map from growing: long things are read in pages.
    """

    def __init__(
        self, begin: Callable[[], Any], end: Callable[[BaseException | None], None], sizes: Callable[[], Sizes]
    ) -> None:
        self._begin = begin
        self._end = end
        self._sizes = sizes
        self._databases: dict[bytes, Any] = {}
        self._case_sensitive = False
        self._now: Any = None
        self._homed: frozenset[bytes] = frozenset()
        self._homed_generation: bytes | None = None
        self._homed_at = -1  # The number of the transaction that `_homed` was looked at in.

    def prepare(self, databases: dict[bytes, Any], *, case_sensitive: bool) -> None:
        """Learn the databases and the key rule, once, before the first moment is looked at."""
        self._databases = databases
        self._case_sensitive = case_sensitive

    def __enter__(self) -> Self:
        self._now = self._begin()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._now.abort()
        self._end(error)

    def get(self, handle: bytes) -> Record | None:
        """The record, or None where the handle does not exist."""
        key = storage_key(handle, case_sensitive=self._case_sensitive)
        octets = self._now.get(key)
        return None if octets is None else read_stored(key, octets)

    def stored(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Records as they stand on disk, by key; missing ones are left out."""
        return dict(self._now.cursor(self._databases[HANDLES]).getmulti(keys))

    def lookup(self) -> Callable[[bytes], bytes | None]:
        """A record as it stands on disk, by key, or None."""
        found: Callable[[bytes], bytes | None] = self._now.get
        return found

    def homed(self) -> frozenset[bytes]:
        """The homed prefix handles; the same object as long as nothing changed."""
        number = self._now.id()
        if number != self._homed_at:  # Something was written since we looked last.
            generation = self._now.get(GENERATION, db=self._databases[META], default=b"")
            if generation != self._homed_generation:
                cursor = self._now.cursor(self._databases[HOMED])
                self._homed = frozenset(cursor.iternext(keys=True, values=False))
                self._homed_generation = generation
            self._homed_at = number
        return self._homed

    def handles(self, prefix: bytes, *, after: bytes | None = None, limit: int) -> list[bytes]:
        """Up to `limit` handles under a folded prefix, in key order, behind `after`."""
        cursor = self._now.cursor(self._databases[HANDLES])
        return handles_under(cursor, prefix, after=after, limit=limit, case_sensitive=self._case_sensitive)

    def records(self, *, after: bytes | None = None, limit: int, size_max: int) -> list[Record]:
        """Up to `limit` records in key order behind `after`, of about `size_max` octets at most."""
        cursor, fold = self._now.cursor(self._databases[HANDLES]), self._case_sensitive
        return records_behind(cursor, after=after, limit=limit, size_max=size_max, case_sensitive=fold)

    def journal(self, *, after: int = 0, limit: int) -> list[JournalRow]:
        """Up to `limit` rows with a number above `after`."""
        return journal_rows(self._now.cursor(self._databases[JOURNAL]), after=after, limit=limit)

    def meta(self, name: bytes) -> bytes | None:
        """A fact that `SetMeta` wrote, or None."""
        found: bytes | None = self._now.get(FACT + name, db=self._databases[META])
        return found

    def facts(self) -> StoreFacts:
        """Sizes and counts."""
        sizes, databases, last_number = self._sizes(), self._databases, self.last_number()
        return StoreFacts(
            records=self._now.stat(databases[HANDLES])["entries"],
            journal_rows=journal_size(self._now.cursor(databases[JOURNAL]), last_number=last_number),
            homed=self._now.stat(databases[HOMED])["entries"],
            last_number=last_number,
            map_size=sizes.map_size,
            used_size=sizes.used_size,
            file_size=sizes.file_size,
            details={"readers": sizes.readers, "readers_max": sizes.readers_max},
        )

    def problems(self) -> list[str]:
        """What is wrong with the store, as sentences; empty where all is well. Reads everything."""
        cursors = {name: self._now.cursor(self._databases[name]) for name in self._databases}
        return problems(cursors, last_number=self.last_number(), case_sensitive=self._case_sensitive)

    def last_number(self) -> int:
        """The number of the last change, 0 where there was none."""
        return read_number(self._now.get(LAST_NUMBER, db=self._databases[META]))
