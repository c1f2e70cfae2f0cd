"""Operations on the node itself: homing, backup, and what mirrors ask for. The lists of the configuration decide.

Sources: behaviours 25; spec, security: section 9.1; spec, resolution: section 6.1.
"""

from typing import TypeVar

from protocol.requests import Body, HandleRequest
from protocol.version import Version
from resolver.authority import Authority, Said
from resolver.authorization import Alternatives, Group, Listed
from resolver.operations.rules import ChangeRules, Rules
from storage.base import Change, HomePrefix, Record, StoreView, UnhomePrefix
from storage.changes import homed_key

B = TypeVar("B", bound=Body)


class ListedRules(Rules[B]):
    """An operation that asks for nothing but being listed: a backup, the transactions, a dump."""

    def __init__(self, group: Group) -> None:
        self._group: Group = group

    def needs(self, view: StoreView, request: B, flags: int) -> Alternatives:
        """Being listed."""
        return ((Listed(self._group),),)


class Homing(ChangeRules[HandleRequest]):
    """HOME_NA and UNHOME_NA: a prefix handle or a bare prefix. Homing what is homed, or the other way, is success.

    Each server of a site is asked. The one that the prefix handle hashes to writes a journal row, and mirrors hear it
    once (spec, resolution: section 6.1).
    """

    def __init__(self, authority: Authority, change: type[HomePrefix] | type[UnhomePrefix]) -> None:
        self._authority = authority
        self._change = change

    def before(self, view: StoreView, request: HandleRequest, flags: int, version: Version) -> Said | None:
        """102 for all but prefix handles."""
        homed_key(request.handle)
        return None

    def needs(self, view: StoreView, request: HandleRequest, flags: int) -> Alternatives:
        """Being listed."""
        return ((Listed("home"),),)

    def change(self, request: HandleRequest, flags: int, now_s: int, looked_at: Record | None, who: str) -> Change:
        """Home or unhome; records stay in either case."""
        prefix = homed_key(request.handle)
        return self._change(prefix, who, has_row=self._authority.is_hashed_here(prefix))
