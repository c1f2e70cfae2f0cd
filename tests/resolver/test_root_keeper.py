"""The root's data of a process: taken over when the files change, refreshed when old or told so, one at a time."""

import asyncio
import fcntl
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from resolver.bootstrap.files import read_files, write_root_file
from resolver.bootstrap.keeping import Pace, RootKeeper
from resolver.bootstrap.root_data import RootData
from resolver.walk.events import Ended, Query
from resolver.walk.world import World
from tests.support.roots import DAY_MS, NOW_MS, Telling, root_data, root_folder, root_records, site, site_value

MOVED = site("192.0.2.77", serial=2)
HERE = frozenset({("127.0.0.1", 2641)})
QUICK = Pace(refresh_s=86_400, look_s=0.01, moved_pause_s=0.0, retry_s=0.0)


class Process:
    """One process's keeper with its world; the clock stands still unless a test moves it."""

    def __init__(self, folder: Path, world: Telling, pace: Pace = QUICK, now_ms: int = NOW_MS) -> None:
        self.worlds: list[World] = []
        self.now_ms = now_ms
        self.telling = world
        self.keeper = RootKeeper(
            folder, ask=world.ended, take=self.worlds.append, pace=pace, ours=HERE, now_ms=lambda: self.now_ms
        )

    def lives(self, seconds: float, meanwhile: Callable[[], None] = lambda: None) -> None:
        async def life() -> None:
            running = asyncio.ensure_future(self.keeper.run())
            await asyncio.sleep(seconds / 2)
            meanwhile()
            await asyncio.sleep(seconds / 2)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

        asyncio.run(life())


def sites(folder: Path) -> object:
    root = read_files(folder).root
    assert root is not None
    return root.values(b"0.NA/0.NA")


def test_the_files_are_taken_over_at_first_and_when_they_change(tmp_path: Path) -> None:
    process = Process(root_folder(tmp_path), Telling({}))
    process.keeper.look()
    process.keeper.look()
    (world,) = process.worlds
    assert world.root_sites == (site(),)
    assert world.ours == HERE
    write_root_file(tmp_path, root_data(root_records(site_value(1, MOVED))))
    process.keeper.look()
    assert process.worlds[-1].root_sites == (MOVED,)


def test_files_that_become_unreadable_leave_the_world_in_force_and_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    process = Process(root_folder(tmp_path), Telling({}))
    process.keeper.look()
    (tmp_path / "bootstrap_handles").write_text("{")
    process.keeper.look()
    assert len(process.worlds) == 1
    assert "no JSON" in caplog.text
    assert "stays in force" in caplog.text


def test_data_that_are_not_old_are_not_asked_for(tmp_path: Path) -> None:
    world = Telling(root_records(site_value(1, MOVED)))
    Process(root_folder(tmp_path), world, now_ms=NOW_MS + DAY_MS * 22 // 24).lives(0.05)
    assert world.asked == []


@pytest.mark.parametrize("now_ms", [NOW_MS + DAY_MS * 23 // 24, NOW_MS - 1_000])
def test_old_data_and_data_from_the_future_are_refreshed(tmp_path: Path, now_ms: int) -> None:
    world = Telling(root_records(site_value(1, MOVED)))
    process = Process(root_folder(tmp_path), world, now_ms=now_ms)
    process.lives(0.1)
    assert process.worlds[-1].root_sites == (MOVED,)
    assert read_files(tmp_path).root == RootData.of(now_ms, root_records(site_value(1, MOVED)))
    assert len(world.asked) == 2


def test_a_root_that_moved_is_asked_for_at_once(tmp_path: Path) -> None:
    world = Telling(root_records(site_value(1, MOVED)))
    process = Process(root_folder(tmp_path), world, now_ms=NOW_MS + 1_000)
    process.lives(0.2, process.keeper.moved)
    assert process.worlds[-1].root_sites == (MOVED,)


def test_a_root_that_says_again_and_again_that_it_moved_is_asked_once_a_pause(tmp_path: Path) -> None:
    world = Telling(root_records())
    process = Process(root_folder(tmp_path), world, Pace(refresh_s=86_400, look_s=0.01), now_ms=NOW_MS + 1_000)

    async def life() -> None:
        running = asyncio.ensure_future(process.keeper.run())
        for _ in range(20):
            process.keeper.moved()
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(life())
    assert len(world.asked) == 2


def test_a_forged_root_leaves_file_and_world_and_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = Telling(root_records() | {b"0.NA/0.NA": (site_value(1, MOVED),)})
    process = Process(root_folder(tmp_path), world, now_ms=NOW_MS + DAY_MS)
    process.keeper.look()
    assert asyncio.run(process.keeper.refresh()) is False
    assert sites(tmp_path) == root_records()[b"0.NA/0.NA"]
    assert [found.root_sites for found in process.worlds] == [(site(),)]
    assert "0.NA/0.NA is not to be believed: nobody signed it" in caplog.text


def test_a_refresh_that_failed_is_tried_again_after_a_while_and_not_before(tmp_path: Path) -> None:
    world = Telling({}, silent={b"0.0/0.0"})
    process = Process(root_folder(tmp_path), world, Pace(refresh_s=60, look_s=0.01), now_ms=NOW_MS + DAY_MS)
    process.lives(0.1)
    once = len(world.asked)
    assert once == 2  # The primary, then anybody.
    process.now_ms += 2 * 600_000
    process.lives(0.1)
    assert len(world.asked) == 2 * once


@pytest.mark.parametrize("pace", [Pace(refresh_s=0, look_s=0.01), QUICK])
def test_who_does_not_wish_it_never_asks(tmp_path: Path, pace: Pace) -> None:
    world = Telling(root_records())
    root_folder(tmp_path)
    if pace is QUICK:
        (tmp_path / "config.dct").write_text('{"auto_update_root_info" = "no"}')
    process = Process(tmp_path, world, pace, now_ms=NOW_MS + DAY_MS)
    process.lives(0.05, process.keeper.moved)
    assert world.asked == []


def test_of_two_processes_one_asks_and_both_know_it_afterwards(tmp_path: Path) -> None:
    world = Telling(root_records(site_value(1, MOVED)))
    root_folder(tmp_path)
    slow = slowed(world)
    one, other = (Process(tmp_path, world, now_ms=NOW_MS + DAY_MS) for _ in range(2))
    for process in (one, other):
        process.keeper._ask = slow
        process.keeper.look()

    async def both() -> tuple[bool, bool]:
        return await asyncio.gather(one.keeper.refresh(), other.keeper.refresh())

    assert sorted(asyncio.run(both())) == [False, True]
    assert len(world.asked) == 2
    for process in (one, other):
        process.keeper.look()
        assert process.worlds[-1].root_sites == (MOVED,)


def slowed(world: Telling) -> Callable[[Query], Awaitable[Ended]]:
    async def ended(query: Query) -> Ended:
        await asyncio.sleep(0.02)
        return await world.ended(query)

    return ended


def test_a_folder_that_is_locked_by_another_process_is_left_to_it(tmp_path: Path) -> None:
    world = Telling(root_records())
    process = Process(root_folder(tmp_path), world, now_ms=NOW_MS + DAY_MS)
    process.keeper.look()
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        assert asyncio.run(process.keeper.refresh()) is False
    finally:
        os.close(descriptor)
    assert world.asked == []


def test_a_disk_that_takes_nothing_is_told_and_the_old_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    process = Process(root_folder(tmp_path), Telling(root_records(site_value(1, MOVED))), now_ms=NOW_MS + DAY_MS)
    process.keeper.look()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("resolver.bootstrap.files.os.fsync", full)
    assert asyncio.run(process.keeper.refresh()) is False
    assert "No space left on device" in caplog.text
    assert sites(tmp_path) == root_records()[b"0.NA/0.NA"]
