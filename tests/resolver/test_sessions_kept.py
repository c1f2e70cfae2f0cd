"""What a worker keeps of sessions is never older than the table that all workers share, and is bounded."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from protocol.errors import Replayed, SessionUnknown
from protocol.trust.session import CounterWindow, SessionKey
from protocol.value import Reference
from protocol.version import NEWEST
from resolver import sessions
from resolver.sessions import Session, Sessions, read_session
from storage.volatile import Volatile

WHO = Reference(300, b"0.NA/88.100")
KEY = SessionKey(3, bytes(range(32)))


def clock() -> int:
    return 1_000


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Volatile]:
    with closing(Volatile.create(tmp_path / "volatile")) as table:
        yield table


def begun(worker: Sessions, source: str = "192.0.2.1") -> int:
    return worker.begun(source, KEY, NEWEST, identity=WHO, timeout_s=60).id


def test_what_another_worker_heard_is_known_at_once(table: Volatile) -> None:
    one, other = Sessions(table, clock), Sessions(table, clock)
    number = begun(one)
    assert one.heard(number, 1).sent == 1
    assert other.heard(number, 2).sent == 2
    with pytest.raises(Replayed):
        one.heard(number, 2)
    other.proven(number, WHO, 300)
    found = one.find(number)
    assert found is not None
    assert found.is_proven
    assert one.heard(number, 3).sent == 3


def test_what_another_worker_ended_is_gone(table: Volatile) -> None:
    one, other = Sessions(table, clock), Sessions(table, clock)
    number = begun(one)
    one.heard(number, 1)
    other.end(number)
    assert one.find(number) is None
    with pytest.raises(SessionUnknown):
        one.heard(number, 2)


def test_a_worker_keeps_so_many_and_reads_the_others_again(table: Volatile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_KEPT_MAX", 3)
    worker = Sessions(table, clock)
    numbers = [begun(worker, f"192.0.2.{host}") for host in range(8)]
    for counter in (1, 2):
        for number in numbers:
            assert worker.heard(number, counter).sent == counter
            assert len(worker._kept) <= 3


@pytest.mark.parametrize("count", [0, 1, 39, 40, 41, 200])
def test_counters_are_the_same_when_they_are_read_again(count: int) -> None:
    seen = tuple(range(0xFFFFFFFF - count + 1, 0xFFFFFFFF + 1)) if count % 2 else tuple(range(1, count + 1))
    session = Session(7, KEY, NEWEST, WHO, 60_000, True, CounterWindow(seen), 5, 300)
    assert read_session(7, session.octets()) == session


def test_a_note_grows_in_steps() -> None:
    def size(count: int) -> int:
        heard = CounterWindow(tuple(range(1, count + 1)))
        return len(Session(7, KEY, NEWEST, WHO, 60_000, True, heard, 5, 300).octets())

    assert size(1) == size(40) < size(41) == size(80)
