"""Exports: JSON lines that make the same store again, CSV that makes the same texts again."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin import exporting
from admin.exporting import NotExportedError, exact_json, export_csv, export_jsonl, is_plain, records_under
from admin.importing.rows import RowLimits
from admin.importing.runner import ImportOptions, import_file
from admin.importing.values import ValueOctets
from protocol.value import HandleValue, Reference, read_values, value_list
from protocol.wire import Reader
from storage.base import HomePrefix, PutRecord, Record
from storage.memory import MemoryStore
from tests.support.vectors import vectors

i32 = st.integers(-(2**31), 2**31 - 1)
octets = st.one_of(st.binary(max_size=12), st.text(max_size=8).map(lambda text: text.encode(errors="replace")))
values = st.builds(
    HandleValue,
    index=st.integers(1, 2**31 - 1),
    type=st.one_of(octets, st.sampled_from([b"URL", b"HS_ADMIN", b"HS_SITE", b"HS_VLIST", b"HS_PUBKEY"])),
    data=octets,
    ttl_type=st.integers(0, 255),
    ttl=i32,
    timestamp=i32,
    permissions=st.integers(0, 255),
    references=st.lists(st.builds(Reference, i32, octets), max_size=2).map(tuple),
)


def holding(records: Sequence[tuple[bytes, bytes]], *prefixes: bytes) -> MemoryStore:
    store = MemoryStore()
    store.apply([HomePrefix(prefix) for prefix in prefixes], now_ms=1)
    outcomes = store.apply([PutRecord(handle, values) for handle, values in records], now_ms=1)
    assert not any(outcome.error for outcome in outcomes)
    return store


def text_values(**texts: str) -> bytes:
    return value_list(
        [
            HandleValue(index=2000 + place, type=name.encode(), data=text.encode())
            for place, (name, text) in enumerate(texts.items())
        ]
    )


def all_records(store: MemoryStore) -> list[Record]:
    with store.view() as view:
        return list(records_under(view))


def jsonl(store: MemoryStore, prefix: str = "") -> str:
    out = io.StringIO()
    with store.view() as view:
        export_jsonl(view, out, prefix=prefix)
    return out.getvalue()


def imported(path: Path) -> MemoryStore:
    store = MemoryStore()
    summary = import_file(store, path, ImportOptions(home_prefixes=True))
    assert not summary.failed, summary.errors
    return store


@given(values)
def test_a_value_of_any_octets_comes_back_octet_for_octet(value: HandleValue) -> None:
    said = json.loads(json.dumps(exact_json(value)))
    assert ValueOctets(timestamp=5, limits=RowLimits()).of_json([said]) == value_list([value])


def test_the_captured_values_come_back_octet_for_octet() -> None:
    entries = vectors()["handleValues"]
    assert len(entries) == 19
    stored = [entry for entry in entries if entry["index"] > 0]
    assert len(stored) == 18  # An index of -5 can be read off the wire, and no record here has one.
    for entry in stored:
        wire = bytes.fromhex(entry["wireHex"])
        said = json.loads(json.dumps(exact_json(HandleValue.read(Reader(wire)))))
        assert ValueOctets(timestamp=5, limits=RowLimits()).of_json([said])[4:] == wire


def test_an_exported_store_is_made_again_equal(tmp_path: Path) -> None:
    records = [
        (b"88.100/Mixed-Case", text_values(a="x", b="轴承")),
        (b"88.100/unordered", value_list([HandleValue(index=i, type=b"T", data=b"\0\xff") for i in (9, 2, 5)])),
        ("88.100/锂电池".encode(), value_list([HandleValue(index=1, type=b"T", data=b"x", timestamp=0)])),
        (b"88.100/empty", value_list([])),
        (b"88.100/" + b"long" * 500, text_values(a="x")),
        (b"0.NA/88.100", value_list([HandleValue(index=1, type=b"HS_SITE", data=b"no site", timestamp=7)])),
        (b"88.200/x\ty", text_values(a="line\r\nline")),
    ]
    store = holding(records, b"0.NA/88.100", b"0.NA/88.200")
    path = tmp_path / "all.jsonl"
    path.write_text(jsonl(store))
    again = imported(path)
    assert all_records(again) == all_records(store)
    assert len(all_records(store)) == len(records)


def test_a_prefix_chooses_its_handles_alone() -> None:
    records = [(name, text_values(a="x")) for name in (b"88.100/A", b"88.1001/B", b"88.100.1/C", b"0.NA/88.100")]
    found = [json.loads(line)["handle"] for line in jsonl(holding(records), "88.100").splitlines()]
    assert found == ["88.100/A"]


def test_more_than_one_page_is_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "_PAGE", 7)
    records = [(b"88.100/%03d" % number, text_values(a="x")) for number in range(50)]
    assert len(jsonl(holding(records)).splitlines()) == 50


def csv_of(store: MemoryStore) -> tuple[str, exporting.Exported]:
    out = io.StringIO()
    with store.view() as view:
        done = export_csv(view, out)
    return out.getvalue(), done


def test_csv_has_a_column_for_each_index_and_type() -> None:
    store = holding([(b"88.1/A", text_values(a="1", b="2")), (b"88.1/B", text_values(b="3", c="x,y"))])
    text, done = csv_of(store)
    assert text.splitlines() == ["handle,a:2000,b:2000,b:2001,c:2001", "88.1/A,1,,2,", '88.1/B,,3,,"x,y"']
    assert (done.records, done.values, sum(done.left_out.values())) == (2, 4, 0)


def test_csv_leaves_out_and_counts_what_it_cannot_hold() -> None:
    odd = [
        HandleValue(index=1, type=b"URL", data=b"kept"),
        HandleValue(index=2, type=b"BIN", data=b"\xff\0"),
        HandleValue(index=3, type=b"SECRET", data=b"x", permissions=0x0C),
        HandleValue(index=4, type=b"REF", data=b"x", references=(Reference(1, b"a/b"),)),
        HandleValue(index=100, type=b"HS_ADMIN", data=bytes.fromhex(vectors()["valueData"][0]["hex"])),
    ]
    only = value_list(odd[1:2])
    text, done = csv_of(holding([(b"88.1/A", value_list(odd)), (b"88.1/B", only)]))
    assert text.splitlines() == ["handle,URL:1", "88.1/A,kept"]
    assert done.left_out == {"BIN": 2, "SECRET": 1, "REF": 1, "HS_ADMIN": 1}


def test_a_csv_of_too_many_columns_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "COLUMNS_MAX", 3)
    store = holding([(b"88.1/A", text_values(a="1", b="2", c="3", d="4"))])
    with pytest.raises(NotExportedError, match="use jsonl"):
        csv_of(store)


cells = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


@given(st.lists(st.dictionaries(cells, cells, min_size=1, max_size=4), min_size=1, max_size=4))
def test_csv_makes_the_same_texts_again(tmp_path_factory: pytest.TempPathFactory, found: list[dict[str, str]]) -> None:
    records = [(b"88.1/%d" % place, text_values(**texts)) for place, texts in enumerate(found)]
    text, done = csv_of(holding(records))
    path = tmp_path_factory.mktemp("csv") / "all.csv"
    path.write_bytes(text.encode())
    plain = {
        handle: [(v.index, v.type, v.data) for v in read_values(Reader(octets)) if is_plain(v)]
        for handle, octets in records
    }
    kept = {handle: sorted(rows) for handle, rows in plain.items() if rows}
    assert done.records == len(kept)
    if not kept:
        return
    again = {
        record.handle: sorted((v.index, v.type, v.data) for v in read_values(Reader(record.values)))
        for record in all_records(imported(path))
    }
    assert again == kept
