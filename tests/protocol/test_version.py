"""Which version a reply is written in, and what changes with it (behaviours 1-4)."""

import pytest

from protocol.codes import DIGEST_OLD_FORM, DIGEST_SHA1, DIGEST_SHA256
from protocol.version import NEWEST, Version, digest_algorithm, negotiated


@pytest.mark.parametrize("minor", range(12))
def test_a_version_of_2_is_answered_in_itself(minor: int) -> None:
    assert negotiated(Version(2, minor), Version(2, minor)) == (2, minor)


def test_the_suggestion_counts_and_not_the_version_of_the_message() -> None:
    assert negotiated(Version(2, 1), Version(2, 11)) == (2, 11)
    assert negotiated(Version(2, 11), Version(2, 1)) == (2, 1)


def test_without_a_suggestion_the_messages_own_version_counts() -> None:
    assert negotiated(Version(2, 4), Version(0, 0)) == (2, 4)


@pytest.mark.parametrize("newer", [(3, 0), (2, 40), (2, 12), (3, 255)])
def test_newer_versions_are_answered_in_ours(newer: tuple[int, int]) -> None:
    assert negotiated(Version(*newer), Version(*newer)) == NEWEST


def test_only_two_bits_of_a_suggested_major_are_read() -> None:
    assert negotiated(Version(2, 3), Version(7, 0)) == NEWEST  # 7 reads as 3.
    assert negotiated(Version(2, 3), Version(6, 4)) == (2, 4)  # 6 reads as 2.


def test_the_historic_5_is_older_than_all_others_and_answered_in_itself() -> None:
    assert not Version(5, 0).at_least(Version(2, 0))
    assert Version(2, 0).at_least(Version(5, 9))
    assert negotiated(Version(5, 0), Version(5, 0)) == (5, 0)
    assert negotiated(Version(5, 0), Version(0, 0)) == (5, 0)


@pytest.mark.parametrize("older", [(1, 9), (0, 0), (1, 0)])
def test_versions_that_never_were_are_answered_in_the_oldest(older: tuple[int, int]) -> None:
    assert negotiated(Version(*older), Version(*older)) == (2, 0)


def test_digests_follow_the_version_of_the_reply() -> None:
    assert digest_algorithm(Version(2, 0)) == digest_algorithm(Version(5, 0)) == DIGEST_OLD_FORM
    assert [digest_algorithm(Version(2, minor)) for minor in (1, 6)] == [DIGEST_SHA1] * 2
    assert [digest_algorithm(Version(2, minor)) for minor in (7, 11)] == [DIGEST_SHA256] * 2
