"""The baselines answer with just their fixed octets, each request once; they are started as the benchmark does."""

import os
import signal
import socket
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from loadtest.generator import run
from loadtest.plan import Match, Plan, Transport
from loadtest.processes import HOST, Failed, Server, completed, environment, on_core, serving
from tests.loadtest.toys import KEPT_REQUESTS, REQUESTS, answer

FIXED = answer(REQUESTS[0])


@contextmanager
def echo(folder: Path, *words: str) -> Generator[Server]:
    (folder / "answer").write_bytes(FIXED)
    size = str(len(REQUESTS[0]))
    command = [sys.executable, "-m", "loadtest.echo", str(folder / "answer"), "--request-size", size, *words]
    with serving("echo", command, folder / "echo.log") as server:
        yield server


def plan(server: Server, transport: Transport, match: Match) -> Plan:
    port = server.udp_port if transport is Transport.UDP else server.tcp_port
    return Plan(host=HOST, port=port, transport=transport, sockets=2, window=8, requests_max=500, match=match)


def by_udp(server: Server, request: bytes) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(5)
        asker.connect((HOST, server.udp_port))
        asker.send(request)
        return asker.recv(65_536)


def by_tcp(server: Server, pieces: Sequence[bytes], size: int) -> bytes:
    with socket.create_connection((HOST, server.tcp_port), 5) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.01)
        octets = b""
        while len(octets) < size:
            octets += connection.recv(65_536)
        return octets


@pytest.mark.parametrize("words", [(), ("--joined",)])
def test_each_request_gets_the_fixed_answer_with_its_own_id_only_when_joined(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    request = REQUESTS[1][:8] + b"\1\2\3\4" + REQUESTS[1][12:]
    with echo(tmp_path, *words) as server:
        found = by_udp(server, request)
        streamed = by_tcp(server, [request[:5], request[5:] + request * 2], 3 * len(FIXED))
        results = [
            run(plan(server, Transport.UDP, Match.ID if words else Match.ORDER), REQUESTS),
            run(plan(server, Transport.TCP_KEPT, Match.ORDER), KEPT_REQUESTS),
        ]
    assert found == (FIXED[:8] + b"\1\2\3\4" + FIXED[12:] if words else FIXED)
    assert streamed == FIXED * 3
    assert [(result.requests, result.timeouts, result.strays, result.bad) for result in results] == [(500, 0, 0, 0)] * 2


def test_a_server_that_dies_before_it_is_ready_is_told_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no port is free')"]
    with pytest.raises(Failed, match="no port is free"), serving("server", command, tmp_path / "log"):
        pass


def test_a_server_that_does_not_tell_its_ports_is_refused_and_stopped(tmp_path: Path) -> None:
    program = "import os, sys, time; print('ready', os.getpid(), file=sys.stderr, flush=True); time.sleep(60)"
    with pytest.raises(Failed), serving("server", [sys.executable, "-c", program], tmp_path / "log"):
        pass
    pid = int((tmp_path / "log").read_text().split()[1])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_server_that_ends_badly_is_told(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="echo ended with -9"), echo(tmp_path) as server:
        os.kill(server.pid, signal.SIGKILL)


def test_a_command_that_fails_is_told_with_its_last_words() -> None:
    with pytest.raises(Failed, match="ended with 3"):
        completed([sys.executable, "-c", "raise SystemExit(3)"])


def test_what_is_started_in_a_block_stays_on_its_core_and_the_starter_is_free_again() -> None:
    before = os.sched_getaffinity(0)
    core = max(before)
    told = completed([sys.executable, "-c", "import os; print(os.sched_getaffinity(0))"], core=core)
    assert told.strip() == str({core})
    with on_core(None):
        assert os.sched_getaffinity(0) == before
    assert os.sched_getaffinity(0) == before


def test_the_callers_settings_of_a_node_do_not_reach_the_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HNODE_NODE__WORKERS", "7")
    assert "HNODE_NODE__WORKERS" not in environment()
    assert environment({"HNODE_NODE__WORKERS": "1"})["HNODE_NODE__WORKERS"] == "1"
