"""Requests that begin, key and end sessions. Source: spec, security: sections 8.1 and 8.5."""

from typing import cast

from protocol.codes import ResponseCode
from protocol.errors import SessionKeyWrong, SessionUnknown
from protocol.requests import ExchangeKeyRequest, SessionSetupRequest
from protocol.responses import EmptyResponse
from resolver.authority import Said
from resolver.sessions import NO_SESSION
from resolver.trust import Trust, Turn


class SessionRequests:
    """Answers SESSION_SETUP, SESSION_EXCHANGEKEY and SESSION_TERMINATE."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust

    async def set_up(self, turn: Turn) -> Said:
        """Begin a session, proven by the server's key: the client has no other yet."""
        request, asked, trust = cast(SessionSetupRequest, turn.asked.body), turn.asked, self._trust
        key, body = await trust.exchanges.begun(
            request, asked.version, by=asked.speaker, keeps=lambda handle: trust.may_name(handle, asked.peer.host)
        )
        identity = request.identity if request.identity.handle else None
        session = trust.sessions.begun(
            asked.peer.source, key, asked.version, identity=identity, timeout_s=request.timeout_s
        )
        turn.reply_session = session.id
        turn.session = None
        return Said(ResponseCode.SUCCESS, body)

    async def key_sent(self, turn: Turn) -> Said:
        """Take the key that the client made for a session which waits for it."""
        session = turn.session
        if session is None:
            raise SessionUnknown("a key for no session", told=NO_SESSION)
        key = await self._trust.exchanges.received(cast(ExchangeKeyRequest, turn.asked.body), session.version)
        self._trust.sessions.keyed(session.id, key)
        return Said(ResponseCode.SUCCESS, EmptyResponse())

    async def terminated(self, turn: Turn) -> Said:
        """End a session, for who has its key."""
        session = turn.session
        if session is None:
            raise SessionUnknown("no session is named", told=NO_SESSION)
        if not turn.is_proven:
            raise SessionKeyWrong("a session is ended by its key alone", told="Invalid session key.")
        self._trust.sessions.end(session.id)
        turn.session = None  # Its reply is proven by the server's key (behaviours 30).
        return Said(ResponseCode.SUCCESS, EmptyResponse())
