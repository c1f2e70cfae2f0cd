"""The dict is the model: LMDB must agree with it in any order of calls, also after it was closed and opened."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from protocol.errors import ValuesNotFound
from protocol.value import HandleValue, value_list
from storage.base import (
    Change,
    CopyRecord,
    HomePrefix,
    IfExists,
    NoteMirror,
    Outcome,
    PruneJournal,
    PutRecord,
    Record,
    SetMeta,
    UnhomePrefix,
    UpdateRecord,
)
from storage.lmdb_store import LmdbStore
from storage.memory import MemoryStore
from storage.mirrors import MIRRORS

LONG = b"88.100/" + b"L" * 500
HANDLES = [b"88.100/A", b"88.100/a", b"88.100/B", b"88.1/A", b"0.NA/88.100", LONG + b"1", LONG + b"2",
           LONG.lower() + b"1",
           "88.100/é".encode(), b"88.100/", b"x"]  # fmt: skip
BEHIND = [b"\xc3\xa9.1/%02d" % n for n in range(30)]  # Behind all of the others among the keys, rising.
RUNS = [b"88.100/A%d-%02d" % (run, n) for n in range(12) for run in (1, 2)]  # Two firms that count upwards.
BAD = [b"", b"\xff", b"x" * 2049]
WIDE = value_list([HandleValue(index=1, type=b"URL", data=b"w" * 400)])
handles = st.sampled_from(HANDLES + BAD)
lists = st.lists(
    st.builds(
        HandleValue,
        index=st.integers(1, 3),
        type=st.just(b"URL"),
        data=st.sampled_from([b"", b"a", b"b"]),
        permissions=st.sampled_from([14, 12]),
        timestamp=st.integers(0, 3),
    ),
    max_size=3,
).map(value_list)
values = st.one_of(lists, st.just(b"\0\0\0\1no list"))
prefixes = st.sampled_from([b"88.100", b"0.NA/88.100", b"0.na/Ab", b"0.NA/0.NA/88", b"88.100/x", b""])


def refuse(_: Record | None) -> Record | None:
    raise ValuesNotFound("refused by the rule")


def drop(_: Record | None) -> Record | None:
    return None


def same(kept: Record | None) -> Record | None:
    return kept


puts = st.builds(PutRecord, handles, values, st.sampled_from(IfExists), st.sampled_from(["", "she"]))
updates = st.builds(
    UpdateRecord,
    handles,
    st.one_of(
        st.sampled_from([refuse, drop, same]),
        st.tuples(st.sampled_from(HANDLES), lists).map(lambda pair: lambda _: Record(*pair)),
    ),
    st.just("he"),
    st.booleans(),
)
homes = st.builds(
    lambda kind, prefix, has_row: kind(prefix, has_row=has_row),
    st.sampled_from([HomePrefix, UnhomePrefix]),
    prefixes,
    st.booleans(),
)
metas = st.builds(SetMeta, st.sampled_from([b"one", b"two"]), st.binary(max_size=4))
copies = st.builds(CopyRecord, handles, st.one_of(st.none(), values))
mirrors = st.builds(NoteMirror, st.sampled_from(["one", "two"]), st.one_of(st.none(), st.integers(0, 60)))
prunes = st.builds(
    PruneJournal,
    before_ms=st.integers(900, 1_500),
    heard_since_ms=st.integers(900, 1_500),
    rows_max=st.sampled_from([0, 1, 3, 1_000]),
)
changes: st.SearchStrategy[Change] = st.one_of(puts, updates, copies, homes, metas, mirrors, prunes)


def told(outcomes: list[Outcome]) -> list[tuple[int, bool, type | None]]:
    return [(o.number, o.existed, type(o.error) if o.error else None) for o in outcomes]


class Agreement(RuleBasedStateMachine):
    """Both stores are given the same; what they tell and hold must be the same."""

    case_sensitive = False

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hnode-agreement-"))
        self.now = 1_000
        self.behind = self.running = 0
        self.model = MemoryStore(case_sensitive=self.case_sensitive)
        # A map so small that it must grow again and again.
        self.store = LmdbStore.create(self.folder / "s", case_sensitive=self.case_sensitive, map_size=1 << 16)

    @rule(batch=st.lists(changes, max_size=4), step=st.integers(-50, 50))
    def apply(self, batch: list[Change], step: int) -> None:
        self.now += step
        assert told(self.store.apply(batch, now_ms=self.now)) == told(self.model.apply(batch, now_ms=self.now))

    @rule(batch=st.lists(puts, max_size=6))
    def replace_all(self, batch: list[PutRecord]) -> None:
        assert told(self.store.replace_all(batch, now_ms=self.now)) == told(
            self.model.replace_all(batch, now_ms=self.now)
        )

    @rule(batch=st.lists(st.tuples(st.integers(0, 3), lists, st.sampled_from(IfExists)), max_size=6))
    def replace_all_behind(self, batch: list[tuple[int, bytes, IfExists]]) -> None:
        """Handles near the end of all keys, or behind it: those that no key follows are appended."""
        self.replace_all([PutRecord(BEHIND[(self.behind + ahead) % 30], octets, kept) for ahead, octets, kept in batch])
        self.behind += 1

    @rule(count=st.integers(1, 5), in_bulk=st.booleans())
    def go_on_with_runs(self, count: int, in_bulk: bool) -> None:
        """Records that take a run of keys each, in front of others: where pages are made to end between them."""
        names = [RUNS[(self.running + ahead) % len(RUNS)] for ahead in range(count)]
        self.running += count
        batch = [PutRecord(name, WIDE) for name in names]
        if in_bulk:
            self.replace_all(batch)
        else:
            self.apply(list(batch), 0)

    @rule(batch=st.lists(changes, max_size=3))
    def make_a_mistake(self, batch: list[Change]) -> None:
        """A `decide` that breaks: nothing of its batch is made."""
        for store in (self.store, self.model):
            with pytest.raises(ZeroDivisionError):
                store.apply([*batch, UpdateRecord(b"88.1/A", lambda _: 1 // 0)], now_ms=self.now)  # type: ignore[arg-type, return-value]

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = LmdbStore.open(self.folder / "s")
        assert self.store.case_sensitive == self.case_sensitive

    @precondition(lambda self: hasattr(self, "store"))
    @invariant()
    def both_hold_the_same(self) -> None:
        with self.store.view() as mine, self.model.view() as theirs:
            for handle in HANDLES + BEHIND + RUNS:
                assert mine.get(handle) == theirs.get(handle)
            keys = [handle.upper() for handle in HANDLES if len(handle) < 400]
            assert mine.stored(keys) == theirs.stored(keys)
            assert all(mine.lookup()(key) == theirs.lookup()(key) for key in keys)
            assert mine.homed() == theirs.homed()
            assert mine.journal(limit=10_000) == theirs.journal(limit=10_000)
            assert mine.journal(after=2, limit=2) == theirs.journal(after=2, limit=2)
            facts_named = (b"one", b"two", MIRRORS)
            assert [mine.meta(name) for name in facts_named] == [theirs.meta(name) for name in facts_named]
            assert mine.last_number() == theirs.last_number()
            for after in (None, *HANDLES):
                for limit, size_max in ((100, 1 << 20), (3, 1 << 20), (100, 600), (0, 1)):
                    page = mine.records(after=after, limit=limit, size_max=size_max)
                    assert page == theirs.records(after=after, limit=limit, size_max=size_max)
            for prefix in (b"", b"88.100/", b"88.", LONG, b"Z"):
                assert mine.handles(prefix, limit=100) == theirs.handles(prefix, limit=100)
            for after in HANDLES:
                assert mine.handles(b"88.", after=after, limit=2) == theirs.handles(b"88.", after=after, limit=2)
            facts, model = mine.facts(), theirs.facts()
            assert (facts.records, facts.journal_rows, facts.homed, facts.last_number) == (
                model.records, model.journal_rows, model.homed, model.last_number,
            )  # fmt: skip

    def teardown(self) -> None:
        if hasattr(self, "store"):
            assert self.store.verify() == []
            self.store.close()
            shutil.rmtree(self.folder)


class CaseSensitiveAgreement(Agreement):
    """The same with suffixes told apart by case."""

    case_sensitive = True


for machine in (Agreement, CaseSensitiveAgreement):
    machine.TestCase.settings = settings(
        max_examples=80, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )

TestAgreement = Agreement.TestCase
TestCaseSensitiveAgreement = CaseSensitiveAgreement.TestCase


def test_bulk_puts_mean_what_single_puts_mean(tmp_path: Path) -> None:
    url = value_list([HandleValue(index=1, type=b"URL", data=b"x")])
    mail = value_list([HandleValue(index=1, type=b"EMAIL", data=b"x")])
    batch = [PutRecord(b"88.1/%d" % (n % 7), url if n % 3 else mail) for n in range(20)]
    with LmdbStore.create(tmp_path / "one") as one, LmdbStore.create(tmp_path / "all") as all_at_once:
        singly = [one.apply([put], now_ms=5)[0] for put in batch]
        bulk = all_at_once.replace_all(batch, now_ms=5)
        assert [(o.existed, o.number > 0) for o in bulk] == [(o.existed, o.number > 0) for o in singly]
        with one.view() as left, all_at_once.view() as right:
            assert [left.get(b"88.1/%d" % n) for n in range(7)] == [right.get(b"88.1/%d" % n) for n in range(7)]
        assert all_at_once.verify() == []


def test_bulk_puts_behind_all_others_fill_their_pages(tmp_path: Path) -> None:
    values_ = value_list([HandleValue(index=1, type=b"URL", data=b"x" * 200)])
    names = [b"88.1/%05d" % n for n in range(6_000)]
    sizes = []
    for name, order in (("rising", names), ("falling", names[::-1])):
        with LmdbStore.create(tmp_path / name) as store:
            for start in range(0, len(order), 500):
                outcomes = store.replace_all([PutRecord(n, values_) for n in order[start : start + 500]], now_ms=1)
                assert not any(outcome.existed for outcome in outcomes)
            again = store.replace_all([PutRecord(n, values_) for n in order[-500:]], now_ms=2)
            assert all(outcome.existed and not outcome.number for outcome in again)
            assert store.verify() == []
            with store.view() as view:
                sizes.append(view.facts().used_size)
    encoded = len(names) * (len(names[0]) + len(values_))
    assert sizes[0] < 1.3 * encoded
    assert sizes[1] < 1.5 * encoded


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_a_listing_pages_by_its_last_handle_through_everything_once(tmp_path: Path, limit: int) -> None:
    names = [b"88.1/%03d" % n for n in range(30)] + [b"88.1/" + b"Z" * 600 + b"%d" % n for n in range(5)]
    with LmdbStore.create(tmp_path / "s") as store:
        store.replace_all([PutRecord(name, value_list([])) for name in [*names, b"88.10/x", b"88.0/x"]], now_ms=1)
        found: list[bytes] = []
        while True:
            with store.view() as view:
                page = view.handles(b"88.1/", after=found[-1] if found else None, limit=limit)
            if not page:
                break
            found += page
    assert sorted(found) == sorted(names)
    assert found[:30] == names[:30]
