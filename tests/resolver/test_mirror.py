"""A mirror against a primary on loopback: everything, changes, shares, and the loop that asks."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from protocol.codes import ResponseCode
from protocol.requests import Receiver
from protocol.trust.keys import public_of
from resolver.client_tls import NotTrusted
from resolver.replication import mirror
from resolver.replication.channel import Cut
from resolver.replication.history import LostHistory
from resolver.replication.state import META_NAME, Phase
from storage.base import Change, CopyRecord, HomePrefix, UnhomePrefix
from storage.lmdb_store import LmdbStore
from storage.memory import MemoryStore
from tests.support.loops import in_loop
from tests.support.mirrors import PREFIX, Copying, content, copying_pair, gone, put, values
from tests.support.signing import ADMIN_KEY
from tests.support.sources import Primary


@in_loop
async def test_a_mirror_takes_everything_and_follows(tmp_path: Path) -> None:
    async with copying_pair(tmp_path) as pair:
        await pair.mirror.round()
        assert pair.is_equal
        assert not pair.folder.exists()
        state = pair.mirror.state()
        assert state is not None
        assert (state.phase, state.number) == (Phase.FOLLOW, 301)
        pair.change(*put(b"88.1/0001", b"88.1/new", text=b"later"), *gone(b"88.1/0002"))
        pair.change(HomePrefix(b"0.NA/88.2"), *put(b"88.2/a"), UnhomePrefix(PREFIX))
        await pair.mirror.round()
        assert pair.is_equal
        assert (pair.dumps(), pair.questions()) == (1, 2)
        assert pair.store.verify() == []


@in_loop
async def test_an_idle_source_costs_no_write(tmp_path: Path) -> None:
    async with copying_pair(tmp_path) as pair:
        await pair.mirror.round()
        with pair.store.view() as view:
            before = view.last_number(), view.meta(META_NAME)
        writes = 0
        apply = pair.store.apply

        def counted(changes: list[Change], *, now_ms: int) -> object:
            nonlocal writes
            writes += 1
            return apply(changes, now_ms=now_ms)

        pair.store.apply = counted  # type: ignore[method-assign, assignment]
        for _ in range(3):
            await pair.mirror.round()
        assert writes == 0
        with pair.store.view() as view:
            assert (view.last_number(), view.meta(META_NAME)) == before


@in_loop
async def test_timestamps_and_spelling_are_the_sources(tmp_path: Path) -> None:
    async with copying_pair(tmp_path) as pair:
        await pair.mirror.round()
        pair.change(*gone(b"88.1/0001"))
        pair.change(CopyRecord(b"88.1/0001", values(timestamp=99)), CopyRecord(b"88.1/ABc", values()))
        await pair.mirror.round()
        pair.change(CopyRecord(b"88.1/aBC", values()))
        await pair.mirror.round()
        assert pair.is_equal
        with pair.store.view() as view:
            record = view.get(b"88.1/abc")
            assert record is not None
            assert record.handle == b"88.1/aBC"


@in_loop
async def test_a_mirror_of_one_server_of_several_gets_its_share(tmp_path: Path) -> None:
    async with copying_pair(tmp_path) as pair:
        held: list[bytes] = []
        for number in range(2):
            pair.receiver = Receiver(hash_option=2, server_count=2, server_number=number)
            await pair.restarted().round()
            pair.change(*put(b"88.1/MORE%d" % number))
            await pair.mirror.round()
            held += [handle for handle, _ in content(pair.store)[0]]
        assert pair.dumps() == 2, "another share is taken anew"
        assert len(held) == len(set(held)) == 301 + sum(handle.startswith(b"88.1/MORE1") for handle in held)


@in_loop
async def test_a_mirror_with_a_history_of_its_own_becomes_the_sources(tmp_path: Path) -> None:
    async with copying_pair(tmp_path) as pair:
        changes = [HomePrefix(b"0.NA/77.1"), *put(b"77.1/ours", b"88.1/0005", b"88.1/gone", text=b"ours")]
        pair.store.apply(changes, now_ms=1)
        await pair.mirror.round()
        assert pair.is_equal


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(500):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it does not come to hold")


@in_loop
async def test_the_loop_goes_on_through_failures_with_growing_pauses(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(mirror, "BACKOFF_FIRST_S", 0.01)
    monkeypatch.setattr(mirror, "BACKOFF_MAX_S", 0.05)
    async with copying_pair(tmp_path, records=30) as pair:
        pair.primary.refuse = ResponseCode.SERVER_TOO_BUSY
        task = asyncio.get_running_loop().create_task(pair.mirror.run())
        await until(lambda: pair.mirror.failures >= 5)
        pair.primary.refuse = None
        await until(lambda: pair.is_equal and not pair.mirror.failures)
        pair.change(*put(b"88.1/more"))
        await until(lambda: pair.is_equal)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        pauses = [record.getMessage().rpartition("in ")[2] for record in caplog.records if "again in" in record.msg]
        assert pauses[:5] == ["0.0 s", "0.0 s", "0.0 s", "0.0 s", "0.0 s"]
        assert "3 server too busy" in caplog.text
        assert "it answers again" in caplog.text


def test_pauses_double_up_to_a_bound_and_differ_by_chance(tmp_path: Path) -> None:
    primary = Primary(MemoryStore(), mirror_key=public_of(ADMIN_KEY))
    with LmdbStore.create(tmp_path / "s") as store:
        pair = Copying(primary, store, tmp_path / "dump")
        pauses = []
        for failures in (1, 2, 3, 8, 9, 10, 1_000_000):
            pair.mirror.failures = failures
            pair.mirror._chance = lambda: 1.0
            pauses.append(pair.mirror._backoff_s())
            pair.mirror._chance = lambda: 0.0
            assert pair.mirror._backoff_s() == pauses[-1] / 2
        assert pauses == [1, 2, 4, 128, 256, 300, 300]


def test_what_ended_a_round_is_told_once_and_does_not_end_the_mirror() -> None:
    assert issubclass(Cut, mirror._FAILURES)
    assert issubclass(NotTrusted, mirror._FAILURES)
    assert issubclass(LostHistory, mirror._FAILURES)
