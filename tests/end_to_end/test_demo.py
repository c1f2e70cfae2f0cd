"""The demonstration tells its story on the real data, in both languages, and leaves nothing behind."""

import tempfile
from pathlib import Path

import pytest

from tests.support.running import hnode


@pytest.mark.parametrize(
    ("lang", "word"), [("en", "All 425 references were followed: 348"), ("zh", "全部 425 个引用都已解析：348")]
)
def test_the_demonstration_follows_every_reference_and_leaves_nothing(tmp_path: Path, lang: str, word: str) -> None:
    told = hnode("--lang", lang, "demo", env={"TMPDIR": str(tmp_path)}, timeout=100)
    assert told.returncode == 0, told.stderr
    assert told.stdout.count(" rows\n") == 12
    for part in (
        word,
        "88.608.24061301/SUP001",
        "100 handle not found",
        "That prefix doesn't live here",
        "hnode init ./node",
    ):
        assert part in told.stdout
    assert str(tmp_path) not in told.stdout
    assert list(tmp_path.iterdir()) == []
    assert tempfile.gettempdir() != str(tmp_path)
