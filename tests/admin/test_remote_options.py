"""The options of another server: what they need of each other, and what is told where that is missing."""

import socket
from pathlib import Path

import pytest

from admin.errors import ExitCode, Failure
from admin.remote import Remote, place
from resolver.client import Transport
from tests.support.command import Ended, hnode
from tests.support.keys import captured_keys


def run(*arguments: object) -> Ended:
    ended = hnode(*arguments)
    assert "Traceback" not in ended.err
    return ended


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "admin.pem"
    file.write_bytes(captured_keys()["admin RSA"][0])
    return file


@pytest.mark.parametrize(
    "options",
    [("--auth", "300:a/b"), ("--key", "x"), ("--tls",), ("--session",), ("--udp",), ("--server-key", "x")],
)
@pytest.mark.parametrize(
    "command", [("handle", "delete", "88.100/A"), ("handle", "list", "88.100"), ("prefix", "home", "88.100")]
)
def test_without_a_server_its_options_are_wrong_usage(command: tuple[str, ...], options: tuple[str, ...]) -> None:
    ended = run(*command, *options)
    assert ended.code == ExitCode.USAGE
    assert "--at HOST:PORT" in ended.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--auth", "0.NA/88.100"), "names no key"),
        (("--auth", "9999999999:0.NA/88.100"), "names no key"),
        (("--auth", "300:0.NA/88.100"), "one of --key and --secret-file"),
        (("--auth", "300:0.NA/88.100", "--key", "KEY", "--secret-file", "KEY"), "one of --key and --secret-file"),
        (("--key", "KEY"), "a key alone does not say whose it is"),
        (("--auth", "300:0.NA/88.100", "--key", "PUBLIC"), "only the private one proves"),
        (("--auth", "300:0.NA/88.100", "--key", "NOTHING"), "NOTHING"),
        (("--auth", "300:0.NA/88.100", "--secret-file", "EMPTY"), "holds no secret"),
        (("--server-key", "EMPTY"), "holds no server's key"),
        (("--tls", "--udp"), "exclude each other"),
    ],
)
def test_what_cannot_prove_who_asks_is_told(tmp_path: Path, key: Path, options: tuple[str, ...], told: str) -> None:
    from protocol.trust.keys import public_pem, read_public_key

    (tmp_path / "PUBLIC").write_bytes(public_pem(read_public_key(captured_keys()["admin RSA"][1])))
    (tmp_path / "EMPTY").write_bytes(b"")
    named = [str(tmp_path / text) if text.isalpha() and text.isupper() else text for text in options]
    named = [str(key) if text == str(tmp_path / "KEY") else text for text in named]
    ended = run("handle", "delete", "88.100/A", "--at", "127.0.0.1:1", *named)
    assert ended.code != ExitCode.OK
    assert ended.code != ExitCode.UNREACHABLE
    assert told in ended.err


def test_a_server_that_nobody_is_at_ends_with_the_code_for_that(key: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        at = f"127.0.0.1:{sock.getsockname()[1]}"
    who = ("--at", at, "--auth", "300:0.NA/88.100", "--key", key)
    for command in (
        ("handle", "delete", "88.100/A"),
        ("prefix", "list"),
        ("session", "check"),
        ("resolve", "88.100/A"),
    ):
        ended = run(*command, *who)
        assert ended.code == ExitCode.UNREACHABLE, ended
        assert "cannot be reached" in ended.err
        assert "next:  check the address (HOST:PORT); is that node running? on that node: hnode serve\n" in ended.err
    ended = run("resolve", "88.100/A", "--at", at)
    assert (ended.code, "on that node: hnode serve" in ended.err) == (ExitCode.UNREACHABLE, True)


def test_a_session_is_one_with_a_server_and_minting_is_a_servers_work(tmp_path: Path) -> None:
    assert run("session", "check").code == ExitCode.USAGE
    ended = run("resolve", "88.100/A", "--at", "127.0.0.1:1", "--certified", "--trace")
    assert (ended.code, "leave out" in ended.err) == (ExitCode.USAGE, True)


def test_places_and_ways_are_read_as_they_are_written() -> None:
    assert place("[::1]:99") == ("::1", 99)
    assert place("example.org") == ("example.org", 2641)
    with pytest.raises(Failure):
        place("example.org:0")
    assert Remote(at="a:1").server().transport is Transport.TCP
    assert Remote(at="a:1", udp=True).server().transport is Transport.UDP
    assert Remote(at="a:1", tls=True, insecure=True).server().tls is not None
