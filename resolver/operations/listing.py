"""LIST_HANDLES and LIST_HOMED_NAS: who may list, and the names, page by page.

Names are told as they are stored: handles as they were spelled when they were made, which is upper case in the software
in service and as the client wrote it here, and homed prefixes folded.
Sources: behaviours 25 and 34; spec, protocol: section 6.11; spec, resolution: section 6.1.
"""

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final, NamedTuple

from protocol import identifier
from protocol.administrator import Permission
from protocol.errors import NotResponsible
from protocol.limits import HANDLE_SIZE_MAX
from protocol.requests import HandleRequest
from protocol.version import Version
from resolver.authority import Said, checked, is_served
from resolver.authorization import Alternatives, Listed, Need
from resolver.operations.rules import RECORD_SIZE_MAX, Rules
from storage.base import HandleStore, StoreView

PAGE_SIZE: Final = 50  # Handles of one message: what the software in service sends.
_COUNT_SIZE: Final = 4
_MARKER: Final = identifier.ROOT_PREFIX_HANDLE + b"/"

assert PAGE_SIZE * (HANDLE_SIZE_MAX + _COUNT_SIZE) < RECORD_SIZE_MAX, "a page of the longest handles fits"


class Page(NamedTuple):
    """Some names in order, and whether more follow."""

    handles: list[bytes]
    more: bool


class ListHandles(Rules[HandleRequest]):
    """The handles of a prefix; with `0.NA/0.NA` all prefix handles, with `0.NA/0.NA/P` those derived from P."""

    def before(self, view: StoreView, request: HandleRequest, flags: int, version: Version) -> Said | None:
        """102, and 301 where the prefix is not homed (behaviours 25)."""
        name = identifier.folded(checked(request.handle))
        homed = view.homed()
        # A marker stands for names that are served by the same rule as they.
        if name not in homed and not (name.startswith(_MARKER) and _serves_derived(name[len(_MARKER) :], homed)):
            raise NotResponsible(f"{name!r} is not homed", told="That prefix doesn't live here")
        return None

    def needs(self, view: StoreView, request: HandleRequest, flags: int) -> Alternatives:
        """The right to list, at the prefix whose handles or derived prefixes are listed."""
        name = identifier.folded(identifier.full(request.handle))
        if name.startswith(_MARKER):
            name = identifier.PREFIX_HANDLES + name[len(_MARKER) :]
        return ((Need(name, Permission.LIST_HANDLES),),)


def _serves_derived(label: bytes, homed: frozenset[bytes]) -> bool:
    """Whether prefix handles that are derived from a prefix are kept here, whatever their last label."""
    return bool(label) and b"/" not in label and is_served(identifier.PREFIX_HANDLES + label + b".*", homed)


class ListHomed(Rules[HandleRequest]):
    """The homed prefixes, for those who may home."""

    def needs(self, view: StoreView, request: HandleRequest, flags: int) -> Alternatives:
        """Being listed; the handle in the request says nothing."""
        return ((Listed("home"),),)


def begin(prefix_handle: bytes) -> bytes:
    """What the listed handles begin with, folded; the handle is full."""
    name = identifier.folded(prefix_handle)
    if name.startswith(_MARKER):
        return identifier.PREFIX_HANDLES + name[len(_MARKER) :] + b"."
    return name[len(identifier.PREFIX_HANDLES) :] + b"/"


def page(view: StoreView, prefix_handle: bytes, after: bytes | None) -> Page:
    """The next handles behind `after`, the last name of the page before. `prefix_handle` may leave out `0.NA/`."""
    found = view.handles(begin(identifier.full(prefix_handle)), after=after, limit=PAGE_SIZE + 1)
    return Page(found[:PAGE_SIZE], len(found) > PAGE_SIZE)


def homed_page(view: StoreView, after: bytes | None) -> Page:
    """The next homed prefixes."""
    homed = sorted(view.homed())
    start = 0 if after is None else bisect_right(homed, after)
    return Page(homed[start : start + PAGE_SIZE], len(homed) > start + PAGE_SIZE)


def pages(store: HandleStore, prefix_handle: bytes | None) -> Iterator[Page]:
    """All pages of a prefix's handles, or (None) of the homed prefixes; an only one may be empty.

    No view is open while a page is sent, so that what changes meanwhile may be missed.
    """
    after: bytes | None = None
    while True:
        with store.view() as view:
            found = homed_page(view, after) if prefix_handle is None else page(view, prefix_handle, after)
        yield found
        if not found.more:
            return
        after = found.handles[-1]
