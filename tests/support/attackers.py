"""A real node that is attacked: who stands in its store, and refusals that its log must tell without a secret."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from protocol.administrator import ALL_PERMISSIONS, Administrator
from protocol.codec import Message
from protocol.trust.keys import RsaPrivateKey, generate_rsa, public_key_octets, public_of
from protocol.value import HandleValue, Reference
from tests.resolver.test_attacks import OWNER, WORD
from tests.support.callers import Caller, Prover
from tests.support.engines import value
from tests.support.trust_vectors import ADMIN, SEEN_AT, key_seen, prefix_record
from tests.support.vector_nodes import Records, VectorNode

NAME = b"88.100/X"
LONELY = b"88.100/LONELY"
"""A record whose one administrator is the ordinary one."""

OTHERS = b"0.NA/77"
"""A prefix that is homed here too, and that none of ours administers."""

HOMED = (ADMIN, OTHERS)
CHALLENGE_TTL_S = 2.0


@cache
def made_key(name: str) -> RsaPrivateKey:
    """A key of that name's own, made once a run."""
    return generate_rsa(2_048)


def key_record(name: str) -> list[HandleValue]:
    """A record with a public key at 300."""
    octets = public_key_octets(public_of(made_key(name)))
    return [HandleValue(index=300, type=b"HS_PUBKEY", data=octets, timestamp=SEEN_AT)]


ORDINARY = Prover(Reference(300, ADMIN), key_seen("adminRsaPrivatePkcs8Hex"))
"""An administrator of `88.100` and its handles."""

BY_SECRET = Prover(Reference(302, ADMIN), secret=WORD)


def nobody() -> Prover:
    """One who has a key here and no rights."""
    return Prover(Reference(300, b"88.100/NOBODY"), made_key("nobody"))


def server_admin() -> Prover:
    """The one whom the configuration names."""
    return Prover(Reference(300, b"88.100/ROOT"), made_key("root"))


def records() -> Records:
    """What stands in the store."""
    lone = Administrator(ALL_PERMISSIONS, ADMIN, 300).to_bytes()
    return {
        ADMIN: prefix_record(),
        NAME: [value(1), OWNER],
        LONELY: [value(1), HandleValue(index=100, type=b"HS_ADMIN", data=lone, timestamp=SEEN_AT)],
        b"88.100/NOBODY": key_record("nobody"),
        b"88.100/ROOT": key_record("root"),
        OTHERS: [value(1)],
    }


class AttackedNode(VectorNode):
    """A node whose refusals are looked for in its log."""

    def __init__(self, folder: Path, **env: str) -> None:
        settings = {
            "HNODE_AUTH__SERVER_ADMINS": "300:88.100/ROOT",
            "HNODE_AUTH__CHALLENGE_TTL": f"{CHALLENGE_TTL_S:g}s",
            **env,
        }
        super().__init__(folder, records(), homed=HOMED, env=settings)

    def caller(self, way: str = "tcp") -> Caller:
        """Somebody at an address of their own."""
        return Caller(self.port, way)

    def refuses(self, caller: Caller, asked: Message | bytes, code: int, why: str, *secrets: bytes) -> Message:
        """What is said to a request, which must be a refusal that the log tells, without these secrets."""
        with self.expects(caller, code, why, *secrets):
            said = caller.said(asked)
            assert said.header.code == code, said
        return said

    @contextmanager
    def expects(self, caller: Caller, code: int, why: str, *secrets: bytes) -> Iterator[None]:
        """The log tells within this block, or soon after, that the caller was refused with that code."""
        after = self.heard()
        yield
        self.told(rf"refused \S+ of {re.escape(caller.source)} with {code} .*{why}", after=after)
        for secret in (WORD, *secrets):
            for form in (secret, secret.hex().encode(), repr(secret)[2:-1].encode()):
                assert form not in self.log
