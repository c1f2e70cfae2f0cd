"""Challenges made of requests, and requests found again by the answers to them. Verifies nothing.

Sources: behaviours 4 and 20; spec, security: sections 2, 5 and 8.5.
"""

from dataclasses import replace

from protocol import codec
from protocol.codes import ResponseCode
from protocol.envelope import Envelope
from protocol.limits import ENVELOPE_SIZE
from protocol.operations import Interface, operation
from protocol.responses import ChallengeResponse
from protocol.version import NEWEST, Version
from protocol.wire import Reader
from resolver.authority import Said
from resolver.challenges import NONCE_SIZE, Challenge
from resolver.refusals import AdminElsewhere
from resolver.replies import Asked
from resolver.sessions import Session
from resolver.trust import Trust, Turn


class Challenging:
    """Makes challenges, and finds them again."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust

    def ask(self, turn: Turn) -> Said:
        """The wish for proof of a request, in its session where it has one."""
        nonce = self._trust.random_octets(NONCE_SIZE)
        said, turn.reply_session = self.made(turn.asked, nonce=nonce, suggested=NEWEST, rounds=0, session=turn.session)
        return said

    def made(
        self,
        asked: Asked,
        *,
        nonce: bytes,
        suggested: Version,
        rounds: int,
        session: Session | None = None,
        number: int | None = None,
    ) -> tuple[Said, int]:
        """A challenge, and the id that its answer must name; `TooBusy` where too many of a source wait."""
        peer, envelope = asked.peer, asked.message.envelope
        plain = asked.message.plain()
        octets = replace(envelope, flags=0, message_size=len(plain)).to_bytes() + plain
        challenge = Challenge(
            octets, nonce, asked.version, suggested, peer.admin, 0 if session is None else session.id, rounds
        )
        said = Said(ResponseCode.AUTHENTICATION_NEEDED, ChallengeResponse(nonce=nonce), suggested=suggested)
        if peer.channel and envelope.session_id == peer.channel:
            peer.waiting = challenge
            return said, peer.channel
        return said, self._trust.challenges.put(challenge, peer.source, is_connection=peer.is_connection, number=number)

    def taken(self, asked: Asked) -> Challenge:
        """The challenge that an answer names, once; `ChallengeUnknown` where none waits."""
        peer, number = asked.peer, asked.message.envelope.session_id
        if peer.waiting is not None and number == peer.channel:
            challenge, peer.waiting = peer.waiting, None
            return challenge
        return self._trust.challenges.take(number)

    def original(self, asked: Asked, challenge: Challenge) -> Asked:
        """The request that was challenged, to be answered under the request id of its proof."""
        envelope = Envelope.read(challenge.message)
        message = codec.Message.opened(envelope, challenge.message[ENVELOPE_SIZE:])
        row = operation(message.header.opcode)
        if row.interface is Interface.ADMIN and not asked.peer.admin:
            raise AdminElsewhere("an answer to an admin request", told="Received admin request on non-admin interface")
        body = row.request(Reader(message.body), envelope.version)
        message = replace(message, envelope=replace(envelope, request_id=asked.message.envelope.request_id))
        return Asked(message, row, body, challenge.version, asked.peer, asked.now_s)
