"""A process whose disk fails and is mended again, and that goes on with the same store. Tests run it under the shim."""

import os
import resource
import sys
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from protocol.value import value_list
from storage.base import PutRecord, StoreError, StoreFull
from storage.lmdb_store import LmdbStore
from tests.support.writing import handle_of, values_of

KEPT, WANTED = range(50), range(50, 100)
ROUNDS_MAX = 60


def disk_fails_at(call: int) -> None:
    """Let that write or sync from now on fail, and all after it; 0 mends the disk."""
    os.environ["SHIM_FAIL_AT"] = str(call)


def is_there(store: LmdbStore, number: int) -> bool:
    """Whether a record can be read, whole."""
    with store.view() as view:
        record = view.get(handle_of(number))
    assert record is None or record.values == values_of(number)
    return record is not None


def put(store: LmdbStore, numbers: range) -> None:
    """Write records in one transaction."""
    store.replace_all([PutRecord(handle_of(number), values_of(number)) for number in numbers], now_ms=1)


@contextmanager
def read_by_threads(store: LmdbStore) -> Generator[None]:
    """Two threads read what is kept, all the time; any fault that they meet is raised at the end."""
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            assert is_there(store, KEPT[3])

    with ThreadPoolExecutor(2) as threads:
        readers = [threads.submit(read) for _ in range(2)]
        try:
            yield
        finally:
            over.set()
    for reader in readers:
        reader.result()


def outlived(folder: Path, call: int) -> str:
    """Let one call of a commit fail. What became of the commit; all else must be as if it had not been tried."""
    with LmdbStore.create(folder, map_size=1 << 16) as store:
        put(store, KEPT)
        with read_by_threads(store):
            return failed_and_mended(store, call)


def failed_and_mended(store: LmdbStore, call: int) -> str:
    """The same in a store that holds what is kept."""
    disk_fails_at(call)
    try:
        put(store, WANTED)
        said = "done"
    except StoreFull:
        said = "refused"
    # The disk still fails: reading goes on, in this process.
    assert all(is_there(store, number) for number in KEPT)
    assert {is_there(store, number) for number in WANTED} == {said == "done"}
    disk_fails_at(0)
    put(store, WANTED)
    assert all(is_there(store, number) for number in (*KEPT, *WANTED))
    assert store.verify() == []
    with store.view() as view:
        assert view.facts().last_number == len(KEPT) + len(WANTED)
    return said


def refused_reopening(folder: Path, call: int) -> str:
    """Let a meta page fail, and then the opening anew that this needs; what was said of it. Then both succeed."""
    with LmdbStore.create(folder) as store:
        put(store, KEPT)
        disk_fails_at(call)
        try:
            put(store, WANTED)
        except StoreFull:
            pass
        disk_fails_at(0)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        said = []
        for _ in range(2):
            try:
                is_there(store, 0)
            except StoreError as error:
                said.append(str(error))
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert is_there(store, 0)
        assert store.apply([PutRecord(b"88.1/LATER", value_list([]))], now_ms=2)[0].number == len(KEPT) + 1
        assert store.verify() == []
    return "; ".join(said)


def main() -> None:
    """Fail at the first call, the second, and so on until the commit is done; then at the last that failed, again."""
    folder = Path(sys.argv[1])
    for call in range(1, ROUNDS_MAX):
        said = outlived(folder / str(call), call)
        print(call, said)
        if said == "done":
            print("again:", refused_reopening(folder / "again", call - 1))
            return


if __name__ == "__main__":
    main()
