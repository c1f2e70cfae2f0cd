"""Spellings of handles → answers whose octets can be sent as they are: what a batch of questions looks up first.

Beside the cache, which knows questions and certificates: a spelling is put here when a question for everything was
answered from there. An answer that the cache lets go of ends itself, so that nothing has to be taken out here.
"""

from typing import Final

from resolver.cache.cache import prefetch_at_ms
from resolver.cache.kept import Kept
from storage.keys import PLAIN_KEY_SIZE_MAX

SPELLINGS_MAX: Final = 65_536
"""Spellings that are remembered; beyond, all are learnt anew: each costs one look into the cache.

None is longer than `PLAIN_KEY_SIZE_MAX`: a batch looks up no longer one, and so all of them take 40 MB at most.
"""


class Ready:
    """`get` is a dictionary's: nothing is called on the way of an answer that need not be."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Kept] = {}
        self.get = self._kept.get

    def add(self, spelling: bytes, kept: Kept, *, now_ms: int, is_prefetched: bool) -> None:
        """Have an answer to the question for everything given at once, until it expires or must be looked at again.

        That is when a popular one is to be asked for again (`is_prefetched`: whether that is done at all), or when one
        that serves though it expired is to be tried again.
        """
        if kept.is_negative or kept.indexes or kept.types or len(spelling) > PLAIN_KEY_SIZE_MAX:
            return
        until_ms = kept.fresh_until_ms if kept.is_fresh(now_ms) else kept.retry_at_ms
        if is_prefetched and now_ms < prefetch_at_ms(kept):
            until_ms = prefetch_at_ms(kept)
        kept.since_s, kept.quick_until_s = kept.received_ms // 1000, until_ms // 1000
        if len(self._kept) >= SPELLINGS_MAX:
            self._kept.clear()
        self._kept[spelling] = kept
