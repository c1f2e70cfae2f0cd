"""Patterns of strangers: what they match, what is refused, and that none of them takes long or says a word."""

import subprocess
import sys
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.computed.pattern import PATTERN_GROUPS_MAX, PATTERN_WORK_MAX, Pattern, pattern
from protocol.limits import PATTERN_INPUT_MAX, PATTERN_SIZE_MAX

CATASTROPHIC = [
    b"(a+)+$",
    b"(a+)+b",
    b"(a*)*b",
    b"(?:(a|aa|aaa)*)*b",
    b"(x+x+)+y",
    b"(.*)" * PATTERN_GROUPS_MAX + b"b",
    b"(?:a?){300}a{300}",
    b"([a-z]*)*[0-9]",
    b"^(([a-z])+.)+[A-Z]([a-z])+$",
    b"(?:(a|b)*a(a|b){12})",
    rb"(?:\pL*\pN*){5}b",
    b"((((((((((((.*)*)*)*)*)*)*)*)*)*)*)*)*b",
]


def made(expression: bytes, *, case_sensitive: bool = False) -> Pattern:
    found = pattern(expression, case_sensitive=case_sensitive)
    assert found is not None
    return found


def test_the_whole_text_has_to_match() -> None:
    assert made(b"ab").groups(b"ab") == (b"ab",)
    for text in (b"xab", b"abx", b"ab\n", b""):
        assert made(b"ab").groups(text) is None


def test_groups_are_given_and_those_that_took_no_part_are_empty() -> None:
    found = made(rb"box\(([^,]*),([^,]*)\)(x)?")
    assert found.groups("box(1,é)".encode()) == ("box(1,é)".encode(), b"1", "é".encode(), b"")


def test_case_counts_only_where_the_server_says_so() -> None:
    assert made(b"abc").groups(b"ABC") == (b"ABC",)
    assert made(b"abc", case_sensitive=True).groups(b"ABC") is None
    assert made(b"abc", case_sensitive=True).groups(b"abc") == (b"abc",)


def test_a_dot_is_a_character_not_an_octet() -> None:
    assert made(b".").groups("漢".encode()) == ("漢".encode(),)
    assert made(b".").groups(b"\xff") is None


@pytest.mark.parametrize(
    "expression",
    [
        b"(?=a)a", b"(?!a)b", b"(?<=a)b", b"(?<!a)b",  # Look-around.
        rb"(a)\1", rb"(?<n>a)\k<n>",  # Back references.
        b"a++", b"a*+", b"a?+", b"(?>a)",  # Possessive and atomic.
        b"[a-z&&[^m]]", b"[a-c[x-z]]", b"[^a&&b]", b"[]&&a]", b"[^]&&a]", b"x[[:alpha:]]",  # Classes in classes.
        rb"\ua", rb"\h", rb"\Z", rb"\G", b"(?x)a b",  # Escapes and flags of Java alone.
        b"(", b")", b"[", b"*", b"a{2,1}", b"\\", b"\xff",
        b"((a{30}){30}){30}", b"a{1001}", rb"(?:\pL{1,1000})", b"(((.{1,100}){1,100}){1,100})",
        b"()" * (PATTERN_GROUPS_MAX + 1),
        b"a" * (PATTERN_SIZE_MAX + 1), b"(a|b)" * 2_000, b"(" * 10_000, b"[" * 10_000,
    ],
)  # fmt: skip
def test_what_java_alone_knows_and_what_is_beyond_the_bounds_is_refused(expression: bytes) -> None:
    begun = process_time()
    assert pattern(expression, case_sensitive=False) is None
    assert process_time() - begun < 0.5


@pytest.mark.parametrize(
    "expression",
    [
        b"[]a]",
        b"[^]a]",
        rb"[\[a]",
        rb"[a\&&]",
        rb"\[a&&b",
        b"a&&b",
        rb"\Q[a[b\E",
        rb"[\]\[]",
        b"[ab]&&[cd]",
        rb"\Q[[",
        b"[a&b]",
    ],
)
def test_brackets_and_ampersands_that_make_no_class_in_a_class_are_no_reason_to_refuse(expression: bytes) -> None:
    assert pattern(expression, case_sensitive=False) is not None


def test_the_longest_allowed_pattern_matches_the_longest_allowed_text() -> None:
    assert pattern(b"a" * PATTERN_SIZE_MAX, case_sensitive=False) is not None
    text = b"a" * PATTERN_INPUT_MAX
    assert made(b".*").groups(text) == (text,)


@pytest.mark.parametrize("expression", CATASTROPHIC)
@pytest.mark.parametrize("text", [b"a" * PATTERN_INPUT_MAX, b"ab" * (PATTERN_INPUT_MAX // 2), b"x" * PATTERN_INPUT_MAX])
def test_no_pattern_within_the_bound_on_work_takes_long(expression: bytes, text: bytes) -> None:
    begun = process_time()
    found = pattern(expression, case_sensitive=False)
    if found is not None and found.work(text) <= PATTERN_WORK_MAX:
        found.groups(text)
    assert process_time() - begun < 0.5


def test_most_catastrophic_patterns_are_within_the_bounds_so_that_the_test_above_runs_them() -> None:
    text = b"a" * PATTERN_INPUT_MAX
    made_ = [pattern(expression, case_sensitive=False) for expression in CATASTROPHIC]
    assert sum(found is not None and found.work(text) <= PATTERN_WORK_MAX for found in made_) >= 10


def test_work_grows_with_the_program_and_with_the_text() -> None:
    assert made(b"a{500}").work(b"") > 50 * made(b"a").work(b"")
    assert made(b"a").work(bytes(2_000)) > 10 * made(b"a").work(b"")


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_any_octets_are_a_pattern_or_refused(expression: bytes, text: bytes) -> None:
    found = pattern(expression, case_sensitive=False)
    groups = None if found is None else found.groups(text)
    assert groups is None or groups[0] == text


@given(st.text(alphabet="ab(|)*+?{1,}[^]\\&$.", max_size=30), st.text(alphabet="ab", max_size=30))
def test_any_expression_is_a_pattern_or_refused(expression: str, text: str) -> None:
    found = pattern(expression.encode(), case_sensitive=True)
    groups = None if found is None else found.groups(text.encode())
    assert groups is None or groups[0] == text.encode()


def test_the_matcher_writes_nothing_to_the_standard_streams() -> None:
    program = (
        "from protocol.computed.pattern import pattern\n"
        "for e in (b'(', b'a{1001}', b'\\xff', b'(?=a)', rb'(?:\\pL{1,1000})', b'((a{30}){30}){30}'):\n"
        "    assert pattern(e, case_sensitive=False) is None\n"
        "for e in (b'(?:(a|b)*a(a|b){12})', b'(.?){100}.{100}', b'.{0,500}a.{0,400}b'):\n"
        "    p = pattern(e, case_sensitive=False)\n"
        "    p is None or p.groups(b'ab' * 1000)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=60)
    assert (run.stdout, run.stderr) == (b"", b"")
