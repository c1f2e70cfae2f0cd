"""What a deployed server was asked and said is asked of ours and said by ours, octet for octet.

Only the clock, the nonce and the server's key are set to what was seen. A challenge's id is drawn anew.
"""

import pytest

from protocol import codec
from protocol.codec import Message
from protocol.responses import ReferralResponse, ResolutionResponse, SiteResponse
from protocol.site import Site
from protocol.value import HandleValue
from resolver.replies import ANSWER_LIFETIME_S
from storage.memory import MemoryStore
from tests.support.engines import Answering, seeded
from tests.support.trust_vectors import server_key_seen
from tests.support.vectors import octets

PLAIN = [
    "resolve.all", "resolve.lower-case-handle", "resolve.by-type", "resolve.by-index", "resolve.v2.1", "resolve.v2.10",
    "resolve.v3.0", "resolve.missing-handle", "resolve.missing-values", "resolve.not-homed", "resolve.digest.v2.0",
    "resolve.digest.v2.1", "resolve.digest.v2.6", "resolve.digest.v2.7", "resolve.digest.v2.11", "resolve.public-only",
    "siteinfo", "referral.prefix", "referral.do-not-refer",
]  # fmt: skip
CERTIFIED = [
    *[f"resolve.certified.v2.{minor}" for minor in (1, 5, 6, 7, 8, 11)],
    "resolve.missing-handle-certified-digest",
]


def values_in(name: str) -> tuple[HandleValue, ...]:
    _, body = codec.read_response(Message.read(octets(name)))
    assert isinstance(body, ResolutionResponse | ReferralResponse)
    return body.values or ()


def as_seen() -> MemoryStore:
    """The records that the captured answers tell of."""
    return seeded(
        {
            b"88.100/VEC-1": values_in("resolve.all.response"),
            b"88.100/VEC-PRIV": values_in("resolve.restricted.response"),
            b"0.NA/88.400": values_in("referral.prefix.response"),
        },
        homed=(b"0.NA/0.NA", b"0.NA/88.100", b"0.NA/88.400"),
    )


def site_seen() -> Site:
    _, body = codec.read_response(Message.read(octets("siteinfo.response")))
    assert isinstance(body, SiteResponse)
    return body.site


def ours(name: str, answer_name: str = "response") -> tuple[bytes, bytes]:
    """What ours says, at the time of the captured answer, and what was captured."""
    seen = octets(f"{name}.{answer_name}")
    reply = Message.read(seen)
    nonce = reply.body[-16:]
    node = Answering(as_seen(), site=site_seen(), random_octets=lambda _: nonce, private_key=server_key_seen())
    said = node.octets(octets(f"{name}.request"), now_s=reply.header.expiration - ANSWER_LIFETIME_S)
    assert said is not None
    return said, seen


@pytest.mark.parametrize("name", PLAIN)
def test_the_answer_is_octet_for_octet_the_one_that_was_seen(name: str) -> None:
    said, seen = ours(name)
    assert said.hex() == seen.hex()


def test_the_challenge_is_octet_for_octet_the_one_that_was_seen_but_for_its_id() -> None:
    said, seen = ours("resolve.restricted", "challenge")
    assert said[:4] + said[8:] == seen[:4] + seen[8:]


@pytest.mark.parametrize("name", CERTIFIED)
def test_a_signed_answer_is_octet_for_octet_the_one_that_was_seen(name: str) -> None:
    said, seen = ours(name)
    assert said.hex() == seen.hex()
