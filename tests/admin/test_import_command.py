"""`hnode import`: exit codes, the summary, the file of errors, progress, Ctrl-C, and memory that stays flat."""

import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from admin.errors import ExitCode
from admin.importing.progress import Progress, bar_on, lines_to
from tests.admin.local_nodes import LocalNode
from tests.support.command import hnode
from tests.support.running import PROJECT, RunningNode, environment

SAMPLE = PROJECT / "deploy" / "sample" / "liquor"
GOOD = '{"handle":"88.100/A%d","fields":{"name":"x"}}\n'


@pytest.fixture
def node(tmp_path: Path) -> LocalNode:
    return LocalNode(tmp_path)


def written(node: LocalNode, *lines: str, name: str = "rows.jsonl") -> Path:
    path = node.folder / name
    path.write_text("".join(lines))
    return path


def test_all_good_ends_with_0_and_a_summary(node: LocalNode) -> None:
    told = node.json("import", written(node, GOOD % 1, GOOD % 2))
    assert (told["rows"], told["created"], told["failed"], told["format"]) == (2, 2, 0, "jsonl")
    assert told["errors"] == []
    assert told["rate"] > 0
    assert "dry_run" not in told
    assert "unchanged  2" in node.run("import", node.folder / "rows.jsonl").out


def test_only_broken_rows_end_with_1(node: LocalNode) -> None:
    path = written(node, '{"handle":"88.109/A","fields":{"a":"x"}}\n')
    assert node.run("import", path).code == ExitCode.FAILED


def test_some_broken_rows_end_with_6_and_are_told(node: LocalNode) -> None:
    path = written(node, GOOD % 1, '{"handle":"88.109/A","fields":{"a":"x"}}\n', GOOD % 3)
    errors = node.folder / "errors.jsonl"
    ended = node.run("import", path, "--errors", errors)
    assert ended.code == ExitCode.PARTLY
    assert "line 2, handle (88.109/A): prefix '88.109' is not homed here" in ended.err
    (line,) = errors.read_text().splitlines()
    told = json.loads(line)
    assert list(told) == ["line", "column", "handle", "reason"]
    assert (told["line"], told["column"], told["handle"]) == (2, "handle", "88.109/A")
    assert node.texts(b"88.100/A3") == {2000: "x"}


def test_the_error_file_is_new_and_empty_where_nothing_failed(node: LocalNode) -> None:
    errors = node.folder / "errors.jsonl"
    errors.write_text("of the last run")
    assert node.run("import", written(node, GOOD % 1), "--errors", errors).code == ExitCode.OK
    assert errors.read_text() == ""


def test_more_errors_than_a_screen_are_counted(node: LocalNode) -> None:
    ended = node.run("import", written(node, "broken\n" * 50))
    assert ended.err.count("line ") == 20
    assert "and 30 more: --errors FILE keeps them all" in ended.err


def test_stop_ends_with_1_and_nothing_written(node: LocalNode) -> None:
    ended = node.run("import", written(node, GOOD % 1, "broken\n"), "--on-error", "stop", "-o", "json")
    assert ended.code == ExitCode.FAILED
    assert ended.json["stopped"] is True
    assert node.values(b"88.100/A1") is None
    assert "nothing was written" in node.run("import", node.folder / "rows.jsonl", "--on-error", "stop").err


def test_a_dry_run_writes_nothing_and_ends_as_the_import_would(node: LocalNode) -> None:
    path = written(node, GOOD % 1, "broken\n")
    ended = node.run("import", path, "--dry-run", "-o", "json")
    assert (ended.code, ended.json["created"], ended.json["dry_run"]) == (ExitCode.PARTLY, 1, True)
    assert not node.journal()


def test_prefixes_are_homed_when_asked(node: LocalNode) -> None:
    path = written(node, '{"handle":"88.300/A","fields":{"a":"x"}}\n')
    assert node.json("import", path, "--home-prefixes")["homed"] == 1
    assert node.values(b"88.300/A") is not None


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("missing.csv", None, "there is no such file"),
        ("empty.csv", "", "is empty"),
        ("odd.csv", "name,x\n", "first column must be `handle`"),
        (".", None, "is a directory"),
    ],
)
def test_a_file_that_cannot_be_taken_ends_with_1(node: LocalNode, name: str, content: str | None, says: str) -> None:
    if content is not None:
        (node.folder / name).write_text(content)
    ended = node.run("import", node.folder / name)
    assert ended.code == ExitCode.FAILED
    assert says in ended.err


def test_the_errors_may_not_overwrite_the_file(node: LocalNode) -> None:
    path = written(node, GOOD % 1)
    assert node.run("import", path, "--errors", path).code == ExitCode.USAGE
    assert path.read_text() == GOOD % 1


def test_the_limits_of_the_configuration_count(tmp_path: Path) -> None:
    node = LocalNode(tmp_path, settings='[limits]\nvalue_bytes = "10B"\nvalues_per_handle = 1\n')
    path = written(
        node,
        '{"handle":"88.100/A","fields":{"a":"01234567890"}}\n',
        '{"handle":"88.100/B","fields":{"a":"x","b":"y"}}\n',
    )
    errors = node.run("import", path, "-o", "json").json["errors"]
    assert [error["reason"] for error in errors] == [
        "11 octets of data, at most 10 are allowed",
        "2 values, at most 1 are allowed",
    ]


def test_the_sample_is_imported_by_its_templates_while_the_node_serves(tmp_path: Path) -> None:
    with RunningNode(tmp_path / "node", prefixes=["88.608.24061301"]) as served:
        for file in sorted(SAMPLE.glob("*.csv")):
            ended = hnode("--config", served.config, "import", file, "--template", SAMPLE / "templates.json")
            assert ended.code == 0, ended.err
        stat = json.loads(served.cli("store", "stat", "-o", "json").stdout)
        assert stat["records"] == 98 + 1
        found = json.loads(served.cli("resolve", "88.608.24061301/PKG001", "-o", "json").stdout)
        bottles = next(value for value in found["values"] if value["type"] == "associatedBottleCode")
        assert bottles["index"] == 2010
        assert len(bottles["data"]["value"].split("|")) == 30


def test_a_program_that_reads_gets_a_line_of_json_every_five_seconds() -> None:
    clock = [100.0]
    stream = io.StringIO()
    report = lines_to(stream, now=lambda: clock[0])
    progress = Progress(phase="import", rows=500, failed=1, done=25, total=100, seconds=5.0)
    for moment in (100.1, 104.9, 105.0, 105.1, 109.0, 110.0):
        clock[0] = moment
        report(progress)
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first == second
    assert first == {
        "phase": "import",
        "rows": 500,
        "failed": 1,
        "percent": 25.0,
        "rate": 100,
        "seconds": 5.0,
        "remaining_s": 15.0,
    }


class Terminal(io.StringIO):
    """A stream that says a person watches it."""

    def isatty(self) -> bool:
        return True


def test_a_person_sees_a_bar_with_rate_and_remaining_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    stream = Terminal()
    with bar_on(stream, color=False) as report:
        report(Progress(phase="import", rows=50_000, failed=3, done=50, total=100, seconds=2.0))
        time.sleep(0.3)  # The bar draws itself ten times a second.
    assert "50 %" in stream.getvalue()
    assert "50,000 rows" in stream.getvalue()
    assert "25,000/s" in stream.getvalue()
    assert "3 failed" in stream.getvalue()


def big(path: Path, rows: int) -> Path:
    with path.open("w") as file:
        for number in range(rows):
            file.write(
                f'{{"handle":"88.100/ITEM-{number:08d}","values":[{{"index":1,"type":"URL","data":'
                f'{{"format":"string","value":"https://example.com/items/{number}"}},"ttl":86400}},'
                f'{{"index":2,"type":"DESC","data":{{"format":"string","value":"轴承 {number}"}},"ttl":86400}}]}}\n'
            )
    return path


def started(node: LocalNode, *arguments: str | Path, **variables: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "admin", "--config", str(node.config), *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=PROJECT,
        env={**environment(), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("is_writing", [False, True])
def test_ctrl_c_keeps_the_written_batches_and_tells_their_number(node: LocalNode, is_writing: bool) -> None:
    path = big(node.folder / "big.jsonl", 200_000)
    process = started(node, "import", path, "-o", "json", TMPDIR=str(node.folder))
    data = node.folder / "store" / "data.mdb"
    size = data.stat().st_size

    def has_come_so_far() -> bool:
        """Runs stand in the temporary folder while the file is read; the store grows when that is over."""
        return data.stat().st_size >= size + 200_000 if is_writing else any(node.folder.glob("hnode-import-*/*"))

    while not has_come_so_far() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == ExitCode.INTERRUPTED, err
    told = json.loads(out)
    assert told["interrupted"] is True
    assert told["created"] < 200_000
    assert (told["created"] > 0) == is_writing
    assert node.json("store", "stat")["records"] == told["created"]
    assert node.json("store", "verify")["problems"] == []
    assert not list(node.folder.glob("hnode-import-*"))


def test_a_temporary_folder_without_room_ends_with_1_and_a_sentence(node: LocalNode) -> None:
    path = big(node.folder / "big.jsonl", 50_000)
    code = "import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000)); "
    code += "runpy.run_module('admin', run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-c", code, "--config", str(node.config), "import", str(path)]
    variables = {**environment(), "TMPDIR": str(node.folder)}
    ended = subprocess.run(command, cwd=PROJECT, env=variables, capture_output=True, text=True, check=False)
    assert ended.returncode == ExitCode.FAILED
    assert "does not take the sorted rows: File too large: nothing was written. Make room" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert node.json("store", "stat")["records"] == 0
    assert not list(node.folder.glob("hnode-import-*"))


def anonymous_peak_kib(process: subprocess.Popen[str]) -> int:
    """The largest RssAnon that was seen until the process ended; pages of the store's map do not count."""
    peak = 0
    while process.poll() is None:
        try:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        except OSError:
            break
        peak = max([peak, *(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))])
        time.sleep(0.02)
    return peak


@pytest.mark.parametrize("rows", [pytest.param(200_000), pytest.param(1_000_000, marks=pytest.mark.slow)])
@pytest.mark.timeout(300)
def test_memory_does_not_grow_with_the_file(node: LocalNode, rows: int) -> None:
    small = started(node, "import", big(node.folder / "small.jsonl", 20_000), "-o", "json")
    base = anonymous_peak_kib(small)
    assert json.loads(small.communicate()[0])["rows"] == 20_000
    process = started(node, "import", big(node.folder / "big.jsonl", rows), "-o", "json")
    peak = anonymous_peak_kib(process)
    out = process.communicate()[0]
    assert process.returncode == 0
    assert json.loads(out)["rows"] == rows
    assert peak < base + 10_240
