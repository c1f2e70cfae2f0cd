"""The cache's rules, each by name: how long, what for, for whom, and what is used when it is too old."""

import pytest

from protocol import value_list
from protocol.codes import TTL_ABSOLUTE
from protocol.value import HandleValue
from resolver.cache.cache import PREFETCH_USES, VARIANTS_MAX, cache_key, prefetch_at_ms
from resolver.cache.lifetimes import RELATIVE_TTL_MAX_S, Lifetimes
from tests.cache.asking import GONE, KEY, LIVES, NONE, NOW, asked, cache, learn, value

# How long


@pytest.mark.parametrize(
    ("made", "lives_ms"),
    [
        (value(ttl=600), 600_000),
        (value(ttl=86_400), 3_600_000),  # Not longer than the operator says.
        (value(ttl=0), 0),
        (value(ttl=-5), 0),
        (value(ttl_type=TTL_ABSOLUTE, ttl=NOW // 1000 + 30), 30_000),
        (value(ttl_type=TTL_ABSOLUTE, ttl=NOW // 1000 - 1), 0),
        (value(ttl_type=7, ttl=600), 0),  # Nobody knows what that means.
    ],
)
def test_an_answer_lives_as_long_as_its_value_says(made: HandleValue, lives_ms: int) -> None:
    known = cache()
    learn(known, made)
    assert asked(known, now=NOW) == ((made,) if lives_ms else None)
    if lives_ms:
        assert asked(known, now=NOW + lives_ms - 1) == (made,)
        assert asked(known, now=NOW + lives_ms) is None


def test_a_relative_ttl_counts_for_two_days_at_most() -> None:
    lives = Lifetimes(ttl_max_ms=10**12)
    assert lives.end_ms(1, [value(ttl=10**9)], NOW) == NOW + RELATIVE_TTL_MAX_S * 1000


def test_the_first_value_that_expires_ends_the_whole_answer() -> None:
    known = cache()
    learn(known, value(1, ttl=600), value(2, ttl=60))
    assert asked(known, now=NOW + 59_999) is not None
    assert asked(known, now=NOW + 60_000) is None


def test_a_clock_that_was_set_back_makes_an_answer_one_of_the_future() -> None:
    known = cache()
    learn(known, value())
    assert asked(known, now=NOW - 1) is None


@pytest.mark.parametrize("code", [GONE, NONE])
def test_that_there_is_nothing_is_remembered_for_a_short_while(code: int) -> None:
    known = cache()
    learn(known, code=code)
    assert asked(known, now=NOW + 59_999) == code
    assert asked(known, now=NOW + 60_000) is None


@pytest.mark.parametrize("code", [2, 3, 7, 301, 302, 303, 402])
def test_refusals_and_referrals_are_not_remembered(code: int) -> None:
    assert learn(cache(), code=code) is None


# What for


def test_everything_answers_every_question() -> None:
    known = cache()
    url, mail = value(1), value(2, b"EMAIL")
    learn(known, url, mail)
    assert asked(known) == (url, mail)
    assert asked(known, b"email") == (mail,)
    assert asked(known, indexes=(1,)) == (url,)
    assert asked(known, b"DESC") == NONE


def test_a_part_answers_no_question_for_more() -> None:
    known = cache()
    learn(known, value(1), types=(b"URL",))
    assert asked(known, b"url") == (value(1),)
    assert asked(known) is None
    assert asked(known, b"URL", b"EMAIL") is None
    assert asked(known, b"URL", indexes=(7,)) is None
    learn(known, value(7, b"DESC"), indexes=(7,))
    assert asked(known, indexes=(7, 0)) == (value(7, b"DESC"),)


def test_a_type_with_a_dot_answers_for_what_is_below_it() -> None:
    known = cache()
    learn(known, value(1, b"A.B"), value(2, b"A"), types=(b"A.",))
    assert asked(known, b"a.b") == (value(1, b"A.B"),)
    assert asked(known, b"A") == (value(2, b"A"),)
    assert asked(known, b"AB") is None


def test_a_handle_that_is_not_there_has_no_value_of_any_type() -> None:
    known = cache()
    learn(known, code=GONE, types=(b"URL",))
    assert asked(known, b"EMAIL") == GONE
    learn(known, code=NONE, key=b"88.100/y", types=(b"URL",))
    assert asked(known, b"EMAIL", key=b"88.100/y") is None


def test_values_that_not_everybody_may_read_are_not_kept() -> None:
    known = cache()
    secret = value(2, b"HS_SECKEY", data=b"secret", permissions=0x0C)
    kept = learn(known, value(1), secret)
    assert kept is not None
    assert b"secret" not in kept.values
    assert asked(known) == (value(1),)
    assert asked(known, indexes=(2,)) == NONE


def test_certified_answers_serve_everybody_and_others_do_not_serve_who_asks_for_them() -> None:
    known = cache()
    learn(known, value(1))
    assert asked(known, certified=True) is None
    learn(known, value(1, data=b"sure"), certified=True)
    assert asked(known, certified=True) == (value(1, data=b"sure"),)
    assert asked(known) == (value(1, data=b"sure"),)
    learn(known, value(1, data=b"newer"))
    assert asked(known) == (value(1, data=b"newer"),)
    assert asked(known, certified=True) == (value(1, data=b"sure"),)


def test_of_answers_to_different_questions_the_oldest_goes() -> None:
    known = cache()
    for n in range(VARIANTS_MAX + 1):
        learn(known, value(n + 1, b"T%d" % n), types=(b"T%d" % n,))
    assert asked(known, b"T0") is None
    assert all(asked(known, b"T%d" % n) is not None for n in range(1, VARIANTS_MAX + 1))


def test_the_case_of_a_suffix_may_matter_to_another_node() -> None:
    assert cache_key(b"88.100/a") != cache_key(b"88.100/A")
    assert cache_key(b"ab.c/x") == cache_key(b"AB.C/x")
    assert cache_key(b"0.na/88.100") == cache_key(b"88.100") == b"0.NA/88.100"


# When it is too old


def test_what_expired_is_there_for_who_cannot_ask() -> None:
    known = cache()
    learn(known, value(ttl=60))
    assert known.stale(KEY, (), (), now_ms=NOW + 60_000 + LIVES.stale_ms - 1) is not None
    assert known.stale(KEY, (), (), now_ms=NOW + 60_000 + LIVES.stale_ms) is None


def test_that_there_was_nothing_says_nothing_later() -> None:
    known = cache()
    learn(known, code=GONE)
    assert known.stale(KEY, (), (), now_ms=NOW + 61_000) is None


def test_what_is_held_serves_until_asking_again_is_due_but_nobody_who_wants_it_certified() -> None:
    known = cache()
    learn(known, value(ttl=60), certified=True)
    late = NOW + 100_000
    assert asked(known, now=late) is None
    assert known.hold(KEY, until_ms=late + 30_000, now_ms=late)
    assert not known.hold(KEY, until_ms=late + 30_000, now_ms=late), "it is held already"
    assert asked(known, now=late + 29_999) == (value(ttl=60),)
    assert asked(known, now=late, certified=True) is None
    assert asked(known, now=late + 30_000) is None


def test_nothing_is_held_beyond_its_greatest_age() -> None:
    known = cache()
    learn(known, value(ttl=60))
    end = NOW + 60_000 + LIVES.stale_ms
    known.hold(KEY, until_ms=end + 30_000, now_ms=end - 1)
    assert asked(known, now=end - 1) is not None
    assert asked(known, now=end) is None


def test_a_popular_answer_is_due_shortly_before_its_end_and_a_rare_one_is_not() -> None:
    known = cache()
    rare, popular = learn(known, value()), learn(known, value(), key=b"88.100/p")
    assert rare is not None
    assert popular is not None
    for _ in range(PREFETCH_USES):
        asked(known, key=b"88.100/p")
    soon = prefetch_at_ms(popular)
    assert NOW < soon < popular.fresh_until_ms
    assert not known.is_due(popular, soon - 1)
    assert known.is_due(popular, soon)
    assert not known.is_due(rare, soon)
    popular.is_refreshing = True
    assert not known.is_due(popular, soon)


def test_an_answer_that_was_replaced_or_forgotten_holds_nothing() -> None:
    known = cache()
    old = learn(known, value(data=b"old"))
    learn(known, value(data=b"new"))
    assert old is not None
    assert (old.values, old.quick_until_s) == (value_list.EMPTY, 0)
    assert known.forget(KEY)
    assert not known.forget(KEY)
    assert asked(known) is None


def test_other_processes_answers_are_taken_where_they_are_newer() -> None:
    known, other = cache(), cache()
    learn(known, value(data=b"mine"))
    theirs = learn(other, value(data=b"older"), now=NOW - 1_000)
    assert theirs is not None
    known.adopt(KEY, [theirs], now_ms=NOW)
    assert asked(known) == (value(data=b"mine"),)
    newer = learn(other, value(data=b"newer"), now=NOW + 1_000)
    assert newer is not None
    known.adopt(KEY, [newer], now_ms=NOW + 1_000)
    assert asked(known, now=NOW + 1_000) == (value(data=b"newer"),)


def test_an_older_answer_to_a_wider_question_is_not_taken_from_another_process() -> None:
    known, other = cache(), cache()
    learn(known, value(data=b"new"), types=(b"URL",))
    whole = learn(other, value(data=b"old"), now=NOW - 5_000)
    assert whole is not None
    known.adopt(KEY, [whole], now_ms=NOW)
    assert asked(known, b"URL") == (value(data=b"new"),)


def test_a_full_cache_stays_within_its_octets() -> None:
    known = cache(1 << 20)
    for n in range(3_000):
        learn(known, value(data=bytes(500)), key=b"88.100/%d" % n)
    assert known.size <= 1 << 20
    assert known.evicted > 0
    assert len(known) > 300
