"""An engine over a store in memory, as tests want it: seeded, with a fixed site and hand-made randomness."""

from collections.abc import Callable, Mapping, Sequence

from protocol.codec import Message, read_response, request
from protocol.codes import DEFAULT_PERMISSIONS, DEFAULT_REQUEST_FLAGS, OpCode
from protocol.identifier import folded, prefix_folded
from protocol.requests import Body, ResolutionRequest
from protocol.site import PRIMARY, Interface, Server, Site, address_octets
from protocol.value import HandleValue, value_list
from protocol.version import NEWEST, Version
from resolver.authority import Authority
from resolver.counters import Counters
from resolver.engine import Answer, Engine
from resolver.namespaces import Namespaces
from resolver.service import Service
from storage.base import HomePrefix, PutRecord
from storage.memory import MemoryStore

NOW = 1_700_000_000
SITE = Site(
    serial=1,
    flags=PRIMARY,
    servers=(Server(id=1, address=address_octets("127.0.0.1"), interfaces=(Interface(3, 1, 2641),)),),
)


def value(
    index: int, kind: bytes = b"URL", data: bytes = b"https://example.org/", permissions: int = DEFAULT_PERMISSIONS
) -> HandleValue:
    """A value with a timestamp, as a store holds it."""
    return HandleValue(index=index, type=kind, data=data, permissions=permissions, timestamp=NOW - 60)


def seeded(
    records: Mapping[bytes, Sequence[HandleValue]],
    *,
    homed: Sequence[bytes] = (b"0.NA/88.100",),
    case_sensitive: bool = False,
) -> MemoryStore:
    """A store in memory with homed prefixes and records."""
    store = MemoryStore(case_sensitive=case_sensitive)
    homes = [HomePrefix(prefix) for prefix in homed]
    puts = [PutRecord(handle, value_list(values)) for handle, values in records.items()]
    outcomes = store.apply([*homes, *puts], now_ms=NOW * 1000)
    assert not any(outcome.error for outcome in outcomes)
    return store


def zeros(size: int) -> bytes:
    """Randomness without chance."""
    return bytes(size)


class Answering:
    """A service over a seeded store, asked message by message or in batches."""

    def __init__(
        self,
        store: MemoryStore,
        *,
        site: Site = SITE,
        random_octets: Callable[[int], bytes] = zeros,
        delimiter: str = "",
        namespace: bytes | None = None,
        case_sensitive: bool = False,
        server_number: int = 0,
    ) -> None:
        self.store = store
        self.counters = Counters()
        namespaces = Namespaces(delimiter=delimiter, namespace=namespace, case_sensitive=case_sensitive)
        authority = Authority(namespaces=namespaces, site=site, server_number=server_number)
        self.service = Service(
            engine=Engine(authority=authority, site=site, random_octets=random_octets),
            store=store,
            site=site,
            counters=self.counters,
            fold=prefix_folded if case_sensitive else folded,
        )

    def octets(self, asked: bytes, *, admin: bool = True, now_s: int = NOW) -> bytes | None:
        """The reply's octets to one message's."""
        reply = self.service.answers([asked], admin=admin, now_s=now_s)[0]
        return reply.octets if isinstance(reply, Answer) else reply

    def message(self, asked: Message | bytes, *, admin: bool = True) -> Message:
        """The reply to a message that must have one."""
        found = self.octets(asked if isinstance(asked, bytes) else asked.to_bytes(), admin=admin)
        assert found is not None
        return Message.read(found)

    def resolved(
        self,
        handle: bytes,
        *,
        indexes: tuple[int, ...] = (),
        types: tuple[bytes, ...] = (),
        flags: int = DEFAULT_REQUEST_FLAGS,
        version: Version = NEWEST,
    ) -> tuple[int, Body]:
        """Code and body of the answer to a resolution."""
        reply = self.message(asking(handle, indexes=indexes, types=types, flags=flags, version=version))
        return reply.header.code, read_response(reply)[1]


def asking(
    handle: bytes,
    *,
    indexes: tuple[int, ...] = (),
    types: tuple[bytes, ...] = (),
    flags: int = DEFAULT_REQUEST_FLAGS,
    version: Version = NEWEST,
) -> Message:
    """A resolution request with request id 7."""
    return request(
        ResolutionRequest(handle=handle, indexes=indexes, types=types),
        opcode=OpCode.RESOLUTION,
        request_id=7,
        flags=flags,
        expiration=NOW + 60,
        version=version,
        suggested=version,
    )
