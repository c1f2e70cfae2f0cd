"""What a source sends, read from the store page by page: each page is one short view, and knows where the next begins.

A page holds a bounded number of records and octets, whatever the mirror's share is. Values are those in storage now.
Source: spec, resolution: sections 7.2, 8 and 9.
"""

from dataclasses import dataclass
from typing import Final

from protocol.errors import InvalidHandle, Malformed
from protocol.identifier import server_of
from protocol.limits import SITE_SERVER_COUNT_MAX
from protocol.replication.dump import DumpedHandle
from protocol.replication.streams import StreamRecord
from protocol.replication.transactions import Action, Transaction
from protocol.requests import Receiver
from protocol.value import read_values
from protocol.wire import Reader
from storage import base
from storage.base import JournalRow, StoreError, StoreView

PAGE_RECORDS: Final = 64  # Read at a time, sent or not: one or two milliseconds of the event loop.
PAGE_OCTETS: Final = 262_144  # Beyond it a page takes no further record: with one record more it is what is held.
_HASH_OPTION_MAX: Final = 2


@dataclass(frozen=True, slots=True)
class Page:
    """Records to send, and behind what the next page begins: a number or a handle. None where nothing is left."""

    records: tuple[StreamRecord, ...]
    next_number: int | None = None
    next_handle: bytes | None = None


def expect_share(receiver: Receiver) -> None:
    """`Malformed` for a share that no server of a site has."""
    count, number = receiver.server_count, receiver.server_number
    if not 0 < count <= SITE_SERVER_COUNT_MAX or not 0 <= number < count:
        raise Malformed(f"the share of server {number} of {count}")
    if receiver.hash_option > _HASH_OPTION_MAX:
        raise Malformed(f"a share by hash option {receiver.hash_option}")


def is_for(receiver: Receiver, handle: bytes) -> bool:
    """Whether a handle is in the receiver's share."""
    count = receiver.server_count
    return count == 1 or server_of(handle, receiver.hash_option, count) == receiver.server_number


def transactions_page(view: StoreView, receiver: Receiver, *, after: int, through: int, kept_from: int = 0) -> Page:
    """The changes behind a number, none behind `through`. What no longer holds is left out.

    `kept_from` is the oldest row that there was when the stream began. `StoreError` where rows that were to be told
    have been pruned since: a stream with a hole in it would be believed.
    """
    rows = view.journal(after=after, limit=PAGE_RECORDS)
    if rows and rows[0].number > max(after + 1, kept_from):
        raise StoreError(f"the journal was pruned up to {rows[0].number} while {after + 1} was to be told")
    records: list[Transaction] = []
    size = 0
    for row in rows:
        if row.number > through:
            return Page(tuple(records))
        after = row.number
        found = _transaction(view, row, receiver)
        if found is None:
            continue
        transaction, octets = found
        records.append(transaction)
        size += octets
        if size >= PAGE_OCTETS:
            break
    return Page(tuple(records), next_number=after if rows and after < through else None)


def _transaction(view: StoreView, row: JournalRow, receiver: Receiver) -> tuple[Transaction, int] | None:
    """What a row tells now, and about how many octets that takes; None for another share, or where it is no news."""
    action = Action(row.action.value)
    if row.action in (base.Action.HOME, base.Action.UNHOME):  # They go to every server.
        return Transaction(number=row.number, handle=row.handle, action=action, date_ms=row.date_ms), len(row.handle)
    if not is_for(receiver, row.handle):
        return None
    record = view.get(row.handle)
    if (record is None) != (row.action is base.Action.DELETE):
        return None
    if record is None:
        return Transaction(number=row.number, handle=row.handle, action=action, date_ms=row.date_ms), len(row.handle)
    values = read_values(Reader(record.values))
    found = Transaction(number=row.number, handle=record.handle, action=action, date_ms=row.date_ms, values=values)
    return found, len(record.values)


def handles_page(view: StoreView, receiver: Receiver, *, after: bytes | None) -> Page:
    """The records of the receiver's share behind a handle, in the order of their keys."""
    found = view.records(after=after, limit=PAGE_RECORDS, size_max=PAGE_OCTETS)
    records = tuple(
        [DumpedHandle(r.handle, read_values(Reader(r.values))) for r in found if is_for(receiver, r.handle)]
    )
    return Page(records, next_handle=found[-1].handle if found else None)


def expect_place(view: StoreView, handle: bytes) -> None:
    """`Malformed` for a place in a dump that no handle can have."""
    try:
        view.records(after=handle, limit=1, size_max=1)
    except InvalidHandle as error:
        raise Malformed(f"a dump that begins behind what is no handle: {error}") from error
