"""CREATE_HANDLE: a new record, also under a minted name, or one in place of another.

Sources: behaviours 15, 17 and 18; spec, protocol: section 6.7; spec, security: sections 9.1, 9.2 and 9.4.
"""

from dataclasses import replace

from protocol import identifier
from protocol.administrator import Permission
from protocol.codes import OVERWRITE, ResponseCode
from protocol.errors import HandleExists
from protocol.requests import ValuesRequest
from protocol.responses import CreateResponse
from protocol.value import HandleValue
from protocol.version import Version
from resolver.authority import Authority, Said, checked, expect_utf8, sized
from resolver.authorization import NOTHING, Alternatives, Need
from resolver.operations.differences import is_same, overwriting
from resolver.operations.rules import ChangeRules, RecordLimits, expect_indexes, fitted, stamp, update, values_of
from storage.base import Change, Outcome, Record, StoreView


def minted(request: ValuesRequest, suffix: bytes) -> ValuesRequest:
    """The request for the handle that is to be made: the one that was sent is only its beginning (behaviours 17).

    `suffix` is a random UUID in lower case. All stages are asked about what this gives, so that the name is checked.
    """
    return replace(request, handle=request.handle + suffix)


def creator(name: bytes) -> Need:
    """What it takes to make a handle: a right at its prefix, for a derived prefix at the one it is derived from."""
    if name[:5].upper() != identifier.PREFIX_HANDLES:
        return Need(identifier.prefix_handle(name), Permission.ADD_HANDLE)
    root = identifier.folded(name) == identifier.ROOT_PREFIX_HANDLE
    is_label = b"/" not in name[len(identifier.PREFIX_HANDLES) :]
    parent = identifier.parent_prefix_handle(name) if is_label and not root else None
    if parent is None:
        return Need(identifier.ROOT_PREFIX_HANDLE, Permission.ADD_HANDLE)
    return Need(identifier.folded(parent), Permission.ADD_DERIVED_PREFIX)


class Create(ChangeRules[ValuesRequest]):
    """Values in the order of the message, stamped now; equal ones of a record that is overwritten stay as they are."""

    def __init__(self, authority: Authority, limits: RecordLimits) -> None:
        self._authority = authority
        self._limits = limits

    def before(self, view: StoreView, request: ValuesRequest, flags: int, version: Version) -> Said | None:
        """301 or 303, 102, 202 and 201 for indexes, 101: strangers hear all of them (behaviours 15).

        102 comes first where the handle is empty or too long to be looked for.
        """
        name = sized(request.handle)
        referral = self._authority.elsewhere(view, name, flags=flags, version=version)
        if referral is not None:
            return referral
        expect_utf8(name)
        expect_indexes(request.values)
        _expect_free(name, view.get(name), flags)
        return None

    def needs(self, view: StoreView, request: ValuesRequest, flags: int) -> Alternatives:
        """A right at the prefix; to overwrite, the rights that the difference takes, or one of two wider ones.

        Where nothing differs nobody need prove anything, unless a value that stands is private: then it would tell a
        stranger that a guess is right.
        """
        name = identifier.full(request.handle)
        record = view.get(name)
        if record is None:
            return ((creator(name),),)
        old = values_of(record)
        needed = overwriting(old, request.values)
        if not needed:
            if all(value.is_public for value in old):
                return NOTHING
            needed = Permission.READ_VALUE
        return (
            (Need(name, needed, old),),
            (Need(name, Permission.ADD_ADMIN, old),),
            (Need(name, Permission.DELETE_HANDLE, old), creator(name)),
        )

    def looked_at(self, view: StoreView, request: ValuesRequest) -> Record | None:
        """The record that stands under the name."""
        return view.get(identifier.full(request.handle))

    def change(self, request: ValuesRequest, flags: int, now_s: int, looked_at: Record | None, who: str) -> Change:
        """The whole record as the message has it."""
        name = checked(request.handle)
        expect_indexes(request.values)
        _expect_free(name, looked_at, flags)
        old = {} if looked_at is None else {value.index: value for value in values_of(looked_at)}
        values = [_stamped(value, old.get(value.index), stamp(now_s)) for value in request.values]
        return update(name, looked_at, fitted(values, request.values, self._limits, looked_at), who)

    def done(self, request: ValuesRequest, flags: int, outcome: Outcome) -> Said:
        """The handle, and whether something was overwritten (behaviours 17)."""
        body = CreateResponse(handle=identifier.full(request.handle))
        return Said(ResponseCode.SUCCESS, body, overwrote=outcome.existed)


def _expect_free(name: bytes, record: Record | None, flags: int) -> None:
    if record is not None and not flags & OVERWRITE:
        raise HandleExists(f"{name!r} stands already")


def _stamped(new: HandleValue, old: HandleValue | None, now_s: int) -> HandleValue:
    return old if old is not None and is_same(old, new) else new.stamped(now_s)
