"""Somebody at an address of the loopback network, who sends octets by UDP or TCP and hears what a real node says."""

import itertools
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from protocol import codec
from protocol.codec import Message
from protocol.codes import TRUNCATED, OpCode, ResponseCode
from protocol.envelope import Envelope
from protocol.framing import Reassembly, datagrams
from protocol.limits import DATAGRAM_SIZE_MAX, ENVELOPE_SIZE
from protocol.responses import ChallengeResponse
from protocol.trust.challenge import challenge_input, public_key_answer, request_digest, secret_key_answer
from protocol.trust.keys import PrivateKey
from protocol.value import Reference
from tests.resolver.test_attacks import answering
from tests.support.running import REPLY_S, read_to_end

_numbers = itertools.count(1)
Answer = Callable[[Message, Message], bytes]
"""(challenge, what was challenged) → the proof."""


def address() -> str:
    """A loopback address that nobody had before: what one has failed is not held against another."""
    number = next(_numbers)
    return f"127.20.{number // 250}.{number % 250 + 1}"


def messages(octets: bytes) -> list[Message]:
    """Messages that stand one behind the other."""
    found = []
    while octets:
        size = ENVELOPE_SIZE + Envelope.read(octets).message_size
        found.append(Message.read(octets[:size]))
        octets = octets[size:]
    return found


@dataclass
class Caller:
    """Sends each message from a socket of its own, as deployed clients do."""

    port: int
    way: str = "tcp"
    source: str = field(default_factory=address)

    def octets(self, asked: bytes) -> bytes:
        """All that comes back for the octets of one message."""
        return self._by_udp(asked) if self.way == "udp" else self._by_tcp(asked)

    def connected(self) -> socket.socket:
        """A connection to the node."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=REPLY_S, source_address=(self.source, 0))

    def _by_tcp(self, asked: bytes) -> bytes:
        with self.connected() as sock:
            sock.sendall(asked)
            return read_to_end(sock)

    def _by_udp(self, asked: bytes) -> bytes:
        pieces = Reassembly()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((self.source, 0))
            sock.connect(("127.0.0.1", self.port))
            sock.settimeout(REPLY_S)
            for datagram in datagrams(asked):
                sock.send(datagram)
            while True:
                found = sock.recv(65_536)
                assert len(found) <= DATAGRAM_SIZE_MAX
                if not found[2] & TRUNCATED:
                    return found
                whole = pieces.add("node", found, now=0)
                if whole is not None:
                    return whole

    def said(self, asked: Message | bytes) -> Message:
        """The one message that answers."""
        (found,) = messages(self.octets(asked if isinstance(asked, bytes) else asked.to_bytes()))
        return found

    def code(self, asked: Message | bytes) -> int:
        """The code of the answer."""
        return self.said(asked).header.code

    def challenged(self, asked: Message) -> Message:
        """The challenge that the message meets."""
        found = self.said(asked)
        assert found.header.code == ResponseCode.AUTHENTICATION_NEEDED
        return found

    def proving(self, asked: Message, identity: "Prover") -> list[Message]:
        """All that is said once the challenge is answered."""
        challenge = self.challenged(asked)
        return messages(self.octets(identity.answers(challenge, asked).to_bytes()))


def proof_data(challenge: Message, asked: Message) -> bytes:
    """What the proof of a request covers: the challenge's nonce and the digest of what was challenged."""
    nonce = cast(ChallengeResponse, codec.read_response(challenge)[1]).nonce
    return challenge_input(nonce, request_digest(challenge.envelope.version, asked.signed_part))


@dataclass(frozen=True)
class Prover:
    """One who answers challenges in the name of `who`, by a key or a secret."""

    who: Reference
    key: PrivateKey | None = None
    secret: bytes = b""
    form: int = 0x22

    def proof(self, challenge: Message, asked: Message) -> bytes:
        """The octets of the answer."""
        data = proof_data(challenge, asked)
        if self.key is not None:
            return public_key_answer(self.key, challenge.envelope.version, data)
        return secret_key_answer(self.secret, self.form, data, salt=bytes(range(16)))

    def answers(self, challenge: Message, asked: Message, *, proof: bytes | None = None) -> Message:
        """The message that answers a challenge; `proof` stands for the right one."""
        found = self.proof(challenge, asked) if proof is None else proof
        return answering(challenge, found, self.who, b"HS_SECKEY" if self.key is None else b"HS_PUBKEY")


def in_form_of(seen: Message, body: Any, *, opcode: int, session_id: int = 0) -> Message:
    """A request with the envelope and the header of a captured one, but another body and session."""
    return codec.request(
        body,
        opcode=OpCode(opcode),
        request_id=seen.envelope.request_id,
        flags=seen.header.flags,
        expiration=seen.header.expiration,
        session_id=session_id,
        version=seen.envelope.version,
        suggested=seen.envelope.suggested,
    )
