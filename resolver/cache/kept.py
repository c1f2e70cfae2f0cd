"""One remembered answer: what was asked, what came, until when it may be used, and how often it was.

What is kept is public: a value that not everybody may read is left out before, as a server leaves it out.
"""

from collections.abc import Sequence
from typing import Final

from protocol import value_list
from protocol.codes import ResponseCode

OVERHEAD: Final = 640
"""Octets that an answer takes beside its values, types and indexes: the objects around them, as Python makes them."""

NEGATIVE: Final = frozenset((ResponseCode.HANDLE_NOT_FOUND, ResponseCode.VALUES_NOT_FOUND))
"""The answers that there is nothing."""

CODES: Final = NEGATIVE | {ResponseCode.SUCCESS}
"""The answers that are remembered: refusals and referrals are not."""


class Kept:
    """An answer to the question for `indexes` and `types` (folded; both empty: everything) of one handle.

    `values` are the octets of the value list that came, all of it public. It is fresh from `received_ms` to, not
    including, `fresh_until_ms`. `uses` counts; `uses_seen` of them the table has taken into account. Between `since_s`
    and `quick_until_s` the octets can be sent to whoever asks for everything; 0 where they cannot. `retry_at_ms`: until
    then it stays as it is, however old, since asking again failed. `is_refreshing`: it is being asked for again.
    """

    __slots__ = (
        "code", "fresh_until_ms", "indexes", "is_certified", "is_refreshing", "quick_until_s", "received_ms",
        "retry_at_ms", "since_s", "types", "uses", "uses_seen", "values",
    )  # fmt: skip

    def __init__(
        self,
        code: int,
        values: bytes,
        *,
        indexes: Sequence[int],
        types: Sequence[bytes],
        is_certified: bool,
        received_ms: int,
        fresh_until_ms: int,
    ) -> None:
        self.code = code
        self.values = values
        self.indexes = frozenset(indexes)  # With a 0, which stands for no value: asked alone it asks for nothing.
        self.types = frozenset([name.upper() for name in types])
        self.is_certified = is_certified
        self.received_ms = received_ms
        self.fresh_until_ms = fresh_until_ms
        self.uses = self.uses_seen = 0
        self.since_s = self.quick_until_s = 0
        self.retry_at_ms = 0
        self.is_refreshing = False

    @property
    def is_negative(self) -> bool:
        """Whether it says that there is nothing."""
        return self.code != ResponseCode.SUCCESS

    @property
    def is_whole(self) -> bool:
        """Whether it answers every question for its handle: everything was asked for, or there is no such handle."""
        return not (self.indexes or self.types) or self.code == ResponseCode.HANDLE_NOT_FOUND

    @property
    def size(self) -> int:
        """Octets of memory, roughly."""
        return OVERHEAD + len(self.values) + sum(map(len, self.types)) + 64 * (len(self.types) + len(self.indexes))

    def is_fresh(self, now_ms: int) -> bool:
        """Whether it may be used. One that came in the future came before somebody set the clock back: it may not."""
        return self.received_ms <= now_ms < self.fresh_until_ms

    def is_quick(self, now_s: int) -> bool:
        """Whether its octets can be sent to whoever asks for everything, without another look."""
        return self.since_s <= now_s < self.quick_until_s

    def used(self) -> bytes:
        """The octets of its value list, and one more use."""
        self.uses += 1
        return self.values

    def is_held(self, now_ms: int) -> bool:
        """Whether it is used though it expired, since asking again has just failed."""
        return self.received_ms <= now_ms < self.retry_at_ms

    def covers(self, indexes: Sequence[int], types: Sequence[bytes]) -> bool:
        """Whether what was asked for holds all that a question asks for (spec, resolution: section 3.4)."""
        if not (self.indexes or self.types) or (types and not indexes and self.types.issuperset(types)):
            return True  # What is asked all day: everything, or the service of a prefix.
        if self.is_whole:
            return True
        if not indexes and not types:
            return False
        return self.indexes.issuperset(frozenset(indexes) - {0}) and all(self._covers_type(name) for name in types)

    def _covers_type(self, name: bytes) -> bool:
        """A type is covered by itself, and by one that ends in a dot and names it or a type above it."""
        name = name.upper()
        if name in self.types:
            return True
        dotted = name if name.endswith(b".") else name + b"."
        return any(wide.endswith(b".") and dotted.startswith(wide) for wide in self.types)

    def supersedes(self, other: "Kept") -> bool:
        """Whether, being newer, it answers all that the other does. Certified answers give way to none but such."""
        if other.is_certified and not self.is_certified:
            return False
        return self.is_whole or (
            not other.is_whole and self.indexes >= other.indexes and all(map(self._covers_type, other.types))
        )

    def selected(self, indexes: Sequence[int], types: Sequence[bytes]) -> bytes | None:
        """The octets of the list of the values that a covered question asks for; None where there are none."""
        if self.is_negative:
            return None
        if not indexes and not types:
            return self.values
        is_wanted = value_list.matcher(indexes, types)
        spans = value_list.spans(self.values)
        wanted = [span for span in spans if is_wanted(span)]
        if len(wanted) == len(spans):
            return self.values
        return value_list.joined(self.values, wanted) if wanted else None

    def end(self) -> None:
        """It is forgotten: whoever still knows it must not use it, and holds no octets by it."""
        self.quick_until_s = self.fresh_until_ms = self.retry_at_ms = 0
        self.values = value_list.EMPTY
