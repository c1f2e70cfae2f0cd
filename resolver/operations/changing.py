"""DELETE_HANDLE, ADD_VALUE, REMOVE_VALUE and MODIFY_VALUE: changes of a record that stands.

Sources: behaviours 8, 15, 16, 18 and 19; spec, security: sections 9.1, 9.2 and 9.4.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from operator import or_

from protocol.administrator import Permission
from protocol.codes import ADMIN_WRITE, OVERWRITE
from protocol.errors import InvalidValue, ValueExists, ValueSealed, ValuesNotFound
from protocol.identifier import full
from protocol.requests import HandleRequest, RemoveValuesRequest, ValuesRequest
from protocol.value import HandleValue, value_list
from protocol.version import Version
from resolver.authority import Authority, Said, checked, sized
from resolver.authorization import NOTHING, Alternatives, Need
from resolver.operations.differences import NO_PERMISSION, is_same, merging, modifying, removing
from resolver.operations.rules import (
    ChangeRules,
    R,
    RecordLimits,
    expect_indexes,
    fitted,
    stamp,
    standing,
    twin,
    update,
)
from storage.base import Change, Record, StoreView

_Request = HandleRequest | RemoveValuesRequest | ValuesRequest


class _StandingRules(ChangeRules[R]):
    """What the four share: the handle must be kept here.

    102 is for one that is empty or too long to be looked for; one that is not UTF-8 just does not stand.
    """

    def __init__(self, authority: Authority, limits: RecordLimits) -> None:
        self._authority = authority
        self._limits = limits

    def _elsewhere(
        self, view: StoreView, request: _Request, flags: int, version: Version, *, or_stored: bool = False
    ) -> Said | None:
        return self._authority.elsewhere(view, sized(request.handle), flags=flags, version=version, or_stored=or_stored)


class Delete(_StandingRules[HandleRequest]):
    """The whole record, sealed values too; one of a prefix that is homed no longer can be deleted, too."""

    def before(self, view: StoreView, request: HandleRequest, flags: int, version: Version) -> Said | None:
        """102, 301 or 303."""
        return self._elsewhere(view, request, flags, version, or_stored=True)

    def after(self, view: StoreView, request: HandleRequest, flags: int) -> None:
        """100."""
        name = full(request.handle)
        standing(name, view.get(name))

    def needs(self, view: StoreView, request: HandleRequest, flags: int) -> Alternatives:
        """The right to delete the handle, also where it is that of a derived prefix."""
        name = full(request.handle)
        return ((Need(name, Permission.DELETE_HANDLE, standing(name, view.get(name))),),)

    def looked_at(self, view: StoreView, request: HandleRequest) -> Record | None:
        """The record that stands."""
        return view.get(full(request.handle))

    def change(self, request: HandleRequest, flags: int, now_s: int, looked_at: Record | None, who: str) -> Change:
        """No record."""
        name = checked(request.handle)
        standing(name, looked_at)
        return update(name, looked_at, None, who)


class Add(_StandingRules[ValuesRequest]):
    """Values beside those that stand, or in their place where the request says so; all in order of index afterwards."""

    def before(self, view: StoreView, request: ValuesRequest, flags: int, version: Version) -> Said | None:
        """102, 301 or 303, 202 for an empty list or an index, 201 for one that comes twice."""
        referral = self._elsewhere(view, request, flags, version)
        if referral is not None:
            return referral
        if not request.values:
            raise InvalidValue("no values", told="Value list was empty")
        expect_indexes(request.values)
        return None

    def after(self, view: StoreView, request: ValuesRequest, flags: int) -> None:
        """100, 201 for an index that stands."""
        name = full(request.handle)
        _expect_room(standing(name, view.get(name)), request.values, flags)

    def needs(self, view: StoreView, request: ValuesRequest, flags: int) -> Alternatives:
        """The rights to add what is new and to modify what differs.

        Where nothing differs, but a value that is named is private, the right to read: else a stranger would hear
        whether a guess of it is right.
        """
        name = full(request.handle)
        old = standing(name, view.get(name))
        needed = merging(old, request.values)
        if not needed:
            named = {value.index for value in request.values}
            if all(value.is_public for value in old if value.index in named):
                return NOTHING
            needed = Permission.READ_VALUE
        return ((Need(name, needed, old),),)

    def looked_at(self, view: StoreView, request: ValuesRequest) -> Record | None:
        """The record that stands."""
        return view.get(full(request.handle))

    def change(self, request: ValuesRequest, flags: int, now_s: int, looked_at: Record | None, who: str) -> Change:
        """The values of both, by index (behaviours 8)."""
        name = checked(request.handle)
        expect_indexes(request.values)
        old = standing(name, looked_at)
        _expect_room(old, request.values, flags)
        merged = {value.index: value for value in old}
        for value in request.values:
            there = merged.get(value.index)
            if there is None or not is_same(there, value):
                merged[value.index] = replace(value, timestamp=stamp(now_s))
        values = sorted(merged.values(), key=lambda value: value.index)
        return update(name, looked_at, fitted(values, request.values, self._limits, looked_at), who)


def _expect_room(old: Sequence[HandleValue], new: Sequence[HandleValue], flags: int) -> None:
    if flags & OVERWRITE:
        return
    taken = {value.index for value in old}
    for value in new:
        if value.index in taken:
            raise ValueExists(f"index {value.index} stands", told=f"Index conflict for {value.index}")


class Remove(_StandingRules[RemoveValuesRequest]):
    """Values by their indexes, sealed ones and the last administrator too (behaviours 16)."""

    def before(self, view: StoreView, request: RemoveValuesRequest, flags: int, version: Version) -> Said | None:
        """102, 301 or 303."""
        return self._elsewhere(view, request, flags, version)

    def after(self, view: StoreView, request: RemoveValuesRequest, flags: int) -> None:
        """100, 200 for an index that is missing."""
        name = full(request.handle)
        _going(standing(name, view.get(name)), request.indexes)

    def needs(self, view: StoreView, request: RemoveValuesRequest, flags: int) -> Alternatives:
        """The right to remove values, administrators, or both; the first where nothing is named."""
        name = full(request.handle)
        old = standing(name, view.get(name))
        needed = reduce(or_, map(removing, _going(old, request.indexes)), NO_PERMISSION)
        return ((Need(name, needed or Permission.REMOVE_VALUE, old),),)

    def looked_at(self, view: StoreView, request: RemoveValuesRequest) -> Record | None:
        """The record that stands."""
        return view.get(full(request.handle))

    def change(
        self, request: RemoveValuesRequest, flags: int, now_s: int, looked_at: Record | None, who: str
    ) -> Change:
        """The others, in their order."""
        name = checked(request.handle)
        old = standing(name, looked_at)
        _going(old, request.indexes)
        gone = frozenset(request.indexes)
        return update(name, looked_at, value_list([value for value in old if value.index not in gone]), who)


def _going(old: Sequence[HandleValue], indexes: Sequence[int]) -> list[HandleValue]:
    wanted = frozenset(indexes)
    missing = wanted - {value.index for value in old}
    if missing:
        raise ValuesNotFound(f"no value at {min(missing)}")
    return [value for value in old if value.index in wanted]


class Modify(_StandingRules[ValuesRequest]):
    """Other values in the places of those that stand."""

    def before(self, view: StoreView, request: ValuesRequest, flags: int, version: Version) -> Said | None:
        """102, 301 or 303, 100, 200 for a missing index, 401 for a sealed value: strangers hear all of them."""
        referral = self._elsewhere(view, request, flags, version)
        if referral is not None:
            return referral
        name = full(request.handle)
        _pairs(standing(name, view.get(name)), request.values)
        return None

    def is_open(self, view: StoreView, request: ValuesRequest, flags: int) -> bool:
        """Whether everybody may write all of those values (behaviours 19)."""
        return self.needs(view, request, flags) == NOTHING

    def needs(self, view: StoreView, request: ValuesRequest, flags: int) -> Alternatives:
        """All rights that the pairs of old and new values take, of one administrator."""
        name = full(request.handle)
        old = standing(name, view.get(name))
        needed = reduce(or_, [modifying(was, new) for was, new in _pairs(old, request.values)], NO_PERMISSION)
        return ((Need(name, needed, old),),) if needed else NOTHING

    def looked_at(self, view: StoreView, request: ValuesRequest) -> Record | None:
        """The record that stands."""
        return view.get(full(request.handle))

    def change(self, request: ValuesRequest, flags: int, now_s: int, looked_at: Record | None, who: str) -> Change:
        """The same order; `InvalidValue` where an index comes twice, which only the allowed hear."""
        name = checked(request.handle)
        old = standing(name, looked_at)
        _pairs(old, request.values)
        twice = twin(request.values)
        if twice is not None:
            raise InvalidValue(f"index {twice} twice", told=f"Index conflict for {twice}")
        coming = {value.index: replace(value, timestamp=stamp(now_s)) for value in request.values}
        values = [coming.get(value.index, value) for value in old]
        return update(name, looked_at, fitted(values, request.values, self._limits, looked_at), who)


def _pairs(old: Sequence[HandleValue], new: Sequence[HandleValue]) -> list[tuple[HandleValue, HandleValue]]:
    """Values that stand, each with the one to replace it; `ValuesNotFound` where there is none, or `ValueSealed`."""
    there: dict[int, list[HandleValue]] = {}
    for value in old:
        there.setdefault(value.index, []).append(value)
    for value in new:
        if value.index not in there:
            raise ValuesNotFound(f"no value at {value.index}")
    pairs = [(was, value) for value in new for was in there[value.index]]
    for was, _ in pairs:
        if not was.permissions & ADMIN_WRITE:
            raise ValueSealed(f"the value at {was.index} is sealed", told="Value is read-only")
    return pairs
