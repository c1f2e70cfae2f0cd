"""Latencies as log-linear buckets that can be merged. Knows nanoseconds and no clock.

Values below 128 ns have a bucket each; above, every power of two is cut into 64 buckets, so that a bucket is at most
1/64 of its lower bound wide: the error of any percentile is under 1.6 %.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

_BITS: Final = 6  # 64 buckets a power of two.
_NS_A_US: Final = 1_000


def bucket(value_ns: int) -> int:
    """The number of the bucket that holds the value; buckets are numbered in the order of their values."""
    shift = max(value_ns.bit_length() - _BITS - 1, 0)
    return (shift << _BITS) + (value_ns >> shift)


def lower_bound(number: int) -> int:
    """The least value, in nanoseconds, that falls into the bucket."""
    shift = max((number >> _BITS) - 1, 0)
    return (number - (shift << _BITS)) << shift


class Histogram:
    """How many values fell into each bucket."""

    __slots__ = ("_counts", "_total")

    def __init__(self, values_ns: Iterable[int] = ()) -> None:
        self._counts: Counter[int] = Counter(map(bucket, values_ns))
        self._total = self._counts.total()

    @property
    def total(self) -> int:
        """How many values were counted."""
        return self._total

    def merge(self, other: "Histogram") -> None:
        """Count the other's values here, too."""
        self._counts.update(other._counts)
        self._total += other._total

    def percentile_us(self, percent: float) -> float:
        """The middle, in microseconds, of the bucket that holds the percentile; 0.0 without values."""
        if not 0 <= percent <= 100:
            raise ValueError(f"{percent} is no percentage")
        wanted = max(self._total * percent / 100, 1)
        seen = 0
        for number in sorted(self._counts):
            seen += self._counts[number]
            if seen >= wanted:
                return (lower_bound(number) + lower_bound(number + 1)) / 2 / _NS_A_US
        return 0.0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Lower bound in nanoseconds and count of each bucket that is not empty, in order."""
        return iter([(lower_bound(number), self._counts[number]) for number in sorted(self._counts)])
