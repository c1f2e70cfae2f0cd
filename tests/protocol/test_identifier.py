"""Case folding, prefixes and server hashing as captured: 20 foldings and 32 hashings, none left out."""

from typing import Any

import pytest

from protocol import identifier
from tests.support.vectors import vectors

FOLDINGS = [entry for entry in vectors()["caseFolding"] if "hex" in entry]
COMPARISONS = [entry for entry in vectors()["caseFolding"] if "a" in entry]
SAMPLES = vectors()["hashing"]["samples"]
OPTIONS = {
    "prefix": identifier.HASH_BY_PREFIX,
    "suffix": identifier.HASH_BY_SUFFIX,
    "all": identifier.HASH_BY_HANDLE,
}


def test_every_entry_is_used() -> None:
    assert (len(FOLDINGS), len(COMPARISONS), len(SAMPLES)) == (16, 4, 32)
    assert len(FOLDINGS) + len(COMPARISONS) == len(vectors()["caseFolding"])


@pytest.mark.parametrize("entry", FOLDINGS, ids=lambda entry: entry["hex"])
def test_folding_raises_ascii_letters_alone(entry: dict[str, Any]) -> None:
    octets = bytes.fromhex(entry["hex"])
    assert octets == entry["text"].encode()
    assert identifier.folded(octets).hex() == entry["foldedHex"]
    assert identifier.folded(octets).decode() == entry["folded"]
    assert identifier.prefix_folded(octets).decode() == entry["prefixFolded"]


@pytest.mark.parametrize("entry", COMPARISONS, ids=lambda entry: entry["a"])
def test_handles_are_equal_where_their_foldings_are(entry: dict[str, Any]) -> None:
    equal = identifier.folded(entry["a"].encode()) == identifier.folded(entry["b"].encode())
    assert equal == entry["equalIgnoringCase"]


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["handleHex"])
def test_a_handle_hashes_to_the_server_that_was_seen(sample: dict[str, Any], option: str) -> None:
    handle, told = bytes.fromhex(sample["handleHex"]), sample["byOption"][option]
    assert identifier.site_hash(handle, OPTIONS[option]) == told["hash"]
    for servers in (1, 2, 3, 5):
        assert identifier.server_of(handle, OPTIONS[option], servers) == told.get(f"serverOf{servers}", 0)


def test_the_lowest_hash_stays_negative_and_still_names_a_server() -> None:
    # No known handle hashes to -2**31: the rule is tested on the number itself.
    for servers in range(1, 40):
        assert 0 <= identifier.position_of(-(2**31), servers) < servers
    assert all(identifier.position_of(-(2**31), 1 << power) == 0 for power in range(10))


def test_a_suffix_keeps_its_case_where_only_the_prefix_folds() -> None:
    assert identifier.prefix_folded(b"ab.cd/Efg") == b"AB.CD/Efg"
    assert identifier.prefix_folded(b"0.type/Url") == b"0.TYPE/URL"
    assert identifier.prefix_folded(b"noslash") == b"NOSLASH"


def test_a_handle_is_cut_at_its_first_slash() -> None:
    assert identifier.split(b"88.100/a/b") == (b"88.100", b"a/b")
    assert identifier.split(b"88.100/") == (b"88.100", b"")
    assert identifier.split(b"88.100") == (b"0.NA", b"88.100")


def test_a_string_without_a_slash_names_its_prefix_handle() -> None:
    assert identifier.full(b"88.100") == b"0.NA/88.100"
    assert identifier.full(b"88.100/x") == b"88.100/x"


def test_segments_are_text_and_no_numbers() -> None:
    assert identifier.prefix_handle(b"88.0042/x") == b"0.NA/88.0042" != identifier.prefix_handle(b"88.42/x")


def test_prefix_handles_stand_under_the_root() -> None:
    assert identifier.prefix_handle(b"abc.d/x") == b"0.NA/ABC.D"
    assert identifier.prefix_handle(b"0.NA/88.100") == b"0.NA/0.NA"
    assert identifier.prefix_handle(b"88.100") == b"0.NA/0.NA"


def test_a_parent_is_one_label_up() -> None:
    assert identifier.parent_prefix_handle(b"0.NA/88.100.1") == b"0.NA/88.100"
    assert identifier.parent_prefix_handle(b"0.NA/88.100") == b"0.NA/88"
    assert identifier.parent_prefix_handle(b"0.NA/88") is None
    assert identifier.parent_prefix_handle(b"0.NA/.88") is None
