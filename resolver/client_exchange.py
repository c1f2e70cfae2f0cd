"""One message and its replies: written for a server at its version, and what comes back held against its keys.

Answers no challenge and opens no session: `client_calls` and `client_opening` do.
"""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from typing import Final

from protocol.codec import Message
from protocol.codes import CERTIFY, SITE_SERIAL_UNKNOWN, OpCode, ResponseCode
from protocol.errors import Malformed
from protocol.limits import MESSAGE_SIZE_MAX
from protocol.requests import Body
from protocol.trust.keys import PublicKey
from protocol.version import NEWEST, Version
from resolver.client import REQUEST_LIFETIME_S, NoAnswer, Server, Transport, frames, fresh_id, question
from resolver.client_errors import TOLD_WITHOUT_PROOF, NotProven, refusal
from resolver.client_proof import expect_fresh, expect_signed
from resolver.client_session import Session

_ON_A_CONNECTION: Final = frozenset({OpCode.LIST_HANDLES, OpCode.LIST_HOMED_NAS})  # More than one message comes back.


class Exchange:
    """One message that was sent, and its replies as they come, each of them proven as the request asked for it."""

    def __init__(self, asked: Message, replies: AsyncGenerator[bytes], read: Callable[[bytes], Message]) -> None:
        self.asked = asked
        self._replies = replies
        self._read = read

    async def next(self) -> Message:
        """The next reply; `NoAnswer` where no more comes, or one that cannot be read."""
        octets = await anext(self._replies, None)
        if octets is None:
            raise NoAnswer("the server said that more follows, and ended")
        try:
            reply = self._read(octets)
        except Malformed as error:
            raise NoAnswer(f"the server sent what is no message: {error}") from error
        if reply.header.is_request:
            raise NoAnswer("the server sent a request instead of an answer")
        return reply

    async def close(self) -> None:
        """Wait for nothing more."""
        await self._replies.aclose()


class Asking:
    """How one server is asked: at which version, with which ids and times, and with which keys it signs.

    `keys` are the server's public keys, from its site record or from whom one trusts. `suggested` is what requests
    suggest, where it is not the version that they are written in: the sector's software tells itself apart by that.
    """

    def __init__(
        self,
        server: Server,
        *,
        keys: Sequence[PublicKey] = (),
        version: Version = NEWEST,
        suggested: Version | None = None,
        site_serial: int = SITE_SERIAL_UNKNOWN,
        next_id: Callable[[], int] = fresh_id,
        now_s: Callable[[], int] = lambda: int(time.time()),
        lifetime_s: int = REQUEST_LIFETIME_S,
    ) -> None:
        self.server = server
        self.keys = tuple(keys)
        self._version = version
        self._suggested = suggested or version
        self._site_serial = site_serial
        self._next_id = next_id
        self._now_s = now_s
        self._lifetime_s = lifetime_s

    def question(
        self, body: Body, opcode: int, flags: int, session: Session | None = None, *, serial: int | None = None
    ) -> Message:
        """A request, in a session at its version. `Malformed` where it is longer than any server takes."""
        message = question(
            body,
            opcode=opcode,
            flags=flags,
            now_s=self._now_s(),
            lifetime_s=self._lifetime_s,
            request_id=self._next_id(),
            version=self._version if session is None else session.version,
            suggested=self._suggested,
            session_id=0 if session is None else session.id,
            site_serial=self._site_serial if serial is None else serial,
        )
        size = len(message.plain())
        if size > MESSAGE_SIZE_MAX:
            raise Malformed(f"the request takes {size:,} octets: no server takes more than {MESSAGE_SIZE_MAX:,}")
        return message

    def sent(self, message: Message, session: Session | None, *, original: Message | None = None) -> Exchange:
        """The message under way; `original` is the request that an answer to a challenge belongs to."""
        asked = original or message
        server = self.server
        if asked.header.opcode in _ON_A_CONNECTION and server.transport is not Transport.TCP:
            server = replace(server, transport=Transport.TCP)
        if session is not None:
            replies = frames(lambda: session.written(message), message.envelope.request_id, server)
            return Exchange(asked, replies, session.read)

        def read(octets: bytes) -> Message:
            return self.checked(Message.read(octets), asked)

        return Exchange(asked, frames(message.to_bytes, message.envelope.request_id, server), read)

    def checked(self, reply: Message, asked: Message) -> Message:
        """The reply, which is signed by the server where that was asked."""
        is_told_bare = not reply.credential and reply.header.code in TOLD_WITHOUT_PROOF
        if asked.header.flags & CERTIFY and not is_told_bare:
            expect_signed(reply, self.keys)
            expect_fresh(reply, asked, self._now_s())
        return reply

    def alone(self, asked: Message) -> Exchange:
        """A message of a session's set-up under way: its reply is signed, which without keys proves nothing."""

        def read(octets: bytes) -> Message:
            reply = Message.read(octets)
            return self.checked(reply, asked) if self.keys else reply

        return Exchange(asked, frames(asked.to_bytes, asked.envelope.request_id, self.server), read)

    def ending(self, asked: Message, session: Session) -> Exchange:
        """A session's last message under way. Its reply bears a MAC, or the server's signature (behaviours 30)."""

        def read(octets: bytes) -> Message:
            try:
                return session.read(octets)
            except NotProven:
                reply = Message.read(octets)
                return self.checked(reply, asked) if self.keys else reply

        return Exchange(asked, frames(lambda: session.written(asked), asked.envelope.request_id, self.server), read)


def succeeded(reply: Message) -> Message:
    """The reply, where it is a success; the error that it tells otherwise."""
    if reply.header.code != ResponseCode.SUCCESS:
        try:
            error = refusal(reply)
        except Malformed as fault:
            raise NoAnswer(f"the server sent a refusal that cannot be read: {fault}") from fault
        raise error
    return reply
