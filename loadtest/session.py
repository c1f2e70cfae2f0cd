"""Sessions from a load client's side: opened, proven by an RSA key, and messages with a counter and a MAC in them.

Blocking, one message at a time: for what comes before a load, not for the load itself.
"""

import socket
from dataclasses import dataclass, replace
from typing import Final

from loadtest.plan import check_loopback, message_size
from loadtest.workload import EXPIRATION
from protocol import codec
from protocol.codec import Message
from protocol.codes import CERTIFY, DEFAULT_REQUEST_FLAGS, KEEP_CONNECTION, OpCode, ResponseCode
from protocol.requests import Body, ChallengeAnswer, KeyExchange, SessionSetupRequest
from protocol.responses import ChallengeResponse, SessionSetupResponse
from protocol.trust.challenge import challenge_input, public_key_answer
from protocol.trust.keys import PrivateKey, public_key_octets, public_of
from protocol.trust.session import SessionKey, unwrapped_key
from protocol.trust.signature import maced
from protocol.value import Reference
from protocol.version import NEWEST, Version

FLAGS: Final = DEFAULT_REQUEST_FLAGS | KEEP_CONNECTION
_TIMEOUT_S: Final = 10.0
_RECEIVE_SIZE: Final = 65_536


class BadReply(RuntimeError):
    """The node said something else than what a load needs to begin."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who administers: the value that holds the public key, and the private half."""

    key: Reference
    private_key: PrivateKey


class Link:
    """A kept connection to the node; a load takes its socket over."""

    def __init__(self, host: str, port: int) -> None:
        check_loopback(host)
        self.socket = socket.create_connection((host, port), timeout=_TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def exchanged(self, octets: bytes) -> Message:
        """The reply to one message."""
        self.socket.sendall(octets)
        found = b""
        while not message_size(found) or len(found) < message_size(found):
            more = self.socket.recv(_RECEIVE_SIZE)
            if not more:
                raise BadReply("the node closed a connection that was to be kept")
            found += more
        return Message.read(found)


@dataclass(slots=True)
class Session:
    """An open session; `sent` is the counter of our last message in it."""

    id: int
    key: SessionKey
    version: Version
    sent: int = 0

    def written(self, message: Message) -> bytes:
        """The octets of a message of this session, with the next counter and its MAC."""
        self.sent += 1
        credential = maced(self.key.key, message.envelope, message.signed_part, counter=self.sent)
        return replace(message, credential=credential.to_bytes()).to_bytes()


def request(body: Body, opcode: int, request_id: int, session: Session | None = None) -> Message:
    """A request, in a session with the wish for a proven reply."""
    return codec.request(
        body,
        opcode=opcode,
        request_id=request_id,
        flags=FLAGS if session is None else FLAGS | CERTIFY,
        expiration=EXPIRATION,
        version=NEWEST if session is None else session.version,
        session_id=0 if session is None else session.id,
    )


def opened(link: Link, owner: Owner) -> Session:
    """A new session, whose key the server makes and encrypts for our own key: the quickest for both."""
    public = public_key_octets(public_of(owner.private_key))
    body = SessionSetupRequest(mode=KeyExchange.CLIENT_KEY, timeout_s=3_600, identity=owner.key, public_key=public)
    reply = link.exchanged(request(body, OpCode.SESSION_SETUP, 1).to_bytes())
    _, said = codec.read_response(reply)
    if not isinstance(said, SessionSetupResponse) or reply.header.code != ResponseCode.SUCCESS:
        raise BadReply(f"no session: code {reply.header.code}")
    version = reply.envelope.version
    return Session(reply.envelope.session_id, unwrapped_key(owner.private_key, said.data, version), version)


def answer(owner: Owner, challenge: Message, request_id: int) -> Message:
    """The answer to a challenge, in the session that the challenge names, if it names one."""
    digest, said = codec.read_response(challenge)
    if not isinstance(said, ChallengeResponse) or digest is None:
        raise BadReply(f"no challenge: code {challenge.header.code}")
    version = challenge.envelope.version
    proof = public_key_answer(owner.private_key, version, challenge_input(said.nonce, digest))
    body = ChallengeAnswer(type=b"HS_PUBKEY", key=owner.key, answer=proof)
    message = request(body, OpCode.RESPONSE_TO_CHALLENGE, request_id)
    envelope = replace(message.envelope, version=version, session_id=challenge.envelope.session_id)
    return replace(message, envelope=envelope)


def done(link: Link, owner: Owner, body: Body, opcode: int, session: Session | None = None) -> None:
    """Have an operation done, proven by an answer to its challenge where one comes; `BadReply` where it is refused."""
    asked = request(body, opcode, 2, session)
    reply = link.exchanged(asked.to_bytes() if session is None else session.written(asked))
    if reply.header.code == ResponseCode.AUTHENTICATION_NEEDED:
        proof = answer(owner, reply, 3)
        if session is not None:
            proof = replace(proof, header=replace(proof.header, flags=proof.header.flags | CERTIFY))
        reply = link.exchanged(proof.to_bytes() if session is None else session.written(proof))
    if reply.header.code != ResponseCode.SUCCESS:
        raise BadReply(f"opcode {opcode} ended with {reply.header.code}")
