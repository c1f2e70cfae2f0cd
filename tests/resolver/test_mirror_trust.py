"""Whom a mirror believes: signatures, TLS, replies; and what it does with octets that are no stream."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocol.codes import ResponseCode
from protocol.replication.streams import StreamHead, StreamKind
from protocol.trust.keys import public_of
from protocol.version import NEWEST, Version
from resolver.client_errors import NotProven, Refused
from resolver.client_proof import Identity
from resolver.client_tls import NotTrusted
from resolver.replication.asking import BadSource, SourceServer
from resolver.replication.channel import Cut
from resolver.replication.state import Phase
from storage.base import HomePrefix
from storage.memory import MemoryStore
from tests.support.loops import in_loop
from tests.support.mirrors import PREFIX, content, copying_pair, put
from tests.support.signing import DSA_KEY, OTHER_KEY, ROOT_KEY
from tests.support.sources import MIRROR


@in_loop
async def test_an_old_source_signs_its_blocks(tmp_path: Path) -> None:
    async with copying_pair(tmp_path, records=20) as pair:
        pair.source = SourceServer("127.0.0.1", pair.primary.port, public_of(ROOT_KEY), Version(2, 7))
        await pair.restarted().round()
        pair.change(*put(b"88.1/more"))
        await pair.mirror.round()
        assert pair.is_equal
        assert set(pair.primary.versions) == {Version(2, 7)}


@in_loop
async def test_a_source_with_a_dsa_key_signs_at_any_version(tmp_path: Path) -> None:
    async with copying_pair(tmp_path, records=9) as pair:
        pair.primary.key = pair.primary.stream_key = DSA_KEY
        source = pair.primary.made_source()
        source._tls_context = None
        pair.primary.source = source
        pair.source = SourceServer("127.0.0.1", pair.primary.port, public_of(DSA_KEY))
        await pair.restarted().round()
        assert pair.is_equal
        assert set(pair.primary.versions) == {NEWEST}


@in_loop
async def test_a_stream_whose_tls_has_another_key_is_not_taken(tmp_path: Path) -> None:
    async with copying_pair(tmp_path, records=9) as pair:
        pair.primary.stream_key = OTHER_KEY
        with pytest.raises(NotTrusted):
            await pair.mirror.round()
        assert content(pair.store)[0] == []


@in_loop
async def test_blocks_signed_by_another_key_or_changed_are_not_taken(tmp_path: Path) -> None:
    async with copying_pair(tmp_path, records=9) as pair:
        pair.source = SourceServer("127.0.0.1", pair.primary.port, public_of(ROOT_KEY), Version(2, 7))
        pair.primary.stream_key = OTHER_KEY
        with pytest.raises(BadSource, match="not signed"):
            await pair.restarted().round()
        pair.primary.stream_key = ROOT_KEY
        pair.primary.change_part = lambda octets: octets.replace(b"88.1/0003", b"88.1/EVIL")
        with pytest.raises(BadSource, match="not signed"):
            await pair.restarted().round()
        assert b"88.1/EVIL" not in [handle for handle, _ in content(pair.store)[0]]


@in_loop
async def test_signed_blocks_where_tls_is_to_be_had_are_refused(tmp_path: Path) -> None:
    """Else whoever stands between could play an old stream again."""
    async with copying_pair(tmp_path, records=9) as pair:
        pair.primary.source._tls_context = None
        with pytest.raises(BadSource, match="TLS"):
            await pair.mirror.round()
        pair.primary.version = Version(2, 7)
        with pytest.raises(BadSource, match="TLS"):
            await pair.mirror.round()
        assert content(pair.store)[0] == []


@in_loop
async def test_a_reply_that_the_server_did_not_sign_is_not_believed(tmp_path: Path) -> None:
    async with copying_pair(tmp_path, records=9) as pair:
        pair.primary.sign_reply = False
        with pytest.raises(NotProven):
            await pair.mirror.round()
        pair.primary.sign_reply = True
        pair.primary.key = OTHER_KEY
        with pytest.raises(NotProven):
            await pair.mirror.round()


@in_loop
async def test_refusals_are_told_with_their_code(tmp_path: Path) -> None:
    async with copying_pair(tmp_path, records=9) as pair:
        pair.primary.refuse = ResponseCode.INVALID_ADMIN
        with pytest.raises(Refused) as refused:
            await pair.mirror.round()
        assert refused.value.code == ResponseCode.INVALID_ADMIN
        pair.primary.refuse = None
        pair.identity = Identity(MIRROR, private_key=OTHER_KEY)
        with pytest.raises(Refused) as refused:
            await pair.restarted().round()
        assert refused.value.code == ResponseCode.AUTHENTICATION_FAILED


UNSIGNED = StreamHead(StreamKind.UNSIGNED).to_bytes() + bytes.fromhex("00000002 ff")


@pytest.mark.parametrize(
    ("octets", "error"),
    [
        (UNSIGNED, BadSource),
        (bytes.fromhex("544c5300") + b"no handshake at all, just words" * 20, Cut),
        (bytes.fromhex("544c5300"), Cut),
        (bytes.fromhex("00000007"), BadSource),
        (b"", Cut),
    ],
)
@in_loop
async def test_what_is_no_stream_is_an_error_and_no_change(
    tmp_path: Path, octets: bytes, error: type[Exception]
) -> None:
    async def parts() -> AsyncIterator[bytes]:
        if octets:
            yield octets

    async with copying_pair(tmp_path, records=9) as pair:
        pair.primary.source.dump = lambda *_, **__: parts()  # type: ignore[method-assign]
        with pytest.raises(error):
            await pair.mirror.round()
        assert content(pair.store)[0] == []


@in_loop
async def test_a_record_that_the_mirror_cannot_keep_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with copying_pair(tmp_path, records=9) as pair:
        transactions = MemoryStore()
        transactions.apply([HomePrefix(PREFIX), *put(b"88.1/A")], now_ms=pair.primary.now_ms)
        pair.primary.store = transactions
        pair.primary.source = pair.primary.made_source()
        pair.primary.change_part = lambda octets: octets.replace(b"88.1/A", b"88.1/\xff")
        await pair.mirror.round()
        assert "cannot be kept here" in caplog.text
        state = pair.mirror.state()
        assert state is not None
        assert state.phase is Phase.FOLLOW
