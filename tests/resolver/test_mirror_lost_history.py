"""A source that was set back to a backup, pruned or emptied: noticed, and taken anew where that is right."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from resolver.replication.asking import BadSource
from storage.base import Change, CopyRecord, HomePrefix, PruneJournal, UnhomePrefix
from storage.lmdb_store import LmdbStore
from tests.support.loops import in_loop
from tests.support.mirrors import Copying, content, copying_pair, gone, put, values


def restored(pair: Copying, until: int, tmp_path: Path) -> LmdbStore:
    """A store as a backup of the primary would be that was made when it had so many changes."""
    backup = LmdbStore.create(tmp_path / f"backup{until}-{random.random()}")
    with pair.primary.store.view() as view:
        rows = view.journal(limit=until)
        records = {row.handle: view.get(row.handle) for row in rows}
    for row in rows:
        found = records[row.handle]
        change: Change = HomePrefix(row.handle)
        if row.action.name in ("CREATE", "UPDATE"):
            change = CopyRecord(row.handle, values() if found is None else found.values)
        elif row.action.name == "DELETE":
            change = CopyRecord(row.handle, None)
        backup.apply([change], now_ms=row.date_ms)
    with backup.view() as view:
        assert view.last_number() == until
    return backup


Rewrite = Callable[[Copying], None]


def nothing(pair: Copying) -> None:
    """The source goes on with less than it had."""


def fewer(pair: Copying) -> None:
    pair.change(*put(b"88.1/OTHER"))


def as_many(pair: Copying) -> None:
    pair.change(*put(b"88.1/OTHER1", b"88.1/OTHER2", b"88.1/OTHER3"))


def more(pair: Copying) -> None:
    pair.change(*put(*[b"88.1/OTHER%d" % n for n in range(9)]))


@pytest.mark.parametrize("rewrite", [nothing, fewer, as_many, more])
@in_loop
async def test_a_source_set_back_to_a_backup_is_noticed_and_taken_anew(tmp_path: Path, rewrite: Rewrite) -> None:
    async with copying_pair(tmp_path, records=50) as pair:
        await pair.mirror.round()
        pair.change(*put(b"88.1/LOST1", b"88.1/LOST2", b"88.1/LOST3"))
        await pair.mirror.round()
        with restored(pair, 51, tmp_path) as backup:
            pair.primary.store = backup
            pair.primary.source = pair.primary.made_source()
            rewrite(pair)
            await pair.mirror.round()
            assert pair.is_equal
            assert pair.dumps() == 2
            assert content(pair.store)[0]


@pytest.mark.parametrize("rewrite", [nothing, fewer, as_many, more])
@in_loop
async def test_a_source_that_does_not_say_so_is_found_out(
    tmp_path: Path, rewrite: Rewrite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deployed sources follow the rules of the spec alone: whoever has more than they made is told nothing."""
    async with copying_pair(tmp_path, records=50) as pair:
        await pair.mirror.round()
        pair.change(*put(b"88.1/LOST1", b"88.1/LOST2", b"88.1/LOST3"))
        await pair.mirror.round()
        monkeypatch.setattr("resolver.replication.source.needs_redump", lambda *_, **__: False)
        with restored(pair, 51, tmp_path) as backup:
            pair.primary.store = backup
            pair.primary.source = pair.primary.made_source()
            rewrite(pair)
            await pair.restarted().round()
            assert pair.is_equal
            assert pair.dumps() == 2


@in_loop
async def test_a_source_set_back_right_behind_a_dump_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with copying_pair(tmp_path, records=50) as pair:
        pair.primary.before_part = lambda: None
        monkeypatch.setattr("resolver.replication.source.needs_redump", lambda *_, **__: False)
        with restored(pair, 40, tmp_path) as backup:
            source = pair.primary.source

            def set_back() -> None:
                if pair.dumps() == 1 and pair.questions() == 0:
                    pair.primary.store = backup
                    pair.primary.source = pair.primary.made_source()

            pair.primary.before_part = set_back
            await pair.mirror.round()
            assert pair.primary.source is not source
            assert pair.is_equal
            assert pair.dumps() == 2


@in_loop
async def test_an_honest_source_is_believed_whatever_was_left_out(tmp_path: Path) -> None:
    """The last change taken may not be told again, since a later one made it void."""
    async with copying_pair(tmp_path, records=20) as pair:
        await pair.mirror.round()
        for _ in range(3):
            pair.change(*put(b"88.1/a"))
            await pair.mirror.round()
            pair.change(*gone(b"88.1/a"), *put(b"88.1/b"))
            await pair.mirror.round()
            pair.change(*gone(b"88.1/b"))
            await pair.mirror.round()
            pair.change(*put(b"88.1/b"), *gone(b"88.1/b"), HomePrefix(b"0.NA/88.9"), UnhomePrefix(b"0.NA/88.9"))
            await pair.mirror.round()
        assert pair.is_equal
        assert pair.dumps() == 1


@in_loop
async def test_a_source_that_pruned_what_was_missed_is_taken_anew_and_one_that_kept_it_is_not(tmp_path: Path) -> None:
    async with copying_pair(tmp_path, records=20) as pair:
        await pair.mirror.round()
        pair.change(*put(*[b"88.1/NEW%d" % n for n in range(9)]))
        later = pair.primary.now_ms + 10 * 86_400_000
        pair.primary.now_ms = later
        assert pair.primary.store.apply([PruneJournal(later, heard_since_ms=0)], now_ms=later)[0].existed
        await pair.mirror.round()
        assert pair.dumps() == 1, "the source knows what the mirror lacks, and keeps it"
        pair.change(*put(*[b"88.1/LATER%d" % n for n in range(9)]))
        pair.primary.store.apply([PruneJournal(2 * later, heard_since_ms=2 * later)], now_ms=later)
        pair.change(*gone(b"88.1/LATER1"))
        await pair.mirror.round()
        assert pair.dumps() == 2
        assert pair.is_equal


@in_loop
async def test_an_empty_source_does_not_empty_a_mirror(tmp_path: Path) -> None:
    async with copying_pair(tmp_path, records=20) as pair:
        await pair.mirror.round()
        before = content(pair.store)
        with LmdbStore.create(tmp_path / "wiped") as wiped:
            pair.primary.store = wiped
            pair.primary.source = pair.primary.made_source()
            for _ in range(2):
                with pytest.raises(BadSource, match="empty"):
                    await pair.restarted().round()
            assert content(pair.store) == before
