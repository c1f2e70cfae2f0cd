"""A walk's memory as a model: what was learnt, by handle and question, for as long as its values say."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from protocol.codes import TTL_ABSOLUTE, ResponseCode
from protocol.identifier import folded, prefix_folded
from protocol.value import HandleValue
from resolver.walk.events import Known, Learnt
from resolver.walk.records import wanted

NEGATIVE_MS = 60_000
STALE_MS = 86_400_000


@dataclass(frozen=True)
class Entry:
    """One answer. `end_ms`: from then on it is old."""

    learnt: Learnt
    came_ms: int
    end_ms: int

    def answers(self, types: Sequence[bytes], certified: bool) -> bool:
        one = self.learnt
        if one.is_certified < certified:
            return False
        is_whole = (not one.types and not one.indexes) or one.code == ResponseCode.HANDLE_NOT_FOUND
        return is_whole or (bool(types) and set(types) <= set(one.types))


class Remembering:
    """`own` are records of the node itself: they never age."""

    def __init__(self, own: Mapping[bytes, tuple[HandleValue, ...]] | None = None) -> None:
        self._own = {folded(handle): values for handle, values in (own or {}).items()}
        self._entries: dict[bytes, list[Entry]] = {}

    def known(self, handle: bytes, *, types: Sequence[bytes], certified: bool, now_ms: int) -> Known | None:
        own = self._own.get(folded(handle))
        if own is not None:
            return Known(code=ResponseCode.SUCCESS, values=wanted(own, (), types), is_certified=True)
        entry = self._entry(handle, types, certified, now_ms)
        if entry is None:
            return None
        values = wanted(entry.learnt.values, (), types)
        code = ResponseCode.VALUES_NOT_FOUND if entry.learnt.code == ResponseCode.SUCCESS and not values else None
        return Known(
            code=entry.learnt.code if code is None else code,
            values=values,
            is_certified=entry.learnt.is_certified,
            age_ms=max(now_ms - entry.came_ms, 1),
        )

    def stale(self, handle: bytes, types: Sequence[bytes], now_ms: int) -> tuple[HandleValue, ...] | None:
        """What is too old to be used, unless nobody can be asked."""
        entry = self._entry(handle, types, False, now_ms, older_ms=STALE_MS)
        is_any = entry is not None and entry.learnt.code == ResponseCode.SUCCESS
        return wanted(entry.learnt.values, (), types) if entry is not None and is_any else None

    def learn(self, learnt: Iterable[Learnt], now_ms: int) -> None:
        """Remember what a walk told."""
        for one in learnt:
            entry = Entry(
                one, now_ms, min([_end_ms(value, now_ms) for value in one.values], default=now_ms + NEGATIVE_MS)
            )
            self._entries.setdefault(prefix_folded(one.handle), []).insert(0, entry)

    def _entry(
        self, handle: bytes, types: Sequence[bytes], certified: bool, now_ms: int, *, older_ms: int = 0
    ) -> Entry | None:
        for entry in self._entries.get(prefix_folded(handle), []):
            if entry.answers(types, certified) and now_ms < entry.end_ms + older_ms:
                return entry
        return None


def _end_ms(value: HandleValue, now_ms: int) -> int:
    return value.ttl * 1000 if value.ttl_type == TTL_ABSOLUTE else now_ms + value.ttl * 1000
