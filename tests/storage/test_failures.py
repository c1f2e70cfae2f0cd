"""What the store lives through: a disk too full to begin, killed readers, no address space, our own mistakes."""

import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest

from storage.base import PutRecord, Record, StoreCorrupt, StoreError, StoreFull, StoreMissing, UpdateRecord
from storage.lmdb_store import DATA_FILE, LmdbStore
from tests.support.running import PROJECT, environment
from tests.support.writing import handle_of, values_of

MAKING = """
import sys
from pathlib import Path
from storage.base import StoreError
from storage.lmdb_store import LmdbStore
try:
    LmdbStore.create(Path(sys.argv[1]), map_size=1 << 16).close()
except StoreError as error:
    print(type(error).__name__, error)
else:
    print("made")
"""

READING = """
import os, signal, sys
from pathlib import Path
from storage.lmdb_store import LmdbStore
with LmdbStore.open(Path(sys.argv[1]), read_only=True).view():
    os.kill(os.getpid(), signal.SIGKILL)
"""

GROWING = """
import re, resource, sys
from pathlib import Path
from protocol.value import HandleValue, value_list
from storage.base import HomePrefix, PutRecord, StoreFull
from storage.lmdb_store import LmdbStore
PAGE = value_list([HandleValue(index=1, type=b"N", data=bytes(3_000))])
with LmdbStore.open(Path(sys.argv[1]), map_size=1 << 26) as store:
    used = int(re.search(r"VmSize:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) << 10
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 25), -1))
    number = 0
    try:
        while number < 30_000:
            store.replace_all([PutRecord(b"88.1/%07d" % n, PAGE) for n in range(number, number + 500)], now_ms=1)
            number += 500
    except StoreFull as error:
        print(error)
    with store.view() as view:
        assert view.facts().records == number
        assert view.get(b"88.1/%07d" % (number - 1)).values == PAGE
    print(store.apply([HomePrefix(b"88.1")], now_ms=2)[0].number == number + 1)
    print(store.verify())
"""


def ended(code: str, folder: Path, limit: Callable[[], None] | None = None) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=PROJECT, env=environment(), capture_output=True, text=True, check=False, preexec_fn=limit,
    )  # fmt: skip
    assert not ran.stderr, ran.stderr
    return ran.stdout


def test_a_disk_that_is_full_while_a_store_is_made_is_told_and_the_store_is_made_when_there_is_room(
    tmp_path: Path,
) -> None:
    told: list[str] = []
    for size in range(2_048, 200_000, 2_048):
        folder = tmp_path / str(size)

        def limit(size: int = size) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

        told.append(ended(MAKING, folder, limit))
        if told[-1] != "made\n":
            assert told[-1].startswith("StoreFull"), told
            with pytest.raises((StoreMissing, StoreCorrupt)):
                LmdbStore.open(folder)
        with LmdbStore.create(folder) as store:
            assert store.apply([PutRecord(b"88.1/A", values_of(1))], now_ms=1)[0].number == 1
        if told[-1] == "made\n":
            break
    assert told[-1] == "made\n"
    assert len(told) > 5


def test_a_short_file_of_another_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / DATA_FILE).write_bytes(b"kept" * 100)
    with pytest.raises(StoreCorrupt):
        LmdbStore.create(tmp_path)
    assert (tmp_path / DATA_FILE).read_bytes() == b"kept" * 100


def test_readers_that_were_killed_hold_no_places(tmp_path: Path) -> None:
    with LmdbStore.create(tmp_path / "s", max_readers=3) as store:
        for _ in range(4):
            ended_ = subprocess.run(
                [sys.executable, "-c", READING, str(tmp_path / "s")], cwd=PROJECT, env=environment(), check=False
            )
            assert ended_.returncode == -9
        with store.view() as view:
            assert view.facts().details["readers_max"] == 3


def test_without_address_space_a_larger_map_is_refused_and_all_else_goes_on(tmp_path: Path) -> None:
    LmdbStore.create(tmp_path / "s").close()
    told = ended(GROWING, tmp_path / "s").splitlines()
    assert re.search("no address space for a larger map: this change was not written", told[0])
    assert told[1:] == ["True", "[]"]


def test_a_store_is_opened_once_in_a_process(tmp_path: Path) -> None:
    with LmdbStore.create(tmp_path / "s") as store:
        with pytest.raises(StoreError, match="open in this process already"):
            LmdbStore.open(tmp_path / "s")
        assert store.apply([PutRecord(b"88.1/A", values_of(1))], now_ms=1)[0].number == 1


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = LmdbStore.create(tmp_path / "s")
    store.close()
    store.close()
    with pytest.raises(StoreError, match="has been closed"), store.view():
        pass
    with pytest.raises(StoreError, match="has been closed"):
        store.apply([PutRecord(b"88.1/A", values_of(1))], now_ms=1)


def test_what_another_program_keeps_is_left_alone(tmp_path: Path) -> None:
    with lmdb.open(str(tmp_path), lib_version=0) as other, other.begin(write=True) as transaction:
        transaction.put(b"theirs", b"1")
    for opening in (LmdbStore.open, LmdbStore.create):
        with pytest.raises(StoreCorrupt, match="made by another program"):
            opening(tmp_path)
    with lmdb.open(str(tmp_path), lib_version=0) as other, other.begin() as transaction:
        assert list(transaction.cursor()) == [(b"theirs", b"1")]


def test_a_store_of_a_newer_engine_is_refused_with_a_sentence(tmp_path: Path) -> None:
    lmdb.open(str(tmp_path), lib_version=1).close()
    with pytest.raises(StoreCorrupt, match="holds no store of ours"):
        LmdbStore.open(tmp_path)


def test_a_store_opened_for_reading_reads_and_writes_nothing(tmp_path: Path) -> None:
    with LmdbStore.create(tmp_path / "s", case_sensitive=True) as store:
        store.apply([PutRecord(handle_of(1), values_of(1))], now_ms=1)
    with LmdbStore.open(tmp_path / "s", read_only=True) as store:
        assert store.case_sensitive
        with store.view() as view:
            assert view.get(handle_of(1)) == Record(handle_of(1), values_of(1))
        with pytest.raises(StoreError, match="s"):
            store.apply([PutRecord(handle_of(2), values_of(2))], now_ms=1)
        assert store.verify() == []


def test_a_change_within_a_change_is_told_as_our_mistake_and_a_look_within_one_is_none(tmp_path: Path) -> None:
    with LmdbStore.create(tmp_path / "s", map_size=1 << 16) as store:

        def nested(_: Record | None) -> Record | None:
            store.apply([], now_ms=1)
            return None

        def looking(_: Record | None) -> Record | None:
            with store.view() as view:
                return Record(b"88.1/A", values_of(view.facts().last_number))

        with pytest.raises(StoreError, match="a change makes no other"):
            store.apply([UpdateRecord(b"88.1/A", nested)], now_ms=1)
        assert store.apply([UpdateRecord(b"88.1/A", looking)], now_ms=1)[0].number == 1


def test_an_error_of_the_engine_within_a_view_is_told_as_one_of_the_store(tmp_path: Path) -> None:
    with LmdbStore.create(tmp_path / "s") as store:
        with pytest.raises(StoreError, match="s: "), store.view() as view:
            view.lookup()(b"")
        with store.view() as view:
            assert view.get(b"88.1/A") is None


def test_a_full_map_is_told_with_the_key_to_raise(tmp_path: Path) -> None:
    with LmdbStore.create(tmp_path / "s", map_size=1 << 16, map_size_max=1 << 16) as store:
        with pytest.raises(StoreFull, match=r"\[store\] map_size_max"):
            store.replace_all([PutRecord(handle_of(n), values_of(n)) for n in range(500)], now_ms=1)
        assert store.verify() == []
