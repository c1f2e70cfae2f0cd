"""Spellings that are answered at once: what is taken among them, and how much they may be."""

from protocol.value import HandleValue
from resolver.cache.kept import Kept
from resolver.cache.ready import SPELLINGS_MAX, Ready
from storage.keys import PLAIN_KEY_SIZE_MAX
from tests.cache.asking import GONE, NOW, cache, learn, value

SHORT = b"88.100/x"


def kept(*values: HandleValue, code: int = 1, types: tuple[bytes, ...] = ()) -> Kept:
    found = learn(cache(), *values, code=code, types=types)
    assert found is not None
    return found


def known(spelling: bytes, of: Kept) -> bool:
    ready = Ready()
    ready.add(spelling, of, now_ms=NOW, is_prefetched=True)
    return ready.get(spelling) is of


def test_answers_to_the_question_for_everything_are_taken_and_no_others() -> None:
    assert known(SHORT, kept(value()))
    assert not known(SHORT, kept(value(), types=(b"URL",)))
    assert not known(SHORT, kept(code=GONE))


def test_a_spelling_longer_than_any_that_is_looked_up_is_not_remembered() -> None:
    assert known(SHORT.ljust(PLAIN_KEY_SIZE_MAX, b"x"), kept(value()))
    assert not known(SHORT.ljust(PLAIN_KEY_SIZE_MAX + 1, b"x"), kept(value()))


def test_beyond_the_bound_all_are_learnt_anew() -> None:
    ready, one = Ready(), kept(value())
    for number in range(SPELLINGS_MAX + 1):
        ready.add(b"88.100/%d" % number, one, now_ms=NOW, is_prefetched=True)
    assert ready.get(b"88.100/0") is None
    assert ready.get(b"88.100/%d" % SPELLINGS_MAX) is one
