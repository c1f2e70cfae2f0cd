"""The one writer of a node with two workers, killed under load: what was acknowledged stands, nothing stands twice."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from admin.identities import private_key_in, public_keys_in
from protocol.administrator import ALL_PERMISSIONS, Administrator
from protocol.value import HandleValue, Reference
from resolver.client import NoAnswer, Server, Transport
from resolver.client_admin import Client
from resolver.client_calls import Calls
from resolver.client_errors import NotProven, Refused
from resolver.client_exchange import Asking
from resolver.client_opening import Opening
from resolver.client_proof import Identity
from resolver.client_session import Mode
from storage.base import Action
from storage.lmdb_store import LmdbStore
from tests.support.engines import asking
from tests.support.running import RunningNode, udp

OWNER = HandleValue(index=100, type=b"HS_ADMIN", data=Administrator(ALL_PERMISSIONS, b"0.NA/88.100", 300).to_bytes())
RECORD = (HandleValue(index=1, type=b"URL", data=b"https://example.org/"), OWNER)
WRITERS = 12
NOTHING_CHANGED = "cannot do that now"


@dataclass(slots=True)
class Load:
    """Clients that create one handle after the other, each in a session of its own, and what they were told."""

    node: RunningNode
    is_over: bool = False
    made: list[bytes] = field(default_factory=list)
    refused: list[bytes] = field(default_factory=list)
    unknown: list[bytes] = field(default_factory=list)
    words: set[str] = field(default_factory=set)

    async def create(self, name: str) -> None:
        folder = self.node.folder / "keys"
        identity = Identity(Reference(300, b"0.NA/88.100"), private_key=private_key_in(folder / "88.100.admin.pem"))
        server = Server("127.0.0.1", self.node.port, Transport.TCP)
        asked = Asking(server, keys=public_keys_in(folder / "server.pem"))
        calls = Calls(asked, identity=identity, opening=Opening.by(Mode.SERVER_KEY, identity))
        async with Client(calls) as client:
            number = 0
            while not self.is_over:
                number += 1
                await self._create_one(client, f"88.100/{name}-{number}".encode())

    async def _create_one(self, client: Client, handle: bytes) -> None:
        try:
            await client.create(handle, RECORD)
        except Refused as error:
            self.words.add(error.told)
            (self.refused if NOTHING_CHANGED in error.told else self.unknown).append(handle)
        except (NoAnswer, NotProven, OSError):  # A worker ended with the connection.
            self.unknown.append(handle)
        else:
            self.made.append(handle)

    async def until(self, is_enough: Callable[[], bool]) -> None:
        """Let clients go on until something holds."""
        async with asyncio.timeout(30):
            while not is_enough():  # noqa: ASYNC110 - a process table tells nobody
                await asyncio.sleep(0.02)

    async def more(self, count: int) -> None:
        """Let clients go on until so many more were acknowledged."""
        wanted = len(self.made) + count
        await self.until(lambda: len(self.made) >= wanted)


Disturb = Callable[[RunningNode, Load], Awaitable[None]]


async def resolving(node: RunningNode, load: Load, answers: list[int]) -> None:
    """Ask for a handle again and again: every answer must come, and be a success."""
    question = asking(b"0.NA/88.100").to_bytes()
    while not load.is_over:
        found = await asyncio.to_thread(udp, node.port, question)
        answers.append(int.from_bytes(found[0][24:28], "big") if found else -1)


def checked(node: RunningNode, load: Load) -> None:
    """Hold the store of a stopped node against what clients were told."""
    with LmdbStore.open(node.folder / "store", read_only=True) as store:
        assert store.verify() == []
        with store.view() as view:
            rows = view.journal(limit=100_000)
            standing = {handle for handle in load.made + load.refused + load.unknown if view.get(handle) is not None}
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    created = Counter(row.handle for row in rows if row.action is Action.CREATE)
    assert set(load.made) <= standing
    assert not set(load.refused) & standing
    assert all(created[handle] == (handle in standing) for handle in load.made + load.refused + load.unknown)


def disturbed(node: RunningNode, disturb: Disturb) -> tuple[Load, list[int]]:
    """What clients were told while something disturbed the node, and the codes that resolutions ended with."""
    load = Load(node)
    answers: list[int] = []

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(WRITERS):
                group.create_task(load.create(f"C{number}"))
            group.create_task(resolving(node, load, answers))
            try:
                await load.more(50)
                await disturb(node, load)
            finally:
                load.is_over = True

    asyncio.run(run())
    return load, answers


async def kill_writers(node: RunningNode, load: Load) -> None:
    for _ in range(3):
        (writer,) = node.writer_pids()
        os.kill(writer, signal.SIGKILL)
        await load.until(lambda gone=writer: node.writer_pids() not in ([], [gone]))  # type: ignore[misc]
        await load.more(40)


async def kill_a_worker(node: RunningNode, load: Load) -> None:
    worker, (writer,) = node.worker_pids()[0], node.writer_pids()
    os.kill(worker, signal.SIGKILL)
    await load.until(lambda: len(node.worker_pids()) == 2 and worker not in node.worker_pids())
    await load.more(40)
    assert node.writer_pids() == [writer]


async def write_beside(node: RunningNode, load: Load) -> None:
    for number in range(3):
        words = ("handle", "create", f"88.100/BESIDE-{number}", "URL=https://example.org/")
        done = await asyncio.to_thread(node.cli, *words)
        assert done.returncode == 0, done.stderr
    await load.more(20)


@pytest.mark.timeout(120)
def test_a_writer_that_is_killed_loses_and_repeats_nothing_and_resolution_goes_on(tmp_path: Path) -> None:
    with RunningNode(tmp_path / "n", workers=2) as node:
        load, answers = disturbed(node, kill_writers)
        assert all("not known" in words or NOTHING_CHANGED in words for words in load.words)
        node.wait_for("starting writer again", 5)
        node.wait_for("writer .* was killed by SIGKILL", 5)
        assert node.stop() == 0
    assert set(answers) == {1}
    checked(node, load)


@pytest.mark.timeout(120)
def test_a_worker_that_is_killed_does_not_disturb_the_writer(tmp_path: Path) -> None:
    with RunningNode(tmp_path / "n", workers=2) as node:
        load, _ = disturbed(node, kill_a_worker)
        assert node.stop() == 0
    checked(node, load)


@pytest.mark.timeout(120)
def test_commands_write_beside_a_node_that_serves(tmp_path: Path) -> None:
    with RunningNode(tmp_path / "n", workers=2) as node:
        load, answers = disturbed(node, write_beside)
        assert not load.unknown
        assert not load.refused
        assert set(answers) == {1}
        assert node.stop() == 0
    checked(node, load)
    with LmdbStore.open(node.folder / "store", read_only=True) as store, store.view() as view:
        assert all(view.get(b"88.100/BESIDE-%d" % number) is not None for number in range(3))


@pytest.mark.timeout(120)
def test_a_node_that_stops_under_load_has_what_it_acknowledged(tmp_path: Path) -> None:
    node = RunningNode(tmp_path / "n", workers=2)

    async def stop(node: RunningNode, load: Load) -> None:
        assert await asyncio.to_thread(node.stop) == 0
        load.is_over = True

    with node:
        load, _ = disturbed(node, stop)
    assert b"Traceback" not in node.log
    assert load.made
    checked(node, load)


def test_only_the_writer_has_the_store_open_to_write(tmp_path: Path) -> None:
    with RunningNode(tmp_path / "n", workers=2) as node:
        workers, writers = node.worker_pids(), node.writer_pids()
        assert sorted(node.child_pids()) == sorted(workers + writers)
        assert [modes(worker) for worker in workers] == [{os.O_RDONLY}] * 2
        assert [modes(writer) for writer in writers] == [{os.O_RDWR, os.O_WRONLY}]


def modes(process: int) -> set[int]:
    """How a process has the file of the store's records open."""
    folder = Path(f"/proc/{process}")
    numbers = [entry.name for entry in (folder / "fd").iterdir() if str(entry.readlink()).endswith("store/data.mdb")]
    lines = [line for number in numbers for line in (folder / "fdinfo" / number).read_text().splitlines()]
    return {int(line.split()[1], 8) & os.O_ACCMODE for line in lines if line.startswith("flags:")}
