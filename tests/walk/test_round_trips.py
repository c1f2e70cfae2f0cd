"""Measured round trips: smoothed, fading, bounded."""

from resolver.walk.round_trips import FAILED_MS, Measured


def test_nothing_is_known_of_a_host_that_was_never_asked() -> None:
    assert Measured().of_ms("192.0.2.1") == 0


def test_one_slow_answer_of_a_quick_host_changes_a_quarter() -> None:
    times = Measured()
    times.took("a", 20)
    times.took("a", 420)
    assert times.of_ms("a") == 120


def test_a_host_that_failed_comes_after_every_one_that_answers() -> None:
    times = Measured()
    times.took("slow", 2_000)
    times.failed("down")
    assert times.of_ms("down") == FAILED_MS > times.of_ms("slow")


def test_a_host_that_answers_again_is_as_quick_as_its_answer() -> None:
    times = Measured()
    times.failed("a")
    times.took("a", 30)
    assert times.of_ms("a") == 30


def test_what_is_passed_over_is_tried_again_some_day() -> None:
    times = Measured()
    times.failed("a")
    looks = 0
    while times.of_ms("a") > 128:  # Below, chance alone may choose it (resolution, 3.2).
        looks += 1
    assert 100 < looks < 1_000


def test_as_many_hosts_as_wished_are_remembered_and_the_oldest_goes() -> None:
    times = Measured(hosts_max=2)
    times.took("a", 10)
    times.took("b", 10)
    times.took("a", 10)
    times.took("c", 10)
    assert len(times) == 2
    assert [times.of_ms(host) > 0 for host in "abc"] == [True, False, True]


def test_a_stranger_who_names_hosts_without_end_fills_nothing() -> None:
    times = Measured(hosts_max=100)
    for number in range(10_000):
        times.failed(f"2001:db8::{number:x}")
    assert len(times) == 100
