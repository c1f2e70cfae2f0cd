"""A root, a national node, an enterprise, and a node that recurses among them, in one event loop.

The root refers prefixes under 88 to the national node, which knows the enterprise that keeps 88.100.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from protocol.codec import Message, read_response
from protocol.codes import (
    PUBLIC_ONLY,
    OpCode,
)
from protocol.requests import ResolutionRequest
from protocol.responses import ResolutionResponse
from protocol.value import HandleValue
from protocol.version import Version
from resolver.client import Transport, ask
from resolver.counters import Counter
from resolver.walk.events import Query
from resolver.walk.world import World
from tests.support.engines import server_key, value
from tests.support.neighbours import Neighbour, Ports, asking, config, living
from tests.support.signing import ADMIN_KEY, OTHER_KEY, ROOT_KEY

X = b"88.100/x"
URL = replace(value(1), ttl=600)
SECRET = replace(value(2, b"HS_SECKEY", b"secret", 0x0C), ttl=600)
MAIL = replace(value(3, b"EMAIL", b"a@example.org"), ttl=600)
OLD = Version(2, 9)


class World3:
    """The root, the national node, the enterprise, and the one that recurses; `asked` goes to the last."""

    def __init__(self, **recursion: object) -> None:
        ports = [Ports(key) for key in (ROOT_KEY, ADMIN_KEY, OTHER_KEY, server_key())]  # Nobody can sign for another.
        root, national, low = (found.site() for found in ports[:3])
        site = replace(value(1, b"HS_SITE"), ttl=600)
        self.root = Neighbour(
            ports[0],
            {
                b"0.NA/0.NA": [replace(site, data=root.to_bytes())],
                b"0.NA/88": [replace(site, type=b"HS_SITE.PREFIX", data=national.to_bytes())],
            },
            [b"0.NA/0.NA"],
        )
        self.national = Neighbour(ports[1], {b"0.NA/88.100": [replace(site, data=low.to_bytes())]}, [b"0.NA/0.NA/88"])
        self.low = Neighbour(
            ports[2],
            {X: [URL, SECRET, MAIL], b"88.100/y": [replace(URL, ttl=0)], b"88.100/hidden": [SECRET]},
            [b"0.NA/88.100"],
        )
        self.node = Neighbour(
            ports[3], {b"88.7/own": [URL]}, [b"0.NA/88.7"], config(**recursion), World(root_sites=(root,))
        )
        self.all = (self.root, self.national, self.low, self.node)

    @property
    def heard(self) -> tuple[int, int, int]:
        """Datagrams that root, national node and enterprise heard."""
        return self.root.heard, self.national.heard, self.low.heard

    def counted(self, counter: Counter) -> int:
        """What the recursing node counted."""
        return self.node.counters.read()[counter]

    async def message(self, handle: bytes, *, way: Transport = Transport.UDP, **more: object) -> Message:
        """The reply of the one that recurses."""
        asked = asking(handle, **more)  # type: ignore[arg-type]
        return (await ask(asked, "127.0.0.1", self.node.ports.number, transport=way, timeout_s=8)).message

    async def asked(self, handle: bytes, **more: object) -> tuple[HandleValue, ...] | int:
        """The values, or the code where there are none."""
        reply = await self.message(handle, **more)  # type: ignore[arg-type]
        _, body = read_response(reply)
        return body.values if isinstance(body, ResolutionResponse) else reply.header.code

    def pass_time(self, seconds: float) -> None:
        """Let it be later for the node that recurses."""
        self.node.clock.advance(seconds)

    def query(self, handle: bytes, *, flags: int = PUBLIC_ONLY, **more: object) -> Query:
        """A resolution as other parts of the node ask it."""
        return Query(
            handle=handle,
            body=ResolutionRequest(handle=handle),
            opcode=OpCode.RESOLUTION,
            flags=flags,
            **more,  # type: ignore[arg-type]
        )


@asynccontextmanager
async def world(**recursion: object) -> AsyncIterator[World3]:
    made = World3(**recursion)
    async with living(*made.all):
        yield made
