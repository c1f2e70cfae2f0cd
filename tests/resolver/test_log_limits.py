"""Lines that strangers cause are bounded: one of a kind a second, and the count of those that were not told."""

import logging
from collections.abc import Iterator

import pytest

from resolver.clock import HandClock
from resolver.log_limits import OnceASecond, limited

NAME = "tests.limited"


@pytest.fixture
def clock(caplog: pytest.LogCaptureFixture) -> Iterator[HandClock]:
    clock, log = HandClock(), logging.getLogger(NAME)
    found = OnceASecond(clock.monotonic)
    log.addFilter(found)
    with caplog.at_level(logging.INFO):
        yield clock
    log.removeFilter(found)


def test_a_kind_of_line_is_told_once_a_second_and_then_how_often_it_was_not(
    clock: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger(NAME)
    for number in range(1_000):
        log.info("a proof of %d failed", number)
        log.warning("a reply goes unsigned")
    clock.advance(0.9)
    log.info("a proof of %d failed", 1_000)
    clock.advance(0.1)
    log.info("a proof of %d failed", 1_001)
    clock.advance(5)
    log.info("a proof of %d failed", 1_002)
    assert [record.getMessage() for record in caplog.records] == [
        "a proof of 0 failed",
        "a reply goes unsigned",
        "a proof of 1001 failed (and 1000 times more since the last such line)",
        "a proof of 1002 failed",
    ]


def test_what_is_remembered_does_not_grow_with_what_strangers_send(clock: HandClock) -> None:
    log = logging.getLogger(NAME)
    (found,) = [known for known in log.filters if isinstance(known, OnceASecond)]
    for number in range(100):
        log.info("%r is not looked at", bytes([number]))
    assert len(found._told) == len(found._kept_back) == 1


def test_a_module_that_is_limited_twice_has_one_limit() -> None:
    assert limited("tests.twice") is limited("tests.twice")
    assert len(logging.getLogger("tests.twice").filters) == 1


@pytest.mark.parametrize(
    "module",
    [
        "administration",
        "authentication",
        "authorization",
        "driving",
        "elsewhere",
        "engine",
        "key_exchange",
        "memory",
        "recursion",
        "service",
        "tcp_server",
        "ticking",
        "udp_server",
        "upstream",
        "upstream_messages",
        "watching",
        "writing",
    ],
)
def test_modules_whose_lines_strangers_cause_are_limited(module: str) -> None:
    __import__(f"resolver.{module}")
    assert any(isinstance(found, OnceASecond) for found in logging.getLogger(f"resolver.{module}").filters)
