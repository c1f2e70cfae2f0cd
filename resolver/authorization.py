"""Who may do what: an identity held against HS_ADMIN values, HS_VLIST groups and the lists of the configuration.

What is decided here is whether somebody would be allowed; that it is really they who ask is proven elsewhere, later:
the deployed software looks at permissions before it looks at a signature (behaviours 16).
Sources: spec, security: section 9.3; behaviours 16, 22 and 23.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from protocol.administrator import Administrator, read_vlist
from protocol.errors import Malformed
from protocol.value import HandleValue, Reference
from resolver.finding import Finder
from resolver.log_limits import limited

log = limited(__name__)

DECISION_S: Final = 5.0
"""How long one decision may take, however many servers are asked for groups: a client waits for it."""

LOOKUPS_MAX: Final = 128  # Handles looked up for one decision: each may be another server's. Real groups have under 20.
DEPTH_MAX: Final = 8  # Groups within groups. Real ones have two levels.
MEMBERS_MAX: Final = 16_384  # Members of all groups of one decision: read on the event loop, some 10 ms.
PROOFS_MAX: Final = 16  # Keys that one with index 0 is tried with: as many as authentication looks at.

_ADMIN: Final = b"HS_ADMIN"
_GROUP: Final = b"HS_VLIST"

Group = Literal["server", "home", "replication", "backup", "status"]

Proves = Callable[[int], Awaitable[bool]]
"""Whether the one who asks holds the key at that index of the handle that they claim to be."""


@dataclass(frozen=True, slots=True)
class Need:
    """One HS_ADMIN value of the handle `admins_of` must give the identity all bits of `permissions`.

    `values` are those of the record that was looked at, so that what is decided on is what will be changed; None has
    them found.
    """

    admins_of: bytes
    permissions: int
    values: tuple[HandleValue, ...] | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """The identity must stand in a list of the configuration, itself or through a group."""

    group: Group


Needs = tuple[Need | Listed, ...]
"""All of them must be met."""

Alternatives = tuple[Needs, ...]
"""One of them suffices, tried in order. With none at all nobody must prove anything."""

NOTHING: Final[Alternatives] = ()


def has_type(value: HandleValue, kind: bytes) -> bool:
    """Whether a value is of a type or a subtype of it, without ASCII case (spec, records: section 2.2)."""
    found = value.type.upper()
    return found == kind or found.startswith(kind + b".")


def is_admin_value(value: HandleValue) -> bool:
    """Whether a value gives rights, or would if it were well-formed: changing it takes rights of its own."""
    return has_type(value, _ADMIN)


def prefix_compared(handle: bytes) -> bytes:
    """A handle as identities compare: prefix folded, suffix as it is spelled, even under `0.NA` (behaviours 23)."""
    prefix, slash, suffix = handle.partition(b"/")
    return prefix.upper() + slash + suffix


class Authorizer:
    """Decides for one node. `server_admins` may do everything where `full_access` is set; they stand in every list."""

    def __init__(
        self,
        *,
        server_admins: Sequence[Reference],
        full_access: bool,
        finder: Finder,
        home_only_admins: Sequence[Reference] = (),
        replication_admins: Sequence[Reference] = (),
        backup_admins: Sequence[Reference] = (),
        status_admins: Sequence[Reference] = (),
    ) -> None:
        servers = tuple(server_admins)
        self._everywhere = servers if full_access else ()
        self._lists: dict[Group, tuple[Reference, ...]] = {
            "server": servers,
            "home": (*servers, *home_only_admins),
            "replication": (*servers, *replication_admins),
            "backup": (*servers, *backup_admins),
            "status": (*servers, *status_admins),
        }
        self._finder = finder

    async def is_allowed(
        self,
        identity: Reference,
        needs: Alternatives,
        *,
        in_session: bool = False,
        proves: Proves | None = None,
    ) -> bool:
        """Whether the identity meets one of the alternatives; never raises for what groups and records hold.

        An identity with index 0, any key of its handle, is allowed where index 0 is listed, and in a session also
        where a key that it `proves` to hold is (behaviours 22).
        """
        if not needs:
            return True
        try:
            async with asyncio.timeout(DECISION_S):
                return await self._is_met(identity, needs, in_session, proves)
        except TimeoutError:
            log.warning("who may do it was not known in %g s: not %r", DECISION_S, identity.handle[:64])
            return False

    async def _is_met(self, identity: Reference, needs: Alternatives, in_session: bool, proves: Proves | None) -> bool:
        search = _Search(identity, self._finder)
        for alternative in needs:
            for need in alternative:
                reached = await search.reaches([*self._everywhere, *await self._references(need, search)])
                if not reached.itself and not (in_session and proves and await _holds(reached.indexes, proves)):
                    break
            else:
                return True
        return False

    async def _references(self, need: Need | Listed, search: "_Search") -> list[Reference]:
        """The administrators that would meet the need: keys and groups."""
        if isinstance(need, Listed):
            return list(self._lists[need.group])
        values = need.values
        if values is None:
            values = await search.values(need.admins_of, is_free=True)
        return [admin.reference for admin in administrators(values) if not need.permissions & ~admin.permissions]


async def _holds(indexes: Sequence[int], proves: Proves) -> bool:
    for index in indexes[:PROOFS_MAX]:
        if await proves(index):
            return True
    return False


def administrators(values: Sequence[HandleValue]) -> list[Administrator]:
    """The administrators that a record names; values that cannot be read name none."""
    found = []
    for value in values:
        if is_admin_value(value):
            try:
                found.append(Administrator.from_bytes(value.data))
            except Malformed:
                continue
    return found


class _Reached(NamedTuple):
    """Whether the identity itself was met, and if not, which indexes of its handle were."""

    itself: bool
    indexes: tuple[int, ...] = ()


class _Search:
    """Looks for one identity among references and the groups that they lead to.

    What was looked up serves all needs of one decision, and the bounds hold for all of them together.
    """

    def __init__(self, identity: Reference, finder: Finder) -> None:
        self._identity = identity
        self._name = prefix_compared(identity.handle)
        self._finder = finder
        self._found: dict[bytes, tuple[HandleValue, ...]] = {}
        self._groups: dict[tuple[bytes, int], tuple[Reference, ...]] = {}
        self._members_left = MEMBERS_MAX
        self._lookups_left = LOOKUPS_MAX

    async def reaches(self, references: Sequence[Reference]) -> _Reached:
        """Whether one of the references, or a member of a group among them, is the identity."""
        indexes: dict[int, None] = {}
        if self._is_among(references, indexes):
            return _Reached(True)
        seen: set[tuple[bytes, int]] = set()
        level: Sequence[Reference] = references
        for _ in range(DEPTH_MAX):
            below: list[Reference] = []
            for reference in level:
                key = (prefix_compared(reference.handle), reference.index)
                if reference.index == 0 or key in seen:  # Index 0 means keys, never groups. Circles end here, too.
                    continue
                seen.add(key)
                members = await self._members(key, reference.handle)
                if self._is_among(members, indexes):
                    return _Reached(True)
                below += members
            if not below:
                break
            level = below
        return _Reached(False, tuple(indexes))

    def _is_among(self, references: Sequence[Reference], indexes: dict[int, None]) -> bool:
        """Whether the identity is listed; notes other indexes of its handle for one that comes with index 0."""
        if not self._name:  # The nameless one of an anonymous session is nobody's administrator.
            return False
        for reference in references:
            if prefix_compared(reference.handle) == self._name:
                if reference.index in (0, self._identity.index):
                    return True
                if self._identity.index == 0:
                    indexes[reference.index] = None
        return False

    async def _members(self, key: tuple[bytes, int], handle: bytes) -> tuple[Reference, ...]:
        if key not in self._groups:
            members: list[Reference] = []
            for value in await self.values(handle):
                if value.index == key[1] and has_type(value, _GROUP):
                    try:
                        members += read_vlist(value.data)
                    except Malformed:
                        continue
            if len(members) > self._members_left:
                log.info("the groups of %r have more than %d members: the rest is not looked at", handle, MEMBERS_MAX)
            self._groups[key] = tuple(members[: self._members_left])
            self._members_left -= len(self._groups[key])
        return self._groups[key]

    async def values(self, handle: bytes, *, is_free: bool = False) -> tuple[HandleValue, ...]:
        """The values of a handle, none where it is not found. `is_free` look-ups, one a need, are not counted."""
        name = prefix_compared(handle)
        if name not in self._found:
            if not is_free:
                if not self._lookups_left:
                    log.info("more than %d handles in groups: %r is not looked at", LOOKUPS_MAX, handle)
                    return ()
                self._lookups_left -= 1
            self._found[name] = await self._finder.values(handle) or ()
        return self._found[name]
