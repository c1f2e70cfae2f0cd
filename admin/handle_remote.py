"""What the commands of records do at another server (`--at`): the same words for the same outcomes as on our store."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from admin.context import CommandContext
from admin.errors import ExitCode, Failure
from admin.output import printable
from admin.record_output import print_change, print_missing, print_record
from admin.remote import Remote, asked, refused
from protocol.codes import ResponseCode
from protocol.identifier import PREFIX_HANDLES, folded
from protocol.value import HandleValue
from resolver.client_admin import Client
from resolver.client_errors import Conflict, Missing

_Told = TypeVar("_Told")
_Work = Callable[[Client], Coroutine[Any, Any, _Told]]


def outcome(context: CommandContext, remote: Remote, handle: str, work: "_Work[_Told]") -> _Told | None:
    """What the work gives; None where the handle or a value is missing, which is told then."""
    try:
        return asked(remote, work)
    except Missing as error:
        if error.code == ResponseCode.SERVER_NOT_RESP:
            raise refused(remote, error) from error
        print_missing(context, handle, ResponseCode(error.code))
        return None
    except Conflict as error:
        raise refused(remote, error) from error


def create(
    context: CommandContext,
    remote: Remote,
    handle: bytes,
    values: Sequence[HandleValue],
    *,
    if_exists: str,
    mint: bool,
    facts: str,
) -> int:
    """Make a handle there; see `hnode handle create`."""

    async def work(client: Client) -> tuple[str, bytes]:
        try:
            made = await client.create(handle, values, overwrite=if_exists == "replace", mint=mint)
        except Conflict:
            if if_exists != "keep":
                raise
            return "kept", handle
        return ("replaced" if made.overwrote else "created"), made.handle

    try:
        told, made = asked(remote, work)
    except Conflict as error:
        then = f"hnode handle get {handle.decode()} --at {remote.at}, or --if-exists replace"
        name = printable(handle.decode(errors="replace"))
        raise Failure(f"{name} exists already", error.told, then, code=ExitCode.CONFLICT) from error
    except Missing as error:
        raise refused(remote, error) from error
    print_change(context, told, made, values=facts)
    return ExitCode.OK


def changed(
    context: CommandContext, remote: Remote, handle: bytes, work: "_Work[Any]", *, told: str, **facts: object
) -> int:
    """A change there that gives nothing, and its sentence; exit code 3 where something is missing."""

    async def done(client: Client) -> bool:
        await work(client)
        return True

    if outcome(context, remote, handle.decode(errors="replace"), done) is None:
        return ExitCode.NOT_FOUND
    print_change(context, told, handle, **facts)
    return ExitCode.OK


def set_value(
    context: CommandContext,
    remote: Remote,
    handle: bytes,
    value: HandleValue,
    *,
    keep_ttl: bool,
    keep_permissions: bool,
) -> int:
    """Put one value there in place of the one at its index, else beside the others.

    What was not said stays as it was, which is read first where anything was not said.
    """

    async def work(client: Client) -> None:
        try:
            found = await client.resolve(handle, indexes=[value.index], restricted=True)
        except Missing as error:
            if error.code != ResponseCode.VALUES_NOT_FOUND:
                raise
            await client.add(handle, [value])
            return
        old, new = found.values[0], value
        if keep_ttl:
            new = replace(new, ttl_type=old.ttl_type, ttl=old.ttl)
        if keep_permissions:
            new = replace(new, permissions=old.permissions)
        await client.modify(handle, [replace(new, references=old.references)])

    facts = f"{value.index} {value.type.decode(errors='replace')}"
    return changed(context, remote, handle, work, told="set", value=facts)


def get(
    context: CommandContext, remote: Remote, handle: bytes, *, indexes: Sequence[int], types: Sequence[bytes]
) -> int:
    """Show a record of there: all of it for an administrator, else what is public."""

    async def work(client: Client) -> Any:
        restricted = client.calls.identity is not None
        return await client.resolve(handle, indexes=indexes, types=types, restricted=restricted)

    found = outcome(context, remote, handle.decode(errors="replace"), work)
    if found is None:
        return ExitCode.NOT_FOUND
    print_record(context, found.handle, found.values)
    return ExitCode.OK


def listed(remote: Remote, start: bytes, limit: int) -> list[bytes]:
    """The handles there that begin with `prefix/…`, up to `limit` and one more, in the server's order."""
    prefix, behind = start.partition(b"/")[0], folded(start)

    async def work(client: Client) -> list[bytes]:
        found: list[bytes] = []
        handles = client.list_handles(PREFIX_HANDLES + prefix)
        try:
            async for handle in handles:
                if folded(handle).startswith(behind):
                    found.append(handle)
                if len(found) > limit:
                    break
        finally:
            await handles.aclose()
        return found

    try:
        return asked(remote, work)
    except (Missing, Conflict) as error:
        raise refused(remote, error) from error
