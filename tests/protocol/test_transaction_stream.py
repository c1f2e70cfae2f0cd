"""The records of a transaction stream: the examples of the spec, and both directions."""

from hashlib import sha1
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import Malformed
from protocol.limits import HANDLE_SIZE_MAX
from protocol.replication.streams import StreamHead, StreamKind, StreamReader, written
from protocol.replication.transactions import (
    QUEUE_NAME_SIZE_MAX,
    Action,
    QueueEnd,
    QueueName,
    Transaction,
    TransactionEnd,
    TransactionFormat,
    TransactionRecord,
    TransactionStart,
    TransactionStatus,
    read_transaction_record,
)
from protocol.value import HandleValue

URL: Final = HandleValue(
    index=1, timestamp=0x5F5E1000, ttl=86_400, permissions=0x0E, type=b"URL", data=b"http://example.com/"
)
# Spec, resolution: section 8.
EXAMPLE: Final = """
    ffffffff 00000001 00000002
    01 0000000000000008 00000009 32302e313030302f35 01 00000174876e8000 00000001
       00000030 000000015f5e100000000151800e0000000355524c00000013687474703a2f2f6578616d706c652e636f6d2f00000000
    01 0000000000000009 00000009 32302e313030302f36 02 00000174876e83e8
    01 000000000000000a 0000000c 302e4e412f32302e31303030 04 00000174876e87d0
    00 000001a20314e61b"""
ONE: Final = TransactionStart(TransactionFormat.ONE_SOURCE, TransactionStatus.SENDING)
ALL: Final = TransactionStart(TransactionFormat.ALL_SOURCES, TransactionStatus.SENDING)
EXAMPLE_RECORDS: Final[tuple[TransactionRecord, ...]] = (
    ONE,
    Transaction(number=8, handle=b"20.1000/5", action=Action.CREATE, date_ms=1_600_000_000_000, values=(URL,)),
    Transaction(number=9, handle=b"20.1000/6", action=Action.DELETE, date_ms=1_600_000_001_000),
    Transaction(number=10, handle=b"0.NA/20.1000", action=Action.HOME, date_ms=1_600_000_002_000),
    TransactionEnd(0x000001A20314E61B),
)


def sign(octets: bytes) -> bytes:
    """128 octets that stand for a signature: with them the stream has the very lengths of the spec's example."""
    return sha1(octets).digest() * 6 + b"RSA-1024"


def read(octets: bytes, *, is_finished: bool = True) -> list[TransactionRecord]:
    reader = StreamReader(read_transaction_record, kind=StreamKind.UNSIGNED)
    reader.feed(octets)
    found: list[TransactionRecord] = []
    while blocks := reader.blocks():
        found += [block.record for block in blocks]
    assert reader.is_finished == is_finished
    return found


def test_the_example_of_the_spec_is_read_and_written() -> None:
    reader = StreamReader(read_transaction_record)
    reader.feed(bytes.fromhex(EXAMPLE))
    assert [block.record for block in reader.blocks()] == list(EXAMPLE_RECORDS)
    assert reader.is_finished
    octets = b"".join(record.to_bytes() for record in EXAMPLE_RECORDS)
    assert StreamHead(StreamKind.UNSIGNED).to_bytes() + octets == bytes.fromhex(EXAMPLE)


def test_the_same_stream_signed_has_a_signature_behind_each_record() -> None:
    head = StreamHead(StreamKind.SIGNED, b"SHA1").to_bytes()
    octets = head + b"".join(written(record, sign) for record in EXAMPLE_RECORDS)
    start = bytes.fromhex("00000001 00000002")
    first = EXAMPLE_RECORDS[1].to_bytes()
    assert octets.startswith(
        bytes.fromhex("00000000 00000004 53484131")
        + (start + bytes.fromhex("00000080") + sign(start))
        + (first + bytes.fromhex("00000080") + sign(first))
    )
    reader = StreamReader(read_transaction_record)
    reader.feed(octets)
    blocks = reader.blocks()
    assert [block.record for block in blocks] == list(EXAMPLE_RECORDS)
    assert all(block.signature == sign(block.octets) for block in blocks)
    assert b"".join(block.octets for block in blocks) == bytes.fromhex(EXAMPLE)[4:]


def test_a_stream_that_asks_for_a_new_dump_ends_at_once() -> None:
    octets = bytes.fromhex("00000001 00000001 00 000001a20314e61b")
    redump = TransactionStart(TransactionFormat.ONE_SOURCE, TransactionStatus.NEED_TO_REDUMP)
    assert read(octets) == [redump, TransactionEnd(0x000001A20314E61B)]


def test_a_stream_of_all_sources_names_its_queues_and_ends_without_a_date() -> None:
    records: list[TransactionRecord] = [
        ALL,
        QueueName(b"0:301:0.NA/20.1000"),
        Transaction(number=1, handle=b"20.1000/5", action=Action.UPDATE, date_ms=5),
        QueueEnd(7),
        QueueName(b"0:302:0.NA/20.1000"),
        QueueEnd(8),
        TransactionEnd(None),
    ]
    octets = bytes.fromhex(
        "00000002 00000002"
        "02 00000012 303a3330313a302e4e412f32302e31303030"
        "01 0000000000000001 00000009 32302e313030302f35 03 0000000000000005 00000000"
        "03 0000000000000007"
        "02 00000012 303a3330323a302e4e412f32302e31303030"
        "03 0000000000000008"
        "00"
    )
    assert read(octets) == records
    assert b"".join(record.to_bytes() for record in records) == octets


@pytest.mark.parametrize("action", [0, 2, 4, 5, 6, 7, 255])
def test_only_create_and_update_carry_values(action: int) -> None:
    found = Transaction(number=1, handle=b"8/a", action=action, date_ms=2)
    assert read(ONE.to_bytes() + found.to_bytes(), is_finished=False) == [ONE, found]
    with pytest.raises(Malformed):
        Transaction(number=1, handle=b"8/a", action=action, date_ms=2, values=(URL,))


def test_a_queue_name_holds_the_longest_handle() -> None:
    name = QueueName(b"0:2147483647:" + bytes(HANDLE_SIZE_MAX))
    assert read(ALL.to_bytes() + name.to_bytes(), is_finished=False)[1] == name


@pytest.mark.parametrize(
    "octets",
    [
        "00000000 00000002",
        "00000003 00000002",
        "00000001 00000000",
        "00000001 00000003",
        "00000001 00000002 02",
        "00000001 00000002 03",
        "00000001 00000002 04",
        "00000002 00000002 ff",
        f"00000002 00000002 02 {QUEUE_NAME_SIZE_MAX + 1:08x}",
    ],
)
def test_what_is_no_transaction_stream_is_malformed(octets: str) -> None:
    with pytest.raises(Malformed):
        read(bytes.fromhex(octets))


i64 = st.integers(-(2**63), 2**63 - 1)
values = st.lists(
    st.builds(HandleValue, index=st.integers(0, 9), type=st.binary(max_size=9), data=st.binary()), max_size=3
)
with_values = st.builds(
    Transaction,
    number=i64,
    handle=st.binary(max_size=9),
    action=st.sampled_from([1, 3]),
    date_ms=i64,
    values=values.map(tuple),
)
without = st.builds(
    Transaction,
    number=i64,
    handle=st.binary(max_size=9),
    action=st.integers(0, 255).filter(lambda action: action not in (1, 3)),
    date_ms=i64,
)
queue_records = st.one_of(st.builds(QueueName, st.binary(max_size=9)), st.builds(QueueEnd, i64))


@given(st.lists(st.one_of(with_values, without), max_size=5), i64)
def test_what_was_written_of_one_source_is_read(found: list[TransactionRecord], date_ms: int) -> None:
    whole = [ONE, *found, TransactionEnd(date_ms)]
    assert read(b"".join(record.to_bytes() for record in whole)) == whole


@given(st.lists(st.one_of(with_values, without, queue_records), max_size=5))
def test_what_was_written_of_all_sources_is_read(found: list[TransactionRecord]) -> None:
    whole = [ALL, *found, TransactionEnd(None)]
    assert read(b"".join(record.to_bytes() for record in whole)) == whole


@given(st.binary(max_size=120), st.sampled_from([ONE, ALL]))
def test_any_octets_behind_a_start_are_read_or_malformed_and_stable(octets: bytes, start: TransactionStart) -> None:
    reader = StreamReader(read_transaction_record, kind=StreamKind.UNSIGNED)
    reader.feed(start.to_bytes() + octets)
    try:
        records = [block.record for block in reader.blocks()]
        reader.blocks()
    except Malformed:
        return
    once = b"".join(record.to_bytes() for record in records)
    assert read(once, is_finished=reader.is_finished) == records
