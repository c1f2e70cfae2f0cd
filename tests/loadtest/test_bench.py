"""The benchmark and the load test run from start to end, small, against a real node; figures mean nothing here."""

import json
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from loadtest.processes import Server
from loadtest.run import locust_command, write_data
from loadtest.sections import SECTIONS, WINDOWS
from loadtest.targets import TARGETS
from protocol.codes import ResponseCode
from tests.loadtest.toys import answer, tcp_server, udp_server


def process(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=False, timeout=110)


@cache
def quick() -> tuple[str, dict[str, Any]]:
    """What the quick benchmark of all sections printed, and its facts."""
    done = process("loadtest.bench", "--quick")
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(done.stdout.splitlines()[-1])


def test_every_section_runs_and_every_target_is_judged() -> None:
    told, facts = quick()
    assert [line.split()[1].rstrip(":") for line in told.splitlines() if line.startswith("== ")][:-2] == list(SECTIONS)
    assert len(facts["targets"]) == len(TARGETS)
    assert {target["verdict"] for target in facts["targets"].values()} <= {"reached", "NOT REACHED"}


@pytest.mark.parametrize("transport", ["udp", "tcp-kept"])
def test_node_and_baselines_answer_every_request_in_every_window(transport: str) -> None:
    _, facts = quick()
    for window in WINDOWS:
        for name in ("echo", "echo, joined", "node", "small node"):
            found = facts[f"{transport} {window}"][name]
            assert found["requests"] == 1_500, (window, name)
            assert found["timeouts"] == found["bad"] == found["strays"] == found["broken"] == 0, (window, name)
    assert facts["answers"] == {"wrong": 0, "lost": 0}


def test_an_answer_fits_a_datagram_and_is_longer_than_its_question() -> None:
    _, facts = quick()
    assert facts["sizes"]["request_octets"] < facts["sizes"]["answer_octets"] <= 512


def test_loads_of_administration_are_done_to_their_ends_and_their_figures_kept() -> None:
    _, facts = quick()
    assert facts["writes"]["writes_a_commit"] >= 1
    assert facts["writes"]["write_cpu_us"] > 0 < facts["writes"]["resolution_cpu_us"]
    assert facts["challenges"]["challenged_cpu_us"] > 0 < facts["challenges"]["check_cpu_us"]
    assert facts["mixed"]["kept"] > 0 < facts["mixed"]["writes_per_s"]


def test_walks_and_memory_of_a_hierarchy_are_measured_and_their_figures_kept() -> None:
    told, facts = quick()
    assert 1 < facts["walks"]["questions"] <= 4  # For the name, and at most one a level for where its prefix is.
    assert facts["walks"]["walk_cpu_us"] > facts["walks"]["raw_cpu_us"] > 0
    assert facts["cached"]["homed_cpu_us"] > 0 < facts["cached"]["cached_cpu_us"]
    assert facts["waiting"]["idle_p99_us"] > 0 < facts["waiting"]["busy_p99_us"]
    lines = told.splitlines()
    heading = next(number for number, line in enumerate(lines) if line.startswith("idle p50"))
    asked, walks, refused, waiting, ended = (int(word.replace(",", "")) for word in lines[heading + 1].split()[-5:])
    assert asked >= walks >= waiting > 50 > refused + ended  # None of a second's walks ends: nobody answers.


def test_a_section_that_does_not_exist_is_refused() -> None:
    done = process("loadtest.bench", "--quick", "upd")
    assert done.returncode == 2
    assert "no section is called upd" in done.stderr


def lines(done: subprocess.CompletedProcess[str]) -> Sequence[list[str]]:
    return [line.split() for line in done.stdout.splitlines()]


def test_locust_users_resolve_by_both_transports_without_a_failure() -> None:
    done = process("loadtest.run", "--time", "3s", "--users", "8", "--identifiers", "300")
    assert done.returncode == 0, done.stdout + done.stderr
    found = {tuple(words[:3]): words for words in lines(done) if words[1:2] == ["resolve"]}
    assert set(found) == {
        (transport, "resolve", kind) for transport in ("UDP", "TCP") for kind in ("hit", "miss", "typed", "big")
    }
    for words in found.values():
        assert int(words[3].replace(",", "")) > 0, words
        assert words[4] == "0", words


def test_a_wrong_answer_is_a_failure_and_ends_locust_with_1(tmp_path: Path) -> None:
    write_data(tmp_path, 50)

    def all_missing(_: int, request: bytes) -> list[bytes]:
        return [answer(request, ResponseCode.HANDLE_NOT_FOUND)]

    with udp_server(all_missing) as udp_port, tcp_server(all_missing) as tcp_port:
        server = Server("toy", 0, udp_port, tcp_port, 0.0)
        command = locust_command(server, tmp_path, users=4, duration="2s", processes=1)
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1, done.stderr
    entries = {(entry["method"], entry["name"]): entry for entry in json.loads((tmp_path / "locust.json").read_text())}
    for (_, name), entry in entries.items():
        assert entry["num_failures"] == (0 if name == "resolve miss" else entry["num_requests"])
    assert {method for method, _ in entries} == {"UDP", "TCP"}
