"""What a primary sends its mirrors: octets as in the spec's examples, bounded pages, filters, and known mirrors."""

import ssl
from collections.abc import AsyncIterator

import pytest

from protocol.errors import Malformed
from protocol.identifier import server_of
from protocol.replication.dump import DumpedHandle, HomedPrefix, StartType
from protocol.replication.streams import StreamReader
from protocol.replication.transactions import (
    Action,
    Transaction,
    TransactionEnd,
    TransactionFormat,
    TransactionRecord,
    TransactionStart,
    TransactionStatus,
    read_transaction_record,
)
from protocol.requests import DumpRequest, Receiver, RetrieveTransactionsRequest
from protocol.trust.keys import SHA1, public_of, verifies
from protocol.value import HandleValue, value_list
from resolver.pending import Part, Secure
from resolver.replication.pages import PAGE_OCTETS
from resolver.replication.source import V_TLS_STREAM
from storage.base import (
    CopyRecord,
    HomePrefix,
    PruneJournal,
    PutRecord,
    StoreError,
    UnhomePrefix,
)
from storage.memory import MemoryStore
from tests.protocol.test_dump_stream import EXAMPLE as DUMP_EXAMPLE
from tests.protocol.test_transaction_stream import EXAMPLE as TRANSACTION_EXAMPLE
from tests.protocol.test_transaction_stream import URL
from tests.support.loops import in_loop
from tests.support.sending import ALONE, MIRROR, NEW, NOW_MS, OLD, Sending, read
from tests.support.signing import ROOT_KEY


def example_store(*, home_at_ms: int) -> MemoryStore:
    """A store whose transactions 8, 9 and 10 are those of the spec's example."""
    store = MemoryStore()
    url = value_list([URL])
    for number in range(1, 7):
        store.apply([PutRecord(b"20.1000/OLD%d" % number, url)], now_ms=number)
    store.apply([PutRecord(b"20.1000/6", url)], now_ms=7)
    store.apply([PutRecord(b"20.1000/5", url)], now_ms=1_600_000_000_000)
    store.apply([CopyRecord(b"20.1000/6", None)], now_ms=1_600_000_001_000)
    store.apply([HomePrefix(b"0.NA/20.1000")], now_ms=home_at_ms)
    return store


@in_loop
async def test_the_example_of_the_spec_is_sent_inside_tls() -> None:
    sending = Sending(example_store(home_at_ms=1_600_000_002_000))
    asked = RetrieveTransactionsRequest(receiver=ALONE, last_number=7, last_date_ms=NOW_MS - 1)
    head, secure, *rest = await sending.parts(asked)
    assert head == bytes.fromhex("544c5300")
    assert isinstance(secure, Secure)
    assert isinstance(secure.context, ssl.SSLContext)
    assert b"".join(part for part in rest if isinstance(part, bytes)) == bytes.fromhex(TRANSACTION_EXAMPLE)[4:]


@in_loop
async def test_below_2_8_the_same_example_is_signed_block_by_block() -> None:
    sending = Sending(example_store(home_at_ms=1_600_000_002_000))
    records = await sending.told(7, NOW_MS - 1)
    assert b"".join(sending.signed) == bytes.fromhex(TRANSACTION_EXAMPLE)[4:]
    assert len(sending.signed) == len(records) == 5
    parts = await sending.parts(RetrieveTransactionsRequest(receiver=ALONE, last_number=7, last_date_ms=NOW_MS), OLD)
    octets = b"".join(part for part in parts if isinstance(part, bytes))
    start = bytes.fromhex("00000001 00000002")
    assert octets.startswith(bytes.fromhex("00000000 00000004 53484131") + start + (256).to_bytes(4, "big"))
    assert verifies(public_of(ROOT_KEY), SHA1, start, octets[24 : 24 + 256])


@in_loop
async def test_the_dump_of_the_spec_is_sent() -> None:
    sending = Sending()
    sending.now_ms = 0x000001A20314E620
    url = value_list([URL])
    for number in range(4):
        sending.store.apply([PutRecord(b"20.1000/6", url)], now_ms=number)
        sending.store.apply([CopyRecord(b"20.1000/6", None)], now_ms=number)
    sending.store.apply([PutRecord(b"20.1000/5", url), HomePrefix(b"0.NA/20.1000")], now_ms=9)
    _, secure, *rest = await sending.parts(DumpRequest(receiver=ALONE))
    assert isinstance(secure, Secure)
    assert b"".join(part for part in rest if isinstance(part, bytes)) == bytes.fromhex(DUMP_EXAMPLE)[4:]
    sending.signed.clear()
    await sending.dumped(DumpRequest(receiver=ALONE))
    assert b"".join(sending.signed) + b"\xff" == bytes.fromhex(DUMP_EXAMPLE)[4:], "all but the end is signed"


@in_loop
async def test_tls_begins_with_2_8_and_a_key_that_tls_does_not_take_signs_at_any_version() -> None:
    sending = Sending()
    asked = DumpRequest(receiver=ALONE)
    assert any(isinstance(part, Secure) for part in await sending.parts(asked, V_TLS_STREAM))
    assert not any(isinstance(part, Secure) for part in await sending.parts(asked, OLD))
    by_dsa = Sending(is_dsa=True)
    parts = await by_dsa.parts(asked, NEW)
    assert parts[0] == bytes.fromhex("00000000 00000004 53484131")


@in_loop
async def test_values_are_those_of_now_and_what_no_longer_holds_is_left_out() -> None:
    sending = Sending()
    sending.put(b"88.1/KEPT", b"88.1/GONE", b"88.1/BACK")
    sending.store.apply([CopyRecord(b"88.1/GONE", None), CopyRecord(b"88.1/BACK", None)], now_ms=NOW_MS)
    later = HandleValue(index=2, type=b"URL", data=b"later", timestamp=1)
    changes = [CopyRecord(b"88.1/kept", value_list([later])), CopyRecord(b"88.1/BACK", value_list([later]))]
    sending.store.apply(changes, now_ms=NOW_MS)
    start, *records, end = await sending.told()
    assert start == TransactionStart(TransactionFormat.ONE_SOURCE, TransactionStatus.SENDING)
    assert end == TransactionEnd(NOW_MS)
    assert [(r.number, r.handle, r.action) for r in records if isinstance(r, Transaction)] == [
        (1, b"88.1/kept", Action.CREATE),
        (3, b"88.1/BACK", Action.CREATE),
        (4, b"88.1/GONE", Action.DELETE),
        (6, b"88.1/kept", Action.UPDATE),
        (7, b"88.1/BACK", Action.CREATE),
    ]
    assert all(r.values == (later,) for r in records if isinstance(r, Transaction) and r.action != Action.DELETE)


@pytest.mark.parametrize("hash_option", [0, 1, 2])
@in_loop
async def test_each_server_of_a_site_gets_its_share_and_every_home_and_unhome(hash_option: int) -> None:
    sending = Sending()
    handles = [b"88.%d/%d" % (n % 5, n) for n in range(200)]
    sending.put(*handles)
    sending.store.apply([HomePrefix(b"0.NA/88.1"), UnhomePrefix(b"0.NA/88.1"), HomePrefix(b"0.NA/88.2")], now_ms=1)
    told: list[bytes] = []
    for number in range(3):
        receiver = Receiver(hash_option=hash_option, server_count=3, server_number=number)
        _, *records, _ = await sending.told(receiver=receiver)
        homes = [(r.action, r.handle) for r in records if isinstance(r, Transaction) and r.action >= Action.HOME]
        assert homes == [
            (Action.HOME, b"0.NA/88.1"), (Action.UNHOME, b"0.NA/88.1"), (Action.HOME, b"0.NA/88.2"),
        ]  # fmt: skip
        share = [r.handle for r in records if isinstance(r, Transaction) and r.action == Action.CREATE]
        assert share == [handle for handle in handles if server_of(handle, hash_option, 3) == number]
        dump = await sending.dumped(DumpRequest(receiver=receiver))
        assert sorted(r.handle for r in dump if isinstance(r, DumpedHandle)) == sorted(share)
        assert [r.handle for r in dump if isinstance(r, HomedPrefix)] == [b"0.NA/88.2"]
        told += share
    assert sorted(told) == sorted(handles)


@pytest.mark.parametrize(
    ("count", "number", "hash_option"),
    [(0, 0, 2), (-1, 0, 2), (1, 1, 2), (3, -1, 2), (2_000_000, 0, 2), (1, 0, 3)],
)
@in_loop
async def test_a_share_that_no_site_has_is_refused_before_anything_is_sent(
    count: int, number: int, hash_option: int
) -> None:
    sending = Sending()
    receiver = Receiver(hash_option=hash_option, server_count=count, server_number=number)
    with pytest.raises(Malformed):
        sending.source.dump(DumpRequest(receiver=receiver), version=NEW, requester=MIRROR)
    with pytest.raises(Malformed):
        asked = RetrieveTransactionsRequest(receiver=receiver)
        sending.source.transactions(asked, version=NEW, requester=MIRROR)


@in_loop
async def test_a_dump_goes_on_behind_any_of_its_records() -> None:
    sending = Sending()
    handles = [b"88.1/%04d" % n for n in range(150)]
    sending.put(*handles)
    prefixes = [b"0.NA/88.%d" % n for n in range(1, 6)]
    sending.store.apply([HomePrefix(prefix) for prefix in prefixes], now_ms=NOW_MS)
    whole = await sending.dumped(DumpRequest(receiver=ALONE))
    behind_position = whole[2:]
    for place in (0, 1, 70, 149, 150, 152, 154):
        record = behind_position[place]
        point = record.resume_point
        assert point is not None
        again = await sending.dumped(DumpRequest(receiver=ALONE, start=point.start, start_type=point.start_type))
        assert again == [whole[0], *behind_position[place + 1 :]]
    for kind in (StartType.HANDLE_DATE, StartType.PREFIX_DATE):  # We have no dates: all records are behind them.
        again = await sending.dumped(DumpRequest(receiver=ALONE, start=b"88.1/0100", start_type=kind))
        assert again == [whole[0], *behind_position]


@pytest.mark.parametrize(("start", "kind"), [(b"", 2), (b"x" * 3_000, 2), (b"88.1/a", 4), (b"88.1/a", -1)])
@in_loop
async def test_a_dump_behind_what_is_no_key_is_refused(start: bytes, kind: int) -> None:
    with pytest.raises(Malformed):
        asked = DumpRequest(receiver=ALONE, start=start, start_type=kind)
        Sending().source.dump(asked, version=NEW, requester=MIRROR)


@in_loop
async def test_a_mirror_that_does_not_read_holds_neither_a_view_nor_more_than_a_page() -> None:
    sending = Sending()
    wide = value_list([HandleValue(index=n, type=b"N", data=bytes(60_000)) for n in range(1, 4)])
    for n in range(40):
        sending.store.apply([CopyRecord(b"88.1/%02d" % n, wide)], now_ms=1)
    views = 0
    original = sending.store.view

    class Watched:
        def __enter__(self) -> MemoryStore:
            nonlocal views
            views += 1
            self.view = original()
            return self.view.__enter__()

        def __exit__(self, *error: object) -> None:
            nonlocal views
            views -= 1
            self.view.__exit__(None, None, None)

    sending.store.view = Watched  # type: ignore[method-assign, assignment]
    streams: list[AsyncIterator[Part]] = [
        sending.source.dump(DumpRequest(receiver=ALONE), version=NEW, requester=MIRROR),
        sending.source.transactions(RetrieveTransactionsRequest(receiver=ALONE), version=NEW, requester=MIRROR),
    ]
    for parts in streams:
        total = 0
        async for part in parts:
            assert views == 0
            if isinstance(part, bytes):
                assert len(part) < PAGE_OCTETS + 200_000
                total += len(part)
        assert total > 40 * 180_000


@in_loop
async def test_what_is_committed_while_a_stream_runs_is_left_for_the_next_question() -> None:
    sending = Sending()
    sending.put(*[b"88.1/%04d" % n for n in range(200)])
    asked = RetrieveTransactionsRequest(receiver=ALONE)
    parts = []
    async for part in sending.source.transactions(asked, version=OLD, requester=MIRROR):
        parts.append(part)
        if len(parts) > 1:  # The first part is the same for every stream: nothing was read for it.
            sending.put(b"88.1/MORE%d" % len(parts))
            sending.now_ms += 1
    reader: StreamReader[TransactionRecord] = StreamReader(read_transaction_record)
    _, *records, end = read(reader, parts)
    assert [r.number for r in records] == list(range(1, 201))
    assert end == TransactionEnd(NOW_MS), "the date is of when the last number was read, not of the end"


@in_loop
async def test_rows_pruned_under_a_stream_break_it() -> None:
    sending = Sending()
    sending.put(*[b"88.1/%04d" % n for n in range(200)], at_ms=5)
    asked = RetrieveTransactionsRequest(receiver=ALONE)
    with pytest.raises(StoreError, match="pruned"):
        async for part in sending.source.transactions(asked, version=NEW, requester=MIRROR):
            if isinstance(part, bytes) and len(part) > 1_000:
                prune = PruneJournal(before_ms=NOW_MS, heard_since_ms=2 * NOW_MS)
                sending.store.apply([prune], now_ms=NOW_MS)


@in_loop
async def test_a_mirror_that_cannot_be_told_what_it_missed_hears_so_and_gets_its_own_date_back() -> None:
    sending = Sending()
    sending.put(b"88.1/a", b"88.1/b", b"88.1/c", at_ms=NOW_MS)
    sending.store.apply([PruneJournal(before_ms=2 * NOW_MS, heard_since_ms=0)], now_ms=NOW_MS)
    redump = TransactionStart(TransactionFormat.ONE_SOURCE, TransactionStatus.NEED_TO_REDUMP)
    assert await sending.told(1, 77) == [redump, TransactionEnd(77)]
    assert sending.noted == [], "it must not keep the journal from being pruned for nothing"
    assert await sending.told(9, NOW_MS) == [redump, TransactionEnd(NOW_MS)], "it has changes that we never made"
    assert (await sending.told(3, NOW_MS))[0] != redump


@in_loop
async def test_the_clock_may_be_set_back_and_dates_are_not() -> None:
    sending = Sending()
    sending.put(b"88.1/a", at_ms=NOW_MS)
    sending.now_ms = NOW_MS - 5_000_000
    assert (await sending.told())[-1] == TransactionEnd(NOW_MS)
