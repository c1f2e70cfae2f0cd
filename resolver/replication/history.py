"""Whether the changes that a source tells continue those that a mirror took, or the source has lost what it once told.

A source that was set back to a backup goes on with numbers that it gave before: a mirror that only asked for what is
behind its last number would miss changes for ever. So the last change taken is asked for again. Pure.
Source: spec, resolution: sections 8 and 10.6 (which changes are left out; numbers never go back).
"""

from typing import Final

from protocol.identifier import folded
from protocol.replication.transactions import Action, Transaction
from resolver.replication.state import Anchor, MirrorState

CLOCK_SLACK_MS: Final = 600_000
"""Dates may fall by this: a source's clock is put right, and changes of several threads may pass each other."""

_OF_RECORDS: Final = frozenset((Action.CREATE, Action.UPDATE, Action.DELETE))


class LostHistory(Exception):
    """The source does not know what it told before, or tells it otherwise now: everything must be taken anew."""


class NotRising(Exception):
    """Numbers that do not rise within one stream: no source does that."""


def first_asked(state: MirrorState) -> int:
    """The number behind which to ask, so that the last change taken comes again where it can be recognised."""
    return max(state.number - 1, 0) if state.anchor is not None or state.is_new else state.number


class History:
    """One stream of changes behind a number, held against a mirror's state."""

    def __init__(self, state: MirrorState, asked: int) -> None:
        self._state = state
        self._last = asked
        self._latest: Transaction | None = None
        self.taken = 0
        """Changes that were news."""

        self._anchor: Anchor | None = state.anchor if asked < state.number else None
        self.is_proven = asked >= state.number
        """Whether what comes is known to continue what was taken: before, the state must not move on."""

    @property
    def state(self) -> MirrorState:
        """Where a mirror stands that has taken all that came, once it is proven or ended."""
        return self._state if self._latest is None else self._state.followed_to(self._latest)

    def takes(self, transaction: Transaction) -> bool:
        """Whether a change, the next of the stream, is news. `LostHistory` where it cannot follow what was taken."""
        if transaction.number <= self._last:
            raise NotRising(f"change {transaction.number} behind {self._last}")
        self._last = transaction.number
        self._latest = transaction
        anchor = self._anchor
        if transaction.number <= self._state.number:
            if anchor is not None and Anchor.of(transaction) != anchor:
                raise LostHistory(f"change {transaction.number} is another one than before")
            self.is_proven = True
            return False
        if anchor is None:
            self.is_proven = True
        elif transaction.date_ms < anchor.date_ms - CLOCK_SLACK_MS:
            raise LostHistory(f"change {transaction.number} is dated before {anchor.number}")
        elif self._hides(transaction, anchor):
            self.is_proven = True
        self.taken += 1
        return True

    def _hides(self, transaction: Transaction, anchor: Anchor) -> bool:
        """Whether a later change is why the last one taken was left out: what it did no longer holds."""
        return (
            anchor.action in _OF_RECORDS
            and transaction.action in _OF_RECORDS
            and folded(transaction.handle) == anchor.handle
        )

    def end(self, date_ms: int) -> None:
        """Judge the whole stream, which ended with this date; `LostHistory` where something is missing."""
        state = self._state
        if not self.is_proven and (self._anchor is not None or state.receiver.server_count == 1):
            raise LostHistory(f"change {state.number}, the last one taken, is not known any more")
        if date_ms < state.date_ms - CLOCK_SLACK_MS:
            raise LostHistory(f"its clock went back by {(state.date_ms - date_ms) / 1000:.0f} s")
