"""Sessions as every worker sees them: kept, found, counted, proven and ended. How keys come about is `key_exchange`.

Sources: spec, security: sections 8.1, 8.4, 8.5 and 8.7; behaviours 26 to 30.
"""

from array import array
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import msgpack

from protocol.errors import Replayed, SessionKeyWrong, SessionUnknown, TooBusy
from protocol.trust.session import CounterWindow, SessionKey
from protocol.value import Reference
from protocol.version import V_OWN_CODES, Version
from storage.volatile import Kind, TooMany, Volatile

SESSIONS: Final = Kind(2, notes_max=65_536, notes_a_source_max=1_024, octets_max=96 << 20, octets_a_source_max=4 << 20)
"""Bounds of sessions: a factory behind one address has some hundred clients; each session holds about 1 KiB."""

TIMEOUT_DEFAULT_S: Final = 86_400  # Where a client wishes none.
TIMEOUT_MAX_S: Final = 86_400  # What deployed clients ask for: longer is cut.
UNPROVEN_IDLE_S: Final = 600  # A session that nobody vouches for and nobody uses: a stranger's costs us little.
_END_STEP_MS: Final = 5_000  # An end moves only in such steps, so that most messages write one note and no index.

NO_SESSION: Final = "Invalid session id or session time out. Please try again."
_COUNTER: Final = "I"  # In the machine's order: notes are this machine's alone.
_COUNTERS_STEP: Final = 40  # Counters that a note grows by: while its size stays, nothing else has to be counted anew.
_KEPT_MAX: Final = 512
"""Sessions that a worker keeps as it read or wrote them last, some 8 KiB each: what the table has decides, octet for
octet, and only what another worker changed is read anew."""
_NOTHING_HEARD: Final = CounterWindow()


@dataclass(frozen=True, slots=True)
class Session:
    """One session: `identity` as its set-up named it, None for nobody; `is_proven` once a challenge bore it out, by the
    key at `key_index`.

    A key of no octets: the client still has to send it. `version` is the one of the set-up's reply. `sent` is the
    counter of our last reply. Times in ms.
    """

    id: int
    key: SessionKey
    version: Version
    identity: Reference | None
    timeout_ms: int
    is_proven: bool = False
    heard: CounterWindow = _NOTHING_HEARD
    sent: int = 0
    key_index: int = 0

    def end_ms(self, now_ms: int) -> int:
        """When it ends if nothing more is heard."""
        idle = self.timeout_ms if self.is_proven else min(self.timeout_ms, UNPROVEN_IDLE_S * 1000)
        return -(-(now_ms + idle) // _END_STEP_MS) * _END_STEP_MS

    def answered(self, heard: CounterWindow) -> "Session":
        """After a message and its reply; written out, as `dataclasses.replace` takes twice as long."""
        return Session(
            self.id, self.key, self.version, self.identity, self.timeout_ms, self.is_proven, heard, self.sent + 1,
            self.key_index,
        )  # fmt: skip

    def octets(self) -> bytes:
        """The note."""
        identity = None if self.identity is None else [self.identity.index, self.identity.handle]
        seen = self.heard.seen
        counters = array(_COUNTER, (*(0,) * (-len(seen) % _COUNTERS_STEP), *seen)).tobytes()
        fields = (
            *self.key,
            *self.version,
            identity,
            self.timeout_ms,
            self.is_proven,
            counters,
            self.sent,
            self.key_index,
        )
        octets: bytes = msgpack.packb(fields)
        return octets


def read_session(number: int, octets: bytes) -> Session:
    """The session of a note."""
    algorithm, key, major, minor, identity, timeout_ms, is_proven, packed, sent, index = msgpack.unpackb(octets)
    padded = array(_COUNTER, packed)
    seen = tuple(padded[bisect_right(padded, 0) :])
    return Session(
        number,
        SessionKey(algorithm, key),
        Version(major, minor),
        None if identity is None else Reference(*identity),
        timeout_ms,
        is_proven,
        CounterWindow(seen),
        sent,
        index,
    )


class Sessions:
    """The sessions of the node. `now_ms` is the machine's clock, the same for all workers."""

    def __init__(self, volatile: Volatile, now_ms: Callable[[], int]) -> None:
        self._volatile = volatile
        self._now_ms = now_ms
        self._kept: dict[int, tuple[bytes, Session]] = {}

    def _read(self, number: int, octets: bytes) -> Session:
        """The session of a note, as it was read or written last where the note is the same."""
        kept = self._kept.get(number)
        if kept is not None and kept[0] == octets:
            return kept[1]
        session = read_session(number, octets)
        self._keep(number, octets, session)
        return session

    def _keep(self, number: int, octets: bytes, session: Session) -> None:
        if len(self._kept) >= _KEPT_MAX and number not in self._kept:
            del self._kept[next(iter(self._kept))]
        self._kept[number] = octets, session

    def begun(
        self, source: str, key: SessionKey, version: Version, *, identity: Reference | None, timeout_s: int
    ) -> Session:
        """A new session; `TooBusy` where the source has too many. A time that is none, or too long, is replaced."""
        wished = timeout_s if timeout_s > 0 else TIMEOUT_DEFAULT_S
        session = Session(0, key, version, identity, min(wished, TIMEOUT_MAX_S) * 1000)
        now_ms = self._now_ms()
        try:
            number = self._volatile.add(
                SESSIONS, source, session.octets(), now_ms=now_ms, end_ms=session.end_ms(now_ms)
            )
        except TooMany as error:
            raise TooBusy(str(error), told="Too many sessions are open from this address") from error
        return replace(session, id=number)

    def find(self, number: int) -> Session | None:
        """The session of that id, or None."""
        octets = self._volatile.get(SESSIONS, number, now_ms=self._now_ms())
        return None if octets is None else self._read(number, octets)

    def changed(self, number: int, change: Callable[[Session], Session]) -> Session:
        """The session after a change, made at once for all workers; `SessionUnknown` where there is none."""
        now_ms, after = self._now_ms(), []

        def decide(octets: bytes) -> tuple[bytes, int]:
            session = change(self._read(number, octets))
            after.append(session)
            kept = session.octets()
            self._keep(number, kept, session)
            return kept, session.end_ms(now_ms)

        if not self._volatile.change(SESSIONS, number, decide, now_ms=now_ms):
            raise SessionUnknown(f"session {number}", told=NO_SESSION)
        return after[-1]

    def heard(self, number: int, counter: int) -> Session:
        """Note a proven message by its counter, and take the next one for its reply; `Replayed` for one seen before.

        Below 2.5 no counter was checked: those sessions carry none that means anything.
        """

        def change(session: Session) -> Session:
            window: CounterWindow | None = session.heard
            if session.version.at_least(V_OWN_CODES):
                window = session.heard.after(counter)
            if window is None:
                raise Replayed(f"counter {counter} of session {number} came before, or is too old")
            return session.answered(window)

        return self.changed(number, change)

    def next_counter(self, number: int) -> Session:
        """Take the counter of a reply whose request carried none."""
        return self.changed(number, lambda session: replace(session, sent=session.sent + 1))

    def proven(self, number: int, identity: Reference, key_index: int) -> None:
        """Somebody proved an identity in the session: its own makes the session vouch for itself from now on."""

        def change(session: Session) -> Session:
            is_own = session.identity is not None and session.identity == identity
            return replace(session, is_proven=True, key_index=key_index) if is_own else session

        self.changed(number, change)

    def keyed(self, number: int, key: SessionKey) -> None:
        """The client has sent the session's key; `SessionKeyWrong` where it has one already."""

        def change(session: Session) -> Session:
            if session.key.key:
                raise SessionKeyWrong(f"session {number} has its key already")
            return replace(session, key=key)

        self.changed(number, change)

    def end(self, number: int) -> None:
        """Forget a session."""
        self._volatile.take(SESSIONS, number, now_ms=self._now_ms())
        self._kept.pop(number, None)
