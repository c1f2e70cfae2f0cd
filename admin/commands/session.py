"""`hnode session …`: try a session with a server, as a client would before it administers there."""

import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

import click

from admin.context import CommandContext
from admin.errors import ExitCode, Failure
from admin.output import output_option, print_object
from admin.remote import Remote, remote_options

if TYPE_CHECKING:
    from resolver.client_admin import Client

_MODES = ("dh", "client-key", "server-key", "handle-key")


@click.group(name="session")
def command() -> None:
    """Sessions with another server: one proof of who you are, then each message with a MAC, encrypted on wish.

    A session of the protocol ends with the command that opened it: `hnode handle … --session` opens its own.
    """


@command.command(
    name="check", epilog="Example:  hnode session check --at 127.0.0.1:2641 --auth 300:0.NA/88.100 --key admin.pem"
)
@click.option(
    "--mode",
    type=click.Choice(_MODES),
    default="dh",
    show_default=True,
    help="How the key comes about; where the server refuses it, by Diffie-Hellman.",
)
@click.option("--encrypted", is_flag=True, help="Encrypt the messages, too.")
@click.option("--handle", metavar="HANDLE", help="What to read there.  [default: your key's own handle]")
@remote_options
@output_option
@click.pass_obj
def check(context: CommandContext, mode: str, encrypted: bool, handle: str | None, remote: Remote) -> int:
    """Open a session, prove who you are in it, read a handle twice, close it, and tell how all that went.

    Without --auth the session is nobody's: the server's site record is read instead.
    """
    from admin.remote import asked, refused
    from resolver.client_admin import Client
    from resolver.client_errors import Refused
    from resolver.client_session import Mode

    if not remote.is_given:
        raise Failure("no server is named", "a session is one with a server", "--at HOST:PORT", code=ExitCode.USAGE)
    name = handle.encode(errors="surrogateescape") if handle else None

    async def work(client: Client) -> dict[str, object]:
        return await _checked(client, name, mode, encrypted)

    try:
        facts = asked(remote, work, Mode(mode), is_encrypted=encrypted)
    except Refused as error:
        raise refused(remote, error) from error
    print_object(context, {"at": remote.at, **facts})
    return ExitCode.OK


async def _checked(client: "Client", handle: bytes | None, mode: str, encrypted: bool) -> dict[str, object]:
    calls = client.calls
    opened_ms, session = await _timed(calls.opened_session())
    first_ms, _ = await _timed(_read(client, handle))
    second_ms, _ = await _timed(_read(client, handle))
    facts = {
        "id": session.id,
        "mode": session.mode.value,
        "asked_for": mode,
        "version": str(session.version),
        "cipher": session.cipher.name,
        "encrypted": encrypted,
        "signed_setup": bool(calls.asking.keys),
        "identity": "nobody" if calls.identity is None else _named(calls.identity),
        "authenticated": session.is_proven,
    }
    closed_ms, _ = await _timed(calls.end_session())
    times = {"open_ms": opened_ms, "first_ms": first_ms, "second_ms": second_ms, "close_ms": closed_ms}
    return facts | times


async def _read(client: "Client", handle: bytes | None) -> None:
    """One round: what only an administrator may read, or, for nobody, the site record."""
    identity = client.calls.identity
    if identity is None and handle is None:
        await client.site_info()
    elif identity is None:
        assert handle is not None
        await client.resolve(handle)
    else:
        await client.resolve(handle or identity.key.handle, restricted=True)


async def _timed(work: Awaitable[Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    told = await work
    return round((time.perf_counter() - started) * 1000, 2), told


def _named(identity: Any) -> str:
    return f"{identity.key.index}:{identity.key.handle.decode(errors='replace')}"
