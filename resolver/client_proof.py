"""Proofs of the client's exchanges: who we are, for a server that challenges, and whether an answer is its server's.

Sources: spec, security: sections 2 to 5 and 7; behaviours 20 and 21.
"""

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from protocol import codec
from protocol.codec import Message
from protocol.codes import REQUEST_DIGEST
from protocol.errors import Malformed
from protocol.requests import Body, ChallengeAnswer
from protocol.responses import ChallengeResponse
from protocol.site import Site
from protocol.trust.challenge import (
    PBKDF2_HMAC_SHA1,
    RequestDigest,
    answer_form,
    answer_version,
    challenge_input,
    public_key_answer,
    secret_key_answer,
)
from protocol.trust.credential import Credential
from protocol.trust.gm import Sm2PrivateKey, sm2_answer
from protocol.trust.keys import PrivateKey, PublicKey, UnknownPublicKey, read_public_key
from protocol.trust.signature import signature_is_valid
from protocol.value import Reference
from resolver.client_errors import NotProven

PUBLIC_KEY: Final = b"HS_PUBKEY"
SECRET_KEY: Final = b"HS_SECKEY"

CHALLENGES_MAX: Final = 3  # The first one, and two more that ask for an older form (spec, security: section 5).
_SALT_SIZE: Final = 16  # What deployed clients write.


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are: the value `index:handle` that holds our public key or our secret, and what proves it.

    Give `private_key` or `secret`, not both. An SM2 key is proven to the sector's servers, in the name of its handle.
    """

    key: Reference
    private_key: PrivateKey | Sm2PrivateKey | None = None
    secret: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        assert (self.private_key is None) != (self.secret is None), "one proof, of one kind"


def challenge_of(reply: Message, asked: Message) -> tuple[bytes, RequestDigest]:
    """Nonce and digest of a challenge; `NotProven` where the digest is not that of what was asked.

    Who signs another digest signs somebody else's request.
    """
    digest, body = _read(reply)
    if not isinstance(body, ChallengeResponse) or digest is None or not digest.is_of(asked.signed_part):
        raise NotProven("the server challenges for another request than the one that it was sent")
    return body.nonce, digest


def _read(reply: Message) -> tuple[RequestDigest | None, Body]:
    try:
        return codec.read_response(reply)
    except Malformed as error:
        raise NotProven(f"the answer cannot be read: {error}") from error


async def answer(identity: Identity, reply: Message, asked: Message) -> ChallengeAnswer:
    """The answer to a challenge of a request, in the form that the challenge's versions ask for; made by a thread."""
    nonce, digest = challenge_of(reply, asked)
    data, key = challenge_input(nonce, digest), identity.private_key
    if key is not None:
        if isinstance(key, Sm2PrivateKey):
            proof = await asyncio.to_thread(sm2_answer, key, data, identity.key.handle)
        else:
            proof = await asyncio.to_thread(public_key_answer, key, reply.envelope.version, data)
        return ChallengeAnswer(type=PUBLIC_KEY, key=identity.key, answer=proof)
    assert identity.secret is not None
    form = answer_form(answer_version(reply.envelope))
    salt = secrets.token_bytes(_SALT_SIZE) if form == PBKDF2_HMAC_SHA1 else b""
    proof = await asyncio.to_thread(secret_key_answer, identity.secret, form, data, salt=salt)
    return ChallengeAnswer(type=SECRET_KEY, key=identity.key, answer=proof)


def keys_of(site: Site) -> tuple[PublicKey, ...]:
    """The public keys of a site's servers; those that cannot be read, or that check no signature, are left out."""
    return tuple(_readable(server.public_key for server in site.servers))


def _readable(octets: Iterable[bytes]) -> Iterable[PublicKey]:
    for found in octets:
        try:
            key = read_public_key(found)
        except Malformed:
            continue
        if not isinstance(key, UnknownPublicKey):
            yield key


def credential_of(message: Message) -> Credential | None:
    """The credential of a reply, or None; `NotProven` where it cannot be read."""
    try:
        return Credential.read(message.credential)
    except Malformed as error:
        raise NotProven(f"the answer's credential cannot be read: {error}") from error


def expect_signed(reply: Message, keys: Sequence[PublicKey]) -> None:
    """`NotProven` where a reply bears no signature of one of the server's keys."""
    credential = credential_of(reply)
    if credential is None:
        raise NotProven("the server did not sign its answer")
    if not keys:
        raise NotProven("the server's key is not known, which its signature is to be held against")
    if not any(signature_is_valid(credential, key, reply.envelope, reply.signed_part) for key in keys):
        raise NotProven("the answer is not signed with the server's key")


def expect_fresh(reply: Message, asked: Message, now_s: int) -> None:
    """`NotProven` where a proven reply expired, or is the reply to another request, by the digest it carries."""
    if reply.header.expiration < now_s:
        raise NotProven("the answer has expired: it is an old one, or the clocks differ by half a day")
    if asked.header.flags & reply.header.flags & REQUEST_DIGEST:
        digest, _ = _read(reply)
        if digest is None or not digest.is_of(asked.signed_part):
            raise NotProven("the answer is one to another request")
