"""Runs the commands of a batch against servers, one after the other or several at a time. Reads no batch file.

Commands of one handle keep their order, however many run at a time; commands about prefixes, sessions and who asks
wait for all before them, and all behind them wait for those.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

from admin.batch.commands import Authenticate, Command, Homing, Invalid, Operation, Setup
from admin.batch.events import Event, Outcome, Totals
from admin.errors import Failure
from admin.identities import private_key_in
from protocol.errors import Malformed
from protocol.identifier import folded, is_prefix_handle
from protocol.site import Interface, Site
from protocol.site import Transport as SiteTransport
from protocol.trust.keys import PublicKey
from resolver.client import NoAnswer, Server, Transport
from resolver.client_admin import Client
from resolver.client_calls import Calls
from resolver.client_errors import NotProven, Refused
from resolver.client_exchange import Asking
from resolver.client_opening import Opening
from resolver.client_proof import Identity
from resolver.client_session import TIMEOUT_S, ExchangeKey, Mode

PARALLEL_MAX: Final = 64  # Requests under way at a time: what a server bears of one client.
UNANSWERED_MAX: Final = 5  # Commands in a row without an answer, after which the rest would only wait as long each.
_AHEAD: Final = 4  # Commands of each lane that are read ahead.
_NO_SERVER: Final = "no server is named: give it with --at HOST:PORT"

Told = Callable[[Event], None]


class Runner:
    """One run. `server` takes all operations but the homing of prefixes, whose commands name theirs.

    `told` gets each command's end as it comes: with `parallel` 1 in the order of the file.
    """

    def __init__(
        self,
        server: Server | None,
        told: Told,
        *,
        identity: Identity | None = None,
        mode: Mode | None = None,
        keys: Sequence[PublicKey] = (),
        parallel: int = 1,
    ) -> None:
        assert 1 <= parallel <= PARALLEL_MAX
        self.totals = Totals()
        self._server = server
        self._told = told
        self._identity = identity
        self._setup = None if mode is None else Setup(line=0, use=True)
        self._keys = tuple(keys)
        self._client: Client | None = None
        self._homes: tuple[tuple[str, int, bool], list[Client]] | None = None
        self._blocked = ""  # Why nobody asks: the last AUTHENTICATE could not be used.
        self._unanswered = 0
        self._lanes: list[asyncio.Queue[Operation | None]] = [asyncio.Queue(_AHEAD) for _ in range(parallel)]

    async def run(self, commands: Iterator[Command]) -> Totals:
        """Run all commands; the sessions that they opened are closed."""
        try:
            await asyncio.gather(self._feed(commands), *[self._work(lane) for lane in self._lanes])
        finally:
            await self._close()
        return self.totals

    async def _feed(self, commands: Iterator[Command]) -> None:
        for command in commands:
            if self.totals.stopped:
                break
            if isinstance(command, Operation) and not is_prefix_handle(command.handle):
                await self._lanes[hash(folded(command.handle)) % len(self._lanes)].put(command)
                continue
            for lane in self._lanes:
                await lane.join()
            if not self.totals.stopped:
                await self._alone(command)
        for lane in self._lanes:
            await lane.put(None)

    async def _work(self, lane: "asyncio.Queue[Operation | None]") -> None:
        while (operation := await lane.get()) is not None:
            if not self.totals.stopped:
                await self._operate(operation)
            lane.task_done()

    async def _alone(self, command: Command) -> None:
        """A command that nothing runs beside."""
        if isinstance(command, Operation):
            await self._operate(command)
        elif isinstance(command, Homing):
            await self._ended(command, command.word, command.handle, self._home(command))
        elif isinstance(command, Authenticate | Setup):
            await self._close()
            self._prepare(command)
        elif isinstance(command, Invalid):
            if command.ends_identity:
                self._identity, self._blocked = None, f"line {command.line} was to say who asks"
                await self._close()
            self._tell(Event(Outcome.INVALID, command.line, reason=command.reason))

    # What a command is

    async def _operate(self, operation: Operation) -> None:
        await self._ended(operation, operation.word, operation.handle, self._operation(operation))

    async def _operation(self, operation: Operation) -> None:
        client = self._own_client()
        if operation.word == "create":
            await client.create(operation.handle, operation.values)
        elif operation.word == "add":
            await client.add(operation.handle, operation.values)
        elif operation.word == "modify":
            await client.modify(operation.handle, operation.values)
        elif operation.word == "remove":
            await client.remove(operation.handle, operation.indexes)
        else:
            assert operation.word == "delete"
            await client.delete(operation.handle)

    async def _home(self, command: Homing) -> None:
        """At every server of the site that the named server belongs to."""
        self._expect_identity()
        for client in await self._site(command):
            await (client.home if command.word == "home" else client.unhome)(command.handle)

    def _prepare(self, command: Authenticate | Setup) -> None:
        try:
            if isinstance(command, Setup):
                self._opening(command)  # Its key file is read now, so that the fault is told on its line.
                self._setup = command if command.use else None
            else:
                self._identity, self._blocked = None, f"line {command.line} was to say who asks"
                self._identity, self._blocked = _identity(command), ""
        except Failure as error:
            self._tell(Event(Outcome.INVALID, command.line, reason=str(error)))

    # How it ends

    async def _ended(self, command: Command, word: str, handle: bytes, work: Awaitable[None]) -> None:
        reason = await self._reason(work)
        outcome = Outcome.FAILURE if reason else Outcome.SUCCESS
        self._tell(Event(outcome, command.line, word, handle.decode(errors="replace"), reason))

    async def _reason(self, work: Awaitable[None]) -> str:
        """Why the work failed, in words; none where it did not."""
        try:
            await work
        except (NoAnswer, OSError) as error:
            self._unanswered += 1
            if self._unanswered >= UNANSWERED_MAX and not self.totals.stopped:
                self.totals.stopped = f"{self._unanswered} commands in a row got no answer"
            return str(error)
        except (Refused, NotProven, Malformed, Failure) as error:
            self._unanswered = 0
            return str(error) or type(error).__name__
        self._unanswered = 0
        return ""

    def _tell(self, event: Event) -> None:
        self.totals.count(event)
        self._told(event)

    # Clients

    def _expect_identity(self) -> None:
        if self._blocked:
            raise Failure("nobody asks", self._blocked)

    def _own_client(self) -> Client:
        self._expect_identity()
        if self._server is None:
            raise Failure(_NO_SERVER)
        if self._client is None:
            self._client = self._made(self._server, self._keys)
        return self._client

    def _made(self, server: Server, keys: Sequence[PublicKey]) -> Client:
        opening = None if self._setup is None else self._opening(self._setup)
        calls = Calls(Asking(server, keys=keys), identity=self._identity, opening=opening)
        return Client(calls, is_encrypted=self._setup is not None and self._setup.is_encrypted)

    def _opening(self, setup: Setup) -> Opening:
        timeout_s = setup.timeout_s or TIMEOUT_S
        if setup.private_file is None or not (setup.public_file or setup.reference):
            return Opening.by(Mode.DH, self._identity, timeout_s=timeout_s)
        key = ExchangeKey(private_key_in(setup.private_file, setup.passphrase), setup.reference)
        mode = Mode.CLIENT_KEY if setup.reference is None else Mode.HANDLE_KEY
        if self._identity is None:
            return Opening(mode=mode, exchange_key=key, timeout_s=timeout_s)
        return Opening(mode=mode, identity=self._identity.key, exchange_key=key, timeout_s=timeout_s)

    async def _site(self, command: Homing) -> list[Client]:
        """The clients of a site's servers. The ones of the last site are kept: its commands follow each other."""
        named = (command.host, command.port, command.is_udp)
        if self._homes is not None and self._homes[0] == named:
            return self._homes[1]
        await self._close_homes()
        transport = Transport.UDP if command.is_udp else Transport.TCP
        server = Server(command.host, command.port, transport)
        async with Client(Calls(Asking(server))) as stranger:
            site = await stranger.site_info()
        self._homes = (named, [self._made(found, ()) for found in _servers(server, site)])
        return self._homes[1]

    async def _close(self) -> None:
        """End what is open: the next command asks anew."""
        await self._close_homes()
        client, self._client = self._client, None
        if client is not None:
            async with client:
                pass

    async def _close_homes(self) -> None:
        homes, self._homes = self._homes, None
        for client in () if homes is None else homes[1]:
            async with client:
                pass


def _identity(command: Authenticate) -> Identity:
    if command.secret is not None:
        return Identity(command.key, secret=command.secret)
    assert command.key_file is not None
    try:
        return Identity(command.key, private_key=private_key_in(command.key_file, command.passphrase))
    except OSError as error:
        raise Failure(f"{command.key_file} cannot be read", error.strerror or str(error)) from error


def _servers(named: Server, site: Site) -> list[Server]:
    """Where the servers of a site take administration; the named address itself where it has but one server."""
    if not site.is_primary:
        raise Failure(f"{named} belongs to a mirror", "only a primary site homes prefixes")
    if len(site.servers) <= 1:
        return [named]
    wanted = SiteTransport.UDP if named.transport is Transport.UDP else SiteTransport.TCP
    found = []
    for server in site.servers:
        admin = [interface for interface in server.interfaces if interface.is_admin]
        fits: list[Interface] = [interface for interface in admin if interface.transport == wanted]
        if not fits:
            raise Failure(f"server {server.id} of the site takes no administration over {wanted.name}")
        found.append(Server(server.address_text, fits[0].port, named.transport))
    return found
