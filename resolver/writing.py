"""Replies as octets: proven by the session's key or the server's, sealed on wish, cut into messages where they list.

Sources: spec, security: sections 6, 7 and 8.6; spec, protocol: section 6.11.
"""

from collections.abc import AsyncIterator, Iterator

from protocol import codec
from protocol.codes import CERTIFY, ResponseCode
from protocol.errors import HandleError, TooBusy
from protocol.limits import ENVELOPE_SIZE, MESSAGE_SIZE_MAX
from protocol.responses import HandleListResponse
from resolver.authority import Said
from resolver.log_limits import limited
from resolver.operations.listing import Page
from resolver.replies import refused
from resolver.secrecy import proven_reply, sealed_reply, wants_secrecy
from resolver.trust import Trust, Turn
from storage.base import StoreError

log = limited(__name__)


class Writing:
    """Writes the replies of administration."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust

    async def certified(self, message: codec.Message) -> bytes:
        """The octets of a reply, signed; unsigned where too much waits to be signed."""
        try:
            return (await self._trust.signer.certified(message)).to_bytes()
        except TooBusy:
            log.warning("a reply goes unsigned: too many wait for a signature")
            return message.to_bytes()

    async def listed(self, turn: Turn, found: Iterator[Page]) -> AsyncIterator[bytes]:
        """A message for each page, each but the last saying that more follow."""
        try:
            for names in found:
                body = HandleListResponse(handles=tuple(names.handles))
                yield await self.written(turn, Said(ResponseCode.SUCCESS, body), more=names.more)
        except StoreError as error:
            log.error("a list ends early: %s", error)
            yield await self.written(turn, refused(HandleError(told="The store cannot be read")))

    async def written(self, turn: Turn, said: Said, *, more: bool = False) -> bytes:
        """The reply as octets, proven and sealed as its request wished; plain where it cannot be proven."""
        asked, trust = turn.asked, self._trust
        message = trust.replies.message(asked, said, session_id=turn.reply_session, more=more)
        session, is_certified = turn.session, bool(asked.message.header.flags & CERTIFY)
        try:
            if session is None or not session.key.key:
                octets = await self.certified(message) if is_certified else message.to_bytes()
            else:
                if is_certified:
                    if not turn.is_proven:
                        session = turn.session = trust.sessions.next_counter(session.id)
                    message = proven_reply(message, session)
                    turn.is_proven = False  # The counter that came with the request is used up.
                octets = (
                    sealed_reply(message, session, trust.random_octets)
                    if wants_secrecy(asked, said)
                    else message.to_bytes()
                )
        except (HandleError, StoreError) as error:
            log.info("a reply cannot be proven: %s", error)
            octets = message.to_bytes()
        if len(octets) - ENVELOPE_SIZE <= MESSAGE_SIZE_MAX:
            return octets
        told = "Record too large for one message: ask for single indexes or types"
        return await self.written(turn, refused(HandleError(told=told)))
