"""What the benchmark's hierarchy reads of what nodes tell, and where it lets them run."""

import os
import subprocess
import sys
from pathlib import Path

from loadtest.hierarchy import moved, ports_of
from loadtest.processes import Server

INTERFACES = [{"query": True, "protocol": "TCP", "port": 43087}, {"query": True, "protocol": "UDP", "port": 43088}]


def record(interfaces: object) -> dict[str, object]:
    """A prefix record as `hnode resolve -o json` tells it."""
    site = {"format": "site", "value": {"servers": [{"address": "127.0.0.1", "interfaces": interfaces}]}}
    return {"responseCode": 1, "handle": "0.NA/88.131.9", "values": [{"index": 1, "type": "HS_SITE", "data": site}]}


def test_every_port_of_a_delegation_is_found() -> None:
    assert ports_of(record(INTERFACES)) == {43087, 43088}
    assert ports_of(record([])) == ports_of({"responseCode": 100}) == set()


def test_a_server_is_moved_to_a_core_with_all_its_threads() -> None:
    core = max(os.sched_getaffinity(0))
    program = "import threading; threading.Thread(target=input).start(); print('ready', flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        server = Server("toy", process.pid, 0, 0, 0.0)
        moved(server, None)
        assert os.sched_getaffinity(process.pid) == os.sched_getaffinity(0)
        moved(server, core)
        threads = [int(path.name) for path in Path(f"/proc/{process.pid}/task").iterdir()]
        assert len(threads) == 2
        assert {frozenset(os.sched_getaffinity(thread)) for thread in threads} == {frozenset({core})}
        process.stdin.write("\n")
