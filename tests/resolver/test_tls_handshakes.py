"""Handshakes of the node's own TLS: off the event loop, and with the short keys that servers in service have."""

import asyncio
import ssl
import threading
import time
from functools import cache

import pytest

from protocol.trust.keys import RsaPrivateKey, generate_rsa, private_pem, public_of
from resolver.client_tls import NotTrusted, Tls
from resolver.config import TlsSection
from resolver.tls import own_context, self_signed, server_context
from resolver.tls_listener import HANDSHAKE_THREADS, ServerTls
from tests.resolver.test_tls_listener import own_tls, served
from tests.support.certificates import server_key

SLOW_S = 0.3  # What each handshake takes here: as if the key were very long.


@cache
def short_key(bits: int) -> RsaPrivateKey:
    return generate_rsa(bits)


async def spoken(port: int, context: ssl.SSLContext) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    writer.write(b"hello")
    said = await reader.read(100)
    writer.close()
    return said


def test_the_loop_goes_on_while_handshakes_are_made_and_each_is_made_by_a_thread() -> None:
    tls, client, threads = own_tls(), Tls.by_key(public_of(server_key())).context, []

    def slowly(*_: object) -> None:
        threads.append(threading.current_thread())
        time.sleep(SLOW_S)

    tls.context.sni_callback = slowly

    async def ask(port: int, _: list[str]) -> None:
        longest, running = 0.0, True

        async def ticking() -> None:
            nonlocal longest
            while running:
                started = time.monotonic()
                await asyncio.sleep(0.01)
                longest = max(longest, time.monotonic() - started)

        ticks = asyncio.ensure_future(ticking())
        assert await asyncio.gather(*[spoken(port, client) for _ in range(4)]) == [b"HELLO"] * 4
        running = False
        await ticks
        assert longest < SLOW_S / 2

    served(tls, ask)
    assert threading.main_thread() not in threads
    assert (len(threads), len(set(threads))) == (4, HANDSHAKE_THREADS)


def test_a_connection_that_ends_within_a_handshake_leaves_nothing_behind() -> None:
    tls = own_tls()
    tls.context.sni_callback = lambda *_: time.sleep(SLOW_S)
    hello, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = Tls.by_nobody().context.wrap_bio(hello, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()

    async def ask(port: int, seen: list[str]) -> None:
        for _ in range(3):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(outgoing.read() or b"\x16\x03\x01\x00\x05spoil")
            await asyncio.sleep(SLOW_S / 3)
            writer.transport.abort()
        assert await spoken(port, Tls.by_key(public_of(server_key())).context) == b"HELLO"
        assert seen.count("made") == 4

    served(tls, ask)


@pytest.mark.parametrize("bits", [1_024, 1_536])
@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_nodes_own_key_may_be_short(bits: int, newest: ssl.TLSVersion) -> None:
    key = short_key(bits)
    client = Tls.by_key(public_of(key))
    client.context.maximum_version = newest

    async def ask(port: int, _: list[str]) -> None:
        assert await spoken(port, client.context) == b"HELLO"

    served(ServerTls(TlsSection(), key, now_s=lambda: 1.7e9), ask)


def test_a_short_key_lowers_nothing_for_other_keys() -> None:
    key = short_key(1_024)
    with pytest.raises(ssl.SSLError, match="KEY_TOO_SMALL"):
        server_context(self_signed(key), private_pem(key))
    usual, short = own_context(server_key()), own_context(key)
    assert (usual.security_level, short.security_level) == (2, 1)
    assert [found["name"] for found in short.get_ciphers()] == [found["name"] for found in usual.get_ciphers()]
    assert Tls.by_key(public_of(server_key())).context.security_level == 2
    assert Tls.by_key(public_of(server_key()), public_of(key)).context.security_level == 1
    with pytest.raises(NotTrusted):
        Tls.by_key(public_of(key)).expect(None)
