"""Whole conversations with one server: requests, challenges answered, a session that is kept.

Knows no operation: `client_admin` does. Sources: spec, security: sections 2, 5, 7 and 8.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final

from protocol.codec import Message
from protocol.codes import (
    CERTIFY,
    CONTINUOUS,
    DEFAULT_REQUEST_FLAGS,
    MINT_SUFFIX,
    OVERWRITE,
    REQUEST_DIGEST,
    SITE_SERIAL_UNKNOWN,
    OpCode,
    ResponseCode,
)
from protocol.identifier import PLACEHOLDER
from protocol.requests import Body, HandleRequest
from resolver.client_errors import Denied, SessionLost
from resolver.client_exchange import Asking, Exchange, succeeded
from resolver.client_opening import Opening
from resolver.client_proof import CHALLENGES_MAX, Identity, answer
from resolver.client_session import Session

_OF_THE_REQUEST_ALONE: Final = REQUEST_DIGEST | OVERWRITE | MINT_SUFFIX  # What an answer to its challenge leaves out.


class Calls:
    """Asks one server. `identity` answers challenges; with `opening` all is asked in one session, opened when needed.

    Without the server's keys no signature can be checked, and the set-up of a session is believed unproven. Many tasks
    may ask at a time; in a session they take turns until the server has seen the proof, since only one challenge can be
    open in a session.
    """

    def __init__(self, asking: Asking, *, identity: Identity | None = None, opening: Opening | None = None) -> None:
        self.asking = asking
        self.identity = identity
        self.opening = opening
        self.session: Session | None = None
        self._turn = asyncio.Lock()
        self._opening = asyncio.Lock()

    async def replies(self, body: Body, *, opcode: int, flags: int = DEFAULT_REQUEST_FLAGS) -> AsyncGenerator[Message]:
        """The replies of success to a request: one, or as many as the server says. All others are raised.

        `Refused` with the server's code; `NotProven`; `NoAnswer`. A session that the server forgot is opened once more.
        """
        session = await self._session()
        try:
            exchange, reply = await self._begun(body, opcode, flags, session)
        except SessionLost:
            if session is None:
                raise
            self._forget(session)
            exchange, reply = await self._begun(body, opcode, flags, await self._session())
        try:
            yield reply
            while reply.header.flags & CONTINUOUS:
                reply = succeeded(await exchange.next())
                yield reply
        finally:
            await exchange.close()

    async def reply(self, body: Body, *, opcode: int, flags: int = DEFAULT_REQUEST_FLAGS) -> Message:
        """The one reply of success to a request; see `replies`."""
        replies = self.replies(body, opcode=opcode, flags=flags)
        try:
            return await anext(replies)
        finally:
            await replies.aclose()

    # One request with its challenges

    async def _begun(self, body: Body, opcode: int, flags: int, session: Session | None) -> tuple[Exchange, Message]:
        """The exchange whose first reply is a success, and that reply."""
        if session is not None:
            flags = session.flags(flags, body)
        elif flags & CERTIFY:
            flags |= REQUEST_DIGEST
        asked = self.asking.question(body, opcode, flags, session)
        async with AsyncExitStack() as turn:
            if session is not None and not session.is_proven:
                await turn.enter_async_context(self._turn)
            exchange = self.asking.sent(asked, session)
            try:
                reply = await exchange.next()
                if reply.header.code == ResponseCode.AUTHENTICATION_NEEDED:
                    exchange, reply = await self._proven(asked, exchange, reply, session)
                return exchange, succeeded(reply)
            except BaseException:
                await exchange.close()
                raise

    async def _proven(
        self, asked: Message, exchange: Exchange, reply: Message, session: Session | None
    ) -> tuple[Exchange, Message]:
        """Answer the challenge to a request, and again where the server asks for an older form."""
        for _ in range(CHALLENGES_MAX):
            await exchange.close()
            if self.identity is None:
                raise Denied(ResponseCode.AUTHENTICATION_NEEDED, "the server wants to know who asks")
            exchange = self.asking.sent(await self._answer(asked, reply, session), session, original=asked)
            reply = await exchange.next()
            if reply.header.code != ResponseCode.AUTHENTICATION_NEEDED:
                if session is not None and reply.header.code == ResponseCode.SUCCESS:
                    session.is_proven = True
                return exchange, reply
        await exchange.close()
        raise Denied(ResponseCode.AUTHENTICATION_NEEDED, "the server challenges again and again")

    async def _answer(self, asked: Message, reply: Message, session: Session | None) -> Message:
        assert self.identity is not None
        body = await answer(self.identity, reply, asked)
        message = self.asking.question(
            body,
            OpCode.RESPONSE_TO_CHALLENGE,
            asked.header.flags & ~_OF_THE_REQUEST_ALONE,
            session,
            serial=SITE_SERIAL_UNKNOWN,
        )
        return replace(message, envelope=replace(message.envelope, session_id=reply.envelope.session_id))

    # The session

    async def _session(self) -> Session | None:
        """The session to ask in: the open one, else a new one; None where none is wished."""
        if self.opening is None:
            return None
        async with self._opening:
            if self.session is None:
                self.session = await self.opening.opened(self.asking)
            return self.session

    async def opened_session(self) -> Session:
        """The session, opened now where none is; only for calls with an `opening`."""
        session = await self._session()
        assert session is not None, "no session is wished"
        return session

    def _forget(self, session: Session) -> None:
        if self.session is session:
            self.session = None

    async def end_session(self) -> None:
        """Close the session, where one is open; that the server has forgotten it already is no error."""
        session, self.session = self.session, None
        if session is None:
            return
        body = HandleRequest(handle=PLACEHOLDER)
        asked = self.asking.question(
            body, OpCode.SESSION_TERMINATE, session.flags(DEFAULT_REQUEST_FLAGS, body), session
        )
        exchange = self.asking.ending(asked, session)
        try:
            succeeded(await exchange.next())
        except SessionLost:
            pass
        finally:
            await exchange.close()
