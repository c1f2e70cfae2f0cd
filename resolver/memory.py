"""What a worker knows without asking: its own node's records, its table of answers, and the answers that all share.

As walks look it up (`Memory`), and as whole questions do. Waits for nothing but the shared memory's disk cache.
"""

from collections.abc import Sequence
from typing import Final

from protocol.codes import ResponseCode
from protocol.value import HandleValue, read_values
from protocol.wire import Reader
from resolver.cache.cache import Cache, cache_key
from resolver.cache.kept import Kept
from resolver.cache.packing import packed, unpacked
from resolver.log_limits import limited
from resolver.own import Own
from resolver.walk.events import Known, Learnt
from resolver.walk.world import TRUST_SIZE, World
from storage.answers import Answers
from storage.base import StoreError

log = limited(__name__)

UNSHARED_MAX: Final = 4_096
"""Handles whose answers wait to be written for the other workers: beyond, those that came first are not."""

READ_MAX: Final = 1_024
"""Handles whose values are remembered as read: prefixes and services in daily use. Then all are read anew."""

READ_SIZE_MAX: Final = 4_096
"""Octets of a record that is remembered so: strangers' long ones are read each time."""


class Memories:
    """See `resolver.walk.events.Memory`. `answers` is what all workers share, None where they do not."""

    def __init__(self, cache: Cache, own: Own, answers: Answers | None = None) -> None:
        self.cache = cache
        self.own = own
        self._answers = answers
        self._unshared: dict[bytes, None] = {}
        self._read: dict[bytes, tuple[Kept, Sequence[bytes], tuple[HandleValue, ...]]] = {}
        self._order = 0 if answers is None else answers.last_order()
        self._trust = World().trust()
        self.epoch = 0
        """Rises whenever other keys are believed: what was certified before is so no more."""

    def believe(self, trust: bytes) -> None:
        """Take to other keys (`World.trust`): what others vouched for is forgotten, and not taken from other processes.

        They share under the keys that they believe: one that has not heard yet, or a node of before the last start.
        """
        if trust != self._trust:
            self._trust = trust
            self.epoch += 1
            self.cache.forget_certified()

    # As walks look it up

    def known(self, handle: bytes, *, types: Sequence[bytes], certified: bool, now_ms: int) -> Known | None:
        """See `resolver.walk.events.Memory`."""
        found = self.own.known(handle, types)
        if found is not None:
            return found
        key = cache_key(handle)
        kept = self.fresh(key, (), types, certified=certified, now_ms=now_ms)
        if kept is None:
            return None
        values = self._values(key, kept, types)
        code = kept.code if values or kept.is_negative else int(ResponseCode.VALUES_NOT_FOUND)
        return Known(code, values, kept.is_certified, now_ms - kept.received_ms)

    def _values(self, key: bytes, kept: Kept, types: Sequence[bytes]) -> tuple[HandleValue, ...]:
        """The values of these types. They are read once: all searches below a prefix begin with its record."""
        read = self._read.get(key)
        if read is not None and read[0] is kept and read[1] == types:
            return read[2]
        octets = kept.selected((), types)
        values = () if octets is None else read_values(Reader(octets))
        if len(kept.values) <= READ_SIZE_MAX:
            if len(self._read) >= READ_MAX:
                self._read.clear()
            self._read[key] = kept, types, values
        return values

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
            octets=learnt.octets,
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
        octets: bytes = b"",
    ) -> Kept | None:
        """See `learn`. `octets`: the list of the values, where it is known."""
        kept = self.cache.kept(
            code, values, indexes=indexes, types=types, is_certified=is_certified, now_ms=now_ms, octets=octets
        )
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
        theirs = unpacked(octets[TRUST_SIZE:])
        if octets[:TRUST_SIZE] != self._trust:
            theirs = [kept for kept in theirs if not kept.is_certified]
        self.cache.adopt(key, theirs, now_ms=now_ms)
        return True

    def unshared(self) -> list[tuple[bytes, bytes]]:
        """What was learnt since the last call, to be written by `share`, which another thread may do."""
        found = [
            (key, self._trust + packed(self.cache.answers(key))) for key in self._unshared if self.cache.answers(key)
        ]
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
