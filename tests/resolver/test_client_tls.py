"""Whom the client trusts over TLS: the server's own key, an authority, or, on explicit wish, anybody."""

import asyncio
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from protocol.responses import EmptyResponse
from protocol.trust.keys import public_of
from resolver.client import NoAnswer
from resolver.client_admin import Client
from resolver.client_calls import Calls
from resolver.client_exchange import Asking
from resolver.client_tls import NotTrusted, Tls, certified_key
from tests.support.certificates import certificate, fresh_key, key_text, server_engine_key, server_key, written
from tests.support.keys import captured_keys
from tests.support.toy_nodes import bare
from tests.support.toy_servers import toy_server


@pytest.fixture
def context(tmp_path: Path) -> ssl.SSLContext:
    """The captured server's key in a certificate of its own for `localhost`."""
    key = server_engine_key()
    chain_path, key_path = written(tmp_path, certificate(key, "localhost"), key_text(key))
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(chain_path, key_path)
    return made


def deleted(context: ssl.SSLContext | None, tls: Tls | None, host: str = "127.0.0.1") -> None:
    async def run() -> None:
        async with toy_server(bare(EmptyResponse()), context=context) as toy:
            server = replace(toy.server(tls), host=host)
            await Client(Calls(Asking(server))).delete(b"88.100/A")

    asyncio.run(run())


def test_a_certificate_of_the_servers_own_key_is_trusted_whoever_issued_it(context: ssl.SSLContext) -> None:
    deleted(context, Tls.by_key(public_of(server_key())))


def test_a_certificate_of_another_key_is_not(context: ssl.SSLContext) -> None:
    from protocol.trust.keys import read_public_key

    with pytest.raises(NotTrusted, match="another key"):
        deleted(context, Tls.by_key(read_public_key(captured_keys()["admin RSA"][1])))


def test_an_authority_vouches_for_the_name_that_was_asked(context: ssl.SSLContext, tmp_path: Path) -> None:
    trusted = Tls.by_authority(tmp_path / "tls.pem")
    deleted(context, trusted, host="localhost")
    with pytest.raises(NoAnswer, match=r"cannot be reached over TLS.*127"):
        deleted(context, trusted)


def test_without_a_file_the_systems_authorities_decide(context: ssl.SSLContext) -> None:
    with pytest.raises(NoAnswer, match=r"(?i)certificate verify failed"):
        deleted(context, Tls.by_authority(), host="localhost")


def test_nobodys_word_is_enough_on_explicit_wish(context: ssl.SSLContext) -> None:
    deleted(context, Tls.by_nobody())


def test_a_server_that_speaks_no_tls_is_told() -> None:
    with pytest.raises(NoAnswer, match="over TLS"):
        deleted(None, Tls.by_nobody())


def test_a_client_without_tls_gets_no_answer_from_a_server_with_it(context: ssl.SSLContext) -> None:
    with pytest.raises(NoAnswer):
        deleted(context, None)


def test_a_certificate_of_a_key_that_the_protocol_does_not_know_is_nobodys() -> None:
    der = ssl.PEM_cert_to_DER_cert(certificate(fresh_key()).decode())
    assert certified_key(der) is None
    assert certified_key(b"no certificate") is None
    der = ssl.PEM_cert_to_DER_cert(certificate(server_engine_key()).decode())
    assert certified_key(der) == public_of(server_key())
