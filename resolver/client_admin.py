"""Every operation of the Handle protocol that a client asks of one server: read, change, list, home.

The server is the one that is responsible: nothing here follows a referral. Source: spec, protocol: section 6.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from protocol import codec
from protocol.codec import Message
from protocol.codes import (
    AUTHORITATIVE,
    CERTIFY,
    DEFAULT_REQUEST_FLAGS,
    ENCRYPT,
    MINT_SUFFIX,
    OVERWRITE,
    PUBLIC_ONLY,
    OpCode,
)
from protocol.errors import Malformed
from protocol.identifier import PLACEHOLDER
from protocol.requests import (
    Body,
    HandleRequest,
    RemoveValuesRequest,
    ResolutionRequest,
    ValuesRequest,
    VerifyChallengeRequest,
)
from protocol.responses import CreateResponse, HandleListResponse, ResolutionResponse, SiteResponse, VerifyResponse
from protocol.site import Site
from protocol.value import HandleValue
from resolver.client import NoAnswer
from resolver.client_calls import Calls
from resolver.client_errors import NotProven, Refused

_Body = TypeVar("_Body")


@dataclass(frozen=True, slots=True)
class Created:
    """The handle that was made, as the server spells it, and whether one that stood was overwritten."""

    handle: bytes
    overwrote: bool


class Client:
    """Operations at one server, over `calls`. As a context manager it closes the session at the end.

    All of them raise `Refused` with the server's code and words, `NotProven` for an answer that is not the server's,
    and `NoAnswer`. `is_encrypted` asks for encrypted replies, and encrypts requests, in a session.
    """

    def __init__(self, calls: Calls, *, is_encrypted: bool = False) -> None:
        self.calls = calls
        self._flags = DEFAULT_REQUEST_FLAGS | (ENCRYPT if is_encrypted and calls.opening is not None else 0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.calls.end_session()
        except (NoAnswer, NotProven, Refused):  # The server ends an idle session itself; what was asked is answered.
            pass

    async def resolve(
        self,
        handle: bytes,
        *,
        indexes: Sequence[int] = (),
        types: Sequence[bytes] = (),
        restricted: bool = False,
        certified: bool = False,
        authoritative: bool = False,
    ) -> ResolutionResponse:
        """The values of a handle; `restricted` asks for those too that only administrators may read.

        `certified`: the answer must be signed with one of the server's keys, or bear the session's MAC.
        """
        flags = self._flags | (CERTIFY if certified else 0) | (AUTHORITATIVE if authoritative else 0)
        if restricted:
            flags &= ~PUBLIC_ONLY
        body = ResolutionRequest(handle=handle, indexes=tuple(indexes), types=tuple(types))
        return _told(await self.calls.reply(body, opcode=OpCode.RESOLUTION, flags=flags), ResolutionResponse)

    async def site_info(self, *, certified: bool = False) -> Site:
        """The server's own site record, as it tells it."""
        flags = self._flags | (CERTIFY if certified else 0)
        body = HandleRequest(handle=PLACEHOLDER)
        return _told(await self.calls.reply(body, opcode=OpCode.GET_SITE_INFO, flags=flags), SiteResponse).site

    async def create(
        self, handle: bytes, values: Sequence[HandleValue], *, overwrite: bool = False, mint: bool = False
    ) -> Created:
        """Make a handle. With `mint` the server appends a suffix of its own; `overwrite` replaces one that stands."""
        flags = self._flags | (OVERWRITE if overwrite else 0) | (MINT_SUFFIX if mint else 0)
        body = ValuesRequest(handle=handle, values=tuple(values))
        reply = await self.calls.reply(body, opcode=OpCode.CREATE_HANDLE, flags=flags)
        made = _told(reply, CreateResponse).handle
        return Created(handle if made is None else made, bool(reply.header.flags & OVERWRITE))

    async def delete(self, handle: bytes) -> None:
        """Delete a handle with all of its values."""
        await self._done(HandleRequest(handle=handle), OpCode.DELETE_HANDLE)

    async def add(self, handle: bytes, values: Sequence[HandleValue], *, overwrite: bool = False) -> None:
        """Add values; with `overwrite` those at the same indexes are replaced."""
        body = ValuesRequest(handle=handle, values=tuple(values))
        await self._done(body, OpCode.ADD_VALUE, OVERWRITE if overwrite else 0)

    async def modify(self, handle: bytes, values: Sequence[HandleValue]) -> None:
        """Replace the values at these values' indexes: all of them must stand."""
        await self._done(ValuesRequest(handle=handle, values=tuple(values)), OpCode.MODIFY_VALUE)

    async def remove(self, handle: bytes, indexes: Sequence[int]) -> None:
        """Remove the values at these indexes: all of them must stand."""
        await self._done(RemoveValuesRequest(handle=handle, indexes=tuple(indexes)), OpCode.REMOVE_VALUE)

    def list_handles(self, prefix: bytes) -> AsyncGenerator[bytes]:
        """The handles under a prefix handle, as they come: always over a connection."""
        return self._listed(HandleRequest(handle=prefix), OpCode.LIST_HANDLES)

    def list_homed(self) -> AsyncGenerator[bytes]:
        """The handles of the prefixes that the server homes, as they come: always over a connection."""
        return self._listed(HandleRequest(handle=PLACEHOLDER), OpCode.LIST_HOMED_NAS)

    async def home(self, prefix: bytes) -> None:
        """Let the server answer for a prefix handle from now on."""
        await self._done(HandleRequest(handle=prefix), OpCode.HOME_NA)

    async def unhome(self, prefix: bytes) -> None:
        """Let the server answer for a prefix handle no longer."""
        await self._done(HandleRequest(handle=prefix), OpCode.UNHOME_NA)

    async def verify_challenge(self, request: VerifyChallengeRequest, *, certified: bool = True) -> bool:
        """Whether an answer to somebody's challenge fits a secret key that this server keeps."""
        flags = self._flags | (CERTIFY if certified else 0)
        return _told(await self.calls.reply(request, opcode=OpCode.VERIFY_CHALLENGE, flags=flags), VerifyResponse).valid

    async def _done(self, body: Body, opcode: OpCode, flags: int = 0) -> None:
        await self.calls.reply(body, opcode=opcode, flags=self._flags | flags)

    async def _listed(self, body: Body, opcode: OpCode) -> AsyncGenerator[bytes]:
        replies = self.calls.replies(body, opcode=opcode, flags=self._flags)
        try:
            async for reply in replies:
                for handle in _told(reply, HandleListResponse).handles:
                    yield handle
        finally:
            await replies.aclose()


def _told(reply: Message, kind: type[_Body]) -> _Body:
    """What a reply of success says; `NoAnswer` where it is the reply to something else."""
    try:
        _, body = codec.read_response(reply)
    except Malformed as error:
        raise NoAnswer(f"the server sent an answer that cannot be read: {error}") from error
    if not isinstance(body, kind):
        raise NoAnswer(f"the server answered operation {reply.header.opcode} instead of what it was asked")
    return body
