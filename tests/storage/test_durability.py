"""By what the system is asked for: a sync stands before each acknowledgement, and a full disk refuses cleanly."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from storage.base import PutRecord, Record
from storage.lmdb_store import LmdbStore
from tests.support.running import PROJECT, environment
from tests.support.writing import handle_of, values_of

SOURCE = Path(__file__).parent.parent / "support" / "disk_shim.c"

UNSYNCED = """
import lmdb, os, sys
env = lmdb.open(sys.argv[1], sync=False, metasync=False, lib_version=0)
for n in range(5):
    with env.begin(write=True) as t:
        t.put(b"%d" % n, b"x")
    os.write(1, b"ok\\n")
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("shim") / "shim.so"
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", made, SOURCE, "-ldl"], check=True, capture_output=True)
    return made


def watched(shim: Path, program: list[str], **variables: str) -> tuple[list[str], list[str]]:
    """Run a program under the shim: the lines of its standard output, and the calls that it made, in order."""
    reading, writing = os.pipe()
    env = environment({"LD_PRELOAD": str(shim), "SHIM_LOG": str(writing), **variables})
    with subprocess.Popen(
        [sys.executable, *program], cwd=PROJECT, env=env, stdout=subprocess.PIPE, pass_fds=[writing], text=True
    ) as running:
        os.close(writing)
        with os.fdopen(reading) as log:
            calls = log.read().splitlines()
        assert running.stdout is not None
        told = running.stdout.read().splitlines()
    assert running.returncode == 0
    return told, calls


def is_durable(calls: list[str]) -> bool:
    """Whether, since the last acknowledgement, data was written, then synced, then the meta page written and synced."""
    data = [n for n, call in enumerate(calls) if "write" in call and call.endswith("buffered")]
    syncs = [n for n, call in enumerate(calls) if call.startswith("sync")]
    metas = [n for n, call in enumerate(calls) if "write" in call and call.endswith("synchronous")]
    if not data or not syncs or not metas:
        return False
    return data[0] < syncs[-1] < metas[-1] and data[-1] < syncs[-1]


def between_acknowledgements(calls: list[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for call in calls:
        if call.startswith("acknowledged"):
            parts.append([])
        else:
            parts[-1].append(call)
    return parts[:-1]


def test_a_sync_of_the_data_and_a_synchronous_meta_page_stand_before_each_acknowledgement(
    shim: Path, tmp_path: Path
) -> None:
    LmdbStore.create(tmp_path / "s").close()
    told, calls = watched(shim, ["-m", "tests.support.writing", str(tmp_path / "s"), "0", "20"])
    parts = between_acknowledgements(calls)
    assert told == [f"ok {number}" for number in range(20)]
    assert len(parts) == 20
    assert all(is_durable(part) for part in parts)


def test_the_same_watch_finds_an_engine_that_does_not_sync(shim: Path, tmp_path: Path) -> None:
    told, calls = watched(shim, ["-c", UNSYNCED, str(tmp_path)])
    parts = between_acknowledgements(calls)
    assert len(told) == len(parts) == 5
    assert not any(is_durable(part) for part in parts)


def test_a_disk_that_is_full_at_any_write_refuses_that_change_and_keeps_the_rest(shim: Path, tmp_path: Path) -> None:
    refusals = 0
    for fail_at in range(1, 200):
        folder = tmp_path / str(fail_at)
        with LmdbStore.create(folder, map_size=1 << 16) as store:
            store.apply([PutRecord(b"88.1/KEPT", values_of(0))], now_ms=1)
        program = ["-m", "tests.support.writing", str(folder), "1", "6"]
        told, _ = watched(shim, program, SHIM_FAIL_AT=str(fail_at))
        refused = {int(line.split()[1]) for line in told if line.endswith(" StoreFull")}
        done = {int(line.split()[1]) for line in told if line.startswith("ok")}
        assert refused | done == set(range(1, 6)), told
        with LmdbStore.open(folder) as store:
            assert store.verify() == []
            with store.view() as view:
                assert view.get(b"88.1/KEPT") is not None
                for number in range(1, 6):
                    expected = Record(handle_of(number), values_of(number)) if number in done else None
                    assert view.get(handle_of(number)) == expected
            assert store.apply([PutRecord(b"88.1/LATER", values_of(1))], now_ms=9)[0].number  # There is room again.
        refusals += len(refused)
        if not refused:
            break
    else:
        pytest.fail("it never ran to its end")
    assert refusals > 5


def limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))


def test_a_file_that_may_not_grow_refuses_the_write_and_goes_on_reading(tmp_path: Path) -> None:
    with LmdbStore.create(tmp_path / "s") as store:
        store.apply([PutRecord(b"88.1/KEPT", values_of(0))], now_ms=1)
    told = subprocess.run(
        [sys.executable, "-m", "tests.support.writing", str(tmp_path / "s"), "1", "900"],
        cwd=PROJECT, env=environment(), capture_output=True, text=True, preexec_fn=limit_files, check=False,
    )  # fmt: skip
    lines = told.stdout.splitlines()
    assert told.returncode == 0, told.stderr
    assert len(lines) == 899
    assert lines[0] == "ok 1"
    assert "StoreFull" in told.stdout
    assert "Traceback" not in told.stderr
    with LmdbStore.open(tmp_path / "s") as store, store.view() as view:
        assert view.get(b"88.1/KEPT") is not None
        assert view.facts().records == 1 + told.stdout.count("ok ")
