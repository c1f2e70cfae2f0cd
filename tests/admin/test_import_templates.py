"""Template files in both of their forms, and which template a row is read by."""

import json
from pathlib import Path
from typing import Any

import pytest

from admin.importing.rows import FileRefused
from admin.importing.templates import load_templates
from tests.admin.rows_of import errors, read, rows, texts

SAMPLE = Path(__file__).parent.parent.parent / "deploy" / "sample" / "liquor"


def items(**indexes: int) -> list[dict[str, Any]]:
    return [{"idType": name, "idIndex": index, "name": "x", "dataType": "string"} for name, index in indexes.items()]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """Two templates as JSON lines, as the registry takes them."""
    found = tmp_path / "templates.jsonl"
    first = {"handle": "88.107/META_VEH", "version": "VEH-1.0.0", "items": items(vin=2000, maker=2006)}
    second = {"handle": "88.107/META_ENT", "version": "ENT-1.0.0", "items": items(uscc=2000, maker=2009)}
    found.write_text(f"{json.dumps(first)}\n\n{json.dumps(second)}\n")
    return found


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """Two templates as one document, each made for a file."""
    found = tmp_path / "templates.json"
    templates = [
        {"handle": "88.1/META_BOX", "file": "box.csv", "items": items(code=2010, product=2011)},
        {"handle": "88.1/META_BOTTLE", "file": "bottle.csv", "items": items(code=2000, product=2005, batch=2007)},
    ]
    found.write_text(json.dumps({"prefix": "88.1", "templates": templates, "externalTemplates": []}))
    return found


def test_both_forms_say_the_same_of_a_template(lines: Path, document: Path) -> None:
    vehicle = load_templates(lines).by_handle("88.107/meta_veh")
    assert vehicle is not None
    assert vehicle.indexes == {"vin": 2000, "maker": 2006}
    box = load_templates(document).by_file("box.csv")
    assert box is not None
    assert box.indexes == {"code": 2010, "product": 2011}


def test_a_row_of_json_is_read_by_the_template_it_names(tmp_path: Path, lines: Path) -> None:
    record = {"handle": "88.107/A1", "template": "88.107/META_ENT", "fields": {"maker": "m", "uscc": "u"}}
    found = rows(read(tmp_path / "a.jsonl", json.dumps(record), template=lines))
    assert texts(found[0]) == [(2000, "uscc", "u"), (2009, "maker", "m")]


def test_a_row_of_json_without_a_template_is_read_by_the_only_one_that_fits(tmp_path: Path, lines: Path) -> None:
    fits = json.dumps({"handle": "88.107/A1", "fields": {"vin": "v", "maker": "m"}})
    unclear = json.dumps({"handle": "88.107/A2", "fields": {"maker": "m"}})
    good, bad = read(tmp_path / "a.jsonl", f"{fits}\n{unclear}", template=lines)
    assert texts(good) == [(2000, "vin", "v"), (2006, "maker", "m")]
    assert "2 templates of templates.jsonl have these fields" in errors([bad])[0].reason


@pytest.mark.parametrize(
    ("template", "fields", "column", "says"),
    [
        ("88.107/META_ODD", {"vin": "v"}, "template", "is not in templates.jsonl"),
        ("88.107/META_VEH", {"uscc": "u"}, "fields.uscc", "has no such field"),
    ],
)
def test_a_row_of_json_that_its_template_does_not_fit_is_an_error(
    tmp_path: Path, lines: Path, template: str, fields: dict[str, str], column: str, says: str
) -> None:
    record = {"handle": "88.107/A1", "template": template, "fields": fields}
    (error,) = errors(read(tmp_path / "a.jsonl", json.dumps(record), template=lines))
    assert error.column == column
    assert says in error.reason


def test_a_column_names_the_template_of_each_csv_row(tmp_path: Path, lines: Path) -> None:
    content = "handle,template,vin,uscc,maker\n88.107/A,88.107/META_VEH,v,,m\n88.107/B,88.107/META_ENT,,u,m\n"
    first, second = rows(read(tmp_path / "a.csv", content, template=lines))
    assert texts(first) == [(2000, "vin", "v"), (2006, "maker", "m")]
    assert texts(second) == [(2000, "uscc", "u"), (2009, "maker", "m")]


def test_a_cell_that_the_rows_template_does_not_have_is_an_error(tmp_path: Path, lines: Path) -> None:
    content = "handle,template,vin,uscc\n88.107/A,88.107/META_VEH,v,u\n88.107/B,88.107/META_ODD,v,\n"
    first, second = errors(read(tmp_path / "a.csv", content, template=lines))
    assert (first.column, first.reason) == ("uscc", "the row's template has no such field")
    assert second.column == "template"


def test_the_file_name_chooses_the_template_of_a_csv_file(tmp_path: Path, document: Path) -> None:
    content = "handle,product,code\n88.1/A,p,c\n"
    assert texts(rows(read(tmp_path / "box.csv", content, template=document))[0])[1] == (2011, "product", "p")
    assert texts(rows(read(tmp_path / "bottle.csv", content, template=document))[0])[1] == (2005, "product", "p")


def test_else_the_only_template_with_all_columns_is_chosen(tmp_path: Path, document: Path) -> None:
    found = rows(read(tmp_path / "other.csv", "handle,code,batch\n88.1/A,c,b\n", template=document))
    assert texts(found[0]) == [(2000, "code", "c"), (2007, "batch", "b")]


@pytest.mark.parametrize("header", ["handle,code,product", "handle,code,odd"])
def test_else_the_error_says_how_to_choose(tmp_path: Path, document: Path, header: str) -> None:
    with pytest.raises(FileRefused, match="add a column `template`"):
        read(tmp_path / "other.csv", f"{header}\n88.1/A,c,p\n", template=document)


def test_a_column_that_the_files_template_lacks_refuses_the_file(tmp_path: Path, document: Path) -> None:
    with pytest.raises(FileRefused, match=r"column 'batch': template 88\.1/META_BOX has no such field"):
        read(tmp_path / "box.csv", "handle,code,batch\n88.1/A,c,b\n", template=document)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("\n", "holds no template"),
        ("[]", "holds no template"),
        ("{", "line 1: not JSON"),
        ('{"handle":"a/b"}', "needs `handle`"),
        ('{"handle":"a/b","items":[{"idType":"x"}]}', "every item needs"),
        ('{"handle":"a/b","items":[{"idType":"x","idIndex":0}]}', "outside 1"),
        ('{"handle":"a/b","items":[{"idType":"x","idIndex":true}]}', "every item needs"),
        ('{"handle":"a/b","items":[{"idType":"x","idIndex":5},{"idType":"y","idIndex":5}]}', "stands twice"),
        ('[{"handle":"a/b","items":[]},{"handle":"A/B","items":[]}]', "two templates have one handle"),
        ("[" * 100_000, "not JSON"),
        (b"\xff\xfe", "is not UTF-8"),
    ],
)
def test_a_template_file_that_cannot_be_used_says_why(tmp_path: Path, content: str | bytes, says: str) -> None:
    path = tmp_path / "templates.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FileRefused) as refused:
        load_templates(path)
    assert says in str(refused.value)


def test_the_sample_is_read_whole_by_its_templates() -> None:
    templates = load_templates(SAMPLE / "templates.json")
    found = 0
    for file in sorted(SAMPLE.glob("*.csv")):
        template = templates.by_file(file.name)
        assert template is not None
        copy = rows(read_sample(file))
        found += len(copy)
        for row in copy:
            assert all(template.indexes[name] == index for index, name, _ in texts(row))
    assert found == 98


def read_sample(file: Path) -> list[Any]:
    from admin.importing.source import Source
    from tests.admin.rows_of import LIMITS, NOW_S

    template = SAMPLE / "templates.json"
    source = Source.of(file, file_format="auto", template=template, limits=LIMITS, timestamp=NOW_S)
    with source.open() as opened:
        return list(source.rows(opened))


def test_csv_and_json_of_one_record_are_the_same_octets(tmp_path: Path, lines: Path) -> None:
    record = {"handle": "88.107/A", "template": "88.107/META_ENT", "fields": {"maker": "m", "uscc": "u"}}
    from_json = rows(read(tmp_path / "a.jsonl", json.dumps(record), template=lines))
    content = "handle,template,maker,vin,uscc\n88.107/A,88.107/META_ENT,m,,u\n"
    from_csv = rows(read(tmp_path / "a.csv", content, template=lines))
    assert from_csv[0].values == from_json[0].values
