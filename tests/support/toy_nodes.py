"""Makers of replies for toy servers: what a server would say to a request, signed, MACed or bare as a test wants it."""

from collections.abc import Callable
from dataclasses import replace

from protocol import codec
from protocol.codec import Message
from protocol.codes import CERTIFY, CONTINUOUS, ENCRYPT, ENCRYPTED, REQUEST_DIGEST, ResponseCode
from protocol.header import Header
from protocol.requests import Body, SessionSetupRequest
from protocol.responses import ChallengeResponse, EmptyResponse, ErrorResponse, SessionSetupResponse
from protocol.trust.challenge import RequestDigest, request_digest
from protocol.trust.keys import PrivateKey
from protocol.trust.session import (
    SessionKey,
    dh_public_key,
    dh_response,
    opened,
    read_dh_key,
    sealed,
    session_key,
    shared_secret,
)
from protocol.trust.signature import maced, signed
from protocol.version import Version

NONCE = bytes(range(16))
LATER = 0x7FFFFFFF
Maker = Callable[[bytes], bytes]


def reply(
    asked: Message,
    body: Body,
    code: int = 1,
    *,
    digest: RequestDigest | None = None,
    flags: int = 0,
    session_id: int = 0,
    suggested: Version | None = None,
    expiration: int = LATER,
) -> Message:
    """A reply to a request, without a credential."""
    envelope = replace(asked.envelope, session_id=session_id, flags=0, suggested=suggested or asked.envelope.suggested)
    if digest is None and asked.header.flags & REQUEST_DIGEST:
        digest = request_digest(envelope.version, asked.signed_part)
    octets = codec.response_body(body, code=code, version=envelope.version, digest=digest)
    header = Header(
        opcode=asked.header.opcode,
        code=code,
        flags=(asked.header.flags | flags) & ~(REQUEST_DIGEST if digest is None else 0)
        | (REQUEST_DIGEST if digest is not None else 0),
        expiration=expiration,
        body_size=len(octets),
    )
    return Message(envelope=envelope, header=header, body=octets)


def bare(body: Body, code: int = 1, **options: object) -> Maker:
    """A maker of such a reply."""
    return lambda octets: reply(Message.read(octets), body, code, **options).to_bytes()  # type: ignore[arg-type]


def refusing(code: int, told: bytes = b"") -> Maker:
    """A maker of a refusal."""
    return bare(ErrorResponse(message=told), code)


def challenging(session_id: int = 9, *, suggested: Version | None = None, of: bytes | None = None) -> Maker:
    """A maker of a challenge to the request; or, with `of`, to another one."""

    def make(octets: bytes) -> bytes:
        asked = Message.read(octets)
        digest = request_digest(asked.envelope.version, asked.signed_part if of is None else of)
        code = ResponseCode.AUTHENTICATION_NEEDED
        body = ChallengeResponse(nonce=NONCE)
        return reply(asked, body, code, digest=digest, session_id=session_id, suggested=suggested).to_bytes()

    return make


def signed_by(key: PrivateKey, body: Body, code: int = 1, **options: object) -> Maker:
    """A maker of a reply with the server's signature."""

    def make(octets: bytes) -> bytes:
        message = reply(Message.read(octets), body, code, **options)  # type: ignore[arg-type]
        message = replace(message, header=replace(message.header, flags=message.header.flags | CERTIFY))
        return replace(message, credential=signed(key, message.envelope, message.signed_part).to_bytes()).to_bytes()

    return make


class ToySession:
    """The server's side of one session: its set-up by Diffie-Hellman, and replies with the counters that it is told."""

    def __init__(self, number: int = 77) -> None:
        self.number = number
        self.key = SessionKey(3, b"")
        self.sent = 0

    def set_up(self, octets: bytes) -> bytes:
        """The reply to the set-up."""
        asked = Message.read(octets)
        body = codec.read_request(asked)
        assert isinstance(body, SessionSetupRequest)
        theirs = read_dh_key(body.public_key or b"")
        private = 1 << 300 | 12_345
        mine = dh_public_key(private, theirs.p, theirs.g)
        self.key = SessionKey(3, session_key(3, shared_secret(private, mine, theirs)))
        data = dh_response(3, mine, asked.envelope.version)
        return reply(asked, SessionSetupResponse(mode=body.mode, data=data), session_id=self.number).to_bytes()

    def read(self, octets: bytes) -> Message:
        """A request in the clear."""
        envelope, plain = codec.split(octets)
        if envelope.flags & ENCRYPTED:
            plain = opened(self.key.key, 3, envelope.version, plain)
        return Message.opened(replace(envelope, flags=0), plain)

    def saying(
        self, body: Body | None = None, code: int = 1, *, counter: int | None = None, spoil: bool = False
    ) -> Maker:
        """A maker of a reply with its MAC; encrypted where the request wished it."""

        def make(octets: bytes) -> bytes:
            asked = self.read(octets)
            digest = None
            if code == ResponseCode.AUTHENTICATION_NEEDED:
                digest = request_digest(asked.envelope.version, asked.signed_part)
            message = reply(asked, body or EmptyResponse(), code, digest=digest, session_id=self.number)
            self.sent += 1
            key = bytes(32) if spoil else self.key.key
            number = self.sent if counter is None else counter
            credential = maced(key, message.envelope, message.signed_part, counter=number)
            message = replace(message, credential=credential.to_bytes())
            if not message.header.flags & ENCRYPT:
                return message.to_bytes()
            blob = sealed(self.key.key, 3, message.envelope.version, message.plain(), bytes(16))
            envelope = replace(message.envelope, flags=ENCRYPTED, message_size=len(blob))
            return envelope.to_bytes() + blob

        return make


def more(maker: Maker) -> Maker:
    """The same reply, with the flag that says that another one follows."""

    def make(octets: bytes) -> bytes:
        message = Message.read(maker(octets))
        return replace(message, header=replace(message.header, flags=message.header.flags | CONTINUOUS)).to_bytes()

    return make
