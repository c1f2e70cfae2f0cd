"""Request → response. What can be answered at once is; the rest is pending. Every error becomes a code in the end.

Sources: spec, protocol: sections 6 and 8.6; behaviours 7, 13, 20, 24 and 35 (whose request id -1 is not copied).
"""

from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import cast

from protocol import codec
from protocol.codes import CERTIFY, ENCRYPTED, KEEP_CONNECTION, RESERVED, OpCode, ResponseCode
from protocol.envelope import Envelope
from protocol.errors import HandleError, Malformed, NotResponsible, SessionFailed, SessionUnknown
from protocol.header import Header
from protocol.operations import Interface, Operation, operation
from protocol.requests import ResolutionRequest
from protocol.responses import ErrorResponse, SiteResponse
from protocol.trust.credential import Credential
from protocol.version import Version, negotiated
from protocol.wire import Reader
from resolver.administration import Administration
from resolver.authority import Authority, Said, is_served
from resolver.log_limits import limited
from resolver.peer import Peer
from resolver.pending import Part, Pending
from resolver.recursing import Recursing
from resolver.refusals import AdminElsewhere
from resolver.replies import Answer, Asked, Replies, refusal, refused
from storage.base import StoreError, StoreView

log = limited(__name__)


class Engine:
    """Answers whole messages. `administration` does what takes time or proof, `recursing` what is kept elsewhere."""

    def __init__(
        self,
        *,
        authority: Authority,
        replies: Replies,
        administration: Administration,
        recursing: Recursing | None = None,
    ) -> None:
        self._authority = authority
        self._recursing = recursing
        self._replies = replies
        self._administration = administration
        self._handlers: Mapping[OpCode, Callable[[Asked, StoreView], Said]] = MappingProxyType(
            {OpCode.RESOLUTION: self._resolve, OpCode.GET_SITE_INFO: self._site_info}
        )

    def answer(self, octets: bytes, view: StoreView, *, peer: Peer, now_s: int) -> Answer | Pending | None:
        """The reply to one whole message, or None where silence is right: no envelope, or a response.

        Never raises, whatever arrives.
        """
        try:
            envelope = Envelope.read(octets)
        except Malformed:
            return None
        header: Header | None = None
        version = negotiated(envelope.version, envelope.suggested)
        try:
            plain = codec.behind(envelope, octets)
            if envelope.flags & ENCRYPTED:
                plain = self._administration.clear(envelope, plain)
            header = Header.read(plain)
            if not header.is_request:
                if not envelope.flags & ENCRYPTED:
                    return None
                raise SessionFailed("no request")
            asked = _read(envelope, plain, header, version, peer, now_s)
        except HandleError as error:
            is_closed = bool(envelope.flags & ENCRYPTED) and not isinstance(error, SessionUnknown)
            noted = SessionFailed(f"encrypted octets: {error}") if is_closed else error
            opcode = None if header is None or is_closed else header.opcode
            self._administration.refusals.note(noted, source=peer.source, opcode=opcode, now_s=now_s)
            if is_closed:
                return _closed(envelope, version, now_s)
            return refusal(error, envelope, header, version=version, now_s=now_s)
        except Exception:
            log.exception("fault while reading request %d", envelope.request_id)
            return refusal(HandleError(), envelope, header, version=version, now_s=now_s)
        handler = self._handlers.get(asked.row.opcode)
        if envelope.session_id or handler is None:
            pending = Pending(partial(self._administration.parts, asked), bool(header.flags & KEEP_CONNECTION))
            return self._asked_elsewhere(asked, view) or pending
        return self._at_once(asked, handler, view)

    def _asked_elsewhere(self, asked: Asked, view: StoreView) -> Answer | Pending | None:
        """What is heard of a proof whose secret is kept elsewhere, by whoever may have others asked."""
        if self._recursing is None or asked.row.opcode != OpCode.VERIFY_CHALLENGE or asked.message.envelope.session_id:
            return None
        return self._recursing.verification(asked, lambda handle: is_served(handle, view.homed()))

    def _at_once(self, asked: Asked, handler: Callable[[Asked, StoreView], Said], view: StoreView) -> Answer | Pending:
        session_id = 0
        try:
            said = self._outcome(asked, handler, view)
            if not isinstance(said, Said):
                return said
            if said.body is None and asked.peer.has_tried_login:  # Who has logged in need not prove it again.
                return Pending(partial(self._administration.parts, asked))
            if said.body is None:  # The wish for proof: its answer names it by the envelope's session id.
                said, session_id = self._administration.challenge(asked)
        except HandleError as error:
            self._administration.refusals.note(
                error, source=asked.peer.source, opcode=asked.row.opcode, now_s=asked.now_s
            )
            said = refused(error)
        except StoreError:
            raise
        except Exception:
            log.exception("fault while answering opcode %d", asked.row.opcode)
            said = Said(ResponseCode.ERROR, ErrorResponse())
        message = self._replies.message(asked, said, session_id=session_id)
        if asked.message.header.flags & CERTIFY:
            return Pending(partial(self._certified, message))
        return Answer(said.code, message.to_bytes())

    def _outcome(
        self, asked: Asked, handler: Callable[[Asked, StoreView], Said], view: StoreView
    ) -> Said | Answer | Pending:
        """What the handler says; where the handle is kept elsewhere, what is found there for those who may have it."""
        recursing = self._recursing
        try:
            said = handler(asked, view)
        except NotResponsible as error:
            found = None if recursing is None else recursing.instead(asked, error, view)
            if found is None:
                raise
            return found
        if recursing is not None and said.code == ResponseCode.PREFIX_REFERRAL:
            return recursing.instead(asked, said, view) or said
        return said

    async def _certified(self, message: codec.Message) -> AsyncIterator[Part]:
        yield await self._administration.certified(message)

    def _resolve(self, asked: Asked, view: StoreView) -> Said:
        request = cast(ResolutionRequest, asked.body)
        flags = asked.message.header.flags
        return self._authority.resolve(view, request, flags=flags, version=asked.version)

    def _site_info(self, asked: Asked, view: StoreView) -> Said:
        return Said(ResponseCode.SUCCESS, SiteResponse(site=self._replies.site))


def _closed(envelope: Envelope, version: Version, now_s: int) -> Answer:
    """What is said of encrypted octets that cannot be used, whatever is wrong with them.

    Until its MAC was checked, a message is anybody's: who hears whether forged octets were padded well can decrypt
    what they overheard.
    """
    return refusal(SessionFailed(), envelope, None, version=version, now_s=now_s)


def _read(envelope: Envelope, plain: bytes, header: Header, version: Version, peer: Peer, now_s: int) -> Asked:
    message = codec.Message.opened(envelope, plain, header)
    row = _allowed(header, admin=peer.admin)
    body = row.request(Reader(message.body), envelope.version)
    credential = Credential.read(message.credential) if envelope.session_id else None
    return Asked(message, row, body, version, peer, now_s, credential)


def _allowed(header: Header, *, admin: bool) -> Operation:
    if header.opcode == RESERVED:
        raise Malformed("opcode 0", told="Unknown opCode in message: 0")
    row = operation(header.opcode)
    if row.interface is Interface.ADMIN and not admin:
        raise AdminElsewhere("an admin request", told="Received admin request on non-admin interface")
    return row
