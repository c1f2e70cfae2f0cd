"""RESOLUTION for administrators: values that not everybody may read, and the status of the server.

Sources: behaviours 13; spec, security: section 9.5.
"""

from typing import Final

from protocol import identifier, value_list
from protocol.administrator import Permission
from protocol.codes import DO_NOT_REFER, PUBLIC_ONLY, ResponseCode
from protocol.errors import ValuesNotFound
from protocol.requests import ResolutionRequest
from protocol.responses import StoredValuesResponse
from protocol.value import read_values
from protocol.version import NEWEST, Version
from protocol.wire import Reader
from resolver.authority import CHALLENGE, STATUS_HANDLE, Authority, Said, checked
from resolver.authorization import Alternatives, Listed, Need
from resolver.operations.rules import Rules
from storage.base import StoreView

_HERE: Final = DO_NOT_REFER  # Whether to refer was decided before.


def is_status(request: ResolutionRequest) -> bool:
    """Whether the status of the server is asked for, which no store holds."""
    return identifier.folded(request.handle) == STATUS_HANDLE


class Reading(Rules[ResolutionRequest]):
    """A resolution. Outside sessions `before` is all of it for most; in a session only public values are open."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    def before(self, view: StoreView, request: ResolutionRequest, flags: int, version: Version) -> Said | None:
        """What anybody hears: values, a referral, a refusal, or the wish for proof."""
        return self._authority.resolve(view, request, flags=flags, version=version)

    def before_in_session(self, view: StoreView, request: ResolutionRequest, flags: int, version: Version) -> Said:
        """The same in a session, where whoever does not ask for public values alone must be allowed to read all.

        A value that nobody may read does not stand in the way there (behaviours 13).
        """
        name = checked(request.handle)
        if flags & PUBLIC_ONLY or is_status(request):
            return self._authority.resolve(view, request, flags=flags, version=version)
        found = self._authority.found(view, name, flags=flags, version=version)
        if isinstance(found, Said):
            return found
        _expect_some(found, request)
        return CHALLENGE

    def needs(self, view: StoreView, request: ResolutionRequest, flags: int) -> Alternatives:
        """The right to read; for the status, being listed."""
        if is_status(request):
            return ((Listed("status"),),)
        name = checked(request.handle)
        values = self._values(view, name)
        return ((Need(name, Permission.READ_VALUE, read_values(Reader(values))),),)

    def answer(self, view: StoreView, request: ResolutionRequest) -> Said:
        """All values that were asked for, whoever may read them: for one who was allowed to. Not for the status."""
        values = self._values(view, checked(request.handle))
        chosen = value_list.joined(values, _expect_some(values, request))
        return Said(ResponseCode.SUCCESS, StoredValuesResponse(handle=request.handle, value_list=chosen))

    def _values(self, view: StoreView, name: bytes) -> bytes:
        found = self._authority.found(view, name, flags=_HERE, version=NEWEST)
        assert not isinstance(found, Said)  # None refers to another server with that flag.
        return found


def _expect_some(values: bytes, request: ResolutionRequest) -> list[value_list.Span]:
    is_wanted = value_list.matcher(request.indexes, request.types)
    wanted = [span for span in value_list.spans(values) if is_wanted(span)]
    if not wanted:
        raise ValuesNotFound("no value that was asked for stands")
    return wanted
