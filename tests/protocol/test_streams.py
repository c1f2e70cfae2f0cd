"""How streams are cut into blocks, signed and not. What the records say is in the tests of dumps and transactions."""

from collections.abc import Sequence
from hashlib import sha1
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import Malformed
from protocol.replication.dump import DumpEnd, DumpPosition, DumpRecord, DumpStart, HomedPrefix, read_dump_record
from protocol.replication.streams import (
    SIGNED_DIGEST_NAME,
    STREAM_HANDLE_SIZE_MAX,
    STREAM_RECORD_SIZE_MAX,
    STREAM_VALUE_COUNT_MAX,
    Block,
    StreamHead,
    StreamKind,
    StreamReader,
    written,
)
from protocol.trust.credential import SIGNATURE_SIZE_MAX

RECORDS: Sequence[DumpRecord] = (
    DumpStart(),
    DumpPosition(date_ms=0x000001A20314E620, number=10),
    HomedPrefix(b"0.NA/20.1000"),
    DumpEnd(),
)


def sign(octets: bytes) -> bytes:
    """Stands for the server's key: what is signed is the caller's business, which octets are is not."""
    return sha1(octets).digest() * 6 + b"RSA-1024"


def stream(kind: StreamKind, records: Sequence[DumpRecord] = RECORDS) -> bytes:
    head = StreamHead(kind, SIGNED_DIGEST_NAME if kind is StreamKind.SIGNED else b"")
    signer = sign if kind is StreamKind.SIGNED else None
    return head.to_bytes() + b"".join(written(record, signer) for record in records)


def read(pieces: Sequence[bytes], reader: StreamReader[DumpRecord] | None = None) -> list[Block[DumpRecord]]:
    reader = reader or StreamReader(read_dump_record)
    found: list[Block[DumpRecord]] = []
    for piece in pieces:
        reader.feed(piece)
        found += reader.blocks()
    return found


def test_the_head_of_a_signed_stream_names_its_digest() -> None:
    assert StreamHead(StreamKind.SIGNED, b"SHA1").to_bytes() == bytes.fromhex("00000000 00000004 53484131")
    reader = StreamReader(read_dump_record)
    assert read([bytes.fromhex("00000000 00000004 53484131")], reader) == []
    assert reader.head == StreamHead(StreamKind.SIGNED, b"SHA1")


def test_the_other_heads_are_a_type_alone() -> None:
    assert StreamHead(StreamKind.UNSIGNED).to_bytes() == bytes.fromhex("ffffffff")
    assert StreamHead(StreamKind.TLS).to_bytes() == bytes.fromhex("544c5300")
    with pytest.raises(Malformed):
        StreamHead(StreamKind.TLS, b"SHA1")
    with pytest.raises(Malformed):
        StreamHead(StreamKind.SIGNED, bytes(257))


def test_each_block_of_a_signed_stream_comes_with_its_octets_and_their_signature() -> None:
    octets = stream(StreamKind.SIGNED)
    reader = StreamReader(read_dump_record)
    blocks = read([octets], reader)
    assert [block.record for block in blocks] == list(RECORDS)
    assert [block.octets for block in blocks] == [record.to_bytes() for record in RECORDS]
    assert [block.signature for block in blocks[:-1]] == [sign(block.octets) for block in blocks[:-1]]
    assert blocks[-1].signature is None, "the end of a dump is not signed"
    assert reader.is_finished
    start = bytes.fromhex("00000000 00000004 53484131 00000002 00000080")
    assert octets.startswith(start + sign(bytes.fromhex("00000002")))


def test_blocks_of_an_unsigned_stream_have_no_signature() -> None:
    blocks = read([stream(StreamKind.UNSIGNED)])
    assert [block.record for block in blocks] == list(RECORDS)
    assert {block.signature for block in blocks} == {None}


def test_a_tls_stream_hands_on_what_follows_its_type() -> None:
    reader = StreamReader(read_dump_record)
    assert read([bytes.fromhex("544c5300 160303")], reader) == []
    assert reader.head == StreamHead(StreamKind.TLS)
    assert reader.is_finished
    assert reader.rest() == bytes.fromhex("160303")
    inside = StreamReader(read_dump_record, kind=StreamKind.TLS)
    records = b"".join(record.to_bytes() for record in RECORDS)
    assert [block.record for block in read([records], inside)] == list(RECORDS)


def test_what_comes_behind_the_end_is_kept_apart() -> None:
    reader = StreamReader(read_dump_record)
    octets = stream(StreamKind.UNSIGNED)
    assert len(read([octets[:9]], reader)) == 1
    assert reader.rest() == b""
    assert len(read([octets[9:] + b"more", b"and more"], reader)) == len(RECORDS) - 1
    assert reader.rest() == b"moreand more"
    assert reader.rest() == b""


@pytest.mark.parametrize("kind", [StreamKind.SIGNED, StreamKind.UNSIGNED])
def test_an_incomplete_stream_waits_wherever_it_is_cut(kind: StreamKind) -> None:
    octets = stream(kind)
    whole = read([octets])
    for end in range(len(octets)):
        reader = StreamReader(read_dump_record)
        before = read([octets[:end]], reader)
        assert not reader.is_finished
        assert before + read([octets[end:]], reader) == whole
        assert reader.is_finished


@given(st.lists(st.integers(0, 700), max_size=12), st.sampled_from([StreamKind.SIGNED, StreamKind.UNSIGNED]))
def test_any_cut_of_a_stream_gives_the_same_blocks(cuts: list[int], kind: StreamKind) -> None:
    octets = stream(kind)
    ends = [0, *sorted(cuts), len(octets)]
    assert read([octets[a:b] for a, b in pairwise(ends)]) == read([octets])


def test_a_record_that_comes_octet_by_octet_is_not_read_again_and_again() -> None:
    reads = 0

    def counting(first: DumpRecord | None) -> Any:
        nonlocal reads
        reads += 1
        return read_dump_record(first)

    octets = stream(StreamKind.UNSIGNED)
    found = read([octets[at : at + 1] for at in range(len(octets))], StreamReader(counting))
    assert len(found) == reads == len(RECORDS)


def test_blocks_before_garbage_are_given_first_and_nothing_after_it() -> None:
    reader = StreamReader(read_dump_record)
    reader.feed(stream(StreamKind.UNSIGNED, RECORDS[:2]) + b"\x77" + RECORDS[2].to_bytes())
    assert [block.record for block in reader.blocks()] == list(RECORDS[:2])
    for _ in range(2):
        with pytest.raises(Malformed):
            reader.blocks()
        reader.feed(RECORDS[2].to_bytes() * 1_000)
    assert not reader.is_finished
    assert len(reader._buffer) < 100, "what comes behind garbage is not kept"


def garbage() -> dict[str, str]:
    dump = "ffffffff 00000002"
    return {
        "an unknown type": "00000001",
        "a type that is nearly TLS": "544c5301",
        "a digest name that is too long": "00000000 00000101",
        "a signature that is too long": f"00000000 00000004 53484131 00000002 {SIGNATURE_SIZE_MAX + 1:08x}",
        "a handle that is too long": f"{dump} 01 {STREAM_HANDLE_SIZE_MAX + 1:08x}",
        "too many values": f"{dump} 01 00000000 {STREAM_VALUE_COUNT_MAX + 1:08x}",
        "a value that is too long": f"{dump} 01 00000000 00000001 {STREAM_RECORD_SIZE_MAX + 1:08x}",
        "values that are too long together": f"{dump} 01 00000000 00000002 {STREAM_RECORD_SIZE_MAX:08x}",
        "a value that is none": f"{dump} 01 00000000 00000001 00000001 00",
        "a value with octets behind it": f"{dump} 01 00000000 00000001 0000001b {'00' * 27}",
        "a text that is too long": f"{dump} 05 00100001",
        "an unknown record": f"{dump} 06",
        "a newer version": "ffffffff 00000003",
    }


@pytest.mark.parametrize(("what", "octets"), garbage().items())
def test_what_is_no_stream_is_malformed_as_soon_as_it_shows(what: str, octets: str) -> None:
    reader = StreamReader(read_dump_record)
    reader.feed(bytes.fromhex(octets))
    with pytest.raises(Malformed):
        while reader.blocks():
            assert not reader.is_finished


def test_a_record_of_many_values_ends_where_it_passes_the_bound() -> None:
    size = STREAM_RECORD_SIZE_MAX // 4
    value = bytes(14) + bytes(4) + (size - 26).to_bytes(4, "big") + bytes(size - 26) + bytes(4)
    piece = len(value).to_bytes(4, "big") + value
    reader = StreamReader(read_dump_record)
    reader.feed(bytes.fromhex("ffffffff 00000002 01 00000000 00000005"))
    assert len(reader.blocks()) == 1
    for _ in range(3):
        reader.feed(piece)
        assert reader.blocks() == []
    with pytest.raises(Malformed):
        reader.feed(piece)
        reader.blocks()


@given(st.lists(st.binary(max_size=60), max_size=8), st.sampled_from([None, StreamKind.UNSIGNED, StreamKind.SIGNED]))
def test_any_octets_are_blocks_or_wait_or_are_malformed(pieces: list[bytes], kind: StreamKind | None) -> None:
    try:
        blocks = read(pieces, StreamReader(read_dump_record, kind=kind))
    except Malformed:
        return
    for block in blocks:
        assert block.octets in b"".join(pieces)
