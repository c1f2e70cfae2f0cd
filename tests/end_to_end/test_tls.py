"""A real node with a TLS listener: the same answers, its own certificate or one in files, renewed while it runs."""

import os
import re
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from protocol.codec import Message, read_response
from protocol.codes import DEFAULT_REQUEST_FLAGS, KEEP_CONNECTION
from protocol.responses import ResolutionResponse
from protocol.trust.keys import from_pem, public_of
from resolver.client_tls import certified_key
from tests.support.certificates import certificate, fresh_key, key_text, written
from tests.support.engines import asking
from tests.support.running import RunningNode, read_to_end

QUESTION = asking(b"0.NA/88.100").to_bytes()
KEPT = asking(b"0.NA/88.100", flags=DEFAULT_REQUEST_FLAGS | KEEP_CONNECTION).to_bytes()
RELOADED_S = 10.0


def free() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def tls_port(node: RunningNode) -> int:
    found = re.search(r"tls \S+:(\d+)", node.ready_line)
    assert found, node.ready_line
    return int(found[1])


def made(folder: Path, *, workers: int = 2, **more: str) -> RunningNode:
    env = {"HNODE_TLS__LISTEN": f"127.0.0.1:{free()}", "HNODE_UDP__RECV_BUFFER": "64KiB", **more}
    return RunningNode(folder / "n", workers=workers, env=env)


@contextmanager
def secured(port: int) -> Iterator[ssl.SSLSocket]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain) as secure,
    ):
        yield secure


def shown(port: int) -> bytes:
    with secured(port) as secure:
        found = secure.getpeercert(binary_form=True)
        assert found is not None
        return found


def answered(octets: bytes) -> ResolutionResponse:
    _, body = read_response(Message.read(octets))
    assert isinstance(body, ResolutionResponse)
    return body


def test_the_same_answers_come_over_tls_by_the_servers_own_key(tmp_path: Path) -> None:
    with made(tmp_path) as node:
        key = from_pem((node.folder / "keys" / "server.pem").read_bytes())
        with secured(tls_port(node)) as secure:
            assert certified_key(secure.getpeercert(binary_form=True) or b"") == public_of(key)  # type: ignore[arg-type]
            secure.sendall(KEPT)
            first = secure.recv(65_536)
            secure.sendall(QUESTION)
            second = read_to_end(secure)
        assert answered(first) == answered(second)
        assert answered(first).handle == b"0.NA/88.100"
        site = next(value.data for value in answered(first).values if value.type == b"HS_SITE")
        assert tls_port(node).to_bytes(4, "big") not in site, "the site record has no word for such a port"


def test_a_long_answer_and_many_messages_at_once_come_whole(tmp_path: Path) -> None:
    with made(tmp_path, workers=1) as node, secured(tls_port(node)) as secure:
        secure.sendall(KEPT * 300 + QUESTION)
        octets = read_to_end(secure)
        size = 20 + int.from_bytes(octets[16:20], "big")
        assert len(octets) == 301 * size


def test_a_certificate_is_renewed_by_sighup_in_every_worker_and_a_bad_one_is_not(tmp_path: Path) -> None:
    first, second = fresh_key(), fresh_key()
    cert, key = written(tmp_path, certificate(first, "first"), key_text(first))
    with made(tmp_path, HNODE_TLS__CERT=str(cert), HNODE_TLS__KEY=str(key)) as node:
        assert node.process is not None
        workers, port = node.worker_pids(), tls_port(node)
        old = shown(port)
        renewed = certificate(second, "second")
        written(tmp_path, renewed, key_text(second))
        with secured(port) as kept:
            node.process.send_signal(signal.SIGHUP)
            end, fresh = time.monotonic() + RELOADED_S, ssl.PEM_cert_to_DER_cert(renewed.decode())
            streak = 0
            while streak < 20:  # By chance all of these reach one worker once in a million times.
                found = shown(port)
                assert found in (old, fresh)
                streak = streak + 1 if found == fresh else 0
                assert time.monotonic() < end
            kept.sendall(QUESTION)
            assert answered(read_to_end(kept)).handle == b"0.NA/88.100"
        written(tmp_path, certificate(first), key_text(second))
        node.process.send_signal(signal.SIGHUP)
        node.wait_for("the certificate is not changed, the old one goes on: .* is not the key of", RELOADED_S)
        assert shown(port) == fresh
        assert node.worker_pids() == workers
        assert node.stop() == 0


def test_a_node_does_not_start_with_a_certificate_that_cannot_be_used(tmp_path: Path) -> None:
    key = fresh_key()
    cert, key_path = written(tmp_path, certificate(key), key_text(key), mode=0o644)
    node = made(tmp_path, HNODE_TLS__CERT=str(cert), HNODE_TLS__KEY=str(key_path))
    ended = node.cli("serve")
    assert ended.returncode == 78
    assert f"TLS cannot be served — {key_path} has mode 0644" in ended.stderr
    assert f"chmod 640 {key_path}" in ended.stderr


def test_connections_that_never_shake_hands_count_and_are_ended(tmp_path: Path) -> None:
    limits = {
        "HNODE_TCP__MAX_CONNECTIONS": "4",
        "HNODE_TCP__MAX_CONNECTIONS_PER_SOURCE": "4",
        "HNODE_TCP__MESSAGE_TIMEOUT": "1s",
    }
    with made(tmp_path, workers=1, **limits) as node:
        port = tls_port(node)
        silent = [socket.create_connection(("127.0.0.1", port), timeout=8) for _ in range(4)]
        time.sleep(0.2)
        with pytest.raises((ssl.SSLError, ConnectionError)), secured(port):
            pass
        assert [sock.recv(1) for sock in silent] == [b""] * 4
        for sock in silent:
            sock.close()
        with secured(port) as secure:
            secure.sendall(QUESTION)
            assert answered(read_to_end(secure)).handle == b"0.NA/88.100"


def test_a_closing_terminal_reloads_and_does_not_end_the_node(tmp_path: Path) -> None:
    with RunningNode(tmp_path / "n", workers=2) as node:
        assert node.process is not None
        for process in (*node.worker_pids(), node.process.pid):
            os.kill(process, signal.SIGHUP)
        time.sleep(0.5)
        assert node.process.poll() is None
        assert node.stop() == 0
