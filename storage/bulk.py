"""Puts by the hundred thousand: the meaning of `apply`, in the order that the engine likes, with few calls."""

from collections.abc import Sequence

from protocol.errors import HandleError
from storage.base import Action, Outcome, PutRecord
from storage.changes import in_key_order, put
from storage.layout import HANDLES
from storage.records import read_stored, stored, stored_octets
from storage.transaction import WriteTransaction


def replaced(transaction: WriteTransaction, puts: Sequence[PutRecord]) -> list[Outcome]:
    """Make the puts in the order of their keys, those of one handle in their own order; outcomes as the puts."""
    outcomes: list[Outcome] = [Outcome()] * len(puts)
    places, again = in_key_order(puts, outcomes, case_sensitive=transaction.case_sensitive)
    _write(transaction, puts, places, outcomes)
    for place in again:
        try:
            outcomes[place] = transaction.apply(puts[place])
        except HandleError as error:
            outcomes[place] = Outcome(error=error)
    return outcomes


def _write(
    transaction: WriteTransaction, puts: Sequence[PutRecord], places: dict[bytes, int], outcomes: list[Outcome]
) -> None:
    cursor = transaction.transaction.cursor(transaction.databases[HANDLES])
    is_behind = not cursor.last() or cursor.key() < next(iter(places), b"")
    standing: dict[bytes, bytes] = {} if is_behind else dict(cursor.getmulti(list(places)))
    new: list[tuple[bytes, bytes]] = []
    changed: list[tuple[bytes, bytes]] = []
    for key, place in places.items():
        change = puts[place]
        try:
            if key not in standing:
                new.append((key, stored_octets(change.handle, change.values, key)))
                outcomes[place] = Outcome(transaction.note(Action.CREATE, change.handle, change.who))
                continue
            decision = put(change, read_stored(key, standing[key]))
            if decision.action is None or decision.record is None:
                outcomes[place] = Outcome(existed=True)
                continue
            changed.append((key, stored(decision.record, key)))
        except HandleError as error:
            outcomes[place] = Outcome(error=error)
            continue
        outcomes[place] = Outcome(transaction.note(decision.action, change.handle, change.who), existed=True)
    cursor.putmulti(changed, dupdata=False)
    transaction.packing.insert(cursor, new)
