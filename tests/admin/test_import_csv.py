"""CSV as rows: columns and their indexes, encodings, quotes, and what is wrong with a record."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin.importing.csv_lines import CsvLines
from admin.importing.lines import Line
from admin.importing.rows import FileRefused, Row, RowError
from admin.importing.source import Source
from tests.admin.rows_of import LIMITS, NOW_S, errors, read, rows, texts


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "parts.csv"


def only_error(path: Path, content: str | bytes) -> RowError:
    (error,) = errors(read(path, content))
    return error


def test_columns_become_values_from_2000_in_their_order(path: Path) -> None:
    (row,) = rows(read(path, "handle,name,batch\n88.100/A1,轴承,B1\n"))
    assert row.handle == b"88.100/A1"
    assert texts(row) == [(2000, "name", "轴承"), (2001, "batch", "B1")]


def test_an_empty_cell_makes_no_value_and_keeps_its_place(path: Path) -> None:
    (row,) = rows(read(path, "handle,a,b,c\n88.100/A1,1,,3\n"))
    assert texts(row) == [(2000, "a", "1"), (2002, "c", "3")]


def test_a_header_may_say_the_index(path: Path) -> None:
    (row,) = rows(read(path, "handle,URL:1,name,10320/loc:5\n88.100/A1,u,n,l\n"))
    assert texts(row) == [(1, "URL", "u"), (5, "10320/loc", "l"), (2001, "name", "n")]


def test_columns_that_describe_the_row_make_no_value_and_take_no_index(path: Path) -> None:
    header = "handle,prefix,template,version,industry,kind,vin\n"
    (row,) = rows(read(path, header + "88.100/A1,88.100,88/META,1.0.0,auto,VEH,LBA1\n"))
    assert texts(row) == [(2000, "vin", "LBA1")]


def test_such_a_column_makes_a_value_where_the_header_gives_it_an_index(path: Path) -> None:
    (row,) = rows(read(path, "handle,version:7\n88.100/A1,1.0.0\n"))
    assert texts(row) == [(7, "version", "1.0.0")]


def test_quoted_cells_hold_commas_quotes_and_lines(path: Path) -> None:
    content = 'handle,a,b\n88.100/A1,"1,5 ""mm""","two\nlines"\n88.100/A2,x,y\n'
    first, second = rows(read(path, content))
    assert [text for _, _, text in texts(first)] == ['1,5 "mm"', "two\nlines"]
    assert (first.line, second.line) == (2, 4)


def test_a_quote_within_a_bare_cell_is_a_sign_like_others(path: Path) -> None:
    (row,) = rows(read(path, 'handle,a\n88.100/A1,5" pipe\n'))
    assert texts(row) == [(2000, "a", '5" pipe')]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_chinese_text_is_the_same_in_each_encoding(path: Path, encoding: str, ending: str) -> None:
    lines = ["handle,产品,备注", "88.100/瓶1,白酒,高粱", '88.100/瓶2,"锂电池,冲击扳手",', ""]
    first, second = rows(read(path, ending.join(lines).encode(encoding)))
    assert first.handle == "88.100/瓶1".encode()
    assert texts(first) == [(2000, "产品", "白酒"), (2001, "备注", "高粱")]
    assert texts(second) == [(2000, "产品", "锂电池,冲击扳手")]


def test_one_broken_line_does_not_make_a_file_gb18030(path: Path) -> None:
    good = "".join(f"88.100/A{number},白酒\n" for number in range(5))
    found = read(path, "handle,产品\n".encode() + b"88.100/B,\xff\xff\n" + good.encode())
    (error,) = errors(found)
    assert (error.line, error.reason) == (2, "the line is neither UTF-8 nor GB18030")
    assert [texts(row)[0][2] for row in found if isinstance(row, Row)] == ["白酒"] * 5


def test_octets_that_are_no_text_at_all_are_the_error_of_their_row(path: Path) -> None:
    found = read(path, b"handle,a\n88.100/A1,x\n88.100/A2,\xff\n88.100/A3,y\n")
    assert [type(row).__name__ for row in found] == ["Row", "RowError", "Row"]
    assert found[1] == RowError(3, "", "", "the line is neither UTF-8 nor GB18030")


def test_a_quote_that_is_never_closed_costs_its_row_alone(path: Path) -> None:
    content = 'handle,a\n88.100/A1,x\n88.100/A2,"open\n88.100/A3,y\n88.100/A4,z\n'
    found = read(path, content)
    assert [row.line for row in found] == [2, 3, 4, 5]
    assert [error.reason for error in errors(found)] == ["a quote is not closed"]


def test_two_open_quotes_cost_their_two_rows(path: Path) -> None:
    content = 'handle,a\n88.100/A1,"open\n88.100/A2,x\n88.100/A3,"too\n88.100/A4,y\n'
    found = read(path, content)
    assert [row.line for row in found if isinstance(row, Row)] == [3, 5]
    assert [error.line for error in errors(found)] == [2, 4]


def test_an_open_quote_before_a_great_many_lines_is_given_up(path: Path) -> None:
    rest = "".join(f"88.100/B{number},x\n" for number in range(12_000))
    found = read(path, 'handle,a\n88.100/A1,"open\n' + rest)
    assert len(found) == 12_001
    assert [error.line for error in errors(found)] == [2]


@pytest.mark.parametrize(
    ("record", "column", "says"),
    [
        (",x,y", "handle", "missing"),
        ("A1,x,y", "handle", "no slash"),
        (" 88.100/A1,x,y", "handle", "white space"),
        ('"88.100/A\n1",x,y', "handle", "control character"),
        ("88.100/" + "A" * 2_100 + ",x,y", "handle", "at most 2,048"),
        ("88.100/A1,x", "", "2 cells where the header has 3"),
        ("88.100/A1,x,y,z", "", "4 cells where the header has 3"),
        ("88.100/A1,x,y\0z", "b", "NUL"),
        ("88.100/A1,,", "", "no values"),
        ("88.100/A1," + "x" * 70_000 + ",y", "a", "at most 65,536"),
    ],
)
def test_a_broken_record_names_its_column_and_the_reason(path: Path, record: str, column: str, says: str) -> None:
    error = only_error(path, f"handle,a,b\n{record}\n")
    assert error.line == 2
    assert error.column == column
    assert says in error.reason


def test_records_of_empty_cells_are_no_rows(path: Path) -> None:
    assert len(rows(read(path, "handle,a\n\n,\n88.100/A1,x\n,\n"))) == 1


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("name,handle", "first column must be `handle`, not 'name'"),
        ("handle;name", "cells are separated by commas"),
        ("handle", "no column makes a value"),
        ("handle,version", "no column makes a value"),
        ("handle,", "has no name"),
        ("handle,:5", "has no name"),
        ("handle,URL:0", "an index is 1 to"),
        ("handle,URL:99999999999", "an index is 1 to"),
        ('handle,"open', "a quote is not closed"),
    ],
)
def test_a_header_that_cannot_be_used_refuses_the_file(path: Path, header: str, says: str) -> None:
    with pytest.raises(FileRefused, match="parts") as refused:
        read(path, f"{header}\n88.100/A1,x\n")
    assert says in str(refused.value)


@pytest.mark.parametrize("header", ["URL:5,DESC:5", "URL,DESC:2000"])
def test_columns_may_share_an_index_while_a_row_fills_only_one(path: Path, header: str) -> None:
    first, second, third = read(path, f"handle,{header}\n88.100/A,u,\n88.100/B,,d\n88.100/C,u,d\n")
    assert [(kind, text) for row in (first, second) for _, kind, text in texts(row)] == [("URL", "u"), ("DESC", "d")]
    assert errors([third])[0].column == "DESC"


def test_a_header_in_capitals_is_one(path: Path) -> None:
    assert texts(rows(read(path, "Handle, name \n88.100/A1,x\n"))[0]) == [(2000, "name", "x")]


def test_the_format_is_seen_where_the_name_does_not_say_it(tmp_path: Path) -> None:
    assert texts(rows(read(tmp_path / "rows.txt", "handle,a\n88.100/A1,x\n"))[0]) == [(2000, "a", "x")]
    assert texts(rows(read(tmp_path / "rows", '{"handle":"88.100/A1","fields":{"a":"x"}}'))[0]) == [(2000, "a", "x")]
    assert len(errors(read(tmp_path / "rows.csv", "handle,a\n88.100/A1,x\n", file_format="jsonl"))) == 2


@given(st.lists(st.binary(max_size=30).map(lambda octets: octets.replace(b"\n", b"")), max_size=12))
def test_any_lines_are_cells_or_reasons_and_no_line_is_lost(lines: list[bytes]) -> None:
    numbered = iter([Line(number, octets) for number, octets in enumerate(lines, 1)])
    found = list(CsvLines(numbered, encoding="utf-8").records())
    begun = [record.line for record in found]
    assert begun == sorted(set(begun))
    plain = {number for number, octets in enumerate(lines, 1) if octets and b'"' not in b"".join(lines)}
    assert plain <= set(begun)
    assert all(record.cells or record.reason for record in found)


def test_the_file_can_be_read_again(tmp_path: Path) -> None:
    path = tmp_path / "parts.csv"
    path.write_text("handle,a\n88.100/A1,x\n")
    source = Source.of(path, file_format="auto", template=None, limits=LIMITS, timestamp=NOW_S)
    for _ in range(2):
        with source.open() as file:
            assert len(list(source.rows(file))) == 1
