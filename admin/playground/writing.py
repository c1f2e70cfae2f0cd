"""What an enterprise's administrator does at a node over the wire, and what it hears that may not."""

import time

from admin.playground.processes import RunningNode
from admin.prefixes import KEY_INDEX
from admin.remote import Remote, asked
from admin.setup.initialise import LOOPBACK
from protocol.identifier import PREFIX_HANDLES
from protocol.value import HandleValue
from resolver.client_admin import Client
from resolver.client_errors import Refused


def changed(node: RunningNode, prefix: str, handle: str, kind: str, text: str) -> None:
    """Give the handle's one value of that type a new text, as the administrator of a prefix that the node homes."""

    async def work(client: Client) -> None:
        (value,) = (await client.resolve(handle.encode(), types=[kind.encode()])).values
        new = HandleValue(index=value.index, type=value.type, data=text.encode(), ttl=value.ttl, timestamp=_now_s())
        await client.modify(handle.encode(), [new])

    asked(_remote(node, node, prefix), work)


def refusal_of(node: RunningNode, stranger: RunningNode, prefix: str, handle: str) -> int:
    """The code that the node refuses a change with, which the administrator of another node's prefix wants; or 0."""

    async def work(client: Client) -> int:
        try:
            await client.remove(handle.encode(), [1])
        except Refused as error:
            return error.code
        return 0

    return asked(_remote(node, stranger, prefix), work)


def _remote(node: RunningNode, keeper: RunningNode, prefix: str) -> Remote:
    """The node, spoken to as the administrator of a prefix whose key lies in the keeper's folder."""
    who = f"{KEY_INDEX}:{PREFIX_HANDLES.decode()}{prefix}"
    return Remote(at=f"{LOOPBACK}:{node.port}", auth=who, key=keeper.built.key_of(prefix))


def _now_s() -> int:
    return int(time.time())
