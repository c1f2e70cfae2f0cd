"""All readers under mutated captures: a short campaign always, a long one on demand. A failure names its seed."""

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fuzzing import TARGETS, mutations, seeds, tried

SHORT = 300
LONG = 32_000
"""Inputs a target: with all targets more than two million."""


def campaign(name: str, count: int, seed: int) -> int:
    """How many of the inputs were read."""
    read = 0
    for number, octets in enumerate(mutations(name, count, random.Random(seed))):
        try:
            read += tried(name, octets)
        except Exception as error:
            raise AssertionError(f"{name}, seed {seed}, input {number}: {octets.hex()}") from error
    return read


def test_every_reader_is_a_target() -> None:
    assert len(TARGETS) == 28 + 2 * 21
    assert LONG * len(TARGETS) > 2_000_000


@pytest.mark.parametrize("name", TARGETS)
def test_a_short_campaign_finds_nothing(name: str) -> None:
    campaign(name, SHORT, zlib.crc32(name.encode()))


@pytest.mark.parametrize("name", TARGETS)
@given(octets=st.binary(max_size=150))
def test_any_octets_are_read_or_refused(name: str, octets: bytes) -> None:
    tried(name, octets)


@pytest.mark.parametrize("name", [name for name in TARGETS if name not in ("key of a session", "answer to a set-up")])
def test_a_target_reads_at_least_one_input_of_its_campaign(name: str) -> None:
    assert seeds(name)
    read = campaign(name, 1_500, 1)
    assert read or name in ("sealed message",)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@pytest.mark.parametrize("name", TARGETS)
def test_a_long_campaign_finds_nothing(name: str) -> None:
    read = campaign(name, LONG, 20_261_124)
    print(f"{name}: {LONG} inputs, {read} read")
