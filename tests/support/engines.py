"""An engine over a store in memory, as tests want it: seeded, with a fixed site and hand-made randomness."""

import asyncio
import shutil
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from protocol.codec import Message, read_response, request
from protocol.codes import DEFAULT_PERMISSIONS, DEFAULT_REQUEST_FLAGS, OpCode
from protocol.requests import Body, ResolutionRequest
from protocol.site import PRIMARY, Interface, Server, Site, address_octets
from protocol.trust.keys import PrivateKey, RsaPrivateKey, generate_rsa
from protocol.value import HandleValue, value_list
from protocol.version import NEWEST, Version
from resolver.assembly import Parts
from resolver.assembly import service as service_of
from resolver.authority import Authority
from resolver.clock import HandClock
from resolver.config import Config
from resolver.counters import Counters
from resolver.namespaces import Namespaces
from resolver.peer import Peer
from resolver.pending import Pending
from resolver.replies import Answer
from resolver.service import Reply
from resolver.signing import Pool
from storage.base import Change, HandleStore, HomePrefix, Outcome, PutRecord
from storage.memory import MemoryStore
from storage.volatile import Volatile
from storage.writer import made

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


@cache
def server_key() -> RsaPrivateKey:
    """A node's key, made once a run of tests."""
    return generate_rsa(2_048)


class Writing:
    """Makes each change at once, in this thread: what a submitter needs where nobody else writes."""

    def __init__(self, store: HandleStore) -> None:
        self._store = store

    def submit(self, change: Change) -> "Future[Outcome]":
        """The outcome, known already."""
        done: Future[Outcome] = Future()
        (found,) = made(self._store, [change], now_ms=NOW * 1000)
        if isinstance(found, Outcome):
            done.set_result(found)
        else:
            done.set_exception(found)
        return done

    def close(self) -> None:
        """Nothing waits."""


class Answering:
    """A service over a seeded store, asked message by message or in batches."""

    def __init__(
        self,
        store: MemoryStore,
        *,
        site: Site = SITE,
        random_octets: Callable[[int], bytes] | None = None,
        delimiter: str = "",
        namespace: bytes | None = None,
        case_sensitive: bool = False,
        server_number: int = 0,
        private_key: PrivateKey | None = None,
        config: Config | None = None,
    ) -> None:
        self.store = store
        self.counters = Counters()
        self.clock = HandClock(NOW)
        folder = mkdtemp(prefix="hnode-test-")
        self._pool = Pool()
        parts = Parts(
            store=store,
            writer=Writing(store),
            volatile=Volatile.create(Path(folder) / "volatile"),
            site=site,
            private_key=private_key or server_key(),
            case_sensitive=case_sensitive,
            counters=self.counters,
            clock=self.clock,
        )
        weakref.finalize(self, _ended, parts, self._pool, folder)
        namespaces = Namespaces(delimiter=delimiter, namespace=namespace, case_sensitive=case_sensitive)
        authority = Authority(namespaces=namespaces, site=site, server_number=server_number)
        self.service = service_of(
            config or Config(), parts, self._pool, authority=authority, random_octets=random_octets
        )

    def octets(self, asked: bytes, *, admin: bool = True, now_s: int = NOW) -> bytes | None:
        """The reply's octets to one message's: all of its messages, one behind the other."""
        peer = Peer("127.0.0.1", admin=admin, is_connection=True)
        return octets_of(self.service.answers([asked], peer=lambda _: peer, now_s=now_s)[0])

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


def octets_of(reply: Reply) -> bytes | None:
    """The octets of a reply, all of its messages one behind the other."""
    if isinstance(reply, Pending):
        return asyncio.run(_joined(reply))
    return reply.octets if isinstance(reply, Answer) else reply


async def _joined(reply: Pending) -> bytes:
    found = [part async for part in reply.parts()]
    return b"".join([part for part in found if isinstance(part, bytes)])


def _ended(parts: Parts, pool: Pool, folder: str) -> None:
    parts.writer.close()
    parts.volatile.close()
    pool.close()
    shutil.rmtree(folder)


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
