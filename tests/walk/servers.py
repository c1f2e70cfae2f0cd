"""Simulated servers: the node's own rules over a store in memory, and tempers that make them bad neighbours."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from protocol import codec
from protocol.codec import Message
from protocol.codes import CERTIFY, REQUEST, OpCode, ResponseCode
from protocol.errors import HandleError
from protocol.operations import operation
from protocol.requests import ResolutionRequest
from protocol.responses import ErrorResponse, ReferralResponse, ResolutionResponse, VerifyResponse
from protocol.site import Interface, Server, Site, address_octets
from protocol.trust.keys import PrivateKey
from protocol.trust.signature import signed
from protocol.value import HandleValue, value_list
from protocol.version import NEWEST, Version
from resolver.authority import Authority, Said
from resolver.namespaces import Namespaces
from resolver.peer import Peer
from resolver.replies import Asked, Replies, refused
from resolver.walk.events import Way
from storage.base import Change, HomePrefix, PutRecord
from storage.memory import MemoryStore

PORT = 2641
NOW_S = 1_700_000_000
Lie = Callable[[Said, ResolutionRequest], Said]


@dataclass(frozen=True, kw_only=True)
class Temper:
    """How a server misbehaves. `lost` of the first datagrams never arrive; `big_lost`: long answers by UDP do not.

    `code`: all that it ever says. `lie` changes what it says; `distort` the finished message. `answers_as`: the version
    that it speaks. `serial`: that of its site as it tells it now. `unsigned`: it does not sign what it should.
    """

    silent: frozenset[Way] = frozenset()
    latency_ms: int = 5
    lost: int = 0
    big_lost: bool = False
    code: int | None = None
    lie: Lie | None = None
    distort: Callable[[Message], Message] | None = None
    answers_as: Version = NEWEST
    serial: int | None = None
    unsigned: bool = False
    refer: ReferralResponse | None = None
    refer_code: ResponseCode = ResponseCode.PREFIX_REFERRAL


def server_record(
    address: str, *, port: int = PORT, udp: bool = True, tcp: bool = True, public_key: bytes = b"", number: int = 1
) -> Server:
    """A server with one port for everything."""
    ways = [Interface(3, 0, port)] * udp + [Interface(3, 1, port)] * tcp
    return Server(id=number, address=address_octets(address), public_key=public_key, interfaces=tuple(ways))


@dataclass(kw_only=True)
class SimServer:
    """One server of a site. `heard` counts what arrived; `recurses` gives what it finds for others."""

    name: str
    address: str
    port: int
    site: Site
    number: int
    homes: Sequence[bytes] = ()
    records: Mapping[bytes, tuple[HandleValue, ...]] = field(default_factory=dict)
    temper: Temper = field(default_factory=Temper)
    key: PrivateKey | None = None
    heard: int = 0
    store: MemoryStore = field(default_factory=MemoryStore)

    def __post_init__(self) -> None:
        fill(self.store, self.homes, self.records)
        self._authority = Authority(namespaces=Namespaces(), site=self.site, server_number=self.number)
        serial = self.site.serial if self.temper.serial is None else self.temper.serial
        self._replies = Replies(replace(self.site, serial=serial))

    def reply(self, octets: bytes, way: Way) -> bytes | None:
        """What it answers, None for silence."""
        self.heard += 1
        temper = self.temper
        if way in temper.silent or (way is Way.UDP and self.heard <= temper.lost):
            return None
        message = Message.read(octets)
        assert message.header.code == REQUEST
        suggested = message.envelope.suggested
        version = suggested if temper.answers_as.at_least(suggested) else temper.answers_as
        row, body = operation(message.header.opcode), codec.read_request(message)
        asked = Asked(message, row, body, version, Peer("simulated", admin=False), NOW_S)
        reply = self._replies.message(asked, self._said(asked))
        if temper.distort is not None:
            reply = temper.distort(reply)
        if message.header.flags & CERTIFY and self.key is not None and not temper.unsigned:
            reply = replace(reply, header=replace(reply.header, flags=reply.header.flags | CERTIFY))
            reply = replace(reply, credential=signed(self.key, reply.envelope, reply.signed_part).to_bytes())
        sent = reply.to_bytes()
        return None if temper.big_lost and way is Way.UDP and len(sent) > 512 else sent

    def _said(self, asked: Asked) -> Said:
        temper = self.temper
        if temper.code is not None:
            return Said(ResponseCode(temper.code), ErrorResponse(message=b"as ever"))
        if temper.refer is not None:
            return Said(temper.refer_code, temper.refer)
        if asked.message.header.opcode == OpCode.VERIFY_CHALLENGE:
            return Said(ResponseCode.SUCCESS, VerifyResponse(valid=True))
        assert isinstance(asked.body, ResolutionRequest)
        flags = asked.message.header.flags
        try:
            with self.store.view() as view:
                said = self._authority.resolve(view, asked.body, flags=flags, version=asked.version)
        except HandleError as error:
            said = refused(error)
        return said if temper.lie is None else temper.lie(said, asked.body)


def fill(store: MemoryStore, homes: Sequence[bytes], records: Mapping[bytes, tuple[HandleValue, ...]]) -> None:
    """Home the prefixes and write the records; nothing for what is filled already."""
    changes: list[Change] = [HomePrefix(handle) for handle in homes]
    changes += [PutRecord(handle, value_list(values)) for handle, values in records.items()]
    if changes:
        store.apply(changes, now_ms=NOW_S * 1000)


def with_values(values: Sequence[HandleValue], *, handle: bytes | None = None) -> Lie:
    """The lie of a server that says these values of whatever is asked, or of another handle."""

    def lie(_said: Said, asked: ResolutionRequest) -> Said:
        body = ResolutionResponse(handle=asked.handle if handle is None else handle, values=tuple(values))
        return Said(ResponseCode.SUCCESS, body)

    return lie
