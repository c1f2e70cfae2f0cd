"""A delegation written at another server, and read from it: as its administrator, over the wire. Prints nothing."""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING

from admin.delegating import DELEGATING, delegating, is_about_itself, is_near, is_same, merged, site_of_value
from admin.errors import ExitCode, Failure
from admin.remote import Remote, asked, refused
from protocol.codes import ResponseCode
from protocol.value import HandleValue
from resolver.client_errors import Missing, Refused

if TYPE_CHECKING:
    from resolver.client_admin import Client


class Written(Enum):
    """What became of a delegation at another server."""

    NEW = "new"
    CHANGED = "changed"
    ALREADY = "already so"
    """Nothing was sent: so nobody's key was tried."""


Standing = tuple[HandleValue, ...]
"""The values of the record that stands at a server: those that who asks may read."""


def write_delegation(
    remote: Remote,
    handle: bytes,
    values: Sequence[HandleValue],
    joined: Callable[[Standing, Sequence[HandleValue]], Standing] = merged,
) -> tuple[Written, Standing, Standing]:
    """Have a server keep the values as the prefix's delegation: what became of it, its record before and after.

    `joined` says what stands afterwards; as a rule what delegated before is replaced, and administrators and keys that
    stand stay. A `Failure` for every refusal.
    """

    async def work(client: "Client") -> tuple[Written, Standing, Standing]:
        try:
            standing = (await client.resolve(handle)).values
        except Missing:
            await client.create(handle, values)
            return Written.NEW, (), tuple(values)
        after = joined(standing, values)
        is_changed = await _changed(client, handle, standing, after)
        return Written.CHANGED if is_changed else Written.ALREADY, standing, after

    try:
        return asked(remote, work)
    except Refused as error:
        raise refused(remote, error) from error


async def _changed(client: "Client", handle: bytes, standing: Standing, after: Standing) -> bool:
    """Make the record say what it shall, with as few requests as that takes; whether it took any."""
    wanted = {value.index: value for value in after}
    old = {value.index: value for value in standing}
    gone = [i for i, value in old.items() if value.type in DELEGATING and i not in wanted]
    fresh = [value for i, value in wanted.items() if i not in old]
    changed = [value for i, value in wanted.items() if i in old and not is_same([value], [old[i]])]
    # What is new comes first: at no moment does a client find no site.
    if fresh:
        await client.add(handle, fresh)
    if changed:
        await client.modify(handle, changed)
    if gone:
        await client.remove(handle, gone)
    return bool(fresh or changed or gone)


def remove_delegation(remote: Remote, handle: bytes) -> Standing:
    """Have a server refer nobody for the prefix any longer; the values that are gone.

    A `Failure` where it refers nobody, where the prefix is its own, and for every refusal.
    """
    name = handle.decode(errors="replace")

    async def work(client: "Client") -> Standing:
        try:
            # All values: where private ones are left, the record stays.
            standing = (await client.resolve(handle, restricted=remote.auth is not None)).values
        except Missing:
            standing = ()
        gone = delegating(standing)
        if not gone:
            why = f"there is no record {name} there that names a site"
            raise Failure(f"{name} is not delegated by {remote.at}", why, code=ExitCode.NOT_FOUND)
        itself = await client.site_info()
        if any(site is not None and is_near(site, itself) for site in map(site_of_value, gone)):
            why = "that server keeps it itself, and its record says so to clients"
            raise Failure(f"{name} is not delegated to another node", why, code=ExitCode.CONFLICT)
        if is_about_itself(value for value in standing if value not in gone):
            await client.delete(handle)
        else:
            await client.remove(handle, [value.index for value in gone])
        return gone

    try:
        return asked(remote, work)
    except Refused as error:
        raise refused(remote, error) from error


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
