"""When a mirror must dump anew: the rules of the spec one by one (resolution: section 8), and the one of ours."""

import asyncio

import pytest

from resolver.replication.pruning import STEP_ROWS, Pruner
from resolver.replication.redump import DAY_MS, YOUNG_MS, JournalSpan, needs_redump
from storage.base import CopyRecord, NoteMirror, Outcome, PruneJournal
from storage.memory import MemoryStore

F = 1_700_000_000_000
NOW = F + 100 * DAY_MS
EMPTY = b"\0\0\0\0"


def old(oldest: int, last: int = 100) -> JournalSpan:
    """A journal that begins with that number, at F."""
    return JournalSpan(last, oldest, F)


@pytest.mark.parametrize(
    ("journal", "number", "date_ms", "wanted"),
    [
        pytest.param(JournalSpan(0), 0, 0, False, id="1: nothing was ever changed"),
        pytest.param(JournalSpan(7), 6, NOW, True, id="2: no row is kept, and the mirror lacks something"),
        pytest.param(JournalSpan(7), 7, 0, False, id="2: no row is kept, and it lacks nothing"),
        pytest.param(old(50), 3, F, False, id="3: it was told all before the oldest row"),
        pytest.param(old(50), 0, F + 1, False, id="3: even if none of it was for it"),
        pytest.param(old(1), 0, 0, True, id="4: the journal is whole, and old"),
        pytest.param(old(1), 0, F - DAY_MS, False, id="5: it was there a day before the first row"),
        pytest.param(old(1), 0, F - DAY_MS - 1, True, id="5: it was there longer ago than that"),
        pytest.param(old(2), 0, F - DAY_MS, True, id="5: the first row is gone"),
        pytest.param(old(50), 49, F - DAY_MS, False, id="6: the oldest row is its next one"),
        pytest.param(old(50), 49, F - DAY_MS - 1, True, id="6: it was there too long ago"),
        pytest.param(old(50), 48, F - 1, True, id="7: a row that it lacks is gone"),
        pytest.param(old(1), 5, F - 1, True, id="7: it says that it had no date for what it has"),
        pytest.param(old(50), 101, NOW, True, id="ours: it has more than we ever made"),
        pytest.param(JournalSpan(0), 5, NOW, True, id="ours: all that it has is gone here"),
    ],
)
def test_the_rules(journal: JournalSpan, number: int, date_ms: int, wanted: bool) -> None:
    assert needs_redump(journal, number=number, date_ms=date_ms, now_ms=NOW) is wanted


def test_a_young_whole_journal_is_told_from_its_start() -> None:
    assert not needs_redump(old(1), number=0, date_ms=0, now_ms=F + YOUNG_MS - 1)
    assert needs_redump(old(1), number=0, date_ms=0, now_ms=F + YOUNG_MS)
    assert needs_redump(old(2), number=0, date_ms=0, now_ms=F)


def test_the_pruner_takes_what_is_old_in_steps_and_leaves_known_mirrors_theirs() -> None:
    store = MemoryStore()
    for start in range(0, 25_000, 5_000):
        store.apply([CopyRecord(b"88.1/%d" % n, EMPTY) for n in range(start, start + 5_000)], now_ms=start + 1)
    store.apply([NoteMirror("m", 22_000)], now_ms=90_000)

    async def change(pruning: PruneJournal) -> Outcome:
        return store.apply([pruning], now_ms=100_000)[0]

    pruner = Pruner(change, age_s=50, mirror_grace_s=20, now_ms=lambda: 100_000)
    assert asyncio.run(pruner.prune()) == 21_999 // STEP_ROWS + 1
    assert store.journal(limit=1)[0].number == 22_000
    young = Pruner(change, age_s=99.999, mirror_grace_s=1, now_ms=lambda: 100_000)
    assert asyncio.run(young.prune()) == 0
    assert asyncio.run(Pruner(change, age_s=50, mirror_grace_s=1, now_ms=lambda: 100_000).prune()) == 1
    assert store.journal(limit=9)[0].number == 25_000
    assert asyncio.run(Pruner(change, age_s=0, mirror_grace_s=1, now_ms=lambda: 10**9).prune()) == 0
