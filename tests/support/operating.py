"""An administrator's operation taken through its stages over a store in memory, without wire and proof."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from protocol.administrator import ALL_PERMISSIONS, Permission
from protocol.codes import DEFAULT_REQUEST_FLAGS, OpCode, ResponseCode
from protocol.errors import HandleError
from protocol.identifier import full
from protocol.requests import Body, HandleRequest, RemoveValuesRequest, ValuesRequest
from protocol.site import Site
from protocol.value import HandleValue, read_values
from protocol.version import NEWEST, Version
from protocol.wire import Reader
from resolver.authority import Authority, Said
from resolver.authorization import Authorizer
from resolver.finding import StoreFinder
from resolver.namespaces import Namespaces
from resolver.operations.rules import ChangeRules, RecordLimits, Rules
from resolver.operations.table import rules
from storage.base import Change, Outcome
from storage.memory import MemoryStore
from tests.support.engines import NOW, SITE, seeded
from tests.support.finding import admin, reference

ME = "300:0.NA/88.100"
NOBODY = "300:0.NA/NOBODY"
X = b"88.100/X"
P = Permission
ALL = P(ALL_PERMISSIONS)
PUBLIC_WRITE = 0x0F
PRIVATE = 0x0C
SEALED = 0x0A  # Readable by all, writable by none.


class Operating:
    """The node's rules over a store; `said` is what the last operation ended in, `stages` the stages it reached."""

    def __init__(
        self,
        store: MemoryStore,
        *,
        limits: RecordLimits | None = None,
        site: Site = SITE,
        servers: Sequence[str] = (),
        server_number: int = 0,
    ) -> None:
        self.store = store
        self.authority = Authority(namespaces=Namespaces(), site=site, server_number=server_number)
        self.rules = rules(self.authority, limits or RecordLimits())
        self.authorizer = Authorizer(
            server_admins=[reference(text) for text in servers], full_access=True, finder=StoreFinder(store)
        )
        self.stages: list[str] = []
        self.said: Said | None = None
        self.between: Callable[[], object] = lambda: None

    def code(
        self, opcode: OpCode, request: Body, *, who: str = NOBODY, flags: int = 0, version: Version = NEWEST
    ) -> int:
        """How it ends: refusals as their codes, a missing right as 400."""
        self.stages, self.said = [], None
        try:
            self.said = self._done(self.rules[opcode], request, who, DEFAULT_REQUEST_FLAGS | flags, version)
        except HandleError as error:
            return int(error.code)
        return int(self.said.code)

    def _done(self, row: Rules[Any], request: Any, who: str, flags: int, version: Version) -> Said:
        self.stages.append("before")
        with self.store.view() as view:
            said = row.before(view, request, flags, version)
            if said is not None:
                return said
            if not row.is_open(view, request, flags):
                self.stages.append("challenge")
            row.after(view, request, flags)
            self.stages.append("needs")
            needs = row.needs(view, request, flags)
            looked_at = row.looked_at(view, request) if isinstance(row, ChangeRules) else None
        if not asyncio.run(self.authorizer.is_allowed(reference(who), needs)):
            return Said(ResponseCode.INVALID_ADMIN)
        self.stages.append("allowed")
        if not isinstance(row, ChangeRules):
            return Said(ResponseCode.SUCCESS)
        change = row.change(request, flags, NOW, looked_at, who)
        self.between()
        outcome = self.applied(change)
        if outcome.error is not None:
            raise outcome.error
        return row.done(request, flags, outcome)

    def applied(self, change: Change) -> Outcome:
        """The outcome of one change of the store."""
        (outcome,) = self.store.apply([change], now_ms=NOW * 1000)
        return outcome

    def create(self, handle: bytes, *values: HandleValue, who: str = NOBODY, flags: int = 0) -> int:
        """The code of a CREATE."""
        return self.code(OpCode.CREATE_HANDLE, ValuesRequest(handle=handle, values=values), who=who, flags=flags)

    def add(self, handle: bytes, *values: HandleValue, who: str = NOBODY, flags: int = 0) -> int:
        """The code of an ADD."""
        return self.code(OpCode.ADD_VALUE, ValuesRequest(handle=handle, values=values), who=who, flags=flags)

    def modify(self, handle: bytes, *values: HandleValue, who: str = NOBODY) -> int:
        """The code of a MODIFY."""
        return self.code(OpCode.MODIFY_VALUE, ValuesRequest(handle=handle, values=values), who=who)

    def remove(self, handle: bytes, *indexes: int, who: str = NOBODY) -> int:
        """The code of a REMOVE."""
        return self.code(OpCode.REMOVE_VALUE, RemoveValuesRequest(handle=handle, indexes=indexes), who=who)

    def delete(self, handle: bytes, *, who: str = NOBODY) -> int:
        """The code of a DELETE."""
        return self.code(OpCode.DELETE_HANDLE, HandleRequest(handle=handle), who=who)

    def told(self, opcode: OpCode, request: Body, *, who: str = NOBODY) -> str:
        """The words of the refusal that it ends in."""
        try:
            self._done(self.rules[opcode], request, who, DEFAULT_REQUEST_FLAGS, NEWEST)
        except HandleError as error:
            return error.told
        raise AssertionError("nothing was refused")

    def values(self, handle: bytes) -> tuple[HandleValue, ...]:
        """What stands, in its order."""
        record = self.store.get(full(handle))
        assert record is not None
        return read_values(Reader(record.values))

    def indexes(self, handle: bytes) -> list[int]:
        """The indexes of what stands, in its order."""
        return [found.index for found in self.values(handle)]


def node(*values: HandleValue, mine: Permission | None = None, prefix: Permission = ALL) -> Operating:
    """A node with one handle, `X`, whose values are followed by the rights that `ME` has on it."""
    own = () if mine is None else (admin(ME, mine),)
    return Operating(seeded({b"0.NA/88.100": [admin(ME, prefix)], X: [*values, *own]}))


def lacking(*names: Permission) -> Permission:
    """All rights but these."""
    missing = P(0)
    for name in names:
        missing |= name
    return ALL & ~missing
