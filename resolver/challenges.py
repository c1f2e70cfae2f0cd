"""Challenges that wait for their answers: each lives once, for a time, and is seen by every worker.

A challenge holds the whole request that it was made for: the answer does not repeat it. One made in a session stands
under the session's own id, a new one in place of the last; all others get ids that are hard to guess.
Sources: behaviours 20; spec, security: sections 2, 5 and 8.5.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgpack

from protocol.errors import ChallengeUnknown, TooBusy
from protocol.version import Version
from storage.volatile import Kind, TooMany, Volatile

NONCE_SIZE: Final = 16

CHALLENGES: Final = Kind(
    1, notes_max=65_536, notes_a_source_max=2_048, octets_max=96 << 20, octets_a_source_max=8 << 20
)
"""Bounds of challenges over connections: honest ones are answered within a second, so the oldest are a stranger's.

Their octets in all are three seconds of a gigabit: whoever fills them faster has bound the network before the node.
"""

UDP_CHALLENGES: Final = Kind(
    3, notes_max=16_384, notes_a_source_max=1_024, octets_max=32 << 20, octets_a_source_max=1 << 20
)
"""Over UDP sources can be forged: what they fill is theirs alone."""

SESSION_CHALLENGES: Final = Kind(
    4, notes_max=65_536, notes_a_source_max=1_024, octets_max=64 << 20, octets_a_source_max=8 << 20
)
"""One a session at most."""

ROUNDS_MAX: Final = 2  # How often a client is asked to answer in an older form: deployed clients allow two.


@dataclass(frozen=True, slots=True)
class Challenge:
    """A request that waits for proof: the clear message with its envelope, the nonce, and the version of the reply.

    `suggested` is what the challenge suggested, and so the form of a secret-key answer; `rounds` how often it was asked
    in an older form. `is_admin` and `session_id` are those of the request.
    """

    message: bytes
    nonce: bytes
    version: Version
    suggested: Version
    is_admin: bool
    session_id: int = 0
    rounds: int = 0

    def octets(self) -> bytes:
        """The note."""
        fields = (
            self.message, self.nonce, *self.version, *self.suggested, self.is_admin, self.session_id, self.rounds
        )  # fmt: skip
        octets: bytes = msgpack.packb(fields)
        return octets


def read_challenge(octets: bytes) -> Challenge:
    """The challenge of a note."""
    message, nonce, major, minor, suggested_major, suggested_minor, is_admin, session, rounds = msgpack.unpackb(octets)
    version, suggested = Version(major, minor), Version(suggested_major, suggested_minor)
    return Challenge(message, nonce, version, suggested, is_admin, session, rounds)


class Challenges:
    """The pending challenges of the node. `ttl_ms` is how long one waits for its answer."""

    def __init__(self, volatile: Volatile, now_ms: Callable[[], int], *, ttl_ms: int) -> None:
        self._volatile = volatile
        self._now_ms = now_ms
        self._ttl_ms = ttl_ms

    def put(self, challenge: Challenge, source: str, *, is_connection: bool, number: int | None = None) -> int:
        """Let a challenge wait; its id. `number` wishes for one: that of the session, or that it had before."""
        kind = CHALLENGES if is_connection else UDP_CHALLENGES
        if challenge.session_id:
            kind, number = SESSION_CHALLENGES, challenge.session_id
        now_ms = self._now_ms()
        try:
            return self._volatile.add(
                kind, source, challenge.octets(), now_ms=now_ms, end_ms=now_ms + self._ttl_ms, number=number
            )
        except TooMany as error:
            raise TooBusy(str(error), told="Too many challenges wait for an answer") from error

    def take(self, number: int) -> Challenge:
        """The challenge of that id, which nobody gets a second time; `ChallengeUnknown` where none waits."""
        now_ms = self._now_ms()
        for kind in (CHALLENGES, SESSION_CHALLENGES, UDP_CHALLENGES):
            octets = self._volatile.take(kind, number, now_ms=now_ms)
            if octets is not None:
                return read_challenge(octets)
        raise ChallengeUnknown(f"no challenge {number} waits", told="Challenge not found")

    def is_waiting(self, number: int) -> bool:
        """Whether a challenge of that id waits."""
        now_ms = self._now_ms()
        kinds = (CHALLENGES, SESSION_CHALLENGES, UDP_CHALLENGES)
        return any(self._volatile.get(kind, number, now_ms=now_ms) is not None for kind in kinds)
