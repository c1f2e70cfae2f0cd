"""`hnode store stat` and `verify`, `hnode export`, and what they say of a store that is not sound or not there."""

import json
import os
import shutil
from pathlib import Path

import pytest

from admin.errors import ExitCode
from tests.admin.local_nodes import LocalNode


@pytest.fixture
def node(tmp_path: Path) -> LocalNode:
    made = LocalNode(tmp_path)
    for name in ("A", "B"):
        made.run("handle", "create", f"88.100/{name}", f"URL={name}")
    return made


def test_stat_counts_and_measures(node: LocalNode) -> None:
    told = node.json("store", "stat")
    assert (told["records"], told["homed"], told["journal_rows"]) == (2, 2, 4)
    assert told["octets_per_record"] == round(told["used_size"] / 2, 1)
    assert told["file_size"] > 0 < told["map_size"]
    assert "octets_per_record" in node.run("store", "stat").out


def test_a_sound_store_verifies(node: LocalNode) -> None:
    assert node.json("store", "verify") == {"records": 2, "journal_rows": 4, "problems": []}
    assert node.run("store", "verify").out == "sound: 2 records, 4 journal rows\n"


def test_a_record_that_cannot_be_read_is_told_and_ends_with_1(node: LocalNode) -> None:
    file = node.folder / "store" / "data.mdb"
    size = b"\0\0\0\x08"
    # In every place: pages that are no longer part of the store still hold old octets.
    file.write_bytes(file.read_bytes().replace(size + b"HS_ADMIN", b"\xff" * 4 + b"HS_ADMIN"))
    ended = node.run("store", "verify", "-o", "json")
    assert ended.code == ExitCode.FAILED
    assert ended.json["problems"]
    assert node.run("store", "verify").code == ExitCode.FAILED


@pytest.mark.parametrize(
    "arguments",
    [
        ["store", "stat"],
        ["store", "verify"],
        ["export"],
        ["handle", "get", "88.100/A"],
        ["handle", "create", "88.100/A", "URL=x"],
        ["prefix", "list"],
    ],
)
def test_without_a_store_the_next_command_is_named(node: LocalNode, arguments: list[str]) -> None:
    shutil.rmtree(node.folder / "store")
    ended = node.run(*arguments)
    assert ended.code == ExitCode.FAILED
    assert "there is no store" in ended.err
    assert "hnode init" in ended.err
    assert not (node.folder / "store").exists()


def test_an_export_to_a_file_is_imported_again_equal(node: LocalNode, tmp_path: Path) -> None:
    out = tmp_path / "all.jsonl"
    ended = node.run("export", "--out", out)
    assert (ended.code, ended.out) == (ExitCode.OK, "")
    assert "exported 2 records, 4 values" in ended.err
    other = LocalNode(_made(tmp_path / "other"))
    assert other.json("import", out)["created"] == 2
    assert other.values(b"88.100/B") == node.values(b"88.100/B")
    assert node.json("import", out)["unchanged"] == 2


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_an_export_to_standard_output_is_json_lines(node: LocalNode) -> None:
    lines = [json.loads(line) for line in node.run("export", "--prefix", "88.100").out.splitlines()]
    assert [line["handle"] for line in lines] == ["88.100/A", "88.100/B"]
    assert node.run("export", "--prefix", "88.200").out == ""


def test_a_csv_export_tells_what_it_left_out(node: LocalNode) -> None:
    ended = node.run("export", "--format", "csv")
    assert ended.out.splitlines() == ["handle,URL:1", "88.100/A,A", "88.100/B,B"]
    assert "HS_ADMIN 2" in ended.err
    assert ended.code == ExitCode.OK
    node.run("handle", "set-value", "88.100/A", 5, "BIN", "00ff", "--format", "hex")
    assert node.run("export", "--format", "csv").code == ExitCode.PARTLY


def test_an_export_that_fails_leaves_the_old_file(
    node: LocalNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "all.csv"
    out.write_text("old")
    monkeypatch.setattr("admin.exporting.COLUMNS_MAX", 0)
    ended = node.run("export", "--format", "csv", "--out", out)
    assert ended.code == ExitCode.FAILED
    assert "--format jsonl" in ended.err
    assert out.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


def test_an_export_to_a_folder_that_is_not_there_fails_in_a_sentence(node: LocalNode, tmp_path: Path) -> None:
    ended = node.run("export", "--out", tmp_path / "nowhere" / "all.jsonl")
    assert ended.code == ExitCode.FAILED
    assert "fault of hnode" not in ended.err


def test_an_export_to_a_device_is_written_as_it_is(node: LocalNode) -> None:
    assert node.run("export", "--out", os.devnull).code == ExitCode.OK
    assert not Path(os.devnull).is_file()
