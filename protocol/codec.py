"""Whole messages ⇄ octets: envelope, header, body by the operations table, credential. Decrypts and verifies nothing.

Sources: RFC 3652 section 2; spec, protocol: sections 2, 3, 6 and 7.
"""

from dataclasses import dataclass
from typing import Self

from protocol.codes import ENCRYPTED, REQUEST, REQUEST_DIGEST, SITE_SERIAL_UNKNOWN, ResponseCode
from protocol.envelope import Envelope
from protocol.errors import Malformed
from protocol.header import Header
from protocol.limits import ENVELOPE_SIZE, HEADER_SIZE, MESSAGE_SIZE_MAX
from protocol.operations import OPERATIONS, operation
from protocol.requests import Body
from protocol.responses import ChallengeResponse, ErrorResponse, ReferralResponse
from protocol.trust.challenge import RequestDigest
from protocol.version import NEWEST, V_DIGEST_IN_FRONT, V_OWN_CODES, Version
from protocol.wire import Reader, Writer

_COUNT_SIZE = 4


def split(octets: bytes) -> tuple[Envelope, bytes]:
    """The envelope and the octets it announces, in the clear or encrypted; `Malformed` where the length disagrees."""
    envelope = Envelope.read(octets)
    return envelope, behind(envelope, octets)


def behind(envelope: Envelope, octets: bytes) -> bytes:
    """As `split`, where the envelope of the octets was read before."""
    size = len(octets) - ENVELOPE_SIZE
    if envelope.message_size != size:
        raise Malformed(f"{envelope.message_size} octets announced, {size} there", told="Invalid message length")
    if size > MESSAGE_SIZE_MAX:
        raise Malformed(
            f"a message of {size} octets, at most {MESSAGE_SIZE_MAX} allowed", told="Invalid message length"
        )
    return octets[ENVELOPE_SIZE:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message in the clear. `body` and `credential` are octets; the credential's own length is left out."""

    envelope: Envelope
    header: Header
    body: bytes
    credential: bytes = b""

    @classmethod
    def read(cls, octets: bytes) -> Self:
        """A whole message that is not encrypted; `Malformed` for everything else."""
        envelope, plain = split(octets)
        if envelope.flags & ENCRYPTED:
            raise Malformed("an encrypted message cannot be read without its session")
        return cls.opened(envelope, plain)

    @classmethod
    def opened(cls, envelope: Envelope, plain: bytes, header: Header | None = None) -> Self:
        """The message of an envelope from its clear octets; the header may have been read before."""
        header = header or Header.read(plain)
        end = HEADER_SIZE + header.body_size
        if end > len(plain):
            raise Malformed(f"a body of {header.body_size} octets in a message of {len(plain)}")
        credential = Reader(plain, end)
        found = b""
        if credential.remaining:  # A message may end right after its body (spec, protocol: section 2.4).
            found = credential.counted(size_max=MESSAGE_SIZE_MAX)
            credential.expect_end("the credential")
        return cls(envelope=envelope, header=header, body=plain[HEADER_SIZE:end], credential=found)

    @property
    def signed_part(self) -> bytes:
        """Header and body: what digests, MACs and signatures cover."""
        return self.header.to_bytes() + self.body

    def plain(self) -> bytes:
        """Header, body and credential: what is encrypted in an encrypted message."""
        return self.signed_part + len(self.credential).to_bytes(_COUNT_SIZE, "big") + self.credential

    def to_bytes(self) -> bytes:
        """Envelope and message. Lengths are taken from the octets themselves."""
        plain = self.plain()
        return self.envelope.before(len(plain)) + plain


def request(
    body: Body,
    *,
    opcode: int,
    request_id: int,
    flags: int,
    expiration: int,
    version: Version = NEWEST,
    suggested: Version = NEWEST,
    session_id: int = 0,
    site_serial: int = SITE_SERIAL_UNKNOWN,
    recursion_count: int = 0,
) -> Message:
    """A request, ready to be written; `expiration` in seconds since 1970. Below 2.1 no digest can be asked for."""
    if not version.at_least(V_DIGEST_IN_FRONT):
        flags &= ~REQUEST_DIGEST
    octets = Writer()
    body.write(octets, version)
    return Message(
        envelope=Envelope(
            version=version, suggested=suggested, session_id=session_id, request_id=request_id, message_size=0
        ),
        header=Header(
            opcode=opcode,
            flags=flags,
            site_serial=site_serial,
            recursion_count=recursion_count,
            expiration=expiration,
            body_size=len(octets),
        ),
        body=octets.to_bytes(),
    )


def wire_code(code: int, version: Version) -> int:
    """The number that a message of that version carries: below 2.5 7 is 303 and 202 is 201 (behaviours 3)."""
    if version.at_least(V_OWN_CODES):
        return code
    return {ResponseCode.SERVER_BACKUP: 303, ResponseCode.INVALID_VALUE: 201}.get(ResponseCode(code), code)


def response_body(body: Body, *, code: int, version: Version, digest: RequestDigest | None) -> bytes:
    """The body's octets with the request digest where it belongs: in front, or behind the nonce of a 2.0 challenge."""
    octets = Writer()
    in_front = version.at_least(V_DIGEST_IN_FRONT)
    if digest is not None and in_front:
        digest.write(octets)
    body.write(octets, version)
    if digest is not None and not in_front and code == ResponseCode.AUTHENTICATION_NEEDED:
        digest.write(octets)
    return octets.to_bytes()


def read_request(message: Message) -> Body:
    """What a request asks; `NotSupported` for an opcode without a row, `Malformed` for a body that does not fit it."""
    row = operation(message.header.opcode)
    return row.request(Reader(message.body), message.envelope.version)


def read_response(message: Message) -> tuple[RequestDigest | None, Body]:
    """The request digest, where there is one, and what a response says; `Malformed` where its body does not fit."""
    header, version = message.header, message.envelope.version
    if header.code == REQUEST:
        raise Malformed("a request is no response")
    body = Reader(message.body)
    in_front = version.at_least(V_DIGEST_IN_FRONT)
    digest = RequestDigest.read(body) if header.flags & REQUEST_DIGEST and in_front else None
    if header.code == ResponseCode.AUTHENTICATION_NEEDED:
        challenge = ChallengeResponse.read(body, version)
        return (digest if in_front else RequestDigest.read(body)), challenge
    return digest, _response(header, body, version)


def _response(header: Header, body: Reader, version: Version) -> Body:
    if header.code == ResponseCode.SUCCESS:
        row = OPERATIONS.get(header.opcode)
        if row is None:
            raise Malformed(f"success for opcode {header.opcode}")
        return row.response(body, version)
    if header.code == ResponseCode.SERVICE_REFERRAL:
        return ReferralResponse.read(body, version)
    if header.code == ResponseCode.PREFIX_REFERRAL and version.at_least(V_OWN_CODES):
        return ReferralResponse.read(body, version)
    return ErrorResponse.read(body, version)
