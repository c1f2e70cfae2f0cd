"""What this node says about the handles of its homed prefixes: values, referrals to those it delegated, refusals.

Reads one view of the store, never waits, never asks the time. Sources: behaviours 8-14; spec, resolution: section 6.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from protocol import identifier, value_list
from protocol.codes import ADMIN_READ, DO_NOT_REFER, PUBLIC_ONLY, PUBLIC_READ, ResponseCode
from protocol.errors import HandleNotFound, InvalidHandle, NotReadable, NotResponsible, ValuesNotFound
from protocol.limits import HANDLE_SIZE_MAX, PREFIX_LABELS_MAX
from protocol.requests import Body, ResolutionRequest
from protocol.responses import ReferralResponse, StoredValuesResponse
from protocol.site import Site
from protocol.value import HandleValue, read_values
from protocol.version import V_OWN_CODES, V_PREFIX_REFERRALS, Version
from protocol.wire import Reader
from resolver.namespaces import Namespaces
from storage.base import StoreView

STATUS_HANDLE: Final = b"0.SITE/STATUS"
_DELEGATION_TYPES: Final = frozenset((b"HS_SITE.PREFIX", b"HS_NA_DELEGATE", b"HS_SERV.PREFIX"))


@dataclass(frozen=True, slots=True)
class Said:
    """An outcome that is no refusal: success, a referral or (without a body) the wish for proof.

    `overwrote`: something that stood was replaced. `suggested` is the version that a reply suggests, where it is not
    our newest.
    """

    code: ResponseCode
    body: Body | None = None
    overwrote: bool = False
    suggested: Version | None = None


class DelegatedAway(NotResponsible):
    """A peer too old to be referred asks for a prefix that this node has delegated."""


CHALLENGE: Final = Said(ResponseCode.AUTHENTICATION_NEEDED)


def checked(handle: bytes) -> bytes:
    """The full handle that was named; `InvalidHandle` where it is empty, too long or not UTF-8."""
    name = sized(handle)
    expect_utf8(name)
    return name


def sized(handle: bytes) -> bytes:
    """The full handle that was named, UTF-8 or not; `InvalidHandle` where it is empty or too long to be looked up."""
    if not handle:
        raise InvalidHandle("an empty handle", told="Empty handle invalid")
    if len(handle) > HANDLE_SIZE_MAX:
        raise InvalidHandle(f"a handle of {len(handle)} octets", told=f"Handle longer than {HANDLE_SIZE_MAX} octets")
    return identifier.full(handle)


def expect_utf8(handle: bytes) -> None:
    """`InvalidHandle` for a handle that is not UTF-8: what is made must be (spec, records: section 1)."""
    if not identifier.is_utf8(handle):
        raise InvalidHandle("a handle that is not UTF-8", told="Invalid UTF8 encoding")


def is_served(handle: bytes, homed: Collection[bytes]) -> bool:
    """Whether the handle is kept here: its prefix is homed; or it is `0.NA/P`, or derived from it, of a homed P.

    `homed` are folded prefix handles. A homed marker `0.NA/0.NA/P` brings the prefix handles derived from P
    (spec, resolution: section 6.1).
    """
    name = identifier.folded(handle)
    if identifier.prefix_handle(name) in homed:
        return True
    if not name.startswith(identifier.PREFIX_HANDLES) or name == identifier.ROOT_PREFIX_HANDLE:
        return False
    if name in homed:
        return True
    if name.count(b".") > PREFIX_LABELS_MAX:
        return False
    ancestor = identifier.parent_prefix_handle(name)
    while ancestor is not None:
        marker = identifier.ROOT_PREFIX_HANDLE + b"/" + ancestor[len(identifier.PREFIX_HANDLES) :]
        if ancestor in homed or marker in homed:
            return True
        ancestor = identifier.parent_prefix_handle(ancestor)
    return False


class Authority:
    """Answers resolutions from the store. `server_number` is this server's place in its site, from 0."""

    def __init__(self, *, namespaces: Namespaces, site: Site, server_number: int = 0) -> None:
        self._namespaces = namespaces
        self._site = site
        self._server_number = server_number

    def resolve(self, view: StoreView, request: ResolutionRequest, *, flags: int, version: Version) -> Said:
        """What a client whose reply is written in `version` hears; a `HandleError` is a refusal."""
        name = checked(request.handle)
        if identifier.folded(name) == STATUS_HANDLE:
            return self._status(flags)
        found = self.found(view, name, flags=flags, version=version)
        return found if isinstance(found, Said) else selected(found, request, flags=flags)

    def found(self, view: StoreView, name: bytes, *, flags: int, version: Version) -> bytes | Said:
        """The whole value list of a full handle, stored or computed, or a referral; a `HandleError` is a refusal."""
        self._expect_responsible(view, name)
        record = view.get(name)
        if record is not None:
            return record.values
        referral = self._referral(view, name, flags=flags, version=version)
        if referral is not None:
            return referral
        computed = self._namespaces.values_of(view, name)
        if computed is None:
            raise HandleNotFound(f"{name!r} does not exist")
        return computed

    def elsewhere(
        self, view: StoreView, name: bytes, *, flags: int, version: Version, or_stored: bool = False
    ) -> Said | None:
        """Who does an administrator's operation on a full handle, or None where it is done here.

        `NotResponsible` where the handle is not kept here; `or_stored` lets a record of a prefix that is homed no
        longer count as kept. Clients below 2.10 are not referred (spec, resolution: sections 6.1 and 6.2).
        """
        self._expect_responsible(view, name, or_stored=or_stored)
        if not version.at_least(V_PREFIX_REFERRALS) or view.get(name) is not None:
            return None
        return self._referral(view, name, flags=flags, version=version)

    def is_hashed_here(self, name: bytes) -> bool:
        """Whether this server is the one of its site that the full handle hashes to."""
        servers = len(self._site.servers)
        return servers <= 1 or identifier.server_of(name, self._site.hash_option, servers) == self._server_number

    def _status(self, flags: int) -> Said:
        if flags & PUBLIC_ONLY:  # Its values are for server administrators alone.
            raise ValuesNotFound("the status handle has no public values")
        return CHALLENGE

    def _expect_responsible(self, view: StoreView, name: bytes, *, or_stored: bool = False) -> None:
        if not self.is_hashed_here(name):
            raise NotResponsible(f"{name!r} hashes to another server", told="Request was hashed incorrectly")
        if not is_served(name, view.homed()) and not (or_stored and view.get(name) is not None):
            raise NotResponsible(f"the prefix of {name!r} is not homed", told="That prefix doesn't live here")

    def _referral(self, view: StoreView, name: bytes, *, flags: int, version: Version) -> Said | None:
        """Who keeps a derived prefix that is not here, from the nearest ancestor that says so."""
        if flags & DO_NOT_REFER or name[:5].upper() != identifier.PREFIX_HANDLES:
            return None
        if name.count(b".") > PREFIX_LABELS_MAX:
            return None
        ancestor = identifier.parent_prefix_handle(name)
        while ancestor is not None:
            record = view.get(ancestor)
            values = () if record is None else delegations(record.values)
            if values:
                if not version.at_least(V_OWN_CODES):  # There 303 says something else (behaviours 3).
                    raise DelegatedAway("a peer too old to be referred", told="That prefix is delegated")
                return Said(ResponseCode.PREFIX_REFERRAL, ReferralResponse(values=values))
            ancestor = identifier.parent_prefix_handle(ancestor)
        return None


def delegations(values: bytes) -> tuple[HandleValue, ...]:
    """The public values of a prefix record that say who keeps the prefixes derived from it; types compared exactly."""
    return tuple([v for v in read_values(Reader(values)) if v.is_public and v.type in _DELEGATION_TYPES])


def selected(values: bytes, request: ResolutionRequest, *, flags: int) -> Said:
    """The values asked for that the public may see, in stored order, or what stands in their way (behaviours 8, 13)."""
    spans = value_list.spans(values)
    is_wanted = value_list.matcher(request.indexes, request.types)
    wanted = [span for span in spans if is_wanted(span)]
    public = [span for span in wanted if span.permissions & PUBLIC_READ]
    if not flags & PUBLIC_ONLY:
        for span in wanted:  # The first value that is not public decides (spec, security: section 9.5).
            if not span.permissions & PUBLIC_READ:
                if span.permissions & ADMIN_READ:
                    return CHALLENGE
                raise NotReadable(f"nobody may read the value at {span.value_index}")
    if not public:
        raise ValuesNotFound("no value that was asked for is public")
    chosen = values if len(public) == len(spans) else value_list.joined(values, public)
    return Said(ResponseCode.SUCCESS, StoredValuesResponse(handle=request.handle, value_list=chosen))
