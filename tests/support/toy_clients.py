"""A client at a toy server: what its work gives, and what the server heard. Identities with throw-away keys."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from protocol.codes import PUBLIC_READ
from protocol.responses import EmptyResponse, ResolutionResponse
from protocol.trust.keys import PrivateKey, from_pem
from protocol.value import HandleValue, Reference
from resolver.client_admin import Client
from resolver.client_calls import Calls
from resolver.client_exchange import Asking
from resolver.client_opening import Opening
from resolver.client_proof import Identity
from resolver.client_session import Mode
from tests.support.keys import captured_keys
from tests.support.toy_servers import Reply, toy_server


def private(name: str) -> PrivateKey:
    """A captured private key."""
    key = from_pem(captured_keys()[name][0])
    assert isinstance(key, PrivateKey)
    return key


SERVER = private("server")
RSA = Identity(Reference(300, b"0.NA/88.100"), private_key=private("admin RSA"))
SECRET = Identity(Reference(301, b"0.NA/88.100"), secret=b"secret")
URL = HandleValue(index=1, type=b"URL", data=b"https://example.org/")
HIDDEN = HandleValue(index=2, type=b"PRICE", data=b"17", permissions=URL.permissions & ~PUBLIC_READ)
FOUND = ResolutionResponse(handle=b"88.100/A", values=(URL,))
DONE = EmptyResponse()
Work = Callable[[Client], Awaitable[Any]]


def heard_while(
    work: Work,
    *replies: Reply | Sequence[Reply],
    identity: Identity | None = None,
    session: bool | Mode = False,
    keys: Any = (),
) -> tuple[Any, list[bytes]]:
    """What the work gives at a toy server, and what that heard."""

    async def run() -> tuple[Any, list[bytes]]:
        async with toy_server(*replies) as toy:
            mode = session if isinstance(session, Mode) else Mode.DH
            opening = Opening.by(mode, identity) if session else None
            calls = Calls(Asking(toy.server(), keys=keys), identity=identity, opening=opening)
            return await work(Client(calls)), toy.heard

    return asyncio.run(run())


async def delete(client: Client) -> None:
    """A request that only administrators may make."""
    await client.delete(b"88.100/A")
