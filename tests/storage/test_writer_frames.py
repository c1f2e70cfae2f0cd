"""What workers and the writer say to each other, as octets: every change and every ending, however it is cut."""

import pytest

from protocol.errors import Changed, HandleExists
from protocol.value import HandleValue, value_list
from resolver.operations.rules import Unless, update
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
    StoreError,
    StoreFull,
    UnhomePrefix,
    UpdateRecord,
)
from storage.writer_frames import (
    FRAME_SIZE_MAX,
    BadFrame,
    Frames,
    answers_frame,
    change_frame,
    read_answers,
    read_change,
)

VALUES = value_list([HandleValue(index=1, type=b"URL", data=b"https://example.org/")])
CHANGES: tuple[Change, ...] = (
    PutRecord(b"88.1/A", VALUES, IfExists.FAIL, who="300:0.NA/88.1"),
    CopyRecord(b"88.1/A", None, who="mirror"),
    HomePrefix(b"0.NA/88.1", who="x"),
    UnhomePrefix(b"0.NA/88.1"),
    SetMeta(b"name", b"\0octets"),
    NoteMirror("mirror", 17),
    NoteMirror("mirror", None),
    PruneJournal(1, 2, rows_max=3),
    update(b"88.1/A", Record(b"88.1/a", VALUES), None, "300:0.NA/88.1"),
    update(b"88.1/A", None, VALUES, ""),
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: type(change).__name__)
def test_a_change_comes_through_as_it_was_however_the_stream_is_cut(change: Change) -> None:
    octets = change_frame(7, change)
    frames = Frames()
    found = [frame for octet in octets for frame in frames.fed(bytes([octet]))]
    assert [(number, read_change(body)) for number, body in found] == [(7, change)]


def test_many_frames_that_come_at_once_come_apart_in_their_order() -> None:
    octets = b"".join(change_frame(number, change) for number, change in enumerate(CHANGES))
    frames = Frames()
    found = [*frames.fed(octets[:100]), *frames.fed(octets[100:])]
    assert [(number, read_change(body)) for number, body in found] == list(enumerate(CHANGES))


def test_a_decision_decides_on_the_other_side_as_it_would_on_this() -> None:
    standing = Record(b"88.1/A", VALUES)
    ((_, body),) = Frames().fed(change_frame(1, update(b"88.1/A", standing, VALUES, "")))
    change = read_change(body)
    assert isinstance(change, UpdateRecord)
    assert isinstance(change.decide, Unless)
    assert change.decide(standing) == standing
    with pytest.raises(Changed):
        change.decide(None)


def test_outcomes_refusals_and_errors_come_through_with_their_words() -> None:
    refused = Outcome(existed=True, error=HandleExists("stands", told="Handle already exists"))
    told: list[tuple[int, Outcome | Exception]] = [(1, Outcome(17, True)), (2, refused)]
    told += [(3, StoreFull("no room")), (4, ZeroDivisionError("ours"))]
    ((_, body),) = Frames().fed(answers_frame(told))
    found = dict(read_answers(body))
    assert found[1] == Outcome(17, True)
    outcome = found[2]
    assert isinstance(outcome, Outcome)
    assert isinstance(outcome.error, HandleExists)
    assert (outcome.existed, outcome.error.told, str(outcome.error)) == (True, "Handle already exists", "stands")
    assert (type(found[3]), str(found[3])) == (StoreFull, "no room")
    assert (type(found[4]), str(found[4])) == (ZeroDivisionError, "ours")


def test_an_error_that_cannot_be_carried_is_told_by_its_words() -> None:
    class OfThisTest(Exception):
        """Nobody else can import it."""

    ((_, body),) = Frames().fed(answers_frame([(1, OfThisTest("why"))]))
    ((_, found),) = read_answers(body)
    assert isinstance(found, StoreError)
    assert "OfThisTest: why" in str(found)


def test_a_change_that_is_too_long_is_refused_before_it_is_sent() -> None:
    with pytest.raises(StoreError, match="at most 16,777,216"):
        change_frame(1, SetMeta(b"name", bytes(FRAME_SIZE_MAX)))


def test_a_frame_that_announces_too_much_is_refused_at_once() -> None:
    head = (FRAME_SIZE_MAX + 1).to_bytes(4, "big") + bytes(8)
    with pytest.raises(BadFrame):
        Frames().fed(head)


def test_octets_that_are_no_change_are_told_as_our_fault() -> None:
    with pytest.raises(StoreError, match="nothing was changed"):
        read_change(b"no pickle")
    with pytest.raises(BadFrame):
        read_answers(b"no pickle")
