"""Operations on the node itself: homing, backup, and what mirrors ask for. The lists of the configuration decide.

Sources: behaviours 25; spec, security: section 9.1; spec, resolution: section 6.1.
"""

from typing import TypeVar

from protocol.requests import Body, HandleRequest
from protocol.version import Version
from resolver.authority import Said
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
    """HOME_NA and UNHOME_NA: a prefix handle or a bare prefix. Homing what is homed, or the other way, is success."""

    def __init__(self, change: type[HomePrefix] | type[UnhomePrefix]) -> None:
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
        return self._change(homed_key(request.handle), who)
