"""A mirror's questions: sent, the challenge answered, the reply proven, and the stream behind it read and checked.

What it gives has been proven block by block to come from the server whose key is known. Each message has a connection
of its own, as deployed mirrors do it. Sources: spec, resolution: sections 7 and 10.5; spec, security: section 2.
"""

import ssl
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from protocol.codec import Message
from protocol.codes import CERTIFY, DEFAULT_REQUEST_FLAGS, REQUEST_DIGEST, OpCode, ResponseCode
from protocol.envelope import Envelope
from protocol.errors import Malformed
from protocol.limits import ENVELOPE_SIZE, MESSAGE_SIZE_MAX
from protocol.replication.dump import DumpRecord, read_dump_record
from protocol.replication.streams import Block, Steps, StreamKind, StreamReader, StreamRecord
from protocol.replication.transactions import TransactionRecord, read_transaction_record
from protocol.requests import Body, DumpRequest, RetrieveTransactionsRequest
from protocol.trust.keys import MD5, DsaPublicKey, PublicKey, verifies
from protocol.trust.signature import named_digest
from protocol.version import NEWEST, Version
from resolver.client import question
from resolver.client_errors import Refused, refusal
from resolver.client_proof import CHALLENGES_MAX, Identity, answer, expect_fresh, expect_signed
from resolver.client_tls import Tls
from resolver.replication.channel import SILENCE_S, Channel, Cut
from resolver.replication.source import V_TLS_STREAM

_FLAGS: Final = DEFAULT_REQUEST_FLAGS | CERTIFY | REQUEST_DIGEST
R = TypeVar("R", bound=StreamRecord)


class BadSource(Exception):
    """The source sends what breaks the protocol, or what its key does not vouch for: nothing of it is taken."""


@dataclass(frozen=True, slots=True)
class SourceServer:
    """The server that a mirror copies: where it is, its public key, and the version of its site record."""

    host: str
    port: int
    key: PublicKey
    version: Version = NEWEST

    @property
    def name(self) -> str:
        """Where it is, for people."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def asked_version(self) -> Version:
        """The version that it is asked in: its own, at most ours."""
        return self.version if NEWEST.at_least(self.version) else NEWEST


class Asking:
    """Asks one source as `identity`. `now_s` gives seconds since 1970."""

    def __init__(
        self,
        source: SourceServer,
        identity: Identity,
        *,
        now_s: Callable[[], int],
        silence_s: float = SILENCE_S,
    ) -> None:
        self._source = source
        self._identity = identity
        self._now_s = now_s
        self._silence_s = silence_s
        self._tls = Tls.by_key(source.key)
        # Servers in service have short keys, and the key itself is all that is believed.
        self._tls.context.set_ciphers("DEFAULT@SECLEVEL=0")

    def transactions(self, request: RetrieveTransactionsRequest) -> AsyncGenerator[list[TransactionRecord]]:
        """The records of a stream of changes, some at a time, to the last; see `_records` for what it raises."""
        return self._records(request, OpCode.RETRIEVE_TXN_LOG, read_transaction_record)

    def dump(self, request: DumpRequest) -> AsyncGenerator[list[DumpRecord]]:
        """The records of a dump, some at a time, to the last."""
        return self._records(request, OpCode.DUMP_HANDLES, read_dump_record)

    async def _records(
        self, body: Body, opcode: OpCode, read_record: Callable[[R | None], Steps[R]]
    ) -> AsyncGenerator[list[R]]:
        """Records in order; the stream was whole where the last one came.

        `Cut` where the connection ends before, `Refused` with the code of the source, `NotProven` and `NotTrusted`
        where the reply or the certificate is not the source's, `BadSource` for everything else that is wrong.
        """
        asked = self._question(body, opcode, _FLAGS)
        message = asked
        for _ in range(1 + CHALLENGES_MAX):
            async with await Channel.opened(self._source.host, self._source.port, silence_s=self._silence_s) as channel:
                await channel.send(message.to_bytes())
                reply, rest = await _reply(channel, message)
                if reply.header.code == ResponseCode.SUCCESS:
                    self._expect_proven(reply, asked)
                    async with aclosing(self._stream(channel, rest, reply, read_record)) as found:
                        async for records in found:
                            yield records
                    return
            if reply.header.code != ResponseCode.AUTHENTICATION_NEEDED:
                raise _refused(reply)
            message = await self._proof(asked, reply)
        raise Refused(ResponseCode.AUTHENTICATION_NEEDED, "the source challenges again and again")

    def _expect_proven(self, reply: Message, asked: Message) -> None:
        try:
            expect_signed(reply, (self._source.key,))
            expect_fresh(reply, asked, self._now_s())
        except Malformed as error:
            raise BadSource(f"an answer that cannot be read: {error}") from error

    def _question(self, body: Body, opcode: OpCode, flags: int) -> Message:
        version = self._source.asked_version
        return question(body, opcode=opcode, flags=flags, now_s=self._now_s(), version=version, suggested=version)

    async def _proof(self, asked: Message, reply: Message) -> Message:
        """The answer to a challenge, under the challenge's number."""
        try:
            body = await answer(self._identity, reply, asked)
        except Malformed as error:
            raise BadSource(f"a challenge that cannot be read: {error}") from error
        message = self._question(body, OpCode.RESPONSE_TO_CHALLENGE, asked.header.flags & ~REQUEST_DIGEST)
        return replace(message, envelope=replace(message.envelope, session_id=reply.envelope.session_id))

    # The stream

    async def _stream(
        self, channel: Channel, rest: bytes, reply: Message, read_record: Callable[[R | None], Steps[R]]
    ) -> AsyncGenerator[list[R]]:
        reader: StreamReader[R] = StreamReader(read_record)
        reader.feed(rest)
        is_secured = False
        while True:
            records = list(self._proven(reader, _blocks(reader), reply, is_secured=is_secured))
            if records:
                yield records
                continue  # The reader may have more, or an error that stands behind what was good.
            if reader.is_finished:
                if is_secured or reader.head is None or reader.head.kind is not StreamKind.TLS:
                    return
                self._tls.expect(await self._secured(channel, reader.rest()))
                reader, is_secured = StreamReader(read_record, kind=StreamKind.UNSIGNED), True
            octets = await channel.read()
            if not octets:
                raise Cut("the stream ended before its end")
            reader.feed(octets)

    async def _secured(self, channel: Channel, begun: bytes) -> ssl.SSLObject:
        try:
            return await channel.secure(self._tls.context, begun)
        except ssl.SSLError as error:
            raise Cut("the source ended within the TLS handshake") from error

    def _proven(
        self, reader: StreamReader[R], blocks: list[Block[R]], reply: Message, *, is_secured: bool
    ) -> Iterator[R]:
        """The records of blocks that the source's key vouches for: by TLS, or each by its signature."""
        if not is_secured and reader.head is not None:
            self._expect_kind(reader.head.kind, reply.envelope.version)
        for block in blocks:
            if not is_secured and block.record.is_signed:
                assert reader.head is not None
                digest = named_digest(reader.head.digest_name)
                key, signature = self._source.key, block.signature or b""
                if digest is None or digest == MD5 or not verifies(key, digest, block.octets, signature):
                    raise BadSource("a block of the stream is not signed with the source's key")
            yield block.record

    def _expect_kind(self, kind: StreamKind, version: Version) -> None:
        """`BadSource` for a stream that is weaker than the source must send.

        Signed blocks do not tell when they were made: an old stream could be played to us again. TLS cannot be.
        """
        if kind is StreamKind.UNSIGNED:
            raise BadSource("an unsigned stream over a bare connection")
        must_secure = self._source.asked_version.at_least(V_TLS_STREAM) and not isinstance(
            self._source.key, DsaPublicKey
        )
        if kind is StreamKind.SIGNED and must_secure:
            raise BadSource(
                f"signed blocks in version {version}, where TLS is to be had: give the source's site record"
            )


def _blocks(reader: StreamReader[R]) -> list[Block[R]]:
    try:
        return reader.blocks()
    except Malformed as error:
        raise BadSource(f"a stream that cannot be read: {error}") from error


async def _reply(channel: Channel, asked: Message) -> tuple[Message, bytes]:
    """The message that answers, and what was read behind it."""
    octets = b""
    size = ENVELOPE_SIZE
    while len(octets) < size:
        found = await channel.read()
        if not found:
            raise Cut("the source closed the connection without an answer")
        octets += found
        if len(octets) >= ENVELOPE_SIZE:
            size = ENVELOPE_SIZE + Envelope.read(octets).message_size
            if size > ENVELOPE_SIZE + MESSAGE_SIZE_MAX:
                raise BadSource(f"an answer of {size} octets")
    try:
        reply = Message.read(octets[:size])
    except Malformed as error:
        raise BadSource(f"an answer that cannot be read: {error}") from error
    if reply.header.is_request or reply.envelope.request_id != asked.envelope.request_id:
        raise BadSource("an answer to another question")
    return reply, octets[size:]


def _refused(reply: Message) -> Exception:
    try:
        return refusal(reply)
    except Malformed as error:
        return BadSource(f"a refusal that cannot be read: {error}")
