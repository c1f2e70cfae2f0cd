"""The keys of a node's place in the hierarchy: defaults, what they demand of each other, files that they name."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from resolver.config import Config, as_texts
from resolver.config_checks import cross_problems
from resolver.config_hierarchy import BY_ROLE, CacheSection, RecursionSection, UpstreamSection
from resolver.config_loading import file_problems, load_config
from tests.support.roots import root_folder


def test_the_defaults_ask_nobody_and_resolve_for_nobody() -> None:
    config = Config()
    assert config.node.role == "secondary"
    assert config.upstream.bootstrap_dir is None
    assert config.upstream.refresh == 86_400
    assert config.recursion.allow == BY_ROLE
    assert config.recursion_networks() == ()
    assert (config.recursion.certify, config.recursion.aliases, config.recursion.legacy) == (False, False, True)
    assert config.recursion.max_walks == 1000
    assert (config.cache.size, config.cache.shared_size) == (64 << 20, 256 << 20)
    assert (config.cache.ttl_max, config.cache.negative_ttl, config.cache.stale) == (3600, 60, 86_400)


@pytest.mark.parametrize(("allow", "text"), [("by role", "by role"), ([], []), (["10.0.0.0/8"], ["10.0.0.0/8"])])
def test_who_may_have_others_asked_is_written_as_it_is_read(allow: object, text: object) -> None:
    section = RecursionSection.model_validate({"allow": allow})
    assert as_texts(section)["allow"] == text
    assert RecursionSection.model_validate(as_texts(section)) == section


@pytest.mark.parametrize("allow", ["everybody", ["10.0.0.1/8"], 5, None, [5]])
def test_what_is_no_network_is_refused(allow: object) -> None:
    with pytest.raises(ValidationError):
        RecursionSection.model_validate({"allow": allow})


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        (RecursionSection, "max_walks", 0),
        (RecursionSection, "timeout", "0s"),
        (RecursionSection, "timeout", "10m"),
        (CacheSection, "size", "1KiB"),
        (CacheSection, "ttl_max", "31d"),
        (UpstreamSection, "refresh", "-1s"),
        (UpstreamSection, "parent", "nowhere"),
    ],
)
def test_values_out_of_bounds_are_refused(section: type, key: str, value: object) -> None:
    with pytest.raises(ValidationError):
        section.model_validate({key: value})  # type: ignore[attr-defined]


CONTRADICTIONS = {
    "parent_site": ({"parent_site": "site.json"}, "upstream.parent_site"),
    "key alone": ({"parent": "192.0.2.1:2641", "key": "k.pem"}, "upstream.identity"),
    "identity alone": ({"parent": "192.0.2.1:2641", "identity": "300:0.NA/1"}, "upstream.key"),
    "two": ({"parent": "h:1", "key": "k.pem", "identity": ["300:0.NA/1", "300:0.NA/2"]}, "upstream.identity"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_what_is_said_of_the_parent_must_be_enough(name: str) -> None:
    values, key = CONTRADICTIONS[name]
    section = UpstreamSection.model_validate(values)
    (problem,) = cross_problems({"upstream": section}, {key: "hnode.toml:3"})
    assert problem.key == key
    assert problem.hint


def test_the_files_of_the_root_are_read_when_the_configuration_is_checked(tmp_path: Path) -> None:
    (tmp_path / "key.pem").touch(mode=0o600)
    path = tmp_path / "hnode.toml"
    path.write_text(
        '[node]\nserver_key = "key.pem"\n[upstream]\nbootstrap_dir = "root"\nparent = "h:1"\nparent_site = "nowhere"\n'
    )
    loaded = load_config(path, {})
    told = {problem.key: problem for problem in file_problems(loaded)}
    assert "there is no such folder" in told["upstream.bootstrap_dir"].text
    assert told["upstream.bootstrap_dir"].origin == "hnode.toml:4"
    assert "No such file" in told["upstream.parent_site"].text
    root_folder(tmp_path / "root")
    (tmp_path / "root" / "config.dct").write_text("{")
    (problem, _) = file_problems(loaded)
    assert "config.dct" in problem.text
    (tmp_path / "root" / "config.dct").unlink()
    assert [problem.key for problem in file_problems(loaded)] == ["upstream.parent_site"]
