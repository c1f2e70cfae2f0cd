"""Where new records go into the tree, so that its pages fill up although keys arrive in runs. Changes no record.

The engine cuts a full page in its middle, unless the new key is the last on it: then it begins a new page and leaves a
full one. A firm that counts its identifiers upwards always writes just before the first key of the next firm. While the
two share a page, every cut leaves a page behind that is little more than half full, for ever; once a page ends between
them, every page becomes full. So, where a gap between two keys is seen to take a run, a page's end is put there, once:
the first new key and the key behind the gap are, for a moment within the transaction, made so large that no page holds
them and a third, and a third is put between them.
"""

from bisect import bisect_left
from typing import Any, Final

from storage.keys import KEY_SIZE_MAX

RUN_MIN: Final = 4
"""So many keys in one gap are a run, if few others were written meanwhile."""

FEW: Final = 4
"""Few are no more than the tree's keys divided by this: scattered by chance, they rarely meet in a gap."""

GAPS_MAX: Final = 16_384
"""So many gaps are remembered, by the keys behind them. Forgetting costs a page now and then."""

_PAGE_HEAD: Final = 16
_NODE_HEAD: Final = 8
_POINTER: Final = 2


class Packing:
    """What was seen of the gaps of one tree: a hint, never a fact. `page_size` is the engine's, in octets."""

    def __init__(self, page_size: int) -> None:
        # The largest entry that the engine keeps within a page: two fill it.
        self._entry_size = ((page_size - _PAGE_HEAD) // 2 & ~1) - _POINTER
        self._standing = 0
        self._written = 0  # Keys since counting began.
        self._seen: dict[bytes, int] = {}  # Of those: how many went into the gap before a key.
        self._ended: set[bytes] = set()  # The keys that begin a page, because of us.

    def begin(self, standing: int) -> None:
        """Count on, in a transaction whose tree has so many keys, or count anew where enough were written."""
        self._standing = standing
        if self._written * FEW > standing or len(self._seen) >= GAPS_MAX:
            self._written = 0
            self._seen.clear()

    def forget(self) -> None:
        """Begin anew, as when a transaction ended without a commit."""
        self._written = self._standing = 0
        self._seen.clear()
        self._ended.clear()

    def insert(self, cursor: Any, records: list[tuple[bytes, bytes]]) -> None:
        """Write records, sorted by their keys, none of which stands in the cursor's tree."""
        place, end = 0, len(records)
        self._written += end
        while place < end:
            first = records[place][0]
            if not cursor.set_range(first):  # Behind the last key of all: the engine fills pages by itself.
                cursor.putmulti(records[place:], dupdata=False, append=True)
                end = place
                break
            behind = cursor.key()
            run_end = bisect_left(records, (behind,), place)
            self._seen[behind] = self._seen.get(behind, 0) + run_end - place
            if behind not in self._ended and self._is_run(behind):
                self._end_page(cursor, first, behind)
            place = run_end
        if end:
            cursor.putmulti(records if end == len(records) else records[:end], dupdata=False)

    def _is_run(self, behind: bytes) -> bool:
        """Whether the gap before a key took more than chance would have sent there."""
        by_chance = RUN_MIN * self._written // (self._standing + 1)
        return self._seen[behind] >= RUN_MIN + by_chance

    def _end_page(self, cursor: Any, first: bytes, behind: bytes) -> None:
        """Let a page end between a new key, written in earnest afterwards, and the key that the cursor stands on."""
        between = first + b"\0"
        if len(between) > KEY_SIZE_MAX or between >= behind:
            return
        if len(self._ended) >= GAPS_MAX:
            self._ended.clear()
        self._ended.add(behind)
        kept = cursor.value()
        cursor.put(first, bytes(self._entry_size - _NODE_HEAD - len(first)))
        cursor.put(behind, bytes(self._entry_size - _NODE_HEAD - len(behind)))
        cursor.put(between, b"")  # The two fill a page to its last octet: a third entry parts them.
        cursor.set_key(between)
        cursor.delete()
        cursor.put(behind, kept)
