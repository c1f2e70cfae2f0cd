"""`hnode upstream enrol --out`: which prefixes somebody above is asked to delegate."""

from pathlib import Path

from tests.support.command import hnode


def test_what_derives_from_a_prefix_that_is_homed_here_is_this_nodes_own_matter(tmp_path: Path) -> None:
    node = tmp_path / "node"
    assert hnode("init", node, "--prefix", "88.608").code == 0
    config = ("--config", node / "hnode.toml")
    for prefix in ("88.608.24061301", "88.6080"):
        assert hnode(*config, "prefix", "home", prefix).code == 0
    told = hnode(*config, "upstream", "enrol", "--out", tmp_path / "files")
    assert told.code == 0, told
    delegated = [
        words[words.index("delegate") + 1] for line in told.out.splitlines() if "delegate" in (words := line.split())
    ]
    assert sorted(delegated) == ["88.608", "88.6080"], told.out
    named = hnode(*config, "upstream", "enrol", "--out", tmp_path / "named", "--prefix", "88.608.24061301")
    assert named.code == 0, named
