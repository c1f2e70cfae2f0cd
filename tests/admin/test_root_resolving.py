"""`hnode resolve --bootstrap`: what is refused before anybody is asked, and the tree that `--trace` draws."""

import socket
from pathlib import Path

import pytest

from admin.errors import ExitCode
from admin.root_resolving import tree
from protocol.codes import ResponseCode
from protocol.responses import ErrorResponse
from resolver.walk.events import Ended, NoReply, Place, Step, Way
from tests.support.command import hnode
from tests.support.roots import root_data, root_folder, root_records, site, site_value

ROOT, OTHER = Place("192.0.2.1", 2641), Place("2001:db8::1", 2641)


def step(
    why: str, handle: bytes, outcome: int | NoReply, *, at: Place | None = ROOT, depth: int = 0, began: int = 0
) -> Step:
    way = None if at is None else Way.UDP
    return Step(why=why, handle=handle, place=at, way=way, began_ms=began, took_ms=5, outcome=outcome, depth=depth)


def ended(*steps: Step, code: int = ResponseCode.SUCCESS, told: str = "") -> Ended:
    return Ended(code=code, body=ErrorResponse(), steps=steps, told=told)


def test_a_look_up_stands_within_what_needed_it() -> None:
    found = tree(
        "88.100/A",
        ended(
            step("service", b"0.SERV/1", 1, depth=2),
            step("prefix", b"0.NA/88.100", 303, depth=1, began=10),
            step("prefix", b"0.NA/88.100", 1, depth=1, began=20, at=OTHER),
            step("target", b"88.100/A", NoReply.SILENT, began=30),
            step("target", b"88.100/A", 1, began=40, at=OTHER),
        ),
    )
    assert found == [
        "88.100/A  1 success  (5 questions, 45 ms)",
        "└─ target 88.100/A",
        "   └─ prefix 0.NA/88.100",
        "      └─ service 0.SERV/1",
        "         · 192.0.2.1:2641 udp  1 success  5 ms",
        "      · 192.0.2.1:2641 udp  303 prefix referral  5 ms",
        "      · 2001:db8::1:2641 udp  1 success  5 ms",
        "   · 192.0.2.1:2641 udp  no answer  5 ms",
        "   · 2001:db8::1:2641 udp  1 success  5 ms",
    ]


def test_what_was_remembered_costs_no_question_and_an_alias_stands_beside() -> None:
    found = tree(
        "88.100/A",
        ended(
            step("prefix", b"0.NA/88.100", 1, at=None, depth=1),
            step("target", b"88.100/A", 1),
            step("alias", b"88.100/B", 1),
        ),
    )
    assert found == [
        "88.100/A  1 success  (2 questions, 5 ms)",
        "├─ target 88.100/A",
        "│  └─ prefix 0.NA/88.100",
        "│     · remembered: 1 success",
        "│  · 192.0.2.1:2641 udp  1 success  5 ms",
        "└─ alias 88.100/B",
        "   · 192.0.2.1:2641 udp  1 success  5 ms",
    ]


def test_a_failure_is_told_below_the_tree() -> None:
    assert tree("x/y", ended(code=ResponseCode.ERROR, told="nobody answers")) == [
        "x/y  2 error  (0 questions, 0 ms)",
        "  nobody answers",
    ]


def test_a_folder_that_tells_no_root_is_told(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        found = hnode("resolve", "88.100/A", "--bootstrap", folder)
        assert found.code == ExitCode.CONFIG
        assert "no root is known" in found.err
        assert "next:" in found.err


@pytest.mark.parametrize(
    "more", [("--at", "127.0.0.1:1"), ("--udp",), ("--auth", "300:0.NA/1"), ("--server-key", "x"), ("--tls",)]
)
def test_options_of_one_server_do_not_go_with_it(tmp_path: Path, more: tuple[str, ...]) -> None:
    root_folder(tmp_path)
    found = hnode("resolve", "88.100/A", "--bootstrap", tmp_path, *more)
    assert found.code == ExitCode.USAGE
    assert "--bootstrap" in found.err


def test_aliases_are_followed_from_the_root_alone() -> None:
    assert hnode("resolve", "88.100/A", "--at", "127.0.0.1:1", "--aliases").code == ExitCode.USAGE


@pytest.mark.parametrize("handle", ["", "x" * 3000])
def test_what_is_no_handle_is_a_usage_error(tmp_path: Path, handle: str) -> None:
    assert hnode("resolve", handle, "--bootstrap", root_folder(tmp_path)).code == ExitCode.USAGE


def test_a_root_that_nobody_serves_ends_with_5_and_shows_the_way(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", 0))  # Bound and not listening: whoever comes is refused.
        port = taken.getsockname()[1]
        root_folder(tmp_path, root_data(root_records(site_value(1, site("127.0.0.1", port)))))
        found = hnode("resolve", "88.100/A", "--bootstrap", tmp_path, "--trace")
    assert found.code == ExitCode.UNREACHABLE
    assert f"127.0.0.1:{port} udp  cannot be reached" in found.err
