"""What this node keeps itself, as its own searches look it up: public values, and whom it has delegated prefixes to."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Final, Protocol

from protocol import identifier, value_list
from protocol.codes import PUBLIC_ONLY, PUBLIC_READ, ResponseCode
from protocol.errors import HandleError, HandleNotFound
from protocol.responses import ReferralResponse
from protocol.value import HandleValue, read_values
from protocol.version import NEWEST
from protocol.wire import Reader
from resolver.authority import Authority, Said, is_served
from resolver.walk.events import Known
from storage.base import HandleStore, StoreError, StoreView

ELSEWHERE_MAX: Final = 4_096
"""Names that are remembered as not kept here: the prefixes in daily use; beyond, all are looked at anew."""

_NOTHING: Final = Known(code=ResponseCode.HANDLE_NOT_FOUND, values=(), is_certified=True)


class Own(Protocol):
    """What is kept here. Neither waits nor raises."""

    def known(self, handle: bytes, types: Sequence[bytes]) -> Known | None:
        """The public values of these types, all where none are named; None where somebody else has to be asked."""
        ...

    def note_homed(self, homed: frozenset[bytes]) -> None:
        """Hear which prefixes are homed here."""
        ...

    def delegated(self, prefix_handle: bytes, view: StoreView | None = None) -> tuple[HandleValue, ...]:
        """The values that say who keeps a derived prefix handle which is at home here, and is not kept here.

        `view` is for who has one open.
        """
        ...


class NothingKept:
    """What somebody without a store keeps."""

    def known(self, handle: bytes, types: Sequence[bytes]) -> Known | None:
        """See `Own`."""
        return None

    def note_homed(self, homed: frozenset[bytes]) -> None:
        """See `Own`."""

    def delegated(self, prefix_handle: bytes, view: StoreView | None = None) -> tuple[HandleValue, ...]:
        """See `Own`."""
        return ()


class OwnStore:
    """Looks in the store as for a client that sees public values alone."""

    def __init__(self, store: HandleStore, authority: Authority) -> None:
        self._store = store
        self._authority = authority
        self._homed: frozenset[bytes] | None = None
        self._elsewhere: set[bytes] = set()

    def note_homed(self, homed: frozenset[bytes]) -> None:
        """Hear which prefixes are homed, as often as somebody sees it: so the store is not asked about all others."""
        if homed is not self._homed:
            self._homed = homed
            self._elsewhere.clear()

    def known(self, handle: bytes, types: Sequence[bytes]) -> Known | None:
        """See `Own`."""
        found = self._found(handle)
        if not isinstance(found, bytes):
            return found if isinstance(found, Known) else None
        is_wanted = value_list.matcher((), types)
        spans = [span for span in value_list.spans(found) if span.permissions & PUBLIC_READ and is_wanted(span)]
        if not spans:
            return Known(code=ResponseCode.VALUES_NOT_FOUND, values=(), is_certified=True)
        values = read_values(Reader(value_list.joined(found, spans)))
        return Known(code=ResponseCode.SUCCESS, values=values, is_certified=True)

    def delegated(self, prefix_handle: bytes, view: StoreView | None = None) -> tuple[HandleValue, ...]:
        """See `Own`."""
        found = self._found(prefix_handle, view)
        if isinstance(found, Said) and isinstance(found.body, ReferralResponse):
            return found.body.values or ()
        return ()

    def _found(self, handle: bytes, view: StoreView | None = None) -> bytes | Said | Known | None:
        name = identifier.full(handle)
        if self._homed is not None and self._is_elsewhere(name, self._homed):
            return None
        try:
            with self._store.view() if view is None else nullcontext(view) as view:
                homed = view.homed()
                if not homed or not is_served(name, homed):
                    return None
                return self._authority.found(view, name, flags=PUBLIC_ONLY, version=NEWEST)
        except HandleNotFound:
            return _NOTHING
        except (HandleError, StoreError):  # No handle's name, another server's handle, or a store that cannot be read.
            return None

    def _is_elsewhere(self, name: bytes, homed: frozenset[bytes]) -> bool:
        """Whether a name is not kept here. Each search asks that twice of its prefix."""
        if name in self._elsewhere:
            return True
        if is_served(name, homed):
            return False
        if len(self._elsewhere) >= ELSEWHERE_MAX:
            self._elsewhere.clear()
        self._elsewhere.add(name)
        return True
