"""How long an answer may be used: by the TTLs of its values, never longer than the operator says.

Times are milliseconds since 1970. Source: spec, records: section 2.1; spec, resolution: section 3.4.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from protocol.codes import TTL_ABSOLUTE, TTL_RELATIVE, ResponseCode
from protocol.value import HandleValue

RELATIVE_TTL_MAX_S: Final = 172_800
"""No relative TTL counts for more: two days (spec, records: section 2.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """The operator's bounds, in milliseconds: of any answer, of one that there is nothing, of an expired one."""

    ttl_max_ms: int = 3_600_000
    negative_ms: int = 60_000
    stale_ms: int = 86_400_000

    def end_ms(self, code: int, values: Iterable[HandleValue], received_ms: int) -> int:
        """When an answer that came at `received_ms` has to be asked for again: the earliest end of its values.

        Not after `received_ms` where it may not be kept at all.
        """
        if code != ResponseCode.SUCCESS:
            return received_ms + min(self.negative_ms, self.ttl_max_ms)
        return min([value_end_ms(value, received_ms) for value in values] + [received_ms + self.ttl_max_ms])


def value_end_ms(value: HandleValue, received_ms: int) -> int:
    """When one value that came at `received_ms` expires. One whose kind of TTL is not known is not kept."""
    if value.ttl_type == TTL_RELATIVE:
        return received_ms + min(value.ttl, RELATIVE_TTL_MAX_S) * 1000
    return value.ttl * 1000 if value.ttl_type == TTL_ABSOLUTE else received_ms
