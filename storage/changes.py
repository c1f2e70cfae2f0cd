"""What one change does to one record: decided here for every implementation, so that they cannot differ.

Pure: the record that stands, and the change, in; the record to keep, and the journal's action, out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.errors import HandleError, HandleExists, InvalidHandle, Malformed
from protocol.identifier import ROOT_PREFIX_HANDLE, folded, full, is_prefix_handle, is_utf8
from protocol.value_list import Span, spans
from storage.base import Action, CopyRecord, IfExists, Outcome, PutRecord, Record, UpdateRecord
from storage.keys import PLAIN_KEY_SIZE_MAX, writable_key


@dataclass(frozen=True, slots=True)
class Decided:
    """What a change comes to: nothing (`action` None), or a record to write or (None) to remove."""

    action: Action | None = None
    record: Record | None = None


NOTHING = Decided()


def decided(change: PutRecord | UpdateRecord | CopyRecord, kept: Record | None) -> Decided:
    """What the change does to the record that stands; a `HandleError` refuses it."""
    if isinstance(change, PutRecord):
        return put(change, kept)
    if isinstance(change, CopyRecord):
        return _copied(change, kept)
    wanted = change.decide(kept)
    if wanted is kept or wanted == kept:
        return NOTHING
    if wanted is None:
        return Decided(Action.DELETE)
    # The handle is the one that stands, or was asked for: a change cannot move a record.
    wanted = Record(change.handle if kept is None else kept.handle, wanted.values)
    if change.is_stamped:
        return Decided(Action.CREATE if kept is None else Action.UPDATE, wanted)
    return _written(wanted, kept)


def put(change: PutRecord, kept: Record | None) -> Decided:
    """What a put does; `HandleExists` where it may not replace."""
    if kept is not None:
        if change.if_exists is IfExists.FAIL:
            raise HandleExists(f"{change.handle!r} stands already")
        if change.if_exists is IfExists.KEEP:
            return NOTHING
    return _written(Record(change.handle, change.values), kept)


def _copied(change: CopyRecord, kept: Record | None) -> Decided:
    if change.values is None:
        return NOTHING if kept is None else Decided(Action.DELETE)
    wanted = Record(change.handle, change.values)
    if wanted == kept:
        return NOTHING
    return Decided(Action.CREATE if kept is None else Action.UPDATE, wanted)


def _written(wanted: Record, kept: Record | None) -> Decided:
    if kept is None:  # What is no value list is refused when its octets are made (`records.stored`).
        return Decided(Action.CREATE, wanted)
    values = with_kept_timestamps(wanted.values, kept.values)
    if values == kept.values:
        return NOTHING
    return Decided(Action.UPDATE, Record(wanted.handle, values))


def with_kept_timestamps(values: bytes, kept: bytes) -> bytes:
    """The new values, each that equals one that stands, apart from its timestamp, as it stands (behaviours 18).

    `Malformed` where the new ones are no value list; what stands and is none is replaced as a whole.
    """
    if values == kept:
        return kept
    try:
        standing = {_timeless(kept, span): kept[span.start : span.end] for span in spans(kept)}
    except Malformed:
        return values
    parts = [standing.get(_timeless(values, span), values[span.start : span.end]) for span in spans(values)]
    return values[:4] + b"".join(parts)


def _timeless(octets: bytes, span: Span) -> bytes:
    return octets[span.start : span.start + 4] + octets[span.start + 8 : span.end]


def in_key_order(
    puts: Sequence[PutRecord], outcomes: list[Outcome], *, case_sensitive: bool
) -> tuple[dict[bytes, int], list[int]]:
    """The places of the first puts of each key, in the order of keys, and those of further puts, in their own order.

    A put that names no handle gets its outcome. A further put sees what the first one wrote: it is made behind all.
    """
    places: dict[bytes, int] = {}
    again: list[int] = []
    for place, change in enumerate(puts):
        try:
            key = writable_key(change.handle, case_sensitive=case_sensitive)
        except HandleError as error:
            outcomes[place] = Outcome(error=error)
            continue
        if places.setdefault(key, place) != place:
            again.append(place)
    return dict(sorted(places.items())), again


def homed_key(handle: bytes) -> bytes:
    """The folded prefix handle to home; `InvalidHandle` where it names no prefix.

    `0.NA/0.NA/P`, the marker of the prefixes derived from P, is one (spec, resolution: section 6.1).
    """
    named = folded(full(handle))
    if len(named) > PLAIN_KEY_SIZE_MAX or not is_utf8(named):
        raise InvalidHandle("a prefix that is too long or not UTF-8", told="Handle is not a prefix handle")
    label = named[5:]
    marker = named.startswith(ROOT_PREFIX_HANDLE + b"/")
    if not handle or not is_prefix_handle(handle) or not label or (b"/" in label and not marker):
        raise InvalidHandle(f"{handle!r} names no prefix", told="Handle is not a prefix handle")
    return named
