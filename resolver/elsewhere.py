"""What decides who may do what, where it is not kept here: keys, groups and prefix records, and proofs of secrets.

Values are asked for by certified questions that see public values alone; a proof of a secret goes to the server that
keeps the secret. All within a deadline, and only so many at a time. Sources: spec, security: sections 3 to 5.
"""

import asyncio
from collections import Counter as Tally
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, Protocol

from protocol.codes import (
    CERTIFY,
    DEFAULT_REQUEST_FLAGS,
    KEEP_CONNECTION,
    RECURSIVE,
    REQUEST_DIGEST,
    OpCode,
    ResponseCode,
)
from protocol.identifier import folded, full, is_prefix_handle, is_utf8, prefix_handle
from protocol.limits import HANDLE_SIZE_MAX
from protocol.requests import Body, ResolutionRequest, VerifyChallengeRequest
from protocol.responses import ResolutionResponse, VerifyResponse
from protocol.value import HandleValue
from resolver import authentication
from resolver.authentication import Verify
from resolver.finding import Finder, StoreFinder
from resolver.log_limits import limited
from resolver.walk.events import Ended, Query
from resolver.walk.world import World
from storage.base import HandleStore

log = limited(__name__)

DEADLINE_S: Final = 5.0
"""How long one question may take; what is decided by several has a bound of its own (`authorization.DECISION_S`)."""

AT_ONCE_MAX: Final = 64
"""Questions of this kind at a time, in each process; more wait, within the deadline."""

A_SERVICE_AT_ONCE_MAX: Final = 8
"""Of these, about one prefix, or handles under it: a slow server holds up its own administrators and nobody else."""

_FLAGS: Final = (DEFAULT_REQUEST_FLAGS & ~(RECURSIVE | KEEP_CONNECTION)) | CERTIFY | REQUEST_DIGEST
_SHOWN: Final = 64  # Octets of a stranger's handle in the log.


class Resolving(Protocol):
    """Who finds the answer to a question, wherever it is: `resolver.recursion.Recursion`."""

    @property
    def world(self) -> World:
        """What is known before anybody is asked."""
        ...

    async def ended(self, query: Query) -> Ended:
        """How the question ended. Never raises for what the world does."""
        ...


class Others:
    """Asks the servers that are responsible. `deadline_s` for each question, waiting for its turn included."""

    def __init__(self, resolving: Resolving, *, deadline_s: float = DEADLINE_S) -> None:
        self._resolving = resolving
        self._deadline_s = deadline_s
        self._turns = asyncio.Semaphore(AT_ONCE_MAX)
        self._by_service: Tally[bytes] = Tally()

    async def values(self, handle: bytes) -> tuple[HandleValue, ...] | None:
        """The public values of a handle, as its server signed them; None where nobody tells them in time."""
        ended = await self._ended(handle, ResolutionRequest(handle=full(handle)), OpCode.RESOLUTION)
        if ended is None or ended.code != ResponseCode.SUCCESS or not isinstance(ended.body, ResolutionResponse):
            return None
        if not ended.is_certified:
            log.warning("%r is told without a signature of its server: it decides nothing here", handle[:_SHOWN])
            return None
        return tuple([value for value in ended.body.values if value.is_public])

    async def verified(self, request: VerifyChallengeRequest) -> authentication.Elsewhere | None:
        """What the primary that keeps a secret says of an answer; None where nobody says it in time."""
        ended = await self._ended(request.key.handle, request, OpCode.VERIFY_CHALLENGE)
        if ended is None or ended.reply is None or not isinstance(ended.body, VerifyResponse):
            return None
        if ended.code != ResponseCode.SUCCESS or not ended.is_certified:
            return None
        envelope = ended.reply.envelope
        return authentication.Elsewhere(ended.body.valid, envelope.version, envelope.suggested)

    async def _ended(self, handle: bytes, body: Body, opcode: OpCode) -> Ended | None:
        """The end of the question; None where nobody can be asked, or where it took too long."""
        if self._resolving.world.is_empty:
            return None
        if not 0 < len(handle) <= HANDLE_SIZE_MAX or not is_utf8(handle):
            return None
        name = full(handle)
        query = Query(
            handle=name,
            body=body,
            opcode=opcode,
            flags=_FLAGS,
            certify=True,
            primary_only=opcode != OpCode.RESOLUTION,
        )
        service = folded(name) if is_prefix_handle(name) else prefix_handle(name)
        if self._by_service[service] >= A_SERVICE_AT_ONCE_MAX:
            log.warning("%d questions about %r are open already", A_SERVICE_AT_ONCE_MAX, service[:_SHOWN])
            return None
        try:
            async with asyncio.timeout(self._deadline_s), self._counted(service), self._turns:
                ended = await self._resolving.ended(query)
        except TimeoutError:
            log.warning("%r was not told within %g s", name[:_SHOWN], self._deadline_s)
            return None
        if ended.is_failure:
            log.info("%r cannot be asked for: %s", name[:_SHOWN], ended.told[:200])
        return ended

    @asynccontextmanager
    async def _counted(self, service: bytes) -> AsyncGenerator[None]:
        self._by_service[service] += 1
        try:
            yield
        finally:
            self._by_service[service] -= 1
            if not self._by_service[service]:
                del self._by_service[service]


def finder(store: HandleStore, recursion: Resolving) -> Finder:
    """Finds values in the store where their handle is homed here, else at the server that is responsible."""
    return StoreFinder(store, elsewhere=Others(recursion).values)


def verify(recursion: Resolving) -> Verify:
    """Has secrets that are kept elsewhere checked there."""
    return Others(recursion).verified
