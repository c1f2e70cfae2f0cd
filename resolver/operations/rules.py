"""What every operation is asked, stage by stage, so that the order of refusals is that of the deployed software.

A request goes through `before`, the challenge (unless `is_open`), `after`, and `needs`, which an identity must meet;
only then the proof is looked at, and the change is made. `before` is asked again when the answer has come: what stands
may have changed. All stages are synchronous, read one view, and know neither clock nor randomness.
Sources: behaviours 15 and 16; spec, security: section 9.4.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from protocol.codes import ResponseCode
from protocol.errors import Changed, HandleNotFound, InvalidValue, ValueExists
from protocol.limits import MESSAGE_SIZE_MAX, VALUE_COUNT_MAX
from protocol.requests import Body
from protocol.responses import EmptyResponse
from protocol.value import HandleValue, value_list
from protocol.version import Version
from resolver.authority import Said
from resolver.authorization import NOTHING, Alternatives
from resolver.known_values import values_in
from storage.base import Change, Outcome, Record, StoreView, UpdateRecord

R = TypeVar("R", bound=Body)

ANSWER_ROOM: Final = 4_096  # What an answer needs beside values: header, handle of any length, digest, signature.
RECORD_SIZE_MAX: Final = MESSAGE_SIZE_MAX - ANSWER_ROOM
"""Octets of a record's value list: what every client can read in one message."""

_LATEST_S: Final = 0x7FFFFFFF  # The greatest time that a timestamp can tell: in January 2038.


@dataclass(frozen=True, slots=True)
class RecordLimits:
    """What one record may hold: values, and octets of the data of one."""

    values_max: int = VALUE_COUNT_MAX
    value_size_max: int = MESSAGE_SIZE_MAX


class Rules(Generic[R]):
    """One operation's stages; what stands here is that of an operation without refusals and needs of its own."""

    def before(self, view: StoreView, request: R, flags: int, version: Version) -> Said | None:
        """Refuse what is told without any proof (a `HandleError`); a referral where another server does it."""
        return None

    def is_open(self, view: StoreView, request: R, flags: int) -> bool:
        """Whether nobody must prove anything, so that there is no challenge."""
        return False

    def after(self, view: StoreView, request: R, flags: int) -> None:
        """Refuse what is told once a challenge was answered, whoever answered it (a `HandleError`)."""

    def needs(self, view: StoreView, request: R, flags: int) -> Alternatives:
        """What the identity must meet. Asked after `after` let the request pass, in the same view."""
        return NOTHING


class ChangeRules(Rules[R]):
    """The stages of an operation that changes the store."""

    def looked_at(self, view: StoreView, request: R) -> Record | None:
        """What `needs` looked at and `change` starts from; to be read in the same view as `needs`."""
        return None

    def change(self, request: R, flags: int, now_s: int, looked_at: Record | None, who: str) -> Change:
        """The change to submit; a `HandleError` where the record that was looked at does not bear it.

        It ends in `Changed` where another change came between: then all stages begin again.
        """
        raise TypeError(f"{type(self).__name__} changes nothing")

    def done(self, request: R, flags: int, outcome: Outcome) -> Said:
        """What a change that was made is answered with."""
        return Said(ResponseCode.SUCCESS, EmptyResponse())


def update(name: bytes, looked_at: Record | None, values: bytes | None, who: str) -> UpdateRecord:
    """Keep these values (None: no record), provided that the record still is what was looked at; else `Changed`.

    Their timestamps are those that the operation gave them (behaviours 18).
    """
    wanted = None if values is None else Record(name, values)
    return UpdateRecord(name, Unless(looked_at, wanted), who, is_stamped=True)


@dataclass(frozen=True, slots=True)
class Unless:
    """A decision that another process can make: the wanted record, unless what stands is not what was looked at."""

    looked_at: Record | None
    wanted: Record | None

    def __reduce__(self) -> tuple[type["Unless"], tuple[Record | None, Record | None]]:
        """How it goes to the writer: half the work of a frozen dataclass's own way."""
        return Unless, (self.looked_at, self.wanted)

    def __call__(self, record: Record | None) -> Record | None:
        """The record to keep; `Changed` where another change came between."""
        if record != self.looked_at:
            raise Changed("the record was changed meanwhile", told="The handle is being changed: try again")
        return self.wanted


def standing(name: bytes, record: Record | None) -> tuple[HandleValue, ...]:
    """The values of a record that must exist: `HandleNotFound` where it does not."""
    if record is None:
        raise HandleNotFound(f"{name!r} does not exist")
    return values_of(record)


def values_of(record: Record) -> tuple[HandleValue, ...]:
    """The values of a record; reading the same ones again, as the stages of one request do, costs nothing."""
    return values_in(record.values)


def expect_indexes(values: Sequence[HandleValue]) -> None:
    """`InvalidValue` for an index that is not positive, `ValueExists` for one that comes twice."""
    for value in values:
        if value.index <= 0:
            raise InvalidValue(f"index {value.index}", told="Value indexes must be positive")
    twice = twin(values)
    if twice is not None:
        raise ValueExists(f"index {twice} twice", told=f"Index conflict for {twice}")


def twin(values: Sequence[HandleValue]) -> int | None:
    """The first index that comes a second time, or None."""
    seen: set[int] = set()
    for value in values:
        if value.index in seen:
            return value.index
        seen.add(value.index)
    return None


def stamp(now_s: int) -> int:
    """The timestamp of a value that is written now, as far as its field can tell."""
    return min(max(now_s, 0), _LATEST_S)


def fitted(
    values: Sequence[HandleValue], written: Sequence[HandleValue], limits: RecordLimits, looked_at: Record | None
) -> bytes:
    """The value list to keep; `InvalidValue`, with why, where what is `written` makes it larger than allowed.

    A record that was larger before, as an import may make it, can still be made smaller.
    """
    for value in written:
        if len(value.data) > limits.value_size_max:
            told = f"Value {value.index} has {len(value.data)} octets: at most {limits.value_size_max} are kept"
            raise InvalidValue(told, told=told)
    before = 0 if looked_at is None else int.from_bytes(looked_at.values[:4], "big")
    if len(values) > max(limits.values_max, before):
        told = f"The handle would have {len(values)} values: at most {limits.values_max} are kept"
        raise InvalidValue(told, told=told)
    octets = value_list(values)
    if len(octets) > max(RECORD_SIZE_MAX, 0 if looked_at is None else len(looked_at.values)):
        told = f"The values would have {len(octets)} octets: at most {RECORD_SIZE_MAX} fit into one message"
        raise InvalidValue(told, told=told)
    return octets
