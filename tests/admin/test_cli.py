"""The command as a whole: what it imports, its language, and how every kind of error ends."""

import errno
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from admin.cli import COMMANDS, run
from admin.cli import hnode as program
from admin.context import CommandContext
from admin.errors import ExitCode, Failure, exit_code_of, explained
from admin.output import print_object, print_rows, printable
from admin.texts import TEXTS, language
from protocol import errors as protocol_errors
from protocol.codes import ResponseCode
from protocol.errors import HandleError
from resolver.config_problems import ConfigError, Problem
from resolver.sockets import PortTaken
from storage.base import StoreError, StoreInUse, StoreMissing
from tests.support.command import hnode

HEAVY = ("pydantic", "lmdb", "cryptography", "rich", "msgpack", "uvloop", "aiohttp")


def test_help_imports_no_validator_engine_or_cryptography() -> None:
    script = f"import sys; from admin.cli import run; run(['--help']); print([m for m in {HEAVY} if m in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"


def test_help_names_every_command_in_both_languages() -> None:
    english, chinese = hnode("--help"), hnode("--lang", "zh", "--help")
    assert english.code == chinese.code == ExitCode.OK
    for name in COMMANDS:
        assert f"  {name} " in english.out
        assert TEXTS[f"help.{name}"][1] in chinese.out
    assert "用法：" in chinese.out
    assert "命令:" in chinese.out


def test_every_command_of_the_table_can_be_loaded_and_has_help_and_an_example() -> None:
    context = click.Context(program)
    for name in COMMANDS:
        command = program.get_command(context, name)
        assert command is not None
        assert command.help, name
        leaves = command.commands.values() if isinstance(command, click.Group) else [command]
        for leaf in leaves:
            assert "Example:" in (leaf.epilog or ""), f"{name} {leaf.name}"


def test_a_locale_or_an_option_chooses_chinese() -> None:
    assert "节点" in hnode("--help", environment={"LC_ALL": "", "LANG": "zh_CN.UTF-8"}).out
    assert language("en", {"LANG": "zh_CN"}) == "en"
    assert language(None, {"LC_ALL": "de_DE", "LANG": "zh_CN"}) is None


def test_every_text_has_the_same_fields_in_both_languages() -> None:
    for key, (english, chinese) in TEXTS.items():
        assert sorted(re.findall(r"{(\w+)", english)) == sorted(re.findall(r"{(\w+)", chinese)), key


def test_a_word_that_is_no_command_is_a_usage_error_with_the_near_one() -> None:
    ended = hnode("resolv")
    assert ended.code == ExitCode.USAGE
    assert "did you mean 'resolve'?" in ended.err


def test_a_command_without_configuration_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended = hnode("config", "show")
    assert ended.code == ExitCode.CONFIG
    assert "next:  hnode init" in ended.err


def test_the_configuration_may_be_named_by_the_environment_or_lie_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other.toml").write_text('[node]\nname = "other"\n')
    named = hnode("-o", "json", "config", "show", environment={"HNODE_CONFIG": str(tmp_path / "other.toml")})
    assert named.json["node"]["name"] == "other"
    (tmp_path / "hnode.toml").write_text('[node]\nname = "here"\n')
    monkeypatch.chdir(tmp_path)
    assert hnode("config", "show", "-o", "json").json["node"]["name"] == "here"


def test_the_configured_language_speaks_where_nothing_else_was_said(tmp_path: Path) -> None:
    path = tmp_path / "hnode.toml"
    path.write_text('[node]\nlang = "zh"\nserver_key = "hnode.toml"\n')
    path.chmod(0o600)
    assert "有效" in hnode("--config", path, "config", "check").out
    assert "valid" in hnode("--config", path, "--lang", "en", "config", "check").out
    shown = hnode("--config", path, "--lang", "en", "config", "show", "--origin", "-o", "json").json
    assert (shown["node"]["lang"], shown["origins"]["node.lang"]) == ("en", "option --lang")


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        (ResponseCode.SUCCESS, 0),
        (ResponseCode.HANDLE_NOT_FOUND, 3),
        (ResponseCode.VALUES_NOT_FOUND, 3),
        (ResponseCode.SERVER_NOT_RESP, 3),
        (ResponseCode.AUTHENTICATION_NEEDED, 4),
        (ResponseCode.INVALID_ADMIN, 4),
        (ResponseCode.HANDLE_ALREADY_EXISTS, 7),
        (ResponseCode.VALUE_ALREADY_EXISTS, 7),
        (ResponseCode.ERROR, 1),
        (999, 1),
    ],
)
def test_a_response_code_has_its_exit_code(code: int, exit_code: int) -> None:
    assert exit_code_of(code) == exit_code


@pytest.mark.parametrize(
    ("error", "exit_code", "said"),
    [
        (Failure("what failed", "why", "next command", code=ExitCode.PARTLY), 6, "what failed — why"),
        (ConfigError(Path("x.toml"), [Problem("udp.listen[0]", "is wrong", "a hint", "x.toml:3")]), 78, "x.toml:3"),
        (StoreError("the store is ill"), 1, "the store is ill"),
        (StoreMissing("no store there"), 1, "hnode init"),
        (StoreInUse("a node serves it"), 1, "hnode status"),
        (protocol_errors.HandleNotFound("88.1/x"), 3, "100 handle not found"),
        (protocol_errors.HandleExists("88.1/x"), 7, "101"),
        (PortTaken("UDP 0.0.0.0:2641 cannot be bound"), 1, "cannot be bound"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), 5, "Connection refused"),
        (TimeoutError(), 5, "does not answer"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), 5, "unreachable"),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), 1, "/x: No space left on device"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/x"), 1, "/x: No such file"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/a b/x"), 1, "check the path: ls '/a b'"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ZeroDivisionError("division by zero"), 1, "ZeroDivisionError: division by zero"),
    ],
)
def test_an_exception_becomes_a_sentence_and_an_exit_code(error: BaseException, exit_code: int, said: str) -> None:
    explanation = explained(error, "en")
    assert explanation.code == exit_code
    assert said in "\n".join(explanation.lines)
    assert explained(error, "zh").code == exit_code


def test_every_refusal_of_the_protocol_has_an_exit_code_other_than_success() -> None:
    kinds = HandleError.__subclasses__()
    assert len(kinds) >= 13
    for kind in kinds:
        assert explained(kind("text"), "en").code != ExitCode.OK


@pytest.mark.parametrize(
    ("error", "code"),
    [(ZeroDivisionError("x"), 1), (KeyboardInterrupt(), 130), (Failure("x"), 1), (click.Abort(), 130)],
)
def test_no_traceback_reaches_a_user(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def broken() -> None:
        raise error

    assert run([], broken) == code
    written = capsys.readouterr().err
    assert "Traceback" not in written
    assert written.strip()


def test_verbose_errors_name_their_causes(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"hello")
    plain, verbose = hnode("key", "show", tmp_path / "key"), hnode("-v", "key", "show", tmp_path / "key")
    assert "caused by" not in plain.err
    assert "caused by Malformed: " in verbose.err


def test_a_command_gives_its_exit_code_by_returning_it() -> None:
    assert run([], click.Command("x", callback=lambda: ExitCode.PARTLY)) == ExitCode.PARTLY
    assert run([], click.Command("x", callback=lambda: None)) == ExitCode.OK


def test_a_reader_that_leaves_early_is_no_failure() -> None:
    line = f"{sys.executable} -c 'from admin.cli import main; raise SystemExit(main())' config example | head -n 1"
    ended = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert ended.stdout.startswith("#")


def test_a_locale_without_our_signs_does_not_end_a_run() -> None:
    script = "from admin.cli import main; raise SystemExit(main())"
    command = [sys.executable, "-c", script, "--lang", "zh", "--help"]
    ended = subprocess.run(command, capture_output=True, env={"PYTHONIOENCODING": "latin-1"}, check=False)
    assert ended.returncode == 0
    assert b"\\u8282" in ended.stdout


def test_version_tells_protocol_and_store_format() -> None:
    found = hnode("version", "--json").json
    assert found["protocol"] == "2.11"
    assert found["hnode"]
    assert isinstance(found["store_format"], int)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_names_our_variable(shell: str) -> None:
    ended = hnode("completion", shell)
    assert ended.code == ExitCode.OK
    assert "_HNODE_COMPLETE" in ended.out


def test_completion_offers_commands_without_importing_them() -> None:
    environment = {"_HNODE_COMPLETE": "bash_complete", "COMP_WORDS": "hnode re", "COMP_CWORD": "1"}
    script = f"""
import sys
from admin.cli import main
try:
    main()
except SystemExit:
    print([m for m in {HEAVY} if m in sys.modules])
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert "plain,resolve" in ended.stdout
    assert ended.stdout.splitlines()[-1] == "[]"


def test_stored_octets_cannot_steer_a_terminal() -> None:
    assert printable("a\x1b[31mb\n") == "a\\x1b[31mb\\n"
    assert printable("产品 – é") == "产品 – é"
    assert printable(None) == ""


def test_tables_align_chinese_signs_and_take_markup_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(CommandContext(), ("type", "data"), [("产品名称", "[red]x[/red]"), ("URL", "y")])
    assert capsys.readouterr().out == "type      data\n产品名称  [red]x[/red]\nURL       y\n"


def test_rows_and_objects_are_json_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(CommandContext(output="jsonl"), ("a", "b"), [(1, "产"), (2, None)])
    assert capsys.readouterr().out == '{"a":1,"b":"产"}\n{"a":2,"b":null}\n'
    print_rows(CommandContext(output="json"), ("a",), [(1,)])
    assert capsys.readouterr().out == '[\n  {\n    "a": 1\n  }\n]\n'
    print_object(CommandContext(), {"name": ["x", "y"], "other": 1})
    assert capsys.readouterr().out == "name   x, y\nother  1\n"


def test_a_next_command_names_the_configuration_of_this_one(tmp_path: Path) -> None:
    assert hnode("init", tmp_path / "my node", "--prefix", "88.1", "--port", "0").code == ExitCode.OK
    path = tmp_path / "my node" / "hnode.toml"
    ended = hnode("--config", path, "prefix", "unhome", "88.2")
    assert f"hnode --config '{path}' prefix list" in ended.err
    assert f"hnode --config '{path}' prefix unhome" not in ended.err
    ended = hnode("--config", path, "prefix", "home", "88.2")
    assert f"Make one: hnode init '{path.parent}' --prefix 88.2" in ended.err  # init reads none.
