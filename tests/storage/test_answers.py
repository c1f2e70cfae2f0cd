"""Answers that processes share: bounded, newest kept, forgotten by order, begun anew after the machine went down."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from storage.answers import OCTETS_EACH, ORDERS_MAX, Answers
from tests.support.running import PROJECT

ROOM = 10_000
BOOT = b"this run of the machine"


@pytest.fixture
def answers(tmp_path: Path) -> Iterator[Answers]:
    made = Answers.prepare(tmp_path / "cache", ROOM, boot=BOOT)
    yield made
    made.close()


def test_what_was_written_last_under_a_name_is_read(answers: Answers) -> None:
    answers.put([(b"a", b"one"), (b"b", b"two")])
    answers.put([(b"a", b"three")])
    assert (answers.get(b"a"), answers.get(b"b"), answers.get(b"c")) == (b"three", b"two", None)
    assert answers.facts().handles == 2
    assert answers.facts().size == 2 * (OCTETS_EACH + 1) + 8


def test_names_too_long_for_a_key_are_told_apart(answers: Answers) -> None:
    long = b"88.100/" + bytes(2_000)
    answers.put([(long + b"1", b"one"), (long + b"2", b"two")])
    assert (answers.get(long + b"1"), answers.get(long + b"2")) == (b"one", b"two")


def test_behind_the_bound_the_oldest_go(answers: Answers) -> None:
    for n in range(100):
        answers.put([(b"%d" % n, bytes(200))])
    facts = answers.facts()
    assert ROOM - 400 < facts.size <= ROOM == facts.size_max
    assert answers.get(b"99") == bytes(200)
    assert answers.get(b"0") is None
    assert [n for n in range(100) if answers.get(b"%d" % n)] == list(range(100 - facts.handles, 100))


def test_what_is_written_again_is_the_newest(answers: Answers) -> None:
    for n in range(200):
        answers.put([(b"%d" % n, bytes(200)), (b"popular", b"x")])
    assert answers.get(b"popular") == b"x"


def test_one_that_is_larger_than_all_may_be_is_not_kept(answers: Answers) -> None:
    answers.put([(b"a", b"small")])
    answers.put([(b"a", bytes(ROOM)), (b"b", b"fine")])
    assert answers.get(b"a") is None, "what stood is out of date"
    assert answers.get(b"b") == b"fine"


def test_a_node_that_starts_again_finds_what_it_knew(tmp_path: Path) -> None:
    first = Answers.prepare(tmp_path / "cache", ROOM, boot=BOOT)
    first.put([(b"a", b"one")])
    first.close()
    again = Answers.prepare(tmp_path / "cache", ROOM, boot=BOOT)
    assert again.get(b"a") == b"one"
    again.close()


@pytest.mark.parametrize("boot", [b"another run", b""])
def test_after_the_machine_went_down_nothing_is_believed(tmp_path: Path, boot: bytes) -> None:
    first = Answers.prepare(tmp_path / "cache", ROOM, boot=BOOT if boot else b"")
    first.put([(b"a", b"one")])
    first.close()
    again = Answers.prepare(tmp_path / "cache", ROOM, boot=boot)
    assert again.get(b"a") is None
    again.close()


def test_what_was_written_in_another_format_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for former in (b"", b"1 "):  # The first format had no name.
        with monkeypatch.context() as before:
            before.setattr("storage.answers._FORMAT", former)
            first = Answers.prepare(tmp_path / "cache", ROOM, boot=BOOT)
            first.put([(b"a", b"one")])
            first.close()
        again = Answers.prepare(tmp_path / "cache", ROOM, boot=BOOT)
        assert again.get(b"a") is None
        again.close()


def test_damaged_files_are_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    Answers.prepare(folder, ROOM, boot=BOOT).close()
    (folder / "data.mdb").write_bytes(b"rubbish" * 1_000)
    made = Answers.prepare(folder, ROOM, boot=BOOT)
    made.put([(b"a", b"one")])
    assert made.get(b"a") == b"one"
    made.close()


def test_a_smaller_bound_lets_go_at_once(tmp_path: Path) -> None:
    first = Answers.prepare(tmp_path / "cache", ROOM, boot=BOOT)
    first.put([(b"%d" % n, bytes(200)) for n in range(30)])
    first.close()
    again = Answers.prepare(tmp_path / "cache", 1_000, boot=BOOT)
    assert 0 < again.facts().size <= 1_000
    again.close()


def test_orders_to_forget_are_heard_by_who_comes_later(answers: Answers) -> None:
    answers.put([(b"a", b"one"), (b"b", b"two")])
    before = answers.last_order()
    assert answers.forget(b"a") == 1
    assert answers.forget(b"never") == 0
    assert answers.get(b"a") is None
    assert answers.orders(before) == (before + 2, [b"a", b"never"])
    assert answers.orders(before + 2) == (before + 2, [])
    assert answers.forget(None) == 1
    assert answers.orders(before + 2) == (before + 3, None)
    assert answers.get(b"b") is None
    assert answers.facts().size == answers.facts().handles == 0


def test_who_missed_too_many_orders_forgets_everything(answers: Answers) -> None:
    for n in range(ORDERS_MAX + 5):
        answers.forget(b"%d" % n)
    last, names = answers.orders(0)
    assert (last, names) == (ORDERS_MAX + 5, None)
    assert answers.orders(last - ORDERS_MAX)[1] is not None


def test_another_process_reads_and_orders(answers: Answers, tmp_path: Path) -> None:
    answers.put([(b"a", b"one"), (b"b", b"two")])
    script = (
        "import sys; from pathlib import Path; from storage.answers import Answers\n"
        f"found = Answers(Path(sys.argv[1]), {ROOM})\n"
        "assert found.get(b'a') == b'one'; found.forget(b'a'); found.put([(b'c', b'three')]); found.close()"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "cache")], check=True, cwd=PROJECT, timeout=30)
    assert (answers.get(b"a"), answers.get(b"b"), answers.get(b"c")) == (None, b"two", b"three")
    assert answers.orders(0) == (1, [b"a"])


class AgainstADict(RuleBasedStateMachine):
    """A dict in the order of writing, cut at the bound."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hnode-answers-"))
        self.answers = Answers.prepare(self.folder / "c", 1_500, boot=BOOT)
        self.model: dict[bytes, bytes] = {}

    @rule(
        items=st.lists(
            st.tuples(st.integers(0, 20).map(lambda n: b"%d" % n), st.integers(0, 400).map(bytes)), max_size=4
        )
    )
    def put(self, items: list[tuple[bytes, bytes]]) -> None:
        self.answers.put(items)
        for name, octets in items:
            self.model.pop(name, None)
            self.model[name] = octets
        while self.size() > 1_500:
            del self.model[next(iter(self.model))]
        self.check()

    @rule(name=st.integers(0, 20))
    def forget(self, name: int) -> None:
        self.answers.forget(b"%d" % name)
        self.model.pop(b"%d" % name, None)
        self.check()

    def size(self) -> int:
        return sum(len(name) + len(octets) + OCTETS_EACH for name, octets in self.model.items())

    def check(self) -> None:
        assert {n: o for i in range(21) if (o := self.answers.get(n := b"%d" % i)) is not None} == self.model
        assert (self.answers.facts().size, self.answers.facts().handles) == (self.size(), len(self.model))

    def teardown(self) -> None:
        if hasattr(self, "answers"):
            self.answers.close()
            shutil.rmtree(self.folder)


TestAgainstADict = AgainstADict.TestCase
TestAgainstADict.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
