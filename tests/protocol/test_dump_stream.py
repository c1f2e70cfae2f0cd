"""The records of a dump: the examples of the spec, and both directions."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import Malformed
from protocol.replication.dump import (
    DumpedHandle,
    DumpEnd,
    DumpPosition,
    DumpRecord,
    DumpStart,
    HandleDate,
    HomedPrefix,
    OldDumpEnd,
    OtherSources,
    PrefixDate,
    ResumePoint,
    StartType,
    read_dump_record,
)
from protocol.replication.state_table import SourceState, read_replication_state
from protocol.replication.streams import StreamHead, StreamKind, StreamReader
from protocol.requests import DumpRequest, Receiver
from protocol.value import HandleValue, Reference
from protocol.version import NEWEST
from protocol.wire import Reader, Writer

URL: Final = HandleValue(
    index=1, timestamp=0x5F5E1000, ttl=86_400, permissions=0x0E, type=b"URL", data=b"http://example.com/"
)
URL_OCTETS: Final = "000000015f5e100000000151800e0000000355524c00000013687474703a2f2f6578616d706c652e636f6d2f00000000"
# Spec, resolution: section 9; the 48 octets of the value are those of section 8.
EXAMPLE: Final = (
    "ffffffff 00000002  00 000001a20314e620 000000000000000a  01 00000009 32302e313030302f35 00000001 00000030"
    + URL_OCTETS
    + "02 0000000c 302e4e412f32302e31303030  ff"
)


def read(octets: bytes, *, is_finished: bool = True) -> list[DumpRecord]:
    reader = StreamReader(read_dump_record, kind=StreamKind.UNSIGNED)
    reader.feed(octets)
    found: list[DumpRecord] = []
    while blocks := reader.blocks():
        found += [block.record for block in blocks]
    assert reader.is_finished == is_finished
    return found


def test_the_example_of_the_spec_is_read_and_written() -> None:
    reader = StreamReader(read_dump_record)
    reader.feed(bytes.fromhex(EXAMPLE))
    records = [block.record for block in reader.blocks()]
    assert records == [
        DumpStart(2),
        DumpPosition(date_ms=0x000001A20314E620, number=10),
        DumpedHandle(b"20.1000/5", (URL,)),
        HomedPrefix(b"0.NA/20.1000"),
        DumpEnd(),
    ]
    assert reader.is_finished
    octets = b"".join(record.to_bytes() for record in records)
    assert StreamHead(StreamKind.UNSIGNED).to_bytes() + octets == bytes.fromhex(EXAMPLE)


RECORDS: Final = (
    (OtherSources(b"{}"), "05 00000002 7b7d"),
    (HandleDate(handle=b"8/a", date_ms=7, priority=-1), "03 00000003 382f61 0000000000000007 ffffffff"),
    (PrefixDate(handle=b"0.NA/8", date_ms=-2, priority=301), "04 00000006 302e4e412f38 fffffffffffffffe 0000012d"),
    (DumpedHandle(b"8/a", ()), "01 00000003 382f61 00000000"),
    (DumpedHandle(b"", (URL, URL)), "01 00000000 00000002" + ("00000030" + URL_OCTETS) * 2),
)


@pytest.mark.parametrize(("record", "octets"), RECORDS)
def test_every_other_record_is_read_and_written(record: DumpRecord, octets: str) -> None:
    assert record.to_bytes() == bytes.fromhex(octets)
    assert read(bytes.fromhex("00000002" + octets + "ff")) == [DumpStart(2), record, DumpEnd()]


@pytest.mark.parametrize("version", [0, 1])
def test_an_older_dump_ends_with_its_position(version: int) -> None:
    octets = bytes.fromhex(f"{version:08x} 02 00000006 302e4e412f38 00 0000000000000007 000000000000000a")
    end = OldDumpEnd(date_ms=7, number=10)
    assert read(octets) == [DumpStart(version), HomedPrefix(b"0.NA/8"), end]
    assert DumpStart(version).to_bytes() + HomedPrefix(b"0.NA/8").to_bytes() + end.to_bytes() == octets


def test_a_null_value_is_left_out() -> None:
    octets = bytes.fromhex("00000002 01 00000000 00000003 00000000 00000030" + URL_OCTETS + "00000000 ff")
    assert read(octets)[1] == DumpedHandle(b"", (URL,))


def test_a_dump_goes_on_behind_the_last_record_that_came() -> None:
    points = {
        HandleDate(handle=b"8/a", date_ms=7, priority=1): (b"8/a", 0),
        PrefixDate(handle=b"0.NA/8", date_ms=7, priority=1): (b"0.NA/8", 1),
        DumpedHandle(b"8/a", ()): (b"8/a", 2),
        HomedPrefix(b"0.NA/8"): (b"0.NA/8", 3),
    }
    receiver = Receiver(hash_option=0, server_count=1, server_number=0)
    for record, (key, number) in points.items():
        point = record.resume_point
        assert point == ResumePoint(key, StartType(number))
        body = Writer()
        DumpRequest(receiver=receiver, start=point.start, start_type=point.start_type).write(body, NEWEST)
        asked = DumpRequest.read(Reader(body.to_bytes()), NEWEST)
        assert (asked.start, asked.start_type) == (key, number)
    for other in (DumpStart(), OtherSources(b""), DumpPosition(date_ms=1, number=1), DumpEnd()):
        assert other.resume_point is None


def test_the_other_sources_of_a_dump_are_a_replication_state() -> None:
    text = b'{ "301:0.NA/20.1000" = ( { "last_timestamp" = "16" "last_txn_id" = "7" } ) }'
    record = OtherSources(text)
    assert read(b"\0\0\0\2" + record.to_bytes(), is_finished=False)[1] == record
    assert read_replication_state(record.text) == {"301:0.NA/20.1000": (SourceState(number=7, date_ms=16),)}


i32 = st.integers(-(2**31), 2**31 - 1)
i64 = st.integers(-(2**63), 2**63 - 1)
handles = st.binary(max_size=20)
references = st.lists(st.builds(Reference, i32, handles), max_size=2).map(tuple)
values = st.lists(
    st.builds(
        HandleValue,
        index=i32,
        type=handles,
        data=handles,
        ttl_type=st.integers(0, 255),
        ttl=i32,
        timestamp=i32,
        permissions=st.integers(0, 255),
        references=references,
    ),
    max_size=3,
).map(tuple)
records = st.one_of(
    st.builds(OtherSources, handles),
    st.builds(DumpPosition, date_ms=i64, number=i64),
    st.builds(HandleDate, handle=handles, date_ms=i64, priority=i32),
    st.builds(PrefixDate, handle=handles, date_ms=i64, priority=i32),
    st.builds(DumpedHandle, handles, values),
    st.builds(HomedPrefix, handles),
)


@given(st.lists(records, max_size=6))
def test_what_was_written_is_read(found: list[DumpRecord]) -> None:
    whole = [DumpStart(), *found, DumpEnd()]
    assert read(b"".join(record.to_bytes() for record in whole)) == whole


@given(st.binary(max_size=120), st.sampled_from([1, 2]))
def test_any_octets_behind_a_start_are_read_or_malformed_and_stable(octets: bytes, version: int) -> None:
    reader = StreamReader(read_dump_record, kind=StreamKind.UNSIGNED)
    reader.feed(version.to_bytes(4, "big") + octets)
    try:
        records = [block.record for block in reader.blocks()]
        reader.blocks()
    except Malformed:
        return
    once = b"".join(record.to_bytes() for record in records)
    assert read(once, is_finished=reader.is_finished) == records
