"""The narrow face of the store: what every implementation gives and takes, and what it refuses. Knows no engine.

There are two implementations from the first day, LMDB and a dict, and a test that holds them against each other.
A handle is looked up by its folded octets and kept as it was spelled when it was written.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from protocol.errors import HandleError


class StoreError(Exception):
    """The store could not do what was asked. The text says what failed, why, and what to do."""


class StoreFull(StoreError):
    """The disk, a quota or the map's greatest size is used up: the write was refused, what was there is kept."""


class StoreTooNew(StoreError):
    """The store was written by a newer version of this program."""


class StoreInUse(StoreError):
    """Another node serves this store."""


class StoreMissing(StoreError):
    """There is no store in that folder."""


class StoreCorrupt(StoreError):
    """What was read breaks the store's format."""


@dataclass(frozen=True, slots=True)
class Record:
    """One handle, as it was spelled when written, and its value list: the octets of a resolution response."""

    handle: bytes
    values: bytes


class Action(Enum):
    """What a journal row tells, with the numbers of the transaction log (spec, resolution: section 7.2)."""

    CREATE = 1
    DELETE = 2
    UPDATE = 3
    HOME = 4
    UNHOME = 5


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One committed change: `number` from 1 without gaps, `date_ms` since 1970, never falling.

    The oldest rows may be gone (`PruneJournal`), the last one never.
    """

    number: int
    action: Action
    handle: bytes
    date_ms: int
    who: str


class IfExists(Enum):
    """What a put does where the handle stands already."""

    REPLACE = "replace"
    KEEP = "keep"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class PutRecord:
    """Write a whole record. Equal values, apart from their timestamps, change nothing and keep the old timestamps."""

    handle: bytes
    values: bytes
    if_exists: IfExists = IfExists.REPLACE
    who: str = ""


@dataclass(frozen=True, slots=True)
class UpdateRecord:
    """Read, decide and write in the one transaction.

    `decide` gets the record or None and gives the record to keep, or None to have none; giving back what it got
    changes nothing. What it gives is kept under the handle that stands, or else that of the change. A `HandleError`
    that it raises refuses this change and no other.

    `is_stamped`: its timestamps are kept as they are; else values that are equal apart from them keep theirs, as with
    a put.
    """

    handle: bytes
    decide: Callable[[Record | None], Record | None]
    who: str = ""
    is_stamped: bool = False


@dataclass(frozen=True, slots=True)
class HomePrefix:
    """Serve the handles of a prefix from now on; `handle` is its prefix handle (`0.NA/88.100`).

    `has_row` says whether the journal tells it: of a site with several servers one does (spec, resolution: section
    6.1).
    """

    handle: bytes
    who: str = ""
    has_row: bool = True


@dataclass(frozen=True, slots=True)
class UnhomePrefix:
    """Serve them no longer. Their records stay. `has_row` as in `HomePrefix`."""

    handle: bytes
    who: str = ""
    has_row: bool = True


@dataclass(frozen=True, slots=True)
class SetMeta:
    """Write one named fact about the node, such as its identity. It has no journal row: it is no mirror's business."""

    name: bytes
    octets: bytes


@dataclass(frozen=True, slots=True)
class CopyRecord:
    """Have a record just as another server has it: spelling, values and timestamps; none where `values` is None.

    Where it stands so already, nothing changes.
    """

    handle: bytes
    values: bytes | None
    who: str = ""


@dataclass(frozen=True, slots=True)
class NoteMirror:
    """A mirror was heard of: it has all changes up to `number`; None where it did not say.

    `name` tells mirrors apart. So long as it is heard of, `PruneJournal` keeps what it has not yet. No journal row.
    """

    name: str
    number: int | None


@dataclass(frozen=True, slots=True)
class PruneJournal:
    """Forget the oldest journal rows: those dated before `before_ms` (since 1970), at most `rows_max` of them.

    Kept are, for each mirror heard of at or after `heard_since_ms`, the last row that it has and all behind it; and
    always the last row that there was before this transaction. The outcome's `existed` says whether any was forgotten.
    """

    before_ms: int
    heard_since_ms: int
    rows_max: int = 10_000


Change = PutRecord | UpdateRecord | CopyRecord | HomePrefix | UnhomePrefix | SetMeta | NoteMirror | PruneJournal


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one change ended: `number` of its journal row (0: it has none), or the error that refused it.

    `existed` says whether the handle (or the homed prefix) stood before.
    """

    number: int = 0
    existed: bool = False
    error: HandleError | None = None


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """Sizes for the operator, in octets and entries."""

    records: int
    journal_rows: int
    homed: int
    last_number: int
    map_size: int
    used_size: int
    file_size: int
    details: dict[str, int] = field(default_factory=dict)


class StoreView(Protocol):
    """What the store held at one moment. Not to be kept beyond its `with` block, nor used by two threads."""

    def get(self, handle: bytes) -> Record | None:
        """The record, or None where the handle does not exist. A record may have no values."""
        ...

    def stored(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Records as they stand on disk (`storage.records`), by storage key; missing ones are left out."""
        ...

    def lookup(self) -> Callable[[bytes], bytes | None]:
        """`stored` for one key at a time, without a detour: the stored octets, or None. Holds as long as the view."""
        ...

    def homed(self) -> frozenset[bytes]:
        """The folded prefix handles that are served here. The same object as long as nothing changed."""
        ...

    def handles(self, prefix: bytes, *, after: bytes | None = None, limit: int) -> list[bytes]:
        """Up to `limit` handles that begin with `prefix` (folded), in the order of their keys, behind `after`."""
        ...

    def records(self, *, after: bytes | None = None, limit: int, size_max: int) -> list[Record]:
        """Up to `limit` records in the order of their keys, behind `after`; not many more octets than `size_max`.

        At least one where there is one.
        """
        ...

    def journal(self, *, after: int = 0, limit: int) -> list[JournalRow]:
        """Up to `limit` rows with a number above `after`, in order; the oldest that is kept may be above it."""
        ...

    def last_number(self) -> int:
        """The number of the last change, 0 where there was none."""
        ...

    def meta(self, name: bytes) -> bytes | None:
        """A fact that `SetMeta` wrote, or None."""
        ...

    def facts(self) -> StoreFacts:
        """Sizes and counts."""
        ...


class HandleStore(Protocol):
    """Records, homed prefixes, the journal and facts about the node."""

    def view(self) -> AbstractContextManager[StoreView]:
        """One moment of the store, for reading."""
        ...

    def apply(self, changes: Sequence[Change], *, now_ms: int) -> list[Outcome]:
        """Make the changes in one durable transaction, in their order, each with its journal row.

        A change that is refused leaves the others alone. When this returns, what it tells is on disk; when it raises
        (`StoreFull`, `StoreError`), none of the changes is.
        """
        ...

    def close(self) -> None:
        """Give back files and memory. A closed store is not used again."""
        ...
