"""Finders for tests: over what is written down, counting what was asked."""

from collections.abc import Mapping, Sequence

from protocol.administrator import ALL_PERMISSIONS, Administrator, vlist_octets
from protocol.identifier import folded
from protocol.value import HandleValue, Reference
from tests.support.engines import value


class KnownFinder:
    """Finds what it was given, by folded handle; `asked` are the handles that were looked up."""

    def __init__(self, records: Mapping[bytes, Sequence[HandleValue]]) -> None:
        self._records = {folded(handle): tuple(values) for handle, values in records.items()}
        self.asked: list[bytes] = []

    async def values(self, handle: bytes) -> tuple[HandleValue, ...] | None:
        """See `resolver.finding.Finder`."""
        self.asked.append(handle)
        return self._records.get(folded(handle))


def admin(text: str, permissions: int = ALL_PERMISSIONS, *, index: int = 100) -> HandleValue:
    """An HS_ADMIN value for the one that a text like `300:0.NA/88.100` names."""
    named = reference(text)
    return value(index, b"HS_ADMIN", Administrator(permissions, named.handle, named.index).to_bytes())


def group(*members: str, index: int = 200) -> HandleValue:
    """An HS_VLIST value."""
    return value(index, b"HS_VLIST", vlist_octets([reference(member) for member in members]))


def reference(text: str) -> Reference:
    """`300:0.NA/88.100` as a reference."""
    index, _, handle = text.partition(":")
    return Reference(int(index), handle.encode())
