"""What a worker knows without asking: its own node's records, its table of answers, and the answers that all share.

As walks look it up (`Memory`), and as whole questions do. Waits for nothing but the shared memory's disk cache.
"""

import logging
from collections.abc import Sequence
from typing import Final

from protocol.codes import ResponseCode
from protocol.value import HandleValue, read_values
from protocol.wire import Reader
from resolver.cache.cache import Cache, cache_key
from resolver.cache.kept import Kept
from resolver.cache.packing import packed, unpacked
from resolver.own import Own
from resolver.walk.events import Known, Learnt
from storage.answers import Answers
from storage.base import StoreError

log = logging.getLogger(__name__)

UNSHARED_MAX: Final = 4_096
"""Handles whose answers wait to be written for the other workers: beyond, those that came first are not."""


class Memories:
    """See `resolver.walk.events.Memory`. `answers` is what all workers share, None where they do not."""

    def __init__(self, cache: Cache, own: Own, answers: Answers | None = None) -> None:
        self.cache = cache
        self.own = own
        self._answers = answers
        self._unshared: dict[bytes, None] = {}
        self._order = 0 if answers is None else answers.last_order()

    # As walks look it up

    def known(self, handle: bytes, *, types: Sequence[bytes], certified: bool, now_ms: int) -> Known | None:
        """See `resolver.walk.events.Memory`."""
        found = self.own.known(handle, types)
        if found is not None:
            return found
        kept = self.fresh(cache_key(handle), (), types, certified=certified, now_ms=now_ms)
        if kept is None:
            return None
        values = kept.selected((), types)
        age_ms = now_ms - kept.received_ms
        if values is not None:
            return Known(
                code=kept.code, values=read_values(Reader(values)), is_certified=kept.is_certified, age_ms=age_ms
            )
        code = kept.code if kept.is_negative else int(ResponseCode.VALUES_NOT_FOUND)
        return Known(code=code, values=(), is_certified=kept.is_certified, age_ms=age_ms)

    # As questions do

    def fresh(
        self, key: bytes, indexes: Sequence[int], types: Sequence[bytes], *, certified: bool, now_ms: int
    ) -> Kept | None:
        """An answer that may be used, from the table of this worker, else from what another one learnt."""
        kept = self.cache.fresh(key, indexes, types, certified=certified, now_ms=now_ms)
        if kept is None and self._adopt(key, now_ms):
            kept = self.cache.fresh(key, indexes, types, certified=certified, now_ms=now_ms)
        return kept

    def stale(
        self, key: bytes, indexes: Sequence[int], types: Sequence[bytes], *, certified: bool, now_ms: int
    ) -> Kept | None:
        """An expired answer that may be used where nobody can be asked."""
        return None if certified else self.cache.stale(key, indexes, types, now_ms=now_ms)

    def learn(self, learnt: Learnt, now_ms: int) -> Kept | None:
        """Remember what came, where it may be remembered; what is kept of it."""
        return self.remember(
            learnt.handle,
            learnt.code,
            learnt.values,
            indexes=learnt.indexes,
            types=learnt.types,
            is_certified=learnt.is_certified,
            now_ms=now_ms,
        )

    def remember(
        self,
        handle: bytes,
        code: int,
        values: Sequence[HandleValue],
        *,
        indexes: Sequence[int],
        types: Sequence[bytes],
        is_certified: bool,
        now_ms: int,
    ) -> Kept | None:
        """See `learn`."""
        kept = self.cache.kept(code, values, indexes=indexes, types=types, is_certified=is_certified, now_ms=now_ms)
        if kept is None:
            return None
        key = cache_key(handle)
        self.cache.put(key, kept, now_ms=now_ms)
        if self._answers is not None:
            self._unshared[key] = None
            if len(self._unshared) > UNSHARED_MAX:
                del self._unshared[next(iter(self._unshared))]
        return kept

    # What all workers share

    def _adopt(self, key: bytes, now_ms: int) -> bool:
        """Look whether another worker knows the handle. A memory that cannot be read knows nothing."""
        if self._answers is None:
            return False
        try:
            octets = self._answers.get(key)
        except StoreError as error:
            log.warning("%s", error)
            return False
        if octets is None:
            return False
        self.cache.adopt(key, unpacked(octets), now_ms=now_ms)
        return True

    def unshared(self) -> list[tuple[bytes, bytes]]:
        """What was learnt since the last call, to be written by `share`, which another thread may do."""
        found = [(key, packed(self.cache.answers(key))) for key in self._unshared if self.cache.answers(key)]
        self._unshared.clear()
        return found

    def share(self, items: Sequence[tuple[bytes, bytes]]) -> None:
        """Write answers for the other workers. One that cannot be written is not shared."""
        if self._answers is None or not items:
            return
        try:
            self._answers.put(items)
        except StoreError as error:
            log.warning("%s", error)

    def follow_orders(self) -> None:
        """Forget what somebody ordered to be forgotten since the last call."""
        if self._answers is None:
            return
        try:
            self._order, names = self._answers.orders(self._order)
        except StoreError as error:
            log.warning("%s", error)
            return
        if names is None:
            self.cache.clear()
            self._unshared.clear()
        for name in names or ():
            self.cache.forget(name)
            self._unshared.pop(name, None)
