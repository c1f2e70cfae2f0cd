"""What administrators asked a deployed server, and proved, is asked of ours, and answered octet for octet as there.

The captured proofs are sent as they were: only the id of each challenge is drawn anew. Nonces and the clock are set to
what was seen. Sources: the vectors; behaviours 15 to 25.
"""

from collections.abc import Iterator

import pytest

from protocol.codec import Message
from resolver.config import Config
from resolver.replies import ANSWER_LIFETIME_S
from storage.base import UpdateRecord
from tests.resolver.test_replay import site_seen, values_in
from tests.support.engines import Answering, seeded
from tests.support.trust_vectors import ADMIN, prefix_record, server_key_seen
from tests.support.vectors import messages, octets

NAMES = {vector["name"] for vector in messages()}
STORY = [
    "create.rsa", "create.seckey-pbkdf2", "create.dsa", "create.already-exists", "create.mint", "add-value",
    "add-value.exists", "modify-value", "remove-value", "remove-value.missing",
    *[f"modify-value.{kind}.v2.{minor}" for minor in (1, 6, 7) for kind in ("seckey", "rsa")],
    "wrong-secret", "delete.seckey", "delete.dsa", "list-handles", "home-prefix", "unhome-prefix",
    "list-homed-prefixes", "create.with-private-value", "resolve.public-only", "resolve.restricted", "create.large",
    "delete.rsa", "delete.missing",
    *[f"verify-challenge.alg-{form}" for form in ("01", "02", "03", "12", "13", "22")], "verify-challenge.wrong",
]  # fmt: skip
"""In the order in which they were captured: each finds what those before it left."""


class Story:
    """One node through all of it."""

    def __init__(self) -> None:
        self.nonce = b""
        store = seeded(
            {ADMIN: prefix_record(), b"0.NA/88.400": values_in("referral.prefix.response")},
            homed=(b"0.NA/0.NA", ADMIN, b"0.NA/88.400"),
        )
        self.node = Answering(
            store,
            site=site_seen(),
            random_octets=lambda size: self.nonce[:size],
            private_key=server_key_seen(),
            config=Config.model_validate({"auth": {"server_admins": ["200:0.NA/88.100"]}}),
        )

    def said(self, asked: bytes, seen: bytes) -> bytes:
        reply = Message.read(seen)
        self.nonce = reply.body[-16:]
        found = self.node.octets(asked, now_s=reply.header.expiration - ANSWER_LIFETIME_S)
        assert found is not None
        return found

    def forget(self, handle: bytes) -> None:
        """Take a record away, beside the protocol."""
        (outcome,) = self.node.store.apply([UpdateRecord(handle, lambda _: None)], now_ms=0)
        assert outcome.existed

    def lived(self, name: str) -> Iterator[tuple[bytes, bytes]]:
        """What ours says and what was seen, message by message."""
        asked = octets(f"{name}.request")
        if f"{name}.challenge" in NAMES:
            seen = octets(f"{name}.challenge")
            challenge = self.said(asked, seen)
            yield challenge[:4] + challenge[8:], seen[:4] + seen[8:]
            answer = octets(f"{name}.answer")
            asked = answer[:4] + challenge[4:8] + answer[8:]
        yield self.said(asked, octets(f"{name}.response")), octets(f"{name}.response")


@pytest.fixture(scope="module")
def story() -> Story:
    return Story()


@pytest.mark.parametrize("name", STORY)
def test_administration_is_answered_as_it_was_seen(story: Story, name: str) -> None:
    for said, seen in story.lived(name):
        if name == "create.mint" and len(seen) == len(octets("create.mint.response")):
            ours, theirs = Message.read(said), Message.read(seen)
            assert (ours.header, len(ours.body)) == (theirs.header, len(theirs.body))
            assert ours.body[:11] == theirs.body[:11]
            story.forget(ours.body[4:])  # Nobody saw it again.
        else:
            assert said.hex() == seen.hex()
