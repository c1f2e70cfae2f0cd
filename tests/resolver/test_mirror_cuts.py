"""A mirror whose streams are cut, that is killed, whose source prunes: it ends equal and never serves less."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from protocol.requests import DumpRequest, RetrieveTransactionsRequest
from resolver.replication import pages
from resolver.replication.channel import Cut
from resolver.replication.dumping import RESUME_WITHIN_MS
from resolver.replication.state import META_NAME, Phase
from storage.base import Change, CopyRecord, HomePrefix, PruneJournal, SetMeta, StoreFull, UnhomePrefix
from tests.support.loops import in_loop
from tests.support.mirrors import PREFIX, content, copying_pair, gone, make_batches_small, put


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    make_batches_small(monkeypatch)


@pytest.mark.usefixtures("small_batches")
@in_loop
async def test_a_dump_that_is_cut_goes_on_where_it_was_even_after_a_kill(tmp_path: Path) -> None:
    async with copying_pair(tmp_path) as pair:
        pair.primary.cut_after = 8
        with pytest.raises(Cut):
            await pair.mirror.round()
        held = len(content(pair.store)[0])
        assert 0 < held < 300
        pair.change(*put(b"88.1/0000", b"88.1/9999", text=b"meanwhile"), *gone(b"88.1/0001", b"88.1/0299"))
        pair.primary.cut_after = None
        await pair.restarted().round()
        assert pair.is_equal
        first, second = [asked for asked in pair.primary.asked if isinstance(asked, DumpRequest)]
        assert first.start is None
        assert second.start == content(pair.primary.store)[0][held - 1][0] or second.start is not None
        assert second.start_type == 2


@in_loop
async def test_what_came_before_a_cut_is_kept_even_if_it_is_no_batch(tmp_path: Path) -> None:
    async with copying_pair(tmp_path) as pair:
        pair.primary.cut_after = 4
        with pytest.raises(Cut):
            await pair.mirror.round()
        assert len(content(pair.store)[0]) == pages.PAGE_RECORDS
        pair.primary.cut_after = None
        await pair.mirror.round()
        pair.change(*put(*[b"88.1/NEW%03d" % n for n in range(200)]))
        pair.primary.cut_after = 4
        with pytest.raises(Cut):
            await pair.mirror.round()
        state = pair.mirror.state()
        assert state is not None
        # The first change that is told is the last one that was taken: it says that the history is the same.
        assert state.number == 301 + pages.PAGE_RECORDS - 1
        assert state.anchor is not None
        assert state.anchor.number == state.number
        pair.primary.cut_after = None
        await pair.mirror.round()
        assert [asked.last_number for asked in pair.primary.asked if isinstance(asked, RetrieveTransactionsRequest)][
            -1
        ] == state.number - 1
        assert pair.is_equal


@pytest.mark.usefixtures("small_batches")
@in_loop
async def test_cuts_at_every_part_of_every_stream_end_equal(tmp_path: Path) -> None:
    async with copying_pair(tmp_path, records=120) as pair:
        for rounds, cut in enumerate((*range(14), *range(14), None)):
            pair.primary.cut_after = cut
            pair.change(*put(b"88.1/R%d" % rounds), *gone(b"88.1/%04d" % rounds))
            try:
                await (pair.restarted() if rounds % 2 else pair.mirror).round()
            except Cut:
                pass
        assert pair.is_equal
        assert pair.store.verify() == []


@pytest.mark.usefixtures("small_batches")
@in_loop
async def test_a_resume_that_brings_nothing_becomes_a_new_dump(tmp_path: Path) -> None:
    async with copying_pair(tmp_path) as pair:
        pair.primary.cut_after = 8
        with pytest.raises(Cut):
            await pair.mirror.round()
        pair.primary.cut_after = 0  # What sources that cannot resume do: they break the connection.
        for _ in range(2):
            with pytest.raises(Cut):
                await pair.mirror.round()
        pair.primary.cut_after = None
        await pair.mirror.round()
        assert pair.is_equal
        starts = [asked.start for asked in pair.primary.asked if isinstance(asked, DumpRequest)]
        assert starts[0] is None
        assert starts[-1] is None
        assert all(starts[1:-1])


@pytest.mark.usefixtures("small_batches")
@in_loop
async def test_a_dump_that_broke_long_ago_begins_anew(tmp_path: Path) -> None:
    async with copying_pair(tmp_path) as pair:
        pair.primary.cut_after = 8
        with pytest.raises(Cut):
            await pair.mirror.round()
        pair.primary.cut_after = None
        pair.primary.now_ms += RESUME_WITHIN_MS
        await pair.restarted().round()
        assert pair.is_equal
        assert [asked.start for asked in pair.primary.asked if isinstance(asked, DumpRequest)] == [None, None]


@pytest.mark.usefixtures("small_batches")
@in_loop
async def test_nothing_that_the_source_has_is_missing_at_any_moment_of_a_new_dump(tmp_path: Path) -> None:
    """Also what the source removed, and made again behind the place where the dump was."""
    async with copying_pair(tmp_path) as pair:
        await pair.mirror.round()
        kept = [b"88.1/%04d" % n for n in range(0, 300, 2)]
        pair.change(*gone(*[b"88.1/%04d" % n for n in range(1, 300, 2)]))
        missing: list[bytes] = []
        dumped: list[object] = []
        parts = 0

        def look() -> None:
            nonlocal parts
            parts += 1
            with pair.store.view() as view:
                missing.extend(handle for handle in kept if view.get(handle) is None)
                if PREFIX not in view.homed():
                    missing.append(PREFIX)
            if parts == 3:
                pair.change(*gone(kept[70]))
            if parts == 10:  # The dump has passed its place, and has not brought it.
                dumped.extend(asked for asked in pair.primary.asked[1:] if not isinstance(asked, DumpRequest))
                pair.change(*put(kept[0], kept[70], text=b"again"))

        pair.store.apply([SetMeta(META_NAME, b"\x91\x63")], now_ms=1)  # A state of another layout: it is not believed.
        pair.primary.before_part = look
        await pair.restarted().round()
        await pair.mirror.round()
        assert parts > 15
        assert len(dumped) == 1, "the question before is the only one: the dump was under way"
        assert pair.dumps() == 2
        assert missing == []
        assert pair.is_equal


@pytest.mark.usefixtures("small_batches")
@in_loop
async def test_a_kill_in_the_sweep_ends_equal(tmp_path: Path) -> None:
    async with copying_pair(tmp_path, records=60) as pair:
        pair.store.apply(put(*[b"77.1/%03d" % n for n in range(60)]), now_ms=1)
        apply = pair.store.apply
        for allowed in range(20):
            done = 0

            def limited(changes: list[Change], *, now_ms: int) -> object:
                nonlocal done
                if any(isinstance(change, CopyRecord) and change.values is None for change in changes):
                    if done >= allowed:  # noqa: B023
                        raise StoreFull("killed")
                    done += 1
                return apply(changes, now_ms=now_ms)

            pair.store.apply = limited  # type: ignore[method-assign, assignment]
            try:
                await pair.restarted().round()
                break
            except StoreFull:
                state = pair.mirror.state()
                assert state is not None
                assert state.phase is Phase.SWEEP
        pair.store.apply = apply  # type: ignore[method-assign]
        assert allowed > 1
        assert pair.is_equal
        assert pair.dumps() == 1


@in_loop
async def test_a_sweep_whose_scratch_was_lost_dumps_anew(tmp_path: Path) -> None:
    async with copying_pair(tmp_path) as pair:
        await pair.mirror.round()
        state = pair.mirror.state()
        assert state is not None
        pair.store.apply([*put(b"77.1/foreign"), replace(state, phase=Phase.SWEEP, dump="lost").change()], now_ms=1)
        await pair.restarted().round()
        assert pair.is_equal
        assert pair.dumps() == 2


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("seed", range(6))
@in_loop
async def test_any_history_with_cuts_kills_and_prunings_ends_equal(tmp_path: Path, seed: int) -> None:
    """One seed is one history; a failure names its seed."""
    chance = random.Random(seed)
    temper = chance.random()
    async with copying_pair(tmp_path, records=40) as pair:
        for _ in range(25):
            changes: list[Change] = []
            for _ in range(chance.randrange(12)):
                handle = b"88.1/%04d" % chance.randrange(60)
                changes += chance.choice([put(handle, text=b"%d" % chance.randrange(99)), gone(handle)])
            if chance.random() < 0.2:
                prefix = b"0.NA/88.%d" % chance.randrange(4)
                changes.append(HomePrefix(prefix) if chance.random() < 0.5 else UnhomePrefix(prefix))
            pair.change(*changes)
            if chance.random() < 0.2:
                now = pair.primary.now_ms
                pair.primary.store.apply([PruneJournal(now, chance.choice([0, now + 1]))], now_ms=now)
            pair.primary.cut_after = chance.randrange(9) if chance.random() < temper else None
            if chance.random() < 0.3:
                pair.restarted()
            try:
                await pair.mirror.round()
                assert pair.is_equal
            except Cut:
                pass
        pair.primary.cut_after = None
        await pair.mirror.round()
        assert pair.is_equal
        assert pair.store.verify() == []
