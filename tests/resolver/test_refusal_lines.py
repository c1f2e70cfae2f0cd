"""Which refusals the log tells, and that nobody can fill it, hide others in it or write lines of their own."""

import logging
from collections.abc import Iterator

import pytest

from protocol.codes import OpCode
from protocol.errors import (
    AuthenticationFailed,
    ChallengeUnknown,
    HandleError,
    HandleNotFound,
    Malformed,
    NotAuthorized,
    NotResponsible,
    Replayed,
    SessionFailed,
    SessionKeyWrong,
    SessionUnknown,
    TooBusy,
    ValuesNotFound,
)
from resolver.refusals import LINES_A_SOURCE_MAX, LINES_MAX, TEXT_MAX, WINDOW_S, AdminElsewhere, Refusals

NOW_S = 1_700_000_000


class Log:
    """The lines of one process."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.caplog = caplog
        self.refusals = Refusals()

    def note(self, error: HandleError, *, source: str = "a", opcode: int | None = 101, after_s: int = 0) -> None:
        self.refusals.note(error, source=source, opcode=opcode, now_s=NOW_S + after_s)

    def lines(self) -> list[str]:
        return [record.getMessage() for record in self.caplog.records]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[Log]:
    with caplog.at_level(logging.INFO, "resolver.refusals"):
        yield Log(caplog)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TooBusy("why"), 3),
        (NotResponsible("why"), 301),
        (NotAuthorized("why"), 400),
        (AuthenticationFailed("why"), 403),
        (ChallengeUnknown("why"), 405),
        (SessionUnknown("why"), 500),
        (SessionFailed("why"), 501),
        (SessionKeyWrong("why"), 502),
        (Replayed("why"), 505),
        (AdminElsewhere("why"), 4),
    ],
)
def test_an_attempt_of_one_who_may_not_is_told(log: Log, error: HandleError, code: int) -> None:
    log.note(error, source="192.0.2.1", opcode=OpCode.DELETE_HANDLE)
    (line,) = log.lines()
    assert line.startswith(f"refused DELETE_HANDLE of 192.0.2.1 with {code} ")
    assert line.endswith(": why")


@pytest.mark.parametrize("error", [HandleNotFound(), ValuesNotFound(), Malformed("what"), HandleError("what")])
def test_what_ordinary_clients_hear_every_day_is_not(log: Log, error: HandleError) -> None:
    log.note(error)
    log.note(NotResponsible("a handle of elsewhere"), opcode=OpCode.RESOLUTION)
    assert log.lines() == []


@pytest.mark.parametrize(("opcode", "named"), [(None, "octets"), (77, "opcode 77"), (1, "RESOLUTION")])
def test_what_was_asked_is_named_where_it_can_be(log: Log, opcode: int | None, named: str) -> None:
    log.note(SessionFailed("why"), opcode=opcode)
    assert log.lines() == [f"refused {named} of a with 501 SESSION_FAILED: why"]


def test_one_source_has_its_share_of_lines_and_the_next_one_its_own(log: Log) -> None:
    for _ in range(10 * LINES_A_SOURCE_MAX):
        log.note(NotAuthorized("why"), source="greedy")
    log.note(NotAuthorized("why"), source="other")
    assert len(log.lines()) == LINES_A_SOURCE_MAX + 1
    assert " of other " in log.lines()[-1]


def test_all_sources_together_have_theirs_and_what_was_not_told_is_counted(log: Log) -> None:
    for number in range(2 * LINES_MAX):
        log.note(NotAuthorized("why"), source=f"source {number}")
    assert len(log.lines()) == LINES_MAX
    log.note(NotAuthorized("why"), source="late", after_s=WINDOW_S)
    *_, counted, late = log.lines()
    assert counted == f"{LINES_MAX} more refusals were not told: too many came at once"
    assert " of late " in late


def test_a_new_window_begins_without_what_came_before(log: Log) -> None:
    for window in range(3):
        for _ in range(LINES_A_SOURCE_MAX):
            log.note(NotAuthorized("why"), after_s=window * WINDOW_S)
    assert len(log.lines()) == 3 * LINES_A_SOURCE_MAX


@pytest.mark.parametrize("sign", ["\n", "\r", "\0", "\x1b", "\u2028", "\x85", "\u202e"])
def test_no_reason_begins_a_line_of_its_own_or_turns_it_round(log: Log, sign: str) -> None:
    log.note(NotAuthorized(f"300:88.100/A{sign}refused nobody"))
    (line,) = log.lines()
    assert line.endswith(": 300:88.100/A?refused nobody")


def test_a_reason_is_cut_and_kept_in_its_own_script(log: Log) -> None:
    log.note(NotAuthorized("扳手" * TEXT_MAX))
    (line,) = log.lines()
    assert line.endswith(": " + "扳手" * (TEXT_MAX // 2))
