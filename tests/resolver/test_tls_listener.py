"""TLS around a connection: what is carried, when it counts, how it ends, and certificates that change while it runs."""

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest

from protocol.trust.keys import public_of
from resolver.certificate import BadCertificate
from resolver.client_tls import NotTrusted, Tls
from resolver.config import TlsSection
from resolver.tls_connection import TlsConnection
from resolver.tls_listener import ServerTls
from tests.support.certificates import certificate, fresh_key, key_text, server_key, written

ANSWER_S = 5.0
LONG = 4 << 20  # Octets that no socket buffers of loopback hold.


class Carried(asyncio.Protocol):
    """Answers in capitals; `bye` ends the connection, `more` asks for a long answer."""

    def __init__(self, seen: list[str]) -> None:
        self.seen = seen
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=65_536)
        assert transport.get_extra_info("peername")[0] == "127.0.0.1"
        self.seen.append("made")

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        self.seen.append(data[:20].decode())
        self.transport.write(b"x" * LONG if data == b"more" else data.upper())
        if data == b"bye":
            self.transport.close()
            assert self.transport.is_closing()
            self.transport.write(b"too late")

    def eof_received(self) -> bool:
        self.seen.append("eof")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.seen.append("lost")

    def pause_writing(self) -> None:
        self.seen.append("pause")

    def resume_writing(self) -> None:
        self.seen.append("resume")


def own_tls() -> ServerTls:
    return ServerTls(TlsSection(), server_key(), now_s=lambda: 1.7e9)


def file_tls(folder: Path, min_version: str = "1.2") -> ServerTls:
    section = TlsSection.model_validate(
        {"cert": "tls.pem", "key": "tls.key", "min_version": min_version}, context={"folder": folder}
    )
    return ServerTls(section, server_key(), now_s=lambda: 1.7e9)


def served(tls: ServerTls, ask: Callable[[int, list[str]], Awaitable[None]]) -> list[str]:
    """Run `ask(port, seen)` against a listener; what was seen within, in order, until all connections ended."""

    async def run() -> list[str]:
        seen: list[str] = []
        made: list[TlsConnection] = []

        def connection() -> TlsConnection:
            made.append(tls.wrapped(Carried(seen)))
            return made[-1]

        server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
        async with asyncio.timeout(30):
            await ask(server.sockets[0].getsockname()[1], seen)
            await until(seen, "lost", len(made))
        server.close()
        return seen

    return asyncio.run(run())


async def until(seen: list[str], word: str, times: int = 1) -> None:
    for _ in range(500):
        if seen.count(word) == times:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"{word} is not {times} times in {seen}")


def client_context(newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = newest
    return context


async def asked(port: int, *questions: bytes, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> list[bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context(newest))
    answers = []
    for question in questions:
        writer.write(question)
        answers.append(await asyncio.wait_for(reader.readexactly(len(question)), ANSWER_S))
    writer.close()
    await writer.wait_closed()
    return answers


async def subject(port: int) -> bytes:
    """The certificate, as DER, that a new connection is met with."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context())
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.write(b"x")
    assert await asyncio.wait_for(reader.readexactly(1), ANSWER_S) == b"X"
    writer.close()
    await writer.wait_closed()
    assert isinstance(found, bytes)
    return found


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_octets_are_carried_both_ways_and_the_end_is_told(newest: ssl.TLSVersion) -> None:
    async def ask(port: int, seen: list[str]) -> None:
        assert await asked(port, b"first", b"second", newest=newest) == [b"FIRST", b"SECOND"]

    assert served(own_tls(), ask) == ["made", "first", "second", "eof", "lost"]


def test_what_is_carried_may_end_the_connection_behind_its_answer() -> None:
    async def ask(port: int, seen: list[str]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context())
        writer.write(b"bye")
        assert await asyncio.wait_for(reader.read(), ANSWER_S) == b"BYE"
        writer.close()

    assert served(own_tls(), ask) == ["made", "bye", "lost"]


def test_the_own_certificate_is_that_of_the_server_key_and_no_other() -> None:
    async def ask(port: int, seen: list[str]) -> None:
        for tls in (Tls.by_key(public_of(server_key())), Tls.by_nobody()):
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls.context)
            tls.expect(writer.get_extra_info("ssl_object"))
            writer.close()
            await writer.wait_closed()

    served(own_tls(), ask)


def test_a_certificate_of_another_key_is_refused_by_who_knows_the_servers(tmp_path: Path) -> None:
    key = fresh_key()
    written(tmp_path, certificate(key), key_text(key))

    async def ask(port: int, seen: list[str]) -> None:
        tls = Tls.by_key(public_of(server_key()))
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls.context)
        with pytest.raises(NotTrusted):
            tls.expect(writer.get_extra_info("ssl_object"))
        writer.close()
        await writer.wait_closed()

    served(file_tls(tmp_path), ask)


def test_a_connection_counts_before_its_handshake_and_can_be_ended_then() -> None:
    async def ask(port: int, seen: list[str]) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        await until(seen, "made")
        writer.close()

    assert served(own_tls(), ask) == ["made", "lost"]


@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        bytes.fromhex("020b020b0000000000000007000000000000002c"),
        b"\x16\x03\x01\x00\x05hello",
    ],
)
def test_octets_that_are_no_tls_end_the_connection_and_reach_nobody(octets: bytes) -> None:
    async def ask(port: int, seen: list[str]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(octets)
        told = await asyncio.wait_for(reader.read(), ANSWER_S)
        assert len(told) < 32, "an alert at most"
        writer.close()

    assert served(own_tls(), ask) == ["made", "lost"]


def test_octets_that_were_changed_on_their_way_end_the_connection() -> None:
    async def ask(port: int, seen: list[str]) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = client_context().wrap_bio(incoming, outgoing)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                incoming.write(await asyncio.wait_for(reader.read(65_536), ANSWER_S))
        client.write(b"secret")
        octets = bytearray(outgoing.read())
        octets[-1] ^= 1
        writer.write(bytes(octets))
        while await asyncio.wait_for(reader.read(65_536), ANSWER_S):
            pass
        writer.close()

    assert served(own_tls(), ask) == ["made", "lost"]


def test_a_peer_that_sends_no_more_still_gets_its_answer() -> None:
    async def ask(port: int, seen: list[str]) -> None:
        def half_closed() -> bytes:
            with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S) as plain:
                secure = client_context().wrap_socket(plain)
                secure.sendall(b"question")
                with socket.socket(fileno=os.dup(secure.fileno())) as same:  # TLS itself has no half of an end.
                    same.shutdown(socket.SHUT_WR)
                answer = secure.recv(100)
                secure.close()
                return answer

        assert await asyncio.to_thread(half_closed) == b"QUESTION"

    assert served(own_tls(), ask) == ["made", "question", "eof", "lost"]


def test_a_peer_that_takes_nothing_is_noticed() -> None:
    async def ask(port: int, seen: list[str]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context(), limit=1024)
        writer.write(b"more")
        await until(seen, "pause")
        assert len(await asyncio.wait_for(reader.readexactly(LONG), 20)) == LONG
        writer.close()
        await writer.wait_closed()

    assert served(own_tls(), ask)[:4] == ["made", "more", "pause", "resume"]


def test_an_older_tls_than_configured_is_refused(tmp_path: Path) -> None:
    key = fresh_key()
    written(tmp_path, certificate(key), key_text(key))

    async def ask(port: int, seen: list[str]) -> None:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asked(port, b"x", newest=ssl.TLSVersion.TLSv1_2)
        assert await asked(port, b"x") == [b"X"]

    assert served(file_tls(tmp_path, "1.3"), ask) == ["made", "lost", "made", "x", "eof", "lost"]


def test_a_new_certificate_is_for_new_connections_and_old_ones_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = fresh_key(), fresh_key()
    first, second = certificate(old), certificate(new)
    written(tmp_path, first, key_text(old))
    tls = file_tls(tmp_path)

    async def ask(port: int, seen: list[str]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context())
        assert await subject(port) == ssl.PEM_cert_to_DER_cert(first.decode())
        written(tmp_path, second, key_text(new))
        with caplog.at_level(logging.INFO):
            assert tls.reload()
        assert "new TLS connections are met with the certificate" in caplog.text
        assert await subject(port) == ssl.PEM_cert_to_DER_cert(second.decode())
        writer.write(b"still there?")
        assert await asyncio.wait_for(reader.readexactly(12), ANSWER_S) == b"STILL THERE?"
        writer.close()
        await writer.wait_closed()

    served(tls, ask)


def test_a_bad_certificate_changes_nothing_but_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    old, other = fresh_key(), fresh_key()
    first = certificate(old)
    cert, key = written(tmp_path, first, key_text(old))
    tls = file_tls(tmp_path)

    async def ask(port: int, seen: list[str]) -> None:
        for break_it in (
            lambda: written(tmp_path, certificate(other), key_text(old)),
            lambda: written(tmp_path, first, key_text(old), mode=0o644),
            lambda: cert.write_bytes(first[:100]),
            key.unlink,
        ):
            caplog.clear()
            break_it()
            assert not tls.reload()
            assert "the certificate is not changed, the old one goes on: " in caplog.text
            assert await subject(port) == ssl.PEM_cert_to_DER_cert(first.decode())

    served(tls, ask)


def test_without_a_certificate_there_is_nothing_to_load(caplog: pytest.LogCaptureFixture) -> None:
    tls = own_tls()
    before = tls.context
    with caplog.at_level(logging.INFO):
        assert not tls.reload()
    assert tls.context is before
    assert "[tls] names none" in caplog.text


def test_a_bad_certificate_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadCertificate, match="cannot be read"):
        file_tls(tmp_path)


def test_an_expired_certificate_is_told_and_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = fresh_key()
    written(tmp_path, certificate(key, from_days=-20_000, until_days=-10_000), key_text(key))
    file_tls(tmp_path)
    assert "has expired on" in caplog.text
    assert "another key than the site record" in caplog.text
