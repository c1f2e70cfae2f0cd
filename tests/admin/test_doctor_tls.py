"""What `hnode doctor` says of TLS: the certificate in its files, and the one that a listener shows."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from admin.doctor.certificate import certificate as check
from admin.doctor.findings import Level
from admin.errors import ExitCode
from protocol.trust.keys import private_pem
from resolver.config import Config
from resolver.config_loading import load_config
from resolver.config_units import Endpoint
from resolver.sockets import bound
from resolver.tls import self_signed_context
from tests.support.certificates import certificate, fresh_key, key_text, server_engine_key, server_key, written
from tests.support.command import hnode
from tests.support.keys import captured_keys

DAY_S = 86_400.0
OWN = {"HNODE_TLS__LISTEN": "127.0.0.1:1"}


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A node whose server key is the captured one."""
    made = hnode("init", tmp_path, "--prefix", "88.100", "--listen", "127.0.0.1", "--port", "0")
    assert made.code == ExitCode.OK
    (tmp_path / "keys" / "server.pem").write_bytes(private_pem(server_key()))
    return tmp_path


def config_of(node: Path, environment: dict[str, str]) -> Config:
    return load_config(node / "hnode.toml", environment).config


def finding(node: Path, check_name: str, environment: dict[str, str]) -> dict[str, Any]:
    ended = hnode("--config", node / "hnode.toml", "doctor", "-o", "json", environment=environment)
    return next(found for found in ended.json["checks"] if found["check"] == check_name)


def files(node: Path) -> dict[str, str]:
    return {**OWN, "HNODE_TLS__CERT": str(node / "tls.pem"), "HNODE_TLS__KEY": str(node / "tls.key")}


def test_without_a_listener_nothing_is_said_of_tls(node: Path) -> None:
    with pytest.raises(StopIteration):
        finding(node, "tls", {})


def test_the_server_keys_own_certificate_is_fine(node: Path) -> None:
    found = finding(node, "tls", OWN)
    assert (found["level"], found["text"]) == ("ok", "a certificate of the server key, made by the node")


def test_a_dsa_server_key_needs_a_certificate(node: Path) -> None:
    (node / "keys" / "server.pem").write_bytes(captured_keys()["admin DSA"][0])
    found = finding(node, "tls", OWN)
    assert (found["level"], found["mend"]) == ("fail", "cert = … and key = … under [tls]")


@pytest.mark.parametrize(
    ("until_days", "level", "said"),
    [(365.0, Level.OK, "until "), (29.0, Level.WARN, "expires on"), (-1.0, Level.FAIL, "has expired on")],
)
def test_the_days_of_a_certificate_are_counted(node: Path, until_days: float, level: Level, said: str) -> None:
    key = server_engine_key()
    written(node, certificate(key, from_days=-100, until_days=until_days), key_text(key))
    found = check(config_of(node, files(node)))
    assert found.level is level
    assert said in found.said
    assert check(config_of(node, files(node)), time.time() + 400 * DAY_S).level is Level.FAIL


def test_a_certificate_of_another_key_than_the_servers_is_a_warning(node: Path) -> None:
    key = fresh_key()
    written(node, certificate(key), key_text(key))
    found = finding(node, "tls", files(node))
    assert found["level"] == "warn"
    assert "another key than the site record" in found["text"]


def test_files_that_do_not_belong_together_fail(node: Path) -> None:
    written(node, certificate(fresh_key()), key_text(fresh_key()))
    found = finding(node, "tls", files(node))
    assert found["level"] == "fail"
    assert "is not the key of the certificate" in found["text"]


def test_a_missing_server_key_is_told(node: Path) -> None:
    (node / "keys" / "server.pem").unlink()
    assert check(config_of(node, OWN)).level is Level.FAIL


@contextmanager
def listening(context: ssl.SSLContext) -> Iterator[int]:
    """A TLS server in a thread, which shakes hands and no more."""
    sock = bound(Endpoint("127.0.0.1", 0), socket.SOCK_STREAM, section="tls")
    sock.settimeout(20)

    def serve() -> None:
        while True:
            try:
                plain, _ = sock.accept()
            except OSError:
                return
            plain.settimeout(5)
            try:
                with context.wrap_socket(plain, server_side=True) as secure:
                    secure.recv(1)
            except OSError:
                plain.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield sock.getsockname()[1]
    finally:
        sock.shutdown(socket.SHUT_RDWR)
        sock.close()
        thread.join()


def test_a_port_is_free_or_shows_the_certificate_or_another_or_belongs_to_somebody_else(node: Path) -> None:
    with listening(self_signed_context(server_key())) as port:
        own = {"HNODE_TLS__LISTEN": f"127.0.0.1:{port}"}
        found = finding(node, "ports", own)
        assert f"tls 127.0.0.1:{port} answers in" in found["text"]
        assert found["level"] == "ok", found
        key = fresh_key()
        written(node, certificate(key), key_text(key))
        found = finding(node, "ports", files(node) | own)
        assert (found["level"], found["mend"]) == ("warn", "send the node SIGHUP, if it is this one")
    assert f"tls 127.0.0.1:{port} is free" in finding(node, "ports", own)["text"]
    silent = bound(Endpoint("127.0.0.1", 0), socket.SOCK_STREAM, section="tcp")
    try:
        found = finding(node, "ports", {"HNODE_TLS__LISTEN": f"127.0.0.1:{silent.getsockname()[1]}"})
        assert found["level"] == "fail"
        assert found["mend"].endswith("change [tls] listen")
    finally:
        silent.close()
