"""Answers of other nodes, found by handle and by what was asked. Waits for nothing; the time is an argument.

Keyed by the handle with its prefix folded: another node may tell the case of suffixes apart (behaviours 10). For one
handle several answers can stand, to different questions; certified ones apart from the others, which also serve who
does not ask for a certificate (spec, resolution: section 3.4). Only public values are kept.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from protocol import identifier
from protocol.value import HandleValue, value_list
from resolver.cache.kept import CODES, Kept
from resolver.cache.lifetimes import Lifetimes
from resolver.cache.table import Table

VARIANTS_MAX: Final = 4
"""Answers to different questions for one handle, certified ones apart: the oldest goes. Clients ask two or three."""

PREFETCH_USES: Final = 3
"""An answer that was used so often since it came is popular: it is asked for again before it expires."""

PREFETCH_SHARE: Final = 0.1
"""What is left of a popular answer's life when it is asked for again."""

_KEYS_REMEMBERED_MAX: Final = 256  # A search asks for the keys of two or three handles, each several times.

SLOT_OVERHEAD: Final = 400
"""Octets that a handle takes beside its answers: its name in three tables, and their objects."""


@lru_cache(_KEYS_REMEMBERED_MAX)
def cache_key(handle: bytes) -> bytes:
    """What two spellings of a handle have in common at every server, whatever its rule of case."""
    return identifier.prefix_folded(identifier.full(handle))


@dataclass(slots=True)
class Slot:
    """The answers for one handle, newest first."""

    key: bytes
    answers: list[Kept] = field(default_factory=list)
    size: int = 0

    def heat(self) -> int:
        """Uses since the last call."""
        used = 0
        for kept in self.answers:
            used += kept.uses - kept.uses_seen
            kept.uses_seen = kept.uses
        return used

    def end(self) -> None:
        """Nothing of it is used any more."""
        for kept in self.answers:
            kept.end()


class Cache:
    """At most `size_max` octets of answers."""

    def __init__(self, size_max: int, lifetimes: Lifetimes) -> None:
        self._lifetimes = lifetimes
        self._table: Table[Slot] = Table(size_max, Slot.end)

    def __len__(self) -> int:
        return len(self._table)

    @property
    def size(self) -> int:
        """Octets that are taken."""
        return self._table.size

    @property
    def evicted(self) -> int:
        """Handles that were let go of to make room, since the start."""
        return self._table.evicted

    def kept(
        self,
        code: int,
        values: Sequence[HandleValue],
        *,
        indexes: Sequence[int],
        types: Sequence[bytes],
        is_certified: bool,
        now_ms: int,
        octets: bytes = b"",
    ) -> Kept | None:
        """What came now, as it is remembered; None where it may not be: a refusal, or values that do not last.

        `octets`: the list of all the values, where it is known.
        """
        if code not in CODES:
            return None
        public = [value for value in values if value.is_public]
        end_ms = self._lifetimes.end_ms(code, public, now_ms)
        if end_ms <= now_ms:
            return None
        return Kept(
            code,
            octets if octets and len(public) == len(values) else value_list(public),
            indexes=indexes,
            types=types,
            is_certified=is_certified,
            received_ms=now_ms,
            fresh_until_ms=end_ms,
        )

    def put(self, key: bytes, kept: Kept, *, now_ms: int) -> list[Kept]:
        """Remember an answer, in place of those that it makes needless; all that stands for the handle now.

        Those who used the older answer have used this one: what is popular stays so.
        """
        slot = self._table.get(key) or Slot(key)
        others: list[Kept] = []
        for other in slot.answers:
            if kept.supersedes(other) or not self._is_worth(other, now_ms):
                kept.uses = kept.uses_seen = max(kept.uses, min(other.uses, PREFETCH_USES - 1))
                other.end()
            else:
                others.append(other)
        alike = [other for other in others if other.is_certified == kept.is_certified]
        for other in alike[VARIANTS_MAX - 1 :]:
            others.remove(other)
            other.end()
        return slot.answers if self._have(slot, [kept, *others]) else []

    def _have(self, slot: Slot, answers: list[Kept]) -> bool:
        """Have a slot with these answers in the table; whether it has room there."""
        slot.answers = answers
        slot.size = SLOT_OVERHEAD + len(slot.key) + sum([found.size for found in answers])
        if self._table.put(slot.key, slot):
            return True
        slot.end()
        return False

    def adopt(self, key: bytes, answers: Iterable[Kept], *, now_ms: int) -> None:
        """Take what another process remembers for a handle, where it is newer than what is known here."""
        slot = self._table.get(key)
        known = [] if slot is None else slot.answers
        for kept in sorted(answers, key=lambda found: found.received_ms):
            if self._is_worth(kept, now_ms) and not any(
                other.received_ms >= kept.received_ms and (other.supersedes(kept) or kept.supersedes(other))
                for other in known
            ):
                known = self.put(key, kept, now_ms=now_ms)

    def fresh(
        self, key: bytes, indexes: Sequence[int], types: Sequence[bytes], *, certified: bool, now_ms: int
    ) -> Kept | None:
        """An answer that may be used for a question: fresh, or held while asking again fails. The use is counted.

        Who asks for a certified one gets none that is held: what may decide who is who must not be old.
        """
        slot = self._table.get(key)
        for kept in () if slot is None else slot.answers:
            if kept.is_certified < certified or not kept.covers(indexes, types):
                continue
            if kept.is_fresh(now_ms) or (kept.is_held(now_ms) and not certified):
                kept.uses += 1
                return kept
        return None

    def stale(self, key: bytes, indexes: Sequence[int], types: Sequence[bytes], *, now_ms: int) -> Kept | None:
        """An answer that may be used where nobody can be asked: expired not too long ago, and not that there is none.

        What was not there may be by now: of that an old answer says nothing.
        """
        for kept in self.answers(key):
            if not kept.is_negative and self._is_worth(kept, now_ms) and kept.covers(indexes, types):
                return kept
        return None

    def hold(self, key: bytes, *, until_ms: int, now_ms: int) -> bool:
        """Let the expired answers for a handle be used until then, since asking again failed; whether there are any."""
        slot = self._table.get(key)
        if slot is None:
            return False
        held = False
        for kept in slot.answers:
            if not kept.is_negative and not kept.is_fresh(now_ms) and self._is_worth(kept, now_ms):
                held = held or not kept.is_held(now_ms)
                kept.retry_at_ms = min(until_ms, kept.fresh_until_ms + self._lifetimes.stale_ms)
        return held

    def is_due(self, kept: Kept, now_ms: int) -> bool:
        """Whether a popular answer is so near its end that it should be asked for again, which nobody does yet."""
        return not kept.is_refreshing and kept.uses >= PREFETCH_USES and now_ms >= prefetch_at_ms(kept)

    def forget(self, key: bytes) -> bool:
        """Forget all answers for a handle; whether there was any."""
        slot = self._table.remove(key)
        if slot is not None:
            slot.end()
        return slot is not None

    def forget_certified(self) -> None:
        """Forget what is certified, since other keys are believed now. The rest stays: nobody vouched for it before."""
        for key in list(self._table):
            slot = self._table.get(key)
            if slot is None or not any(kept.is_certified for kept in slot.answers):
                continue
            others = [kept for kept in slot.answers if not kept.is_certified]
            for kept in slot.answers:
                if kept.is_certified:
                    kept.end()
            if others:
                self._have(slot, others)
            else:
                self._table.remove(key)

    def clear(self) -> None:
        """Forget everything."""
        for slot in self._table.clear():
            slot.end()

    def answers(self, key: bytes) -> Sequence[Kept]:
        """All that stands for a handle."""
        slot = self._table.get(key)
        return () if slot is None else slot.answers

    def _is_worth(self, kept: Kept, now_ms: int) -> bool:
        """Whether it may ever be used again."""
        return kept.received_ms <= now_ms < kept.fresh_until_ms + self._lifetimes.stale_ms


def prefetch_at_ms(kept: Kept) -> int:
    """When a popular answer is asked for again."""
    return kept.fresh_until_ms - int((kept.fresh_until_ms - kept.received_ms) * PREFETCH_SHARE)
