"""Puts by the hundred thousand: the meaning of `apply`, in the order that the engine likes, with few calls."""

from collections.abc import Sequence

from protocol.errors import HandleError
from storage.base import Outcome, PutRecord
from storage.changes import put
from storage.journal import row_key, row_octets
from storage.keys import writable_key
from storage.layout import HANDLES, JOURNAL
from storage.records import read_stored, stored
from storage.transaction import WriteTransaction


def replaced(transaction: WriteTransaction, puts: Sequence[PutRecord], now_ms: int) -> list[Outcome]:
    """Make the puts, each as if alone and in order; outcomes stand in the order of the puts."""
    outcomes: list[Outcome] = [Outcome()] * len(puts)
    case_sensitive = transaction.case_sensitive
    places: dict[bytes, int] = {}
    again: list[int] = []
    for place, change in enumerate(puts):
        try:
            key = writable_key(change.handle, case_sensitive=case_sensitive)
        except HandleError as error:
            outcomes[place] = Outcome(error=error)
            continue
        if key in places:
            again.append(place)  # The second of two puts sees the first: made alone, behind the others.
        else:
            places[key] = place
    _write(transaction, puts, places, outcomes, now_ms)
    for place in again:
        try:
            outcomes[place] = transaction.apply(puts[place], now_ms)
        except HandleError as error:
            outcomes[place] = Outcome(error=error)
    return outcomes


def _write(
    transaction: WriteTransaction,
    puts: Sequence[PutRecord],
    places: dict[bytes, int],
    outcomes: list[Outcome],
    now_ms: int,
) -> None:
    keys = sorted(places)
    if not keys:
        return
    cursor = transaction.transaction.cursor(transaction.databases[HANDLES])
    is_behind = not cursor.last() or cursor.key() < keys[0]
    standing: dict[bytes, bytes] = {} if is_behind else dict(cursor.getmulti(keys))
    number, date_ms = transaction.last_number, max(now_ms, transaction.last_date_ms)
    records: list[tuple[bytes, bytes]] = []
    rows: list[tuple[bytes, bytes]] = []
    for key in keys:
        place = places[key]
        change = puts[place]
        octets = standing.get(key)
        try:
            decision = put(change, None if octets is None else read_stored(key, octets))
            fresh = b"" if decision.record is None else stored(decision.record, key)
        except HandleError as error:
            outcomes[place] = Outcome(error=error)
            continue
        if decision.action is None:
            outcomes[place] = Outcome(existed=True)
            continue
        number += 1
        records.append((key, fresh))
        rows.append((row_key(number), row_octets(decision.action, change.handle, date_ms, change.who)))
        outcomes[place] = Outcome(number, octets is not None)
    if rows:
        # Behind all that stands, pages are filled one by one and no place is searched; they never split in the middle.
        cursor.putmulti(records, dupdata=False, append=is_behind)
        transaction.transaction.cursor(transaction.databases[JOURNAL]).putmulti(rows, dupdata=False, append=True)
        transaction.note_last(number, date_ms)
