"""A delegation written at another server, and read from it: as its administrator, over the wire. Prints nothing."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from admin.delegating import DELEGATING, merged
from admin.errors import ExitCode, Failure
from admin.remote import Remote, asked, refused
from protocol.codes import ResponseCode
from protocol.value import HandleValue
from resolver.client_errors import Missing, Refused

if TYPE_CHECKING:
    from resolver.client_admin import Client


def write_delegation(remote: Remote, handle: bytes, values: Sequence[HandleValue]) -> bool:
    """Have a server keep the values as the prefix's delegation; whether its record is new there.

    What delegated before is replaced; administrators and keys that stand stay. A `Failure` for every refusal.
    """

    async def work(client: "Client") -> bool:
        try:
            standing = (await client.resolve(handle)).values
        except Missing:
            await client.create(handle, values)
            return True
        wanted = {value.index: value for value in merged(standing, values)}
        old = {value.index: value for value in standing}
        gone = [i for i, value in old.items() if value.type in DELEGATING and i not in wanted]
        fresh = [value for i, value in wanted.items() if i not in old]
        changed = [value for i, value in wanted.items() if i in old and not _same(value, old[i])]
        # What is new comes first: at no moment does a client find no site.
        if fresh:
            await client.add(handle, fresh)
        if changed:
            await client.modify(handle, changed)
        if gone:
            await client.remove(handle, gone)
        return False

    try:
        return asked(remote, work)
    except Refused as error:
        raise refused(remote, error) from error


def _same(one: HandleValue, other: HandleValue) -> bool:
    return replace(one, timestamp=0) == replace(other, timestamp=0)


def read_delegation(remote: Remote, handle: bytes, *, certified: bool) -> tuple[HandleValue, ...] | None:
    """The public values of a prefix record as a server tells them; None where it has none, or refers for it.

    A `Failure` for other refusals.
    """

    async def work(client: "Client") -> tuple[HandleValue, ...] | Refused:
        try:
            return (await client.resolve(handle, certified=certified)).values
        except Refused as error:
            return error

    found = asked(remote, work)
    if not isinstance(found, Refused):
        return found
    if found.code in (ResponseCode.HANDLE_NOT_FOUND, ResponseCode.VALUES_NOT_FOUND):
        return None
    if found.code in (ResponseCode.SERVER_NOT_RESP, ResponseCode.PREFIX_REFERRAL, ResponseCode.SERVICE_REFERRAL):
        why = f"it does not keep the record {handle.decode()} ({found})"
        then = "set [upstream] parent to the node that delegates the prefix"
        raise Failure(f"{remote.at} is not the parent", why, then, code=ExitCode.NOT_FOUND) from found
    raise refused(remote, found) from found
