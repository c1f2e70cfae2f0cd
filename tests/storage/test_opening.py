"""Stores that cannot be opened say why and what to do; a map grows by itself, as far as it may."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import lmdb
import pytest

from storage.base import (
    HomePrefix,
    PutRecord,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreInUse,
    StoreMissing,
    StoreTooNew,
)
from storage.layout import FORMAT, HANDLES, LAST_NUMBER, META, number_octets
from storage.lmdb_store import DATA_FILE, LmdbStore
from storage.locking import is_served, node_lock
from tests.support.running import PROJECT, environment
from tests.support.writing import handle_of, values_of


def fill(store: LmdbStore, first: int, last: int) -> None:
    store.replace_all([PutRecord(handle_of(n), values_of(n)) for n in range(first, last)], now_ms=1)


def planted(path: Path, database: bytes, key: bytes, octets: bytes | None) -> None:
    """Change one entry of a store behind its back."""
    with lmdb.open(str(path), max_dbs=8, lib_version=0) as environment_, environment_.begin(write=True) as transaction:
        handle = environment_.open_db(database, transaction)
        if octets is None:
            transaction.delete(key, db=handle)
        else:
            transaction.put(key, octets, db=handle)


def test_a_store_from_the_future_is_refused_with_a_sentence(tmp_path: Path) -> None:
    LmdbStore.create(tmp_path / "s").close()
    planted(tmp_path / "s", META, FORMAT, number_octets(7))
    for opening in (LmdbStore.open, LmdbStore.create):
        with pytest.raises(StoreTooNew, match="format 7, this program knows formats up to 1: use the newer hnode"):
            opening(tmp_path / "s")


def test_where_there_is_no_store_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing, match="there is no store in"):
        LmdbStore.open(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreMissing):
        LmdbStore.open(tmp_path / "empty")


def test_a_store_whose_making_was_cut_is_missing_until_it_is_made_again(tmp_path: Path) -> None:
    lmdb.open(str(tmp_path / "s"), lib_version=0).close()
    with pytest.raises(StoreMissing, match="no finished store"):
        LmdbStore.open(tmp_path / "s")
    LmdbStore.create(tmp_path / "s").close()
    LmdbStore.open(tmp_path / "s").close()


def test_a_folder_below_a_regular_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for opening in (LmdbStore.open, LmdbStore.create):
        with pytest.raises(StoreError, match=r"[Cc]hoose another"):
            opening(tmp_path / "file" / "store")
    with pytest.raises(StoreError, match="is no folder"), node_lock(tmp_path / "file"):
        pass


@pytest.mark.parametrize("octets", [b"", b"not a store" * 1000, os.urandom(8192)])
def test_a_file_that_is_no_store_is_refused_with_a_sentence(tmp_path: Path, octets: bytes) -> None:
    (tmp_path / DATA_FILE).write_bytes(octets)
    with pytest.raises((StoreCorrupt, StoreMissing, StoreError), match="store"):
        LmdbStore.open(tmp_path)


def test_the_store_is_for_its_user_alone(tmp_path: Path) -> None:
    LmdbStore.create(tmp_path / "s").close()
    assert (tmp_path / "s").stat().st_mode & 0o077 == 0
    assert (tmp_path / "s" / DATA_FILE).stat().st_mode & 0o077 == 0


def test_two_nodes_cannot_serve_one_store(tmp_path: Path) -> None:
    with node_lock(tmp_path), pytest.raises(StoreInUse, match=f"pid {os.getpid()}"), node_lock(tmp_path):
        pass
    with node_lock(tmp_path):  # Given back, it can be taken again.
        pass


def test_asking_whether_a_store_is_served_takes_nothing(tmp_path: Path) -> None:
    assert not is_served(tmp_path)
    with node_lock(tmp_path):
        assert is_served(tmp_path)
    assert not is_served(tmp_path)
    with node_lock(tmp_path):
        assert is_served(tmp_path)


def test_a_lock_of_a_dead_node_is_free(tmp_path: Path) -> None:
    code = "import os, sys; from pathlib import Path; from storage.locking import node_lock\n"
    code += "with node_lock(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    dead = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=PROJECT, env=environment(), check=False)
    assert dead.returncode == -9
    with node_lock(tmp_path):
        pass


def test_the_map_grows_by_itself(tmp_path: Path) -> None:
    with LmdbStore.create(tmp_path / "s", map_size=1 << 16) as store:
        for batch in range(20):
            fill(store, batch * 100, batch * 100 + 100)
        with store.view() as view:
            facts = view.facts()
        assert facts.records == 2_000
        assert facts.map_size > 1 << 18
        assert store.verify() == []


def test_a_map_that_may_not_grow_refuses_the_write_and_keeps_the_rest(tmp_path: Path) -> None:
    with LmdbStore.create(tmp_path / "s", map_size=1 << 16, map_size_max=1 << 17) as store:
        store.apply([HomePrefix(b"88.1"), PutRecord(b"88.1/KEPT", values_of(0))], now_ms=1)
        with pytest.raises(StoreFull, match=r"128 KiB: this change was not written\. Raise \[store\] map_size_max"):
            fill(store, 0, 3_000)
        with store.view() as view:
            assert view.get(b"88.1/KEPT") is not None
            assert view.facts().records == 1
        assert store.apply([PutRecord(b"88.1/SMALL", values_of(1))], now_ms=2)[0].number == 3


def test_a_reader_follows_when_another_process_grows_the_map(tmp_path: Path) -> None:
    with LmdbStore.create(tmp_path / "s", map_size=1 << 16) as store:
        fill(store, 0, 5)
        told = subprocess.run(
            [sys.executable, "-m", "tests.support.writing", str(tmp_path / "s"), "100", "700"],
            cwd=PROJECT, env=environment(), capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert told.count("ok") == 600
        with store.view() as view:
            assert view.get(handle_of(699)) is not None
            assert view.facts().records == 605
        fill(store, 1_000, 1_005)  # And it writes into the grown map.
        assert store.verify() == []


def test_threads_read_while_another_grows_the_map(tmp_path: Path) -> None:
    faults: list[BaseException] = []
    with LmdbStore.create(tmp_path / "s", map_size=1 << 16) as store:
        fill(store, 0, 10)
        over = threading.Event()

        def read() -> None:
            try:
                while not over.is_set():
                    with store.view() as view:
                        assert view.get(handle_of(3)) is not None
                        assert len(view.handles(b"88.1/", limit=20)) >= 10
            except BaseException as fault:
                faults.append(fault)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for batch in range(30):
            fill(store, 100 + batch * 50, 150 + batch * 50)
        over.set()
        for reader in readers:
            reader.join()
        assert store.verify() == []
    assert not faults


def test_a_view_within_a_view_and_a_write_within_a_view_are_told_as_our_mistake(tmp_path: Path) -> None:
    with LmdbStore.create(tmp_path / "s") as store, store.view():
        with pytest.raises(StoreError, match="a view is open in this thread"), store.view():
            pass
        with pytest.raises(StoreError, match="a view is open in this thread"):
            store.apply([], now_ms=1)


def test_the_places_of_readers_are_bounded_and_told(tmp_path: Path) -> None:
    LmdbStore.create(tmp_path / "s", max_readers=2).close()
    with lmdb.open(str(tmp_path / "s"), max_readers=2, max_dbs=8, lib_version=0) as one:
        held = [one.begin()]
        program = "import sys; from pathlib import Path; from storage.lmdb_store import LmdbStore\n"
        program += "with LmdbStore.open(Path(sys.argv[1])).view(): input()"
        with subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "s")], cwd=PROJECT, env=environment(), stdin=subprocess.PIPE
        ) as other:
            try:
                last = subprocess.run(
                    [sys.executable, "-c", "import time; time.sleep(0.7)\n" + program, str(tmp_path / "s")],
                    cwd=PROJECT, env=environment(), capture_output=True, text=True, input="\n", check=False,
                )  # fmt: skip
                assert "too many processes read it at a time" in last.stderr
            finally:
                other.communicate(b"\n")
        held[0].abort()


def test_the_check_finds_what_is_wrong(tmp_path: Path) -> None:
    with LmdbStore.create(tmp_path / "s") as store:
        for number in range(20):
            fill(store, number, number + 1)
        assert store.verify() == []
    planted(tmp_path / "s", HANDLES, b"88.1/BROKEN", b"\x01\x00\x01\0\0\0\2")
    planted(tmp_path / "s", HANDLES, b"88.1/LIES", b"\x01\x00\x01\0\0\0\0")
    planted(tmp_path / "s", HANDLES, b"88.1/OTHER", b"\x01\x00\x02\0\x0688.1/X\0\0\0\0")
    planted(tmp_path / "s", b"journal", number_octets(7), None)
    planted(tmp_path / "s", b"journal", number_octets(9), b"\xc1")
    planted(tmp_path / "s", b"journal", number_octets(12), b"\x94\x00\xa0\x01\xc4\x01a")
    planted(tmp_path / "s", b"homed", b"88.1/NO", b"")
    planted(tmp_path / "s", META, LAST_NUMBER, number_octets(25))
    with LmdbStore.open(tmp_path / "s") as store:
        found = "\n".join(store.verify())
    for part in (
        "BROKEN",
        "LIES",
        "OTHER",
        "journal rows 7 to 7 are missing",
        "the journal's rows at 0000000000000009 cannot be read",
        "journal row 12 is older than the row before it",
        "88.1/NO",
        "its last number is 25",
    ):
        assert part in found, found
