"""A batch that is run: its log, the order of its commands, who asks, and when it stops."""

import asyncio
import re
import socket
from collections.abc import Iterable
from pathlib import Path

import pytest

from admin.batch import runner as running
from admin.batch.commands import Authenticate, Command, Homing, Invalid, Operation, Setup
from admin.batch.events import Event, Totals
from admin.batch.runner import Runner
from admin.errors import ExitCode
from protocol import codec
from protocol.codec import Message
from protocol.responses import EmptyResponse, SiteResponse
from protocol.site import ADMIN_SERVICE, PRIMARY, Interface, Site, address_octets
from protocol.site import Server as SiteServer
from protocol.value import HandleValue, Reference
from resolver.client import Server
from tests.support.command import hnode
from tests.support.keys import captured_keys
from tests.support.toy_nodes import bare, challenging, refusing
from tests.support.toy_servers import Reply, toy_server

URL = (HandleValue(index=1, type=b"URL", data=b"x"),)
DONE = bare(EmptyResponse())
ADMIN = Reference(301, b"0.NA/88.100")


def deletes(*handles: bytes) -> list[Command]:
    return [Operation(line=line, word="delete", handle=handle) for line, handle in enumerate(handles, 1)]


def ran(
    commands: Iterable[Command], *replies: Reply, parallel: int = 1, named: bool = True
) -> tuple[list[str], Totals, list[bytes]]:
    """The lines of the log, the totals, and what a toy server heard."""
    events: list[Event] = []

    async def run() -> tuple[Totals, list[bytes]]:
        async with toy_server(*replies) as toy:
            runner = Runner(toy.server() if named else None, events.append, parallel=parallel)
            return await runner.run(iter(commands)), toy.heard

    totals, heard = asyncio.run(run())
    return [event.text() for event in events], totals, heard


def test_the_log_is_that_of_the_software_in_service() -> None:
    commands: list[Command] = [
        Operation(line=1, word="create", handle=b"88.100/A", values=URL),
        Operation(line=5, word="add", handle=b"88.100/A", values=URL),
        Operation(line=8, word="modify", handle=b"88.100/A", values=URL),
        Operation(line=11, word="remove", handle=b"88.100/A", indexes=(1, 2)),
        Invalid(line=12, reason="'x' begins no command"),
        Operation(line=13, word="delete", handle=b"88.100/A"),
    ]
    lines, totals, heard = ran(commands, DONE, refusing(201, b"Index conflict for 1"), DONE, DONE, refusing(100))
    assert lines == [
        "==>SUCCESS[1]: create:88.100/A",
        "==>FAILURE[5]: add:88.100/A: 201 value already exists: Index conflict for 1",
        "==>SUCCESS[8]: modify:88.100/A",
        "==>SUCCESS[11]: remove:88.100/A",
        "==>INVALID[12]: 'x' begins no command",
        "==>FAILURE[13]: delete:88.100/A: 100 handle not found",
    ]
    assert [Message.read(octets).header.opcode for octets in heard] == [100, 102, 104, 103, 101]
    assert totals.lines() == [
        "add: 0 of 1 succeeded",
        "create: 1 of 1 succeeded",
        "delete: 0 of 1 succeeded",
        "modify: 1 of 1 succeeded",
        "remove: 1 of 1 succeeded",
        "invalid: 1",
        "total: 3 succeeded, 3 failed",
    ]


def test_commands_of_one_handle_keep_their_order_however_many_run_at_a_time() -> None:
    handles = [b"88.100/%d" % (number % 10) for number in range(100)]
    commands = [
        Operation(line=line, word="remove", handle=handle, indexes=(line,)) for line, handle in enumerate(handles, 1)
    ]
    lines, totals, heard = ran(commands, *[DONE] * 100, parallel=8)
    assert (totals.success_count, len(lines)) == (100, 100)
    seen: dict[bytes, list[int]] = {}
    for octets in heard:
        body = codec.read_request(Message.read(octets))
        seen.setdefault(body.handle, []).append(body.indexes[0])  # type: ignore[attr-defined]
    assert len(seen) == 10
    assert all(order == sorted(order) for order in seen.values())


def test_a_prefix_waits_for_all_before_it_and_all_behind_wait_for_it() -> None:
    before, after = [b"88.100/%d" % n for n in range(20)], [b"88.100.1/%d" % n for n in range(20)]
    _, totals, heard = ran(deletes(*before, b"0.NA/88.100.1", *after), *[DONE] * 41, parallel=8)
    names = [codec.read_request(Message.read(octets)).handle for octets in heard]  # type: ignore[attr-defined]
    assert totals.success_count == 41
    assert names[20] == b"0.NA/88.100.1"
    assert set(names[:20]) == set(before)


def test_who_asks_is_said_by_the_file_and_sessions_too(tmp_path: Path) -> None:
    key = tmp_path / "admin.pem"
    key.write_bytes(captured_keys()["admin RSA"][0])
    commands: list[Command] = [
        Authenticate(line=1, key=Reference(300, ADMIN.handle), key_file=key),
        *deletes(b"88.100/A"),
        Authenticate(line=4, key=ADMIN, secret=b"secret"),
        *deletes(b"88.100/B"),
        Setup(line=8, use=False),
        *deletes(b"88.100/C"),
    ]
    _, totals, heard = ran(commands, *[challenging(), DONE] * 3)
    assert totals.success_count == 3
    answers = [codec.read_request(Message.read(octets)) for octets in heard[1::2]]
    kinds = [(answer.type, answer.key.index) for answer in answers]  # type: ignore[attr-defined]
    assert kinds == [(b"HS_PUBKEY", 300), (b"HS_SECKEY", 301), (b"HS_SECKEY", 301)]


def test_nothing_is_done_as_somebody_else_where_the_identity_cannot_be_used(tmp_path: Path) -> None:
    commands: list[Command] = [
        Authenticate(line=1, key=ADMIN, secret=b"secret"),
        Authenticate(line=3, key=ADMIN, key_file=tmp_path / "missing.pem"),
        *deletes(b"88.100/A"),
        Invalid(line=6, reason="x", ends_identity=True),
        *deletes(b"88.100/B"),
    ]
    lines, _, heard = ran(commands)
    assert heard == []
    assert "missing.pem cannot be read" in lines[0]
    assert lines[1].endswith("nobody asks: line 3 was to say who asks")
    assert lines[3].endswith("nobody asks: line 6 was to say who asks")


def site(*ports: int, flags: int = PRIMARY) -> Site:
    servers = [
        SiteServer(
            id=number,
            address=address_octets("127.0.0.1"),
            interfaces=(Interface(2, 0, 1), Interface(ADMIN_SERVICE, 1, port)),
        )
        for number, port in enumerate(ports, 1)
    ]
    return Site(serial=1, flags=flags, servers=tuple(servers))


def homing(port: int, handle: bytes = b"0.NA/88.100") -> Homing:
    return Homing(line=2, word="home", host="127.0.0.1", port=port, is_udp=False, handle=handle)


def test_a_prefix_is_homed_at_every_server_of_the_site() -> None:
    async def run() -> tuple[list[bytes], list[bytes], list[str]]:
        events: list[Event] = []
        async with toy_server(DONE, DONE) as second, toy_server() as first:
            found = bare(SiteResponse(site=site(first.port, second.port)))
            first._replies = [found, DONE, DONE]
            commands = [homing(first.port), homing(first.port, b"0.NA/88.200")]
            await Runner(None, events.append).run(iter(commands))
            return first.heard, second.heard, [event.text() for event in events]

    first, second, lines = asyncio.run(run())
    assert [Message.read(octets).header.opcode for octets in first] == [2, 300, 300]
    assert [Message.read(octets).header.opcode for octets in second] == [300, 300]
    assert lines == ["==>SUCCESS[2]: home:0.NA/88.100", "==>SUCCESS[2]: home:0.NA/88.200"]


def test_a_lone_server_is_asked_where_it_was_named_and_a_mirror_not_at_all() -> None:
    async def run(found: Site) -> tuple[int, str]:
        events: list[Event] = []
        async with toy_server(bare(SiteResponse(site=found)), DONE) as toy:
            await Runner(None, events.append).run(iter([homing(toy.port)]))
            return len(toy.heard), events[0].text()

    assert asyncio.run(run(site(1))) == (2, "==>SUCCESS[2]: home:0.NA/88.100")
    heard, line = asyncio.run(run(site(1, flags=0)))
    assert heard == 1
    assert "belongs to a mirror" in line


def test_without_a_server_each_command_says_what_to_give() -> None:
    lines, totals, _ = ran(deletes(b"88.100/A"), named=False)
    assert lines == ["==>FAILURE[1]: delete:88.100/A: no server is named: give it with --at HOST:PORT"]
    assert totals.failure_count == 1


def test_a_server_that_is_gone_ends_the_run() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    taken = 0

    def endless() -> Iterable[Command]:
        nonlocal taken
        while True:
            taken += 1
            yield Operation(line=taken, word="delete", handle=b"88.100/%d" % taken)

    events: list[Event] = []
    totals = asyncio.run(Runner(Server("127.0.0.1", port), events.append).run(iter(endless())))
    assert totals.stopped
    assert len(events) == running.UNANSWERED_MAX
    assert taken < 20  # Only what was read ahead.


# The command


def test_a_dry_run_tells_what_is_wrong_and_asks_nobody(tmp_path: Path) -> None:
    file = tmp_path / "parts.txt"
    file.write_text("DELETE 88.100/A\nRENAME 88.100/B\n")
    ended = hnode("batch", file, "--dry-run")
    assert ended.code == ExitCode.PARTLY
    assert "==>INVALID[2]: 'RENAME 88.100/B' begins no command" in ended.out
    assert "no server was asked" in ended.err


def test_the_log_goes_to_its_file_and_the_totals_to_the_person(tmp_path: Path) -> None:
    file, log = tmp_path / "parts.txt", tmp_path / "parts.log"
    file.write_text("DELETE 88.100/A\n")
    ended = hnode("-o", "json", "batch", file, "--log", log)
    assert ended.code == ExitCode.FAILED
    assert ended.json == {
        "succeeded": 0,
        "failed": 1,
        "invalid": 0,
        "stopped": "",
        "operations": {"delete": {"succeeded": 0, "failed": 1}},
    }
    assert re.match(r"==>FAILURE\[1\]: delete:88.100/A: .*--at HOST:PORT\n", log.read_text())
    assert log.read_text().endswith("total: 0 succeeded, 1 failed\n")


@pytest.mark.parametrize("arguments", [("missing.txt",), ("x.txt", "--log", "x.txt"), ("x.txt", "--auth", "300:a/b")])
def test_what_cannot_be_run_is_told(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "x.txt").write_text("DELETE 88.100/A\n")
    ended = hnode("batch", *[tmp_path / text if text.endswith(".txt") else text for text in arguments])
    assert ended.code in (ExitCode.FAILED, ExitCode.USAGE)
    assert "Traceback" not in ended.err
    assert ended.err.startswith("error: ")
