"""The cache against a list of all that was ever told: what it answers was told, covers the question, and is not old."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from protocol import value_list
from protocol.value import HandleValue
from protocol.value import value_list as listed
from tests.cache.asking import GONE, LIVES, NONE, NOW, asked, cache, learn, value

KEYS = [b"88.100/%d" % n for n in range(3)]
KINDS = [b"URL", b"EMAIL", b"A.B", b"A"]
questions = st.tuples(
    st.lists(st.integers(0, 4), max_size=2).map(tuple),
    st.lists(st.sampled_from([*KINDS, b"A.", b"url"]), max_size=2).map(tuple),
)  # fmt: skip
records = st.lists(
    st.builds(
        value, st.integers(1, 4), st.sampled_from(KINDS), ttl=st.sampled_from([0, 5, 60, 600]),
        permissions=st.sampled_from([14, 12]), data=st.sampled_from([b"a", b"b"]),
    ),
    max_size=4,
)  # fmt: skip


class Learnt:
    """One thing that was told: the record as it was then, the question, and when."""

    def __init__(
        self,
        code: int,
        record: list[HandleValue],
        question: tuple[tuple[int, ...], tuple[bytes, ...]],
        certified: bool,
        now: int,
    ) -> None:
        self.code, self.question, self.certified, self.now = code, question, certified, now
        self.values = [v for v in picked(record, question) if v.is_public]
        self.end = LIVES.end_ms(code, self.values, now)


def picked(record: list[HandleValue], question: tuple[tuple[int, ...], tuple[bytes, ...]]) -> list[HandleValue]:
    octets = listed(record)
    is_wanted = value_list.matcher(*question)
    return [v for v, span in zip(record, value_list.spans(octets), strict=True) if is_wanted(span)]


class AgainstAList(RuleBasedStateMachine):
    """What is answered was told, to a question that covers this one, is not too old, and not overtaken."""

    @initialize()
    def begin(self) -> None:
        self.cache = cache()
        self.now = NOW
        self.told: dict[bytes, list[Learnt]] = {}

    @rule(
        key=st.sampled_from(KEYS),
        record=records,
        question=questions,
        certified=st.booleans(),
        kind=st.sampled_from([1, 1, 1, GONE]),
    )
    def learn(
        self,
        key: bytes,
        record: list[HandleValue],
        question: tuple[tuple[int, ...], tuple[bytes, ...]],
        certified: bool,
        kind: int,
    ) -> None:
        values = picked(record, question)
        code = kind if kind == GONE else 1 if any(v.is_public for v in values) else NONE
        said = Learnt(code, record if code == 1 else [], question, certified, self.now)
        learn(
            self.cache,
            *said.values,
            code=code,
            key=key,
            indexes=question[0],
            types=question[1],
            certified=certified,
            now=self.now,
        )
        if said.end > self.now:
            self.told.setdefault(key, []).append(said)
            if code == 1:
                got = asked(self.cache, *question[1], indexes=question[0], key=key, certified=certified, now=self.now)
                assert got == tuple(said.values), "what was told just now is known"

    @rule(step=st.sampled_from([1, 999, 5_000, 60_000, 600_000]))
    def wait(self, step: int) -> None:
        self.now += step

    @rule(key=st.sampled_from(KEYS))
    def forget(self, key: bytes) -> None:
        self.cache.forget(key)
        self.told.pop(key, None)

    @precondition(lambda self: self.told)
    @rule(key=st.sampled_from(KEYS), question=questions, certified=st.booleans())
    def ask(self, key: bytes, question: tuple[tuple[int, ...], tuple[bytes, ...]], certified: bool) -> None:
        got = asked(self.cache, *question[1], indexes=question[0], key=key, certified=certified, now=self.now)
        if got is None:
            return
        living = [said for said in self.told.get(key, []) if self.now < said.end and said.certified >= certified]
        fitting = [said for said in living if got == self._of(said, question)]
        assert fitting, "nobody told that"
        assert any(self._covers(said, question) for said in fitting), "it was told to a narrower question"
        wholes = [said.now for said in living if said.question == ((), ()) and said.certified == certified]
        if wholes and not certified:
            assert max(said.now for said in fitting) >= max(wholes), "the whole was told later"

    @staticmethod
    def _of(said: Learnt, question: tuple[tuple[int, ...], tuple[bytes, ...]]) -> tuple[HandleValue, ...] | int:
        if said.code == GONE:
            return GONE
        return tuple(picked(said.values, question)) or NONE

    @staticmethod
    def _covers(said: Learnt, question: tuple[tuple[int, ...], tuple[bytes, ...]]) -> bool:
        """Whether every record that could be has what the question wants within what was told."""
        every = [value(i, k) for i in range(1, 5) for k in [*KINDS, b"A.X", b"A.B.C", b"Z"]]
        return said.code == GONE or set(map(id, picked(every, question))) <= set(map(id, picked(every, said.question)))


TestAgainstAList = AgainstAList.TestCase
TestAgainstAList.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
