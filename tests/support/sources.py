"""A minimal primary on loopback: a TCP server that speaks the dialogue of a mirror and sends what `Source` makes.

It challenges, checks the answer against one key, and can cut its streams, tell lies, or change its store meanwhile.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from protocol import codec
from protocol.codec import Message
from protocol.codes import CERTIFY, REQUEST_DIGEST, OpCode, ResponseCode
from protocol.framing import Framer
from protocol.header import Header
from protocol.requests import Body, ChallengeAnswer, DumpRequest, RetrieveTransactionsRequest
from protocol.responses import ChallengeResponse, EmptyResponse, ErrorResponse, TransactionStreamResponse
from protocol.trust.challenge import challenge_input, public_key_answer_is_valid, request_digest
from protocol.trust.keys import SHA1, PrivateKey, PublicKey, signature
from protocol.trust.signature import signed
from protocol.value import Reference
from protocol.version import Version, negotiated
from resolver.pending import Part, Secure
from resolver.replication.source import Source
from resolver.tls import self_signed_context
from storage.base import HandleStore
from tests.support.engines import NOW, SITE
from tests.support.signing import ADMIN_KEY, ROOT_KEY

MIRROR = Reference(300, b"0.NA/88.200")
SERVER_KEY = ROOT_KEY
MIRROR_KEY = ADMIN_KEY


class Primary:
    """The server. What it is told to do wrong holds until it is told otherwise."""

    def __init__(self, store: HandleStore, *, key: PrivateKey = SERVER_KEY, mirror_key: PublicKey) -> None:
        self.store = store
        self.key = key
        self.now_ms = NOW * 1000
        self.port = 0
        self.asked: list[Body] = []
        self.versions: list[Version] = []
        self.cut_after: int | None = None  # Parts that are sent before a stream is cut.
        self.refuse: ResponseCode | None = None
        self.sign_reply = True
        self.version: Version | None = None  # The highest version it replies in.
        self.before_part: Callable[[], None] = lambda: None
        self.change_part: Callable[[bytes], bytes] = lambda octets: octets
        self.stream_key = key
        self._mirror_key = mirror_key
        self._challenges: dict[int, tuple[Message, bytes]] = {}
        self.source = self.made_source()

    def made_source(self) -> Source:
        async def sign(octets: bytes) -> bytes:
            return signature(self.stream_key, SHA1, octets)

        async def note(change: object) -> object:
            return self.store.apply([change], now_ms=self.now_ms)  # type: ignore[list-item]

        return Source(
            self.store,
            sign=sign,
            tls_context=lambda: self_signed_context(self.stream_key),
            site=SITE,
            now_ms=lambda: self.now_ms,
            note=note,
        )

    def count(self, kind: type[Body]) -> int:
        return sum(isinstance(body, kind) for body in self.asked)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except (ConnectionError, EOFError):
            pass
        finally:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        framer = Framer()
        frames: list[bytes] = []
        while not frames:
            data = await reader.read(65_536)
            if not data:
                return
            framer.feed(data)
            frames = framer.frames()
        message = Message.read(frames[0])
        body = codec.read_request(message)
        if self.refuse is not None:
            writer.write(self._reply(message, message, self.refuse, ErrorResponse(message=b"no")).to_bytes())
        elif not isinstance(body, ChallengeAnswer):
            nonce, number = secrets.token_bytes(16), secrets.randbits(31)
            self._challenges[number] = (message, nonce)
            reply = self._reply(message, message, ResponseCode.AUTHENTICATION_NEEDED, ChallengeResponse(nonce=nonce))
            writer.write(replace(reply, envelope=replace(reply.envelope, session_id=number)).to_bytes())
        else:
            await self._stream(message, body, writer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def _stream(self, message: Message, answer: ChallengeAnswer, writer: asyncio.StreamWriter) -> None:
        original, nonce = self._challenges.pop(message.envelope.session_id)
        version = self._negotiated(original)
        proven = challenge_input(nonce, request_digest(version, original.signed_part))
        if not public_key_answer_is_valid(answer.answer, self._mirror_key, proven):
            refused = ErrorResponse(message=b"bad signature")
            writer.write(self._reply(message, original, ResponseCode.AUTHENTICATION_FAILED, refused).to_bytes())
            return
        asked = codec.read_request(original)
        self.asked.append(asked)
        self.versions.append(version)
        parts: AsyncIterator[Part]
        if isinstance(asked, DumpRequest):
            body: Body = EmptyResponse()
            parts = self.source.dump(asked, version=version, requester=answer.key)
        else:
            assert isinstance(asked, RetrieveTransactionsRequest)
            body = TransactionStreamResponse()
            parts = self.source.transactions(asked, version=version, requester=answer.key)
        writer.write(self._reply(message, original, ResponseCode.SUCCESS, body).to_bytes())
        sent = 0
        async for part in parts:
            if self.cut_after is not None and sent >= self.cut_after:
                writer.transport.abort()
                raise ConnectionResetError
            self.before_part()
            if isinstance(part, Secure):
                await writer.start_tls(part.context)
            else:
                writer.write(self.change_part(part) if sent > 1 else part)
                await writer.drain()
            sent += 1

    def _negotiated(self, message: Message) -> Version:
        version = negotiated(message.envelope.version, message.envelope.suggested)
        return self.version if self.version is not None and version.at_least(self.version) else version

    def _reply(self, message: Message, original: Message, code: int, body: Body) -> Message:
        version = self._negotiated(original)
        challenge = code == ResponseCode.AUTHENTICATION_NEEDED
        digest = request_digest(version, original.signed_part)
        has_digest = challenge or bool(original.header.flags & REQUEST_DIGEST)
        octets = codec.response_body(body, code=code, version=version, digest=digest if has_digest else None)
        made = Message(
            envelope=replace(message.envelope, version=version, suggested=version, session_id=0),
            header=Header(
                opcode=OpCode(original.header.opcode),
                code=code,
                flags=original.header.flags & CERTIFY | (REQUEST_DIGEST if has_digest else 0),
                expiration=self.now_ms // 1000 + 43_200,
                body_size=len(octets),
            ),
            body=octets,
        )
        if not self.sign_reply:
            return made
        return replace(made, credential=signed(self.key, made.envelope, made.signed_part).to_bytes())


@asynccontextmanager
async def serving(primary: Primary, port: int = 0) -> AsyncIterator[Primary]:
    """The primary at a port of its own, or at the one given."""
    server = await asyncio.start_server(primary.serve, "127.0.0.1", port)
    primary.port = server.sockets[0].getsockname()[1]
    try:
        yield primary
    finally:
        server.close()
        await asyncio.sleep(0.01)
