"""The way from a process to the writer: what shares a commit, what is told and when, and what an end of either does."""

import asyncio
import os
import resource
import socket
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from protocol.errors import HandleExists
from storage.base import Outcome, SetMeta, StoreError, UpdateRecord
from storage.lmdb_store import LmdbStore
from storage.memory import MemoryStore
from storage.writer import OutcomeUnknown, StoreBusy
from storage.writer_client import WriterClient
from storage.writer_frames import FRAME_SIZE_MAX, Frames, answers_frame, change_frame
from tests.support.writer_threads import SlowStore, doors, put, serving

Work = Callable[[WriterClient], Awaitable[None]]


def with_client(knocker: socket.socket, work: Work, *, waiting_max: int = 10_000, patience_s: float = 5.0) -> None:
    async def run() -> None:
        client = WriterClient(knocker, waiting_max=waiting_max, patience_s=patience_s)
        client.start()
        try:
            async with asyncio.timeout(20):
                await work(client)
        finally:
            client.close()

    asyncio.run(run())


def test_changes_that_wait_for_the_disk_share_the_next_commit() -> None:
    store = SlowStore()

    async def work(client: WriterClient) -> None:
        store.gate.clear()
        first = client.submit(put(0))
        await asyncio.to_thread(store.is_syncing.wait, 5)
        others = [client.submit(put(number)) for number in range(1, 300)]
        await asyncio.sleep(0.05)
        assert not first.done()
        store.gate.set()
        outcomes = await asyncio.gather(first, *others)
        assert [outcome.number for outcome in outcomes] == list(range(1, 301))

    with doors() as (knocker, writers), serving(store, writers) as writer:
        with_client(knocker, work)
    assert store.batches[0] == 1
    assert len(store.batches) <= 3
    assert (writer.server.changes, writer.server.commits) == (300, len(store.batches))


def test_nothing_is_told_before_it_is_durable() -> None:
    store, early = SlowStore(), []

    def noted(handle: bytes, _: object) -> None:
        if handle not in store.durable:
            early.append(handle)

    async def work(client: WriterClient) -> None:
        futures = [client.submit(put(number)) for number in range(200)]
        for number, future in enumerate(futures):
            future.add_done_callback(partial(noted, put(number).handle))
        await asyncio.gather(*futures)

    with doors() as (knocker, writers), serving(store, writers):
        with_client(knocker, work)
    assert not early
    assert len(store.durable) == 200


def test_refusals_and_faults_reach_their_own_submitter_alone() -> None:
    mistake = UpdateRecord(b"88.1/9", decide_wrongly)

    async def work(client: WriterClient) -> None:
        futures = [client.submit(change) for change in (put(1), put(1), mistake, put(2))]
        first, again, fault, last = await asyncio.gather(*futures, return_exceptions=True)
        assert (first, last) == (Outcome(1, False), Outcome(2, False))
        assert isinstance(again, Outcome)
        assert isinstance(again.error, HandleExists)
        assert isinstance(fault, ZeroDivisionError)
        with pytest.raises(StoreError, match="at most"):
            client.submit(SetMeta(b"name", bytes(FRAME_SIZE_MAX)))

    with doors() as (knocker, writers), serving(MemoryStore(), writers):
        with_client(knocker, work)


def decide_wrongly(_: object) -> None:
    raise ZeroDivisionError("our mistake")


def test_what_would_wait_without_bound_is_refused_at_once() -> None:
    store = SlowStore()

    async def work(client: WriterClient) -> None:
        store.gate.clear()
        futures = [client.submit(put(number)) for number in range(10)]
        with pytest.raises(StoreBusy, match="10 changes wait"):
            client.submit(put(11))
        store.gate.set()
        await asyncio.gather(*futures)
        assert (await client.submit(put(12))).number == 11

    with doors() as (knocker, writers), serving(store, writers):
        with_client(knocker, work, waiting_max=10)


def test_without_a_writer_a_change_waits_for_a_time_and_is_not_made_afterwards() -> None:
    store = MemoryStore()

    async def work(client: WriterClient) -> None:
        with pytest.raises(StoreBusy, match="nothing was changed"):
            await client.submit(put(1))
        with serving(store, writers):
            assert (await client.submit(put(2))).number == 1
            client.close()

    with doors() as (knocker, writers):
        with_client(knocker, work, patience_s=0.2)
    assert store.get(b"88.1/1") is None


def test_a_change_that_is_submitted_before_the_writer_runs_waits_for_it() -> None:
    async def work(client: WriterClient) -> None:
        future = client.submit(put(1))
        await asyncio.sleep(0.1)
        with serving(MemoryStore(), writers):
            assert (await future).number == 1
            client.close()

    with doors() as (knocker, writers):
        with_client(knocker, work)


@contextmanager
def no_descriptor_left() -> Generator[None]:
    """Neither file nor socket can be opened by this process meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_process_without_descriptors_waits_for_one_and_what_it_refused_is_not_made() -> None:
    store = MemoryStore()

    async def run() -> None:
        client = WriterClient(knocker, patience_s=0.3)
        with no_descriptor_left():
            refused = client.submit(put(1))
            with pytest.raises(StoreBusy, match="nothing was changed"):
                await refused
            waiting = client.submit(put(2))
        assert (await waiting).number == 1
        client.close()

    with doors() as (knocker, writers), serving(store, writers):
        asyncio.run(run())
    assert store.get(b"88.1/1") is None


def adopted(writers: socket.socket) -> socket.socket:
    """The writer's end of the next connection, whose client was made welcome: a writer that a test plays itself."""
    _, (descriptor,), _, _ = socket.recv_fds(writers, 16, 1)
    found = socket.socket(fileno=descriptor)
    found.sendall(answers_frame(()))
    return found


def test_when_the_writer_ends_it_is_not_known_what_became_of_a_change_and_it_is_not_made_again() -> None:
    store = MemoryStore()

    async def work(client: WriterClient) -> None:
        future = client.submit(put(1))
        with adopted(writers) as first:
            frames: list[tuple[int, bytes]] = []
            while not frames:  # It was handed over.
                await asyncio.sleep(0.01)
                frames = Frames().fed(first.recv(65_536, socket.MSG_DONTWAIT | socket.MSG_PEEK))
        with pytest.raises(OutcomeUnknown, match="not known"):
            await future
        with serving(store, writers):
            assert (await client.submit(put(2))).number == 1  # The first one had come, had it been handed over again.
            client.close()

    with doors() as (knocker, writers):
        with_client(knocker, work)
    assert store.get(b"88.1/1") is None


def test_what_was_not_handed_over_when_a_writer_ended_is_made_by_the_next() -> None:
    store = MemoryStore()

    async def work(client: WriterClient) -> None:
        _, (descriptor,), _, _ = socket.recv_fds(writers, 16, 1)
        future = client.submit(put(1))
        await asyncio.sleep(0.05)
        socket.socket(fileno=descriptor).close()  # It ended before it could say that it was there.
        await asyncio.sleep(0.05)
        with serving(store, writers):
            assert (await future).number == 1
            client.close()

    with doors() as (knocker, writers):
        with_client(knocker, work)


def test_a_cancelled_change_that_was_not_handed_over_is_not_made() -> None:
    store = MemoryStore()

    async def work(client: WriterClient) -> None:
        future, other = client.submit(put(1)), client.submit(put(2))
        future.cancel()
        with serving(store, writers):
            assert (await other).number == 1
            client.close()

    with doors() as (knocker, writers):
        with_client(knocker, work)
    assert store.get(b"88.1/1") is None


def knocked(knocker: socket.socket) -> socket.socket:
    """A process's end of a connection of its own."""
    mine, theirs = socket.socketpair()
    with theirs:
        socket.send_fds(knocker, [b"w"], [theirs.fileno()])
    mine.settimeout(5)
    return mine


def test_a_process_that_ends_in_the_midst_of_a_frame_disturbs_nobody() -> None:
    store = MemoryStore()

    async def work(client: WriterClient) -> None:
        assert (await client.submit(put(1))).number == 1
        with knocked(knocker) as other:
            other.sendall(change_frame(1, put(2))[:-1])
        with knocked(knocker) as other:
            other.sendall((FRAME_SIZE_MAX + 1).to_bytes(4, "big") + bytes(8))
            while other.recv(100):  # Its welcome, and then the end.
                pass
        assert (await client.submit(put(3))).number == 2

    with doors() as (knocker, writers), serving(store, writers):
        with_client(knocker, work)
    assert store.get(b"88.1/2") is None


def was_given_up(deaf: socket.socket, octets: bytes) -> bool:
    """Whether a process that only talks is given up while it does."""
    for _ in range(300):
        try:
            deaf.sendall(octets)
        except (BrokenPipeError, ConnectionResetError):
            return True
    return False


def test_a_process_that_takes_no_answers_is_given_up_and_its_changes_are_made() -> None:
    store = MemoryStore()

    async def work(client: WriterClient) -> None:
        with knocked(knocker) as deaf:
            assert await asyncio.to_thread(was_given_up, deaf, change_frame(1, put(1)) * 1_000)
        assert (await client.submit(put(2))).number == 2

    with doors() as (knocker, writers), serving(store, writers):
        with_client(knocker, work)
    assert store.get(b"88.1/1") is not None


def test_a_writer_that_is_told_to_stop_serves_those_who_have_a_connection_until_they_go() -> None:
    store = SlowStore()

    async def work(client: WriterClient) -> None:
        assert (await client.submit(put(1))).number == 1
        writer.tell()
        await asyncio.sleep(0.1)
        assert (await client.submit(put(2))).number == 2

    with doors() as (knocker, writers), serving(store, writers) as writer:
        with_client(knocker, work)
        assert writer.ended()


def test_a_writer_that_is_told_to_stop_does_not_wait_for_ever() -> None:
    with doors() as (knocker, writers), serving(MemoryStore(), writers, drain_s=0.2), knocked(knocker) as other:
        assert other.recv(100)


def test_a_closed_client_takes_no_more_and_tells_who_waits() -> None:
    async def work(client: WriterClient) -> None:
        future = client.submit(put(1))
        client.close()
        with pytest.raises(StoreBusy, match="stopping"):
            await future
        with pytest.raises(StoreBusy, match="stopping"):
            client.submit(put(2))

    with doors() as (knocker, _):
        with_client(knocker, work)


def test_many_clients_share_commits_on_disk_and_leave_one_gapless_journal(tmp_path: Path) -> None:
    numbers: list[int] = []

    async def work(client: WriterClient) -> None:
        async def one(first: int) -> None:
            for number in range(first, first + 25):
                numbers.append((await client.submit(put(number))).number)

        await asyncio.gather(*(one(100 * place) for place in range(64)))

    with LmdbStore.create(tmp_path / "s", map_size=1 << 16) as store:
        with doors() as (knocker, writers), serving(store, writers) as writer:
            with_client(knocker, work)
        assert sorted(numbers) == list(range(1, 1_601))
        assert writer.server.commits <= 1_600 / 8
        assert store.verify() == []
