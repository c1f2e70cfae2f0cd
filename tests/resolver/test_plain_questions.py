"""The short way of plain questions says just what the engine says; what a stranger can make costly stays cheap."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import Message
from protocol.codes import DEFAULT_REQUEST_FLAGS
from protocol.value import HandleValue, value_list
from protocol.value_list import Span, matcher, spans
from protocol.version import Version
from resolver.peer import Peer
from resolver.replies import Answer
from tests.support.engines import NOW, SITE, Answering, asking, octets_of, seeded, value, zeros

LONG = b"88.100/" + b"L" * 472  # The longest handle whose key is itself.
RECORDS = {
    b"88.100/PUBLIC": [value(1), value(2)],
    b"88.100/spelled-Ab": [value(1)],
    b"88.100/MIXED": [value(1), value(2, permissions=12)],
    b"88.100/SEALED": [value(1, permissions=0)],
    b"88.100/NONE": [],
    LONG: [value(1)],
    LONG + b"X": [value(1)],
    b"0.NA/88.100": [value(1)],
    b"88.100/BIG": [value(index, data=b"x" * 60_000) for index in range(1, 6)],
    b"77.7/ELSEWHERE": [value(1)],
    b"0.SITE/STATUS": [value(1)],
}
HOMED = (b"0.NA/88.100", b"0.NA/0.SITE")
NODE = Answering(seeded(RECORDS, homed=HOMED), random_octets=zeros)
MIRROR = Answering(seeded(RECORDS, homed=HOMED), random_octets=zeros, site=replace(SITE, flags=0))
PEER = Peer("127.0.0.1", admin=True, is_connection=True)
handles = st.one_of(
    st.sampled_from([*RECORDS, b"88.100", b"88.100x", b"", b"/", b"88.100/spelled-aB", LONG + b"x" * 2000]),
    st.binary(max_size=20),
    st.binary(max_size=8).map(lambda suffix: b"88.100/" + suffix),
)
versions = st.builds(Version, st.integers(0, 255), st.integers(0, 255))


@pytest.mark.parametrize("bit", range(32))
@pytest.mark.parametrize("node", [NODE, MIRROR], ids=["primary", "mirror"])
def test_each_flag_is_copied_or_cleared_as_the_engine_does(node: Answering, bit: int) -> None:
    asked = asking(b"88.100/PUBLIC", flags=1 << bit).to_bytes()
    with node.store.view() as view:
        expected = octets_of(node.service.engine.answer(asked, view, peer=PEER, now_s=NOW))
    assert without_id(node.octets(asked, now_s=NOW)) == without_id(expected)


@given(
    handle=handles,
    flags=st.one_of(st.just(DEFAULT_REQUEST_FLAGS), st.integers(0, 2**32 - 1)),
    version=st.sampled_from([Version(2, minor) for minor in range(13)] + [Version(3, 0), Version(5, 0), Version(1, 1)]),
    changes=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=2),
    now_s=st.sampled_from([NOW, 2**31 - 43_200, 2**32]),
)
def test_the_service_says_what_the_engine_says(
    handle: bytes, flags: int, version: Version, changes: list[tuple[int, int]], now_s: int
) -> None:
    asked = bytearray(asking(handle, flags=flags, version=version).to_bytes())
    for position, octet in changes:
        asked[position % len(asked)] = octet
    with NODE.store.view() as view:
        answer = NODE.service.engine.answer(bytes(asked), view, peer=PEER, now_s=now_s)
    expected = octets_of(answer)
    said = NODE.octets(bytes(asked), now_s=now_s)
    if isinstance(answer, Answer) and len(answer.octets) > 262_164:
        assert said is not None
        assert Message.read(said).header.code == 2  # Too large for any client: the service says what to do.
    else:
        assert without_id(said) == without_id(expected)


def without_id(octets: bytes | None) -> bytes | None:
    """A reply without its session id, which a challenge draws anew."""
    return None if octets is None else octets[:4] + octets[8:]


def naive(span: Span, indexes: list[int], types: list[bytes]) -> bool:
    if not indexes and not types:
        return True
    if span.value_index in indexes and span.value_index != 0:
        return True
    for wanted in types:
        folded = wanted.upper()
        if span.type == folded or (folded.endswith(b".") and (span.type + b".").startswith(folded)):
            return True
    return False


names = st.lists(st.sampled_from([b"A", b"b", b"URL", b"."]), max_size=4).map(b"".join)


@given(st.lists(names, min_size=1, max_size=4), st.lists(st.integers(-1, 4), max_size=3), st.lists(names, max_size=4))
def test_what_is_wanted_is_what_the_rule_says(kinds: list[bytes], indexes: list[int], types: list[bytes]) -> None:
    kept = value_list([HandleValue(index=index, type=kind, data=b"") for index, kind in enumerate(kinds)])
    is_wanted = matcher(indexes, types)
    for span in spans(kept):
        assert is_wanted(span) == naive(span, indexes, types)


@pytest.mark.parametrize("labels", [33, 1_000])
def test_prefixes_of_absurdly_many_labels_are_not_looked_for(labels: int) -> None:
    assert NODE.resolved(b"0.NA/88.100" + b".1" * labels)[0] == 301
