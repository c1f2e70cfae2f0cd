"""Where a mirror stands, kept as one fact of its store and written in the transaction of the changes that it tells of.

So a mirror that is killed at any moment goes on just behind what its store holds.
"""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Final, Self

import msgpack

from protocol.identifier import folded
from protocol.replication.dump import ResumePoint, StartType
from protocol.replication.transactions import Transaction
from protocol.requests import Receiver
from storage.base import SetMeta, StoreCorrupt, StoreView

META_NAME: Final = b"mirror"
"""Where the store keeps the state."""

LAYOUT: Final = 1


class Phase(IntEnum):
    """What a mirror is about."""

    DUMP = 1
    """Everything is being taken anew."""

    SWEEP = 2
    """All was taken; what changed meanwhile is taken next, then what the source has no longer goes."""

    FOLLOW = 3
    """The store is the source's, but for the latest changes."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """The last transaction that was taken: asked for again, it tells whether the source's history is still the same."""

    number: int
    handle: bytes
    action: int
    date_ms: int

    @classmethod
    def of(cls, transaction: Transaction) -> Self:
        """What is remembered of a transaction. The case of its handle is no part: a later change may spell it anew."""
        return cls(transaction.number, folded(transaction.handle), transaction.action, transaction.date_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorState:
    """`source` is the public key, in wire form, of the server whose numbers these are, and `name` where it was.

    `number` and `date_ms` are the last transaction taken and the last date heard (ms since 1970). `is_new`: nothing
    was heard since the dump, so that the last transaction is not known by its content. While phase is `DUMP`,
    `resume` is where the dump goes on and `touched_ms` when it last did; `dump` names the dump and what belongs to it.
    """

    source: bytes
    name: str
    receiver: Receiver
    phase: Phase
    number: int = 0
    date_ms: int = 0
    anchor: Anchor | None = None
    is_new: bool = True
    dump: str = ""
    has_position: bool = False
    resume: ResumePoint | None = None
    touched_ms: int = 0

    def belongs_to(self, source: bytes, receiver: Receiver) -> bool:
        """Whether it is the state of that source and share, wherever the source is now."""
        return self.source == source and self.receiver == receiver

    def change(self) -> SetMeta:
        """The change that keeps it."""
        receiver, anchor = self.receiver, self.anchor
        kept = [
            LAYOUT,
            self.source,
            self.name,
            [receiver.hash_option, receiver.server_count, receiver.server_number],
            self.phase.value,
            self.number,
            self.date_ms,
            None if anchor is None else [anchor.number, anchor.handle, anchor.action, anchor.date_ms],
            self.is_new,
            self.dump,
            self.has_position,
            None if self.resume is None else [self.resume.start, self.resume.start_type.value],
            self.touched_ms,
        ]
        return SetMeta(META_NAME, msgpack.packb(kept))

    def followed_to(self, transaction: Transaction) -> Self:
        """The state once a transaction was taken."""
        return replace(self, number=transaction.number, anchor=Anchor.of(transaction), is_new=False)


def read_state(view: StoreView) -> MirrorState | None:
    """The state that the store keeps; None where it was no mirror yet, or one of another layout: it begins anew."""
    octets = view.meta(META_NAME)
    if octets is None:
        return None
    try:
        layout, *kept = msgpack.unpackb(octets)
        return _read(kept) if layout == LAYOUT else None
    except (ValueError, TypeError) as error:
        raise StoreCorrupt(f"the mirror's state cannot be read ({error}): restore a backup of the store") from error


def _read(kept: list[Any]) -> MirrorState:
    source, name, share, phase, number, date_ms, anchor, is_new, dump, has_position, resume, touched_ms = kept
    hash_option, server_count, server_number = share
    return MirrorState(
        source=source,
        name=name,
        receiver=Receiver(hash_option=hash_option, server_count=server_count, server_number=server_number),
        phase=Phase(phase),
        number=number,
        date_ms=date_ms,
        anchor=None if anchor is None else Anchor(*anchor),
        is_new=is_new,
        dump=dump,
        has_position=has_position,
        resume=None if resume is None else ResumePoint(resume[0], StartType(resume[1])),
        touched_ms=touched_ms,
    )
