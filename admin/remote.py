"""The options that let a command ask another node (`--at …`), and the run of what it asks. Prints nothing.

What stands here is imported by every command line of records: it loads neither engine nor cryptography before use.
"""

import asyncio
import functools
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from admin.errors import ExitCode, Failure, exit_code_of

if TYPE_CHECKING:
    from protocol.trust.keys import PublicKey
    from resolver.client import Server
    from resolver.client_admin import Client
    from resolver.client_calls import Calls
    from resolver.client_errors import Refused
    from resolver.client_proof import Identity
    from resolver.client_session import Mode

_Command = TypeVar("_Command", bound=Callable[..., Any])
_Told = TypeVar("_Told")
_PATH: Final = click.Path(path_type=Path)
DEFAULT_PORT: Final = 2641


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """What the options say, unread: where a server is, who we are, and how the two speak."""

    at: str | None = None
    auth: str | None = None
    key: Path | None = None
    secret_file: Path | None = None
    passphrase_file: Path | None = None
    server_key: Path | None = None
    tls: bool = False
    ca: Path | None = None
    insecure: bool = False
    session: bool = False
    udp: bool = False

    @property
    def is_given(self) -> bool:
        """Whether a server is named; a usage `Failure` where one is not, and yet is said how to speak to it."""
        if self.at is None and any(getattr(self, field.name) for field in fields(self) if field.name != "at"):
            why = "without --at a command works on this node's own store"
            raise Failure("no server is named", why, "--at HOST:PORT", code=ExitCode.USAGE)
        return self.at is not None

    def server(self) -> "Server":
        """The server, spoken to over TCP unless UDP or TLS is wished."""
        from resolver.client import Server, Transport

        host, port = place(self.at or "")
        if self.udp and self.tls:
            raise Failure("TLS needs a connection", "--udp and --tls exclude each other", code=ExitCode.USAGE)
        transport = Transport.UDP if self.udp else Transport.TCP
        return Server(host, port, transport, tls=self._tls() if self.tls else None)

    def _tls(self) -> Any:
        from resolver.client_tls import Tls

        if self.insecure:
            return Tls.by_nobody()
        if self.ca is None and self.server_key is not None:
            return Tls.by_key(*self.server_keys())
        return Tls.by_authority(self.ca)

    def server_keys(self) -> "tuple[PublicKey, ...]":
        """The server's public keys of `--server-key`; none where it is not given."""
        from admin.identities import public_keys_in

        return () if self.server_key is None else public_keys_in(self.server_key)

    def identity(self) -> "Identity | None":
        """Who we are, with what proves it; None where nobody is named."""
        from admin.identities import first_line, identity_of, reference_of

        if self.auth is None:
            if self.key or self.secret_file or self.passphrase_file:
                why = "a key alone does not say whose it is"
                raise Failure("no identity is named", why, "--auth 300:0.NA/88.100", code=ExitCode.USAGE)
            return None
        passphrase = first_line(self.passphrase_file) if self.passphrase_file else None
        named = reference_of(self.auth)
        return identity_of(named, key_file=self.key, secret_file=self.secret_file, passphrase=passphrase)

    def calls(self, mode: "Mode | None" = None) -> "Calls":
        """Conversations with the server, in a session where `--session` or a mode wishes one."""
        from resolver.client_calls import Calls
        from resolver.client_exchange import Asking
        from resolver.client_opening import Opening
        from resolver.client_session import Mode

        wanted, identity = mode or (Mode.DH if self.session else None), self.identity()
        opening = None if wanted is None else Opening.by(wanted, identity)
        return Calls(Asking(self.server(), keys=self.server_keys()), identity=identity, opening=opening)


def place(at: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, `[IPv6]:PORT` or `HOST` (port 2641)."""
    has_port = at.count(":") == 1 or (at.startswith("[") and "]:" in at)
    host, _, port = at.rpartition(":") if has_port else (at, "", str(DEFAULT_PORT))
    host = host.strip("[]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        why, then = "it has the form HOST:PORT", "such as 127.0.0.1:2641"
        raise Failure(f"{at!r} is no place to ask", why, then, code=ExitCode.USAGE)
    return host, int(port)


_AT: Final = click.option("--at", metavar="HOST:PORT", help="Ask that server, instead of this node's own store.")
_AUTH: Final = click.option("--auth", metavar="INDEX:HANDLE", help="Who you are there: the value that holds your key.")
_KEY: Final = click.option("--key", type=_PATH, metavar="FILE", help="Your private key: PEM, .bin or JWK.")
_SECRET: Final = click.option("--secret-file", type=_PATH, metavar="FILE", help="Your secret: FILE's first line.")
_PASSPHRASE: Final = click.option(
    "--passphrase-file", type=_PATH, metavar="FILE", help="The passphrase that opens the key."
)
_WAY: Final = (
    click.option("--server-key", type=_PATH, metavar="FILE", help="The server's public key, or its siteinfo.bin."),
    click.option("--tls", is_flag=True, help="Over TLS: checked by --server-key, --ca, or the system's authorities."),
    click.option("--ca", type=_PATH, metavar="FILE", help="Authorities (PEM) that vouch for the server."),
    click.option("--insecure", is_flag=True, help="Over TLS, whoever answers."),
    click.option("--session", is_flag=True, help="In a session: one proof for all requests, each with a MAC."),
)
AUTH_OPTIONS: Final = (_AUTH, _KEY, _SECRET, _PASSPHRASE, *_WAY)
"""Who we are there and how the server is spoken to, without where it is."""

_UDP: Final = click.option("--udp", is_flag=True, help="Over UDP, where a lost answer may mean a change done twice.")
_Option = Callable[[Any], Any]


def collected(*options: _Option) -> Callable[[_Command], _Command]:
    """Give a command these options of another server, as one argument `remote`; what else it takes stays its own."""

    def decorated(command: _Command) -> _Command:
        @functools.wraps(command)
        def wrapped(*arguments: Any, **given: Any) -> Any:
            own = {name: given.pop(name) for name in names}
            return command(*arguments, remote=Remote(**own), **given)

        made: Any = wrapped
        before = set(getattr(made, "__click_params__", ()))
        for option in reversed(options):
            made = option(made)
        names = [found.name for found in made.__click_params__ if found not in before]
        return made  # type: ignore[no-any-return]

    return decorated


def remote_options(command: _Command) -> _Command:
    """Give a command all options of another server, `--at` first, as one argument `remote`."""
    return collected(_AT, *AUTH_OPTIONS, _UDP)(command)


def signer_remote_options(command: _Command) -> _Command:
    """The same for a command whose `--key` is that of a signer: it proves who asks unless another is named."""
    other = click.option("--auth-key", "key", type=_PATH, metavar="FILE", help="Your key there.  [default: --key]")
    return collected(_AT, _AUTH, other, _SECRET, *_WAY, _UDP)(command)


def asked(
    remote: Remote,
    work: "Callable[[Client], Coroutine[Any, Any, _Told]]",
    mode: "Mode | None" = None,
    *,
    is_encrypted: bool = False,
) -> _Told:
    """What `work` gives with a client of the named server. `Missing` and `Conflict` are the caller's to tell.

    All other refusals, and answers without proof, become a `Failure`.
    """
    from resolver.client_admin import Client

    async def run() -> _Told:
        async with Client(remote.calls(mode), is_encrypted=is_encrypted) as client:
            return await work(client)

    with told_refusals(remote):
        return asyncio.run(run())


@contextmanager
def told_refusals(remote: Remote) -> Generator[None]:
    """Refusals of a server in the block become a `Failure`, except those that the caller tells in its own words."""
    from resolver.client import NoAnswer
    from resolver.client_errors import Conflict, Missing, NotProven, Refused

    try:
        yield
    except NoAnswer as error:
        raise unreachable(error) from error
    except NotProven as error:
        what = f"the answer of {remote.at} is not to be believed"
        then = "--server-key FILE"
        if remote.server_key is not None:
            then = f"is {remote.server_key} that node's key? on that node: hnode upstream enrol --out DIR tells it"
        raise Failure(what, str(error), then, code=ExitCode.DENIED) from error
    except (Missing, Conflict):
        raise
    except Refused as error:
        raise refused(remote, error) from error


def unreachable(error: OSError) -> Failure:
    """That no answer came from an address that was named, with its place and the cause in the error's words."""
    then = "check the address (HOST:PORT); is that node running? on that node: hnode serve"
    return Failure(str(error), "", then, code=ExitCode.UNREACHABLE)


def refused(remote: Remote, error: "Refused") -> Failure:
    """The refusal of a server in words, with the exit code that belongs to it."""
    from protocol.codes import ResponseCode
    from resolver.client_errors import named

    then = ""
    if error.code == ResponseCode.AUTHENTICATION_NEEDED and remote.auth is None:
        then = "--auth 300:0.NA/88.100 --key FILE"
    return Failure(f"{remote.at} refuses: {named(error.code)}", error.told, then, code=exit_code_of(error.code))
