"""Mirrors that ask for all sources at once, and what a primary remembers of mirrors."""

import pytest

from protocol.errors import Malformed
from protocol.replication.transactions import (
    QueueEnd,
    QueueName,
    Transaction,
    TransactionEnd,
    TransactionFormat,
    TransactionStart,
    TransactionStatus,
)
from protocol.requests import DumpRequest, RetrieveTransactionsRequest
from protocol.value import HandleValue, value_list
from resolver.replication.source import NOTE_EVERY_MS
from storage.base import (
    CopyRecord,
    HomePrefix,
    NoteMirror,
    PruneJournal,
)
from storage.mirrors import MIRRORS, read_mirrors
from tests.protocol.test_transaction_stream import URL
from tests.support.engines import SITE
from tests.support.loops import in_loop
from tests.support.sending import ALONE, MIRROR, NEW, NOW_MS, Sending


@in_loop
async def test_the_form_of_all_sources_tells_our_queue_by_its_name() -> None:
    sending = Sending()
    sending.put(b"88.1/a", b"88.1/b")
    site = HandleValue(index=7, type=b"HS_SITE", data=SITE.to_bytes())
    sending.store.apply([HomePrefix(b"0.NA/88.1"), CopyRecord(b"0.NA/88.1", value_list([URL, site]))], now_ms=NOW_MS)
    state = b'{"replicationServerStates":{"0:7:0.NA/88.1":{"lastTxnId":3,"lastTimestamp":%d}},"ownName":"1:0.NA/1"}'
    start, queue, *records, queue_end, end = await sending.told(state=state % NOW_MS)
    assert start == TransactionStart(TransactionFormat.ALL_SOURCES, TransactionStatus.SENDING)
    assert queue == QueueName(b"0:7:0.NA/88.1")
    assert [r.number for r in records if isinstance(r, Transaction)] == [4]
    assert (queue_end, end) == (QueueEnd(NOW_MS), TransactionEnd(None))
    assert len((await sending.told(state=b'{"replicationServerStates":{},"ownName":"1:0.NA/1"}'))[2:-2]) == 4
    redump = TransactionStart(TransactionFormat.ALL_SOURCES, TransactionStatus.NEED_TO_REDUMP)
    far = state.replace(b'"lastTxnId":3', b'"lastTxnId":99') % NOW_MS
    assert await sending.told(state=far) == [redump, TransactionEnd(None)]


@pytest.mark.parametrize(
    "state",
    [
        b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"replicationServerStates":[]}',
        b'{"replicationServerStates":{"0:1:0.NA/0.NA":3}}',
        b'{"replicationServerStates":{"0:1:0.NA/0.NA":{"lastTxnId":"3"}}}',
        b'{"replicationServerStates":{"0:1:0.NA/0.NA":{"lastTxnId":1e400}}}',
        b'{"replicationServerStates":{"0:1:0.NA/0.NA":{"lastTxnId":' + b"9" * 5_000 + b"}}}",
        b'{"replicationServerStates":{"0:1:0.NA/0.NA":{"lastTimestamp":true}}}',
    ],
)  # fmt: skip
@in_loop
async def test_a_state_of_all_sources_that_is_none_is_refused(state: bytes) -> None:
    asked = RetrieveTransactionsRequest(receiver=ALONE, state=state)
    with pytest.raises(Malformed):
        Sending().source.transactions(asked, version=NEW, requester=MIRROR)


@in_loop
async def test_a_mirror_that_asks_is_known_and_keeps_its_rows_from_being_pruned() -> None:
    sending = Sending()
    sending.put(*[b"88.1/%d" % n for n in range(9)], at_ms=5)
    await sending.told(4, NOW_MS)
    with sending.store.view() as view:
        known = read_mirrors(view.meta(MIRRORS))
    assert known == {"300:0.NA/20.2000 server 0 of 1 by 2": (4, NOW_MS)}
    sending.store.apply([PruneJournal(before_ms=NOW_MS, heard_since_ms=NOW_MS)], now_ms=NOW_MS)
    _, *records, _ = await sending.told(4, 6)
    assert [r.number for r in records if isinstance(r, Transaction)] == [5, 6, 7, 8, 9]


@in_loop
async def test_a_mirror_is_written_down_when_it_moved_or_was_not_heard_of_for_a_while() -> None:
    sending = Sending()
    sending.put(*[b"88.1/%d" % n for n in range(9)], at_ms=5)
    for number, later_ms in ((4, 0), (4, 1_000), (5, 0), (5, NOTE_EVERY_MS + 1), (5, 0)):
        sending.now_ms += later_ms
        await sending.told(number, NOW_MS)
    assert [change.number for change in sending.noted] == [4, 5, 5]
    await sending.dumped(DumpRequest(receiver=ALONE))
    await sending.dumped(DumpRequest(receiver=ALONE, start=b"88.1/3", start_type=2))
    assert sending.noted[3:] == [NoteMirror("300:0.NA/20.2000 server 0 of 1 by 2", 9)]


@in_loop
async def test_a_store_that_cannot_be_written_stops_no_stream(caplog: pytest.LogCaptureFixture) -> None:
    sending = Sending()
    sending.put(b"88.1/a")
    sending.is_full = True
    assert len(await sending.told()) == 3
    assert "could not be kept: no room" in caplog.text
