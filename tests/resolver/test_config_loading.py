"""From file and environment to a configuration: order, origins, and every problem at once with its line."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resolver.config import SECTIONS
from resolver.config_lines import key_lines
from resolver.config_loading import LoadedConfig, file_problems, load_config
from resolver.config_problems import ConfigError, Problem


def loaded(folder: Path, text: str, environment: dict[str, str] | None = None) -> LoadedConfig:
    path = folder / "hnode.toml"
    path.write_text(text)
    return load_config(path, environment or {})


def problems(folder: Path, text: str, environment: dict[str, str] | None = None) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, environment)
    return caught.value.problems


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    found = loaded(tmp_path, "")
    assert found.config.node.name == "hnode"
    assert set(found.origins.values()) == {"default"}


def test_environment_goes_before_file_and_file_before_defaults_and_each_origin_is_told(tmp_path: Path) -> None:
    text = '[node]\nname = "file"\n[udp]\nlisten = ["127.0.0.1:1"]\n'
    found = loaded(tmp_path, text, {"HNODE_UDP__LISTEN": "127.0.0.1:2, [::1]:3", "HNODE_UDP__ADMIN": "true"})
    assert [str(endpoint) for endpoint in found.config.udp.listen] == ["127.0.0.1:2", "[::1]:3"]
    assert found.config.udp.admin is True
    assert found.config.node.name == "file"
    assert found.origins["udp.listen"] == "env HNODE_UDP__LISTEN"
    assert found.origins["node.name"] == "hnode.toml:2"
    assert found.origins["tcp.listen"] == "default"


def test_a_contradiction_with_a_default_is_told_at_the_key_that_was_set(tmp_path: Path) -> None:
    text = '[tcp]\nmax_connections = 5\nmax_message = "4KiB"\n'
    assert [(p.key, p.origin) for p in problems(tmp_path, text)] == [
        ("tcp.max_connections", "hnode.toml:2"),
        ("tcp.max_message", "hnode.toml:3"),
    ]


def test_flags_go_before_everything(tmp_path: Path) -> None:
    path = tmp_path / "hnode.toml"
    path.write_text("")
    found = load_config(path, {"HNODE_NODE__LANG": "en"}, {"node.lang": "zh"})
    assert found.config.node.lang == "zh"
    assert found.origins["node.lang"] == "option --lang"


def test_a_secret_is_read_from_the_file_that_a_variable_names(tmp_path: Path) -> None:
    (tmp_path / "admins").write_text("300:0.NA/88.100\n301:0.NA/88.100\n")
    found = loaded(tmp_path, "", {"HNODE_AUTH__SERVER_ADMINS_FILE": str(tmp_path / "admins")})
    assert [reference.index for reference in found.config.auth.server_admins] == [300, 301]
    assert found.origins["auth.server_admins"] == "env HNODE_AUTH__SERVER_ADMINS_FILE"


def test_relative_paths_begin_at_the_folder_of_the_file(tmp_path: Path) -> None:
    found = loaded(tmp_path, '[node]\ndata_dir = "data"\n')
    assert found.config.node.data_dir == tmp_path / "data"
    assert found.config.node.server_key == tmp_path / "keys" / "server.pem"


def test_all_problems_are_told_at_once_with_key_line_and_hint(tmp_path: Path) -> None:
    text = """\
[node]
nmae = "x"

[udp]
listen = [
  "127.0.0.1:2641",  # a ] in a comment
  "localhost:2641",
]

[tpc]
listen = []

[tcp]
idle_timeout = "soon"
"""
    told = {problem.origin: problem for problem in problems(tmp_path, text, {"HNODE_LOG__LEVEL": "loud"})}
    assert told["hnode.toml:2"].key == "node.nmae"
    assert told["hnode.toml:2"].hint == "did you mean name?"
    assert told["hnode.toml:7"].key == "udp.listen[1]"
    assert "127.0.0.1" in told["hnode.toml:7"].text
    assert told["hnode.toml:10"].hint == "did you mean tcp?"
    assert told["hnode.toml:14"].key == "tcp.idle_timeout"
    assert told["env HNODE_LOG__LEVEL"].key == "log.level"
    assert len(told) == 5


def test_problems_across_sections_are_told_beside_those_of_other_sections(tmp_path: Path) -> None:
    found = problems(tmp_path, '[log]\nlevel = "loud"\n[store]\nmap_size = "2TiB"\n')
    assert [(problem.key, problem.origin) for problem in found] == [
        ("log.level", "hnode.toml:2"),
        ("store.map_size", "hnode.toml:4"),
    ]


@pytest.mark.parametrize(
    ("text", "line"), [('[node]\nname = x\nlang = "en"\n', 2), ('[node]\nname = "x"\nlisten = [\n', 3)]
)
def test_a_syntax_error_is_told_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    (problem,) = problems(tmp_path, text)
    assert problem.origin == f"hnode.toml:{line}"
    assert "no TOML" in problem.text


@pytest.mark.parametrize(
    ("variables", "hint"),
    [
        ({"HNODE_UDP__LISTN": "x"}, "did you mean HNODE_UDP__LISTEN?"),
        ({"HNODE_UDP_LISTEN": "x"}, "did you mean HNODE_UDP__LISTEN?"),
        ({"HNODE_NODE_DATA_DIR": "x"}, "did you mean HNODE_NODE__DATA_DIR?"),
        ({"HNODE_NODE__NAME": "a", "HNODE_NODE__NAME_FILE": "/x"}, "set one of the two"),
    ],
)
def test_a_variable_that_is_not_understood_is_a_problem(tmp_path: Path, variables: dict[str, str], hint: str) -> None:
    (problem,) = problems(tmp_path, "", variables)
    assert problem.hint == hint


def test_variables_that_a_cluster_sets_for_a_service_of_our_name_are_let_alone(tmp_path: Path) -> None:
    cluster = {"HNODE_PORT": "tcp://10.0.0.1:2641", "HNODE_SERVICE_HOST": "10.0.0.1", "HNODE_CONFIG": "x"}
    assert loaded(tmp_path, "", cluster).config.node.name == "hnode"


def test_a_secret_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "", {"HNODE_NODE__NAME_FILE": str(tmp_path / "none")})
    assert "cannot be read" in problem.text


@pytest.mark.parametrize(
    "octets", [b"\xff\xfe", b"#" * ((1 << 20) + 1)], ids=["not UTF-8", "longer than a configuration"]
)
def test_a_file_that_is_no_text_of_a_sane_size_is_one_problem(tmp_path: Path, octets: bytes) -> None:
    path = tmp_path / "hnode.toml"
    path.write_bytes(octets)
    with pytest.raises(ConfigError) as caught:
        load_config(path, {})
    assert len(caught.value.problems) == 1


def test_a_missing_file_names_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "none.toml", {})
    assert "hnode init" in caught.value.problems[0].hint


def test_a_value_where_a_section_belongs_is_a_problem(tmp_path: Path) -> None:
    assert {problem.key for problem in problems(tmp_path, 'udp = 5\nname = "x"\n')} == {"udp", "name"}


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "hnode.toml"
    path.write_bytes(b'\xef\xbb\xbf[node]\r\nname = "x"\r\n')
    assert load_config(path, {}).origins["node.name"] == "hnode.toml:2"


def test_lines_are_found_past_values_of_several_lines() -> None:
    text = '[a]\nx = """\n[b]\ny = 1\n"""\nz = [ 1,\n\n 2, # ]\n 3 ]\n["c"]\n\'k\' = { m = 1 }\n'
    assert key_lines(text) == {
        "a": 1,
        "a.x": 2,
        "a.z": 6,
        "a.z[0]": 6,
        "a.z[1]": 8,
        "a.z[2]": 9,
        "c": 10,
        "c.k": 11,
    }


def test_a_key_that_others_may_read_is_told_with_the_command_that_mends_it(tmp_path: Path) -> None:
    found = loaded(tmp_path, "")
    key = found.config.node.server_key
    assert "hnode key generate" in file_problems(found)[0].hint
    key.parent.mkdir()
    key.write_text("secret")
    key.chmod(0o640)
    (problem,) = file_problems(found)
    assert problem.hint == f"chmod 600 {key}"
    key.chmod(0o600)
    assert file_problems(found) == []


@pytest.mark.parametrize("other", ["source_site", "source_key"])
def test_the_files_of_replication_must_exist_and_the_key_be_private(tmp_path: Path, other: str) -> None:
    (tmp_path / "server.pem").write_text("secret")
    (tmp_path / "server.pem").chmod(0o600)
    section = '[replication]\nrole = "mirror"\nsource = "127.0.0.1:2641"\nidentity = ["300:0.NA/88.100"]\n'
    files = f'key = "mirror.pem"\n{other} = "source.file"\n'
    found = loaded(tmp_path, f'[node]\nserver_key = "server.pem"\n{section}{files}')
    missing = file_problems(found)
    assert [problem.key for problem in missing] == [f"replication.{other}", "replication.key"]
    assert "hnode key generate" in missing[1].hint
    for name in ("mirror.pem", "source.file"):
        (tmp_path / name).write_text("octets")
        (tmp_path / name).chmod(0o644)
    (open_key,) = file_problems(found)
    assert (open_key.key, open_key.hint) == ("replication.key", f"chmod 600 {tmp_path / 'mirror.pem'}")
    (tmp_path / "mirror.pem").chmod(0o400)
    assert file_problems(found) == []


def test_a_namespace_file_must_exist_and_be_of_a_sane_size(tmp_path: Path) -> None:
    found = loaded(tmp_path, '[resolution]\nnamespace = "ns.xml"\n[node]\nserver_key = "hnode.toml"\n')
    found.path.chmod(0o600)
    (missing,) = file_problems(found)
    assert missing.key == "resolution.namespace"
    (tmp_path / "ns.xml").write_bytes(bytes(65_537))
    (long,) = file_problems(found)
    assert "65537 octets" in long.text


@pytest.mark.parametrize("text", ["x = " + "[" * 100_000, "x = " + "9" * 10_000, "[node]\nworkers = " + "9" * 4_000])
def test_nesting_and_numbers_without_end_are_problems_too(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text)


def test_a_list_of_very_many_lines_costs_no_time_and_keeps_its_own_line(tmp_path: Path) -> None:
    networks = ",\n".join(f'"10.{n // 256}.{n % 256}.0/24"' for n in range(5_000))
    found = loaded(tmp_path, f'[limits]\nudp_exempt = [\n{networks}\n]\n[log]\nlevel = "debug"\n')
    assert len(found.config.limits.udp_exempt) == 5_000
    assert found.origins["limits.udp_exempt"] == "hnode.toml:2"
    assert found.origins["log.level"] == "hnode.toml"


words = st.sampled_from(
    ['"0.0.0.0:1"', "5", "true", "[]", '"4MiB"', "1.5", '["x", 3]', "{ a = 1 }", "1979-05-27", "nan"]
)
keys = st.sampled_from([f"{key}" for model in SECTIONS.values() for key in model.model_fields] + ["other"])
tables = st.dictionaries(st.sampled_from([*SECTIONS, "other"]), st.dictionaries(keys, words, max_size=6), max_size=4)


@given(tables)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_keys_with_any_values_are_a_configuration_or_a_list_of_problems(
    tmp_path: Path, sections: dict[str, dict[str, str]]
) -> None:
    text = "\n".join(
        f"[{name}]\n" + "\n".join(f"{key} = {value}" for key, value in table.items())
        for name, table in sections.items()
    )
    told, found = outcome(tmp_path, text.encode())
    if found is None:
        assert told
        assert all(problem.origin.startswith("hnode.toml:") for problem in told)
    else:
        assert found.config.worker_count() >= 1


def outcome(folder: Path, octets: bytes) -> tuple[tuple[Problem, ...], LoadedConfig | None]:
    path = folder / "hnode.toml"
    path.write_bytes(octets)
    try:
        return (), load_config(path, {})
    except ConfigError as error:
        return error.problems, None


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_octets_are_a_configuration_or_problems(tmp_path: Path, octets: bytes) -> None:
    told, found = outcome(tmp_path, octets)
    assert bool(told) == (found is None)
