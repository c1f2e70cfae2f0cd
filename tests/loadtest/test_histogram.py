"""The histogram's buckets tile the numbers, and its percentiles are those of the sorted values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.histogram import Histogram, bucket, lower_bound

latencies = st.integers(min_value=0, max_value=2**40)


@given(latencies)
def test_a_value_lies_in_its_bucket_and_before_the_next(value_ns: int) -> None:
    number = bucket(value_ns)
    assert lower_bound(number) <= value_ns < lower_bound(number + 1)


@given(latencies)
def test_a_bucket_is_at_most_one_64th_of_its_lower_bound_wide(value_ns: int) -> None:
    low, high = lower_bound(bucket(value_ns)), lower_bound(bucket(value_ns) + 1)
    assert high - low <= max(low / 64, 1)


def test_every_bucket_number_has_a_value_and_its_bounds_grow() -> None:
    bounds = [lower_bound(number) for number in range(2_000)]
    assert bounds == sorted(set(bounds))
    assert [bucket(bound) for bound in bounds] == list(range(2_000))


@given(st.lists(latencies, min_size=1, max_size=200), st.integers(min_value=1, max_value=100))
def test_a_percentile_is_that_of_the_sorted_values_within_a_bucket(values_ns: list[int], percent: int) -> None:
    exact_ns = sorted(values_ns)[-(-len(values_ns) * percent // 100) - 1]
    found_us = Histogram(values_ns).percentile_us(percent)
    assert found_us == pytest.approx(exact_ns / 1_000, rel=1 / 64, abs=0.001)


@given(st.lists(latencies), st.lists(latencies))
def test_merged_histograms_are_the_histogram_of_all_values(first: list[int], second: list[int]) -> None:
    merged = Histogram(first)
    merged.merge(Histogram(second))
    assert list(merged) == list(Histogram(first + second))
    assert merged.total == len(first) + len(second)


def test_no_values_have_the_percentile_zero() -> None:
    assert Histogram().percentile_us(99) == 0.0


@pytest.mark.parametrize("percent", [-1, 100.5])
def test_what_is_no_percentage_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="no percentage"):
        Histogram([1]).percentile_us(percent)
