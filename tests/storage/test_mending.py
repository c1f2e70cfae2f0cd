"""What happens to others, to the disk or to the file does not end a store: it goes on, or says what is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from storage.base import PutRecord, StoreCorrupt
from storage.lmdb_store import DATA_FILE, LmdbStore
from tests.storage.test_durability import shim
from tests.support.running import PROJECT, environment
from tests.support.writing import handle_of, values_of

__all__ = ["shim"]  # The fixture.

PAGE_SIZE = 4096
PAGE_FLAGS_AT = 8
VIEWING = """
import sys, time
from pathlib import Path
from storage.lmdb_store import LmdbStore
with LmdbStore.open(Path(sys.argv[1])) as store, store.view():
    print("looking", flush=True)
    time.sleep(60)
"""


def test_a_disk_that_fails_at_any_call_of_a_commit_is_outlived_by_the_process(shim: Path, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.support.outliving", str(tmp_path)],
        cwd=PROJECT, env=environment({"LD_PRELOAD": str(shim)}), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    *rounds, done, again = ended.stdout.splitlines()
    assert len(rounds) >= 3  # At least a page, its sync and the meta page.
    assert rounds == [f"{call} refused" for call in range(1, len(rounds) + 1)]
    assert done == f"{len(rounds) + 1} done"
    assert again.count("Too many open files") == 2


def churned(store: LmdbStore) -> int:
    """Replace the same records again and again; the octets of the file then."""
    for generation in range(1, 31):
        puts = [PutRecord(handle_of(n), values_of(n + generation)) for n in range(200)]
        store.replace_all(puts, now_ms=1)
    return (store.path / DATA_FILE).stat().st_size


def test_a_reader_that_was_killed_in_its_view_does_not_make_the_file_grow(tmp_path: Path) -> None:
    with LmdbStore.create(tmp_path / "s") as store:
        alone = churned(store) and churned(store)
        with subprocess.Popen(
            [sys.executable, "-c", VIEWING, str(tmp_path / "s")],
            cwd=PROJECT, env=environment(), stdout=subprocess.PIPE,
        ) as reader:  # fmt: skip
            assert reader.stdout is not None
            reader.stdout.readline()
            held = churned(store)
            reader.kill()
        # While it lives, what it looks at is kept; behind its death, only the journal makes the file grow.
        assert held > 2 * alone
        assert churned(store) < 1.2 * held


def test_a_damaged_page_is_told_when_it_is_read_and_the_others_are_read(tmp_path: Path) -> None:
    with LmdbStore.create(tmp_path / "s") as store:
        store.replace_all([PutRecord(handle_of(number), values_of(number)) for number in range(900)], now_ms=1)
    file = tmp_path / "s" / DATA_FILE
    octets = bytearray(file.read_bytes())
    at = octets.rindex(values_of(7)) // PAGE_SIZE * PAGE_SIZE
    octets[at + PAGE_FLAGS_AT : at + PAGE_FLAGS_AT + 8] = bytes(8)
    file.write_bytes(octets)
    with LmdbStore.open(tmp_path / "s") as store:
        for _ in range(2):
            with pytest.raises(StoreCorrupt, match="damaged"), store.view() as view:
                view.get(handle_of(7))
        with store.view() as view:
            assert view.get(handle_of(800)) is not None
        with pytest.raises(StoreCorrupt, match="damaged"):
            store.apply([PutRecord(handle_of(7), values_of(1))], now_ms=2)


READING = """
import sys
from pathlib import Path
from storage.base import StoreCorrupt
from storage.lmdb_store import LmdbStore
from tests.support.writing import handle_of
try:
    with LmdbStore.open(Path(sys.argv[1]), read_only=sys.argv[2] == "read") as store:
        for number in range(900):
            with store.view() as view:
                view.get(handle_of(number))
except StoreCorrupt as error:
    print(error)
"""


@pytest.mark.parametrize("how", ["read", "write"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_file_that_was_cut_short_is_told_and_ends_nobody_by_a_signal(tmp_path: Path, part: float, how: str) -> None:
    with LmdbStore.create(tmp_path / "s") as store:
        store.replace_all([PutRecord(handle_of(number), values_of(number)) for number in range(900)], now_ms=1)
    file = tmp_path / "s" / DATA_FILE
    os.truncate(file, int(file.stat().st_size * part))
    ended = subprocess.run(
        [sys.executable, "-c", READING, str(tmp_path / "s"), how],
        cwd=PROJECT, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "a damaged one" in ended.stdout
