"""Several messages to one node in process at a time, each by somebody at an address of their own."""

import asyncio
from collections.abc import Awaitable, Callable

from protocol.codec import Message
from resolver.peer import Peer
from resolver.pending import Pending
from resolver.replies import Answer
from tests.support.engines import NOW, Answering

SOON_S = 5.0
"""Longer than anything takes that nobody makes wait; whoever is made to wait waits longer in tests."""

LOOKED_AT_S = 0.5
"""Until guesses that are made to wait have all been looked at."""


def peer_at(host: str) -> Peer:
    """Somebody on a connection of an interface that may administer."""
    return Peer(host, admin=True, is_connection=True, host=host)


async def heard(node: Answering, asked: Message | bytes, peer: Peer) -> Message:
    """The one message that answers."""
    octets = asked if isinstance(asked, bytes) else asked.to_bytes()
    reply = node.service.answers([octets], peer=lambda _: peer, now_s=NOW)[0]
    if isinstance(reply, Pending):
        return Message.read(b"".join([part async for part in reply.parts() if isinstance(part, bytes)]))
    found = reply.octets if isinstance(reply, Answer) else reply
    assert found is not None
    return Message.read(found)


async def waiting(guess: Callable[[], Awaitable[Message]], count: int) -> list[asyncio.Task[Message]]:
    """So many guesses at once, none of which is told soon."""
    tasks = [asyncio.ensure_future(_awaited(guess)) for _ in range(count)]
    done, _ = await asyncio.wait(tasks, timeout=LOOKED_AT_S)
    assert not done, f"{len(done)} of {count} were told at once"
    return tasks


async def told_soon(guess: Callable[[], Awaitable[Message]]) -> Message:
    """What is said to a guess that nobody makes wait."""
    return await asyncio.wait_for(guess(), SOON_S)


async def _awaited(guess: Callable[[], Awaitable[Message]]) -> Message:
    return await guess()
