"""`hnode config`: check, show and example."""

import re
import tomllib
from pathlib import Path

from admin.config_text import example
from admin.errors import ExitCode
from resolver.config import SECTIONS, Config
from resolver.config_loading import load_config
from tests.support.command import hnode

BROKEN = """\
[node]
nmae = "x"
server_key = "hnode.toml"
[udp]
listen = ["localhost:2641"]
[tcp]
idle_timeout = "soon"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "hnode.toml"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_check_lists_all_three_errors_with_key_line_and_hint(tmp_path: Path) -> None:
    ended = hnode("--config", written(tmp_path, BROKEN), "config", "check")
    assert ended.code == ExitCode.CONFIG
    assert "3 problem(s)" in ended.err
    assert "hnode.toml:2: node.nmae: there is no such key (did you mean name?)" in ended.err
    assert "hnode.toml:5: udp.listen[0]: 'localhost'" in ended.err
    assert "hnode.toml:7: tcp.idle_timeout: 'soon' is no duration" in ended.err


def test_check_lists_the_same_for_programs(tmp_path: Path) -> None:
    ended = hnode("--config", written(tmp_path, BROKEN), "config", "check", "-o", "json")
    assert ended.code == ExitCode.CONFIG
    assert ended.json["valid"] is False
    assert [problem["origin"] for problem in ended.json["problems"]] == ["hnode.toml:2", "hnode.toml:5", "hnode.toml:7"]


def test_every_command_that_reads_a_bad_configuration_ends_with_78(tmp_path: Path) -> None:
    path = written(tmp_path, BROKEN)
    for arguments in (("config", "show"), ("serve",), ("status",), ("prefix", "list")):
        assert hnode("--config", path, *arguments).code == ExitCode.CONFIG, arguments


def test_check_is_content_with_a_good_configuration(tmp_path: Path) -> None:
    path = written(tmp_path, '[node]\nserver_key = "hnode.toml"\n')
    ended = hnode("--config", path, "config", "check")
    assert (ended.code, ended.err) == (ExitCode.OK, "")
    assert hnode("--config", path, "config", "check", "-o", "json").json["valid"] is True


def test_check_minds_a_key_that_others_may_read(tmp_path: Path) -> None:
    path = written(tmp_path, '[node]\nserver_key = "hnode.toml"\n')
    path.chmod(0o644)
    ended = hnode("--config", path, "config", "check")
    assert ended.code == ExitCode.CONFIG
    assert f"chmod 600 {path}" in ended.err


def test_check_minds_the_files_of_tls(tmp_path: Path) -> None:
    path = written(tmp_path, '[node]\nserver_key = "hnode.toml"\n[tls]\ncert = "c.pem"\nkey = "k.pem"\n')
    err = hnode("--config", path, "config", "check").err
    assert f"hnode.toml:4: tls.cert: {tmp_path / 'c.pem'}: No such file" in err
    assert f"hnode.toml:5: tls.key: {tmp_path / 'k.pem'}: No such file" in err
    for name, mode in (("c.pem", 0o644), ("k.pem", 0o644)):
        (tmp_path / name).touch(mode)
        (tmp_path / name).chmod(mode)
    ended = hnode("--config", path, "config", "check")
    assert ended.code == ExitCode.CONFIG
    assert f"chmod 640 {tmp_path / 'k.pem'}" in ended.err
    (tmp_path / "k.pem").chmod(0o640)
    assert hnode("--config", path, "config", "check").code == ExitCode.OK


def test_show_prints_a_file_that_means_the_same(tmp_path: Path) -> None:
    path = written(tmp_path, '[udp]\nlisten = ["127.0.0.1:5"]\n[log]\nlevel = "debug"\n')
    again = tmp_path / "again.toml"
    again.write_text(hnode("--config", path, "config", "show", "--origin").out)
    assert load_config(again, {}).config == load_config(path, {}).config


def test_show_tells_origins(tmp_path: Path) -> None:
    path = written(tmp_path, '[log]\nlevel = "debug"\n')
    environment = {"HNODE_UDP__ADMIN": "true"}
    out = hnode("--config", path, "config", "show", "--origin", environment=environment).out
    assert re.search(r'level = "debug" +# hnode.toml:2', out)
    assert re.search(r"admin = true +# env HNODE_UDP__ADMIN", out)
    assert re.search(r'name = "hnode" +# default', out)
    found = hnode("--config", path, "config", "show", "--origin", "-o", "json", environment=environment).json
    assert found["udp"]["admin"] is True
    assert found["origins"]["udp.admin"] == "env HNODE_UDP__ADMIN"


def test_the_example_is_a_valid_file_that_changes_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, hnode("config", "example").out)
    found = load_config(path, {})
    assert set(found.origins.values()) == {"default"}


def test_the_example_uncommented_says_the_defaults_of_every_key(tmp_path: Path) -> None:
    text = re.sub(r"^#(\w+ = )", r"\1", example(), flags=re.MULTILINE)
    assert {name: set(table) for name, table in tomllib.loads(text).items()} == {
        name: set(model.model_fields) for name, model in SECTIONS.items()
    }
    path = tmp_path / "hnode.toml"
    path.write_text(text)
    assert load_config(path, {}).config == Config.model_validate(
        {name: model.model_validate({}, context={"folder": tmp_path}) for name, model in SECTIONS.items()}
    )
