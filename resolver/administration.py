"""Requests that need proof, time or a session: authenticated, authorised, done, and answered, one coroutine each.

The order of checks is that of the deployed software (behaviours 15 and 16): what a stranger may hear, the challenge,
what is told behind it, permission, proof. Sources: spec, security: sections 2 and 8; spec, protocol: section 8.6.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final, cast

from protocol import codec, dialect
from protocol.codes import ENCRYPTED, MINT_SUFFIX, OpCode, ResponseCode
from protocol.envelope import Envelope
from protocol.errors import (
    AuthenticationFailed,
    ChallengeUnknown,
    Changed,
    HandleError,
    InvalidCredential,
    LoginNeeded,
    LoginRepeated,
    NotAuthorized,
    NotResponsible,
    NotSupported,
    SessionFailed,
    SessionUnknown,
    TooBusy,
)
from protocol.requests import (
    ChallengeAnswer,
    LoginRequest,
    ResolutionRequest,
    ValuesRequest,
    VerifyChallengeRequest,
)
from protocol.responses import (
    EmptyResponse,
    SiteResponse,
    VerifyResponse,
)
from protocol.trust.challenge import request_digest
from protocol.value import Reference
from protocol.version import NEWEST, Version
from resolver.authentication import Proof
from resolver.authority import Said
from resolver.challenges import NONCE_SIZE, ROUNDS_MAX
from resolver.challenging import Challenging
from resolver.failures import Attempt
from resolver.log_limits import limited
from resolver.operations.creating import minted
from resolver.operations.reading import Reading
from resolver.operations.rules import ChangeRules, Rules
from resolver.pending import Part
from resolver.refusals import Refusals
from resolver.replies import Asked, refusal, refused
from resolver.secrecy import clear, heard
from resolver.session_requests import SessionRequests
from resolver.sessions import NO_SESSION
from resolver.telling import told
from resolver.trust import Trust, Turn
from resolver.writing import Writing
from storage.base import StoreError
from storage.writer import OutcomeUnknown

log = limited(__name__)

CHANGES_TRIED: Final = 8  # How often a change is begun again because another came between: each time one was made.
ANYBODY: Final = "anybody"  # Who the journal says changed a value that everybody may write.
SHOWN: Final = 64  # Octets of a stranger's handle that a log line shows.
_NOT_NOW: Final = "The store cannot do that now: try again later"
_UNKNOWN: Final = "It is not known whether the change was made: look before you ask again"
_NO_MAC: Final = "Session request missing MAC code."
_MANY: Final = frozenset((OpCode.LIST_HANDLES, OpCode.LIST_HOMED_NAS, OpCode.RETRIEVE_TXN_LOG, OpCode.DUMP_HANDLES))


class _Again(Exception):
    """No error: the client is asked for an older form of its answer."""

    def __init__(self, suggested: Version) -> None:
        super().__init__()
        self.suggested = suggested


class Administration:
    """Answers what the engine cannot answer at once."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self.refusals = Refusals()
        self._writing = Writing(trust)
        self._challenges = Challenging(trust)
        sessions = SessionRequests(trust)
        self._direct: Mapping[OpCode, Callable[[Turn], Awaitable[Said]]] = {
            OpCode.GET_SITE_INFO: self._site_info,
            OpCode.RESPONSE_TO_CHALLENGE: self._answered,
            OpCode.VERIFY_CHALLENGE: self._verified,
            OpCode.SESSION_SETUP: sessions.set_up,
            OpCode.SESSION_EXCHANGEKEY: sessions.key_sent,
            OpCode.SESSION_TERMINATE: sessions.terminated,
            OpCode.LOGIN_ID_SYSTEM: self._login,
            OpCode.GET_NEXT_TXN_ID: self._next_transaction,
        }

    def clear(self, envelope: Envelope, blob: bytes) -> bytes:
        """Header, body and credential of an encrypted message; see `secrecy.clear`."""
        return clear(self._trust.sessions, envelope, blob)

    def challenge(self, asked: Asked) -> tuple[Said, int]:
        """A challenge to a request outside of sessions, and its id."""
        return self._challenges.made(asked, nonce=self._trust.random_octets(NONCE_SIZE), suggested=NEWEST, rounds=0)

    async def certified(self, message: codec.Message) -> bytes:
        """The octets of a reply, signed; see `Writing.certified`."""
        return await self._writing.certified(message)

    async def parts(self, asked: Asked) -> AsyncIterator[Part]:
        """The reply, part by part. Never raises for what a peer can do."""
        turn = Turn(asked)
        envelope = asked.message.envelope
        said = await self._said(turn)
        if envelope.flags & ENCRYPTED and said.code == ResponseCode.SESSION_FAILED:
            # Just what is said of octets that the key does not open.
            yield refusal(SessionFailed(), envelope, None, version=asked.version, now_s=asked.now_s).octets
            return
        if turn.pages is not None:
            async for part in self._writing.listed(turn, turn.pages):
                yield part
            return
        yield await self._writing.written(turn, said)
        if turn.stream is not None and said.code == ResponseCode.SUCCESS:
            async for more in turn.stream:
                yield more

    async def _said(self, turn: Turn) -> Said:
        try:
            self._enter(turn)
            return await self._outcome(turn)
        except HandleError as error:
            if not isinstance(error, AuthenticationFailed):  # Those were told before they were made to wait.
                self._noted(error, turn.asked)
            if isinstance(error, SessionUnknown | ChallengeUnknown) or turn.session is None:
                turn.reply_session = turn.reply_session or turn.asked.message.envelope.session_id
            return refused(error)
        except StoreError as error:
            log.error("opcode %d: %s", turn.asked.row.opcode, error)
            return refused(HandleError(told=_UNKNOWN if isinstance(error, OutcomeUnknown) else _NOT_NOW))
        except Exception:
            log.exception("fault while answering opcode %d", turn.asked.row.opcode)
            return refused(HandleError(told="Internal Error"))

    def _noted(self, error: HandleError, asked: Asked) -> None:
        self.refusals.note(error, source=asked.peer.source, opcode=asked.row.opcode, now_s=asked.now_s)

    def _enter(self, turn: Turn) -> None:
        """Find the session that a message names, and see what proves it."""
        asked, trust = turn.asked, self._trust
        number, opcode = asked.message.envelope.session_id, asked.row.opcode
        if not number:
            return
        turn.session = trust.sessions.find(number)
        if turn.session is not None:
            turn.reply_session = number
            turn.session, turn.is_proven = heard(trust.sessions, turn.session, asked)
            return
        peer = asked.peer
        if peer.is_connection and opcode in (OpCode.GET_SITE_INFO, OpCode.LOGIN_ID_SYSTEM):
            peer.channel = number  # The sector's clients choose it themselves.
        if peer.channel == number:
            turn.reply_session = number
        elif opcode != OpCode.RESPONSE_TO_CHALLENGE:
            raise SessionUnknown(f"session {number}", told=NO_SESSION)

    async def _outcome(self, turn: Turn) -> Said:
        direct = self._direct.get(turn.asked.row.opcode)
        try:
            return await (self._ruled(turn) if direct is None else direct(turn))
        except (LoginNeeded, LoginRepeated) as error:
            if dialect.heard(error.code, turn.asked.speaker) != ResponseCode.AUTHENTICATION_NEEDED:
                raise
            return self._challenges.ask(turn)

    # Operations that rules decide about

    async def _ruled(self, turn: Turn) -> Said:
        asked, session = turn.asked, turn.session
        rules = self._rules_of(asked)
        self._expect_done_here(asked)
        turn.asked = asked = self._named(asked)
        said, is_open = self._before(rules, asked, in_session=session is not None)
        if said is not None:
            return said
        if is_open:
            return await self._perform(turn, rules, None)
        if session is not None and not turn.is_proven:
            raise InvalidCredential("a session's request without a MAC", told=_NO_MAC)
        if session is not None and session.is_proven and session.identity is not None:
            return await self._perform(turn, rules, session.identity, proves=partial(_is_index, session.key_index))
        if session is None and asked.peer.login is not None:
            return await self._perform(turn, rules, asked.peer.login)
        if session is None and asked.peer.has_tried_login:
            raise LoginNeeded("nobody has logged in on this connection", told="Log in first")
        return self._challenges.ask(turn)

    def _rules_of(self, asked: Asked) -> Rules[Any]:
        rules = self._trust.rules.get(asked.row.opcode)
        if rules is None:
            opcode = asked.row.opcode
            raise NotSupported(f"opcode {opcode}", told=f"{opcode.name} is not supported by this server")
        return rules

    def _expect_done_here(self, asked: Asked) -> None:
        row = asked.row
        is_copied = row.opcode in (OpCode.RETRIEVE_TXN_LOG, OpCode.DUMP_HANDLES)
        if (row.mutates or is_copied) and not self._trust.replies.site.is_primary:
            raise NotResponsible("a change asked of a mirror", told="Not a primary server")
        if row.opcode in _MANY and not asked.peer.is_connection:
            raise NotSupported("a list over datagrams", told="Ask over TCP: the answer is more than one message")

    def _named(self, asked: Asked) -> Asked:
        """The request, its handle completed where a suffix was to be minted."""
        if asked.row.opcode == OpCode.CREATE_HANDLE and asked.message.header.flags & MINT_SUFFIX:
            return replace(asked, body=minted(cast(ValuesRequest, asked.body), self._trust.minted_suffix()))
        return asked

    def _before(self, rules: Rules[Any], asked: Asked, *, in_session: bool) -> tuple[Said | None, bool]:
        """What is told without proof, and whether none is needed."""
        flags, version = asked.message.header.flags, asked.version
        with self._trust.store.view() as view:
            if isinstance(rules, Reading):
                look = rules.before_in_session if in_session else rules.before
                said = look(view, cast(ResolutionRequest, asked.body), flags, version)
                return (None if said is None or said.body is None else said), False
            said = rules.before(view, asked.body, flags, version)
            return said, said is None and rules.is_open(view, asked.body, flags)

    async def _perform(
        self,
        turn: Turn,
        rules: Rules[Any],
        identity: Reference | None,
        *,
        proves: Callable[[int], Awaitable[bool]] | None = None,
        verify: Callable[[], Awaitable[None]] | None = None,
    ) -> Said:
        """Authorise, verify, and do it; begun again where another change came between."""
        asked, trust = turn.asked, self._trust
        flags, body = asked.message.header.flags, asked.body
        who = ANYBODY if identity is None else f"{identity.index}:{identity.handle.decode(errors='replace')}"
        for _ in range(CHANGES_TRIED):
            with trust.store.view() as view:
                rules.after(view, body, flags)
                needs = rules.needs(view, body, flags)
                looked_at = rules.looked_at(view, body) if isinstance(rules, ChangeRules) else None
            in_session = turn.session is not None
            if identity is None:
                if needs:
                    raise Changed("proof is needed by now", told="The handle is being changed: try again")
            elif not await trust.authorizer.is_allowed(identity, needs, in_session=in_session, proves=proves):
                raise NotAuthorized(f"{who} may not do that")
            if verify is not None:
                await verify()
                verify = None
            if not isinstance(rules, ChangeRules):
                return told(trust, turn, rules, identity)
            outcome = await trust.submit(rules.change(body, flags, asked.now_s, looked_at, who))
            if outcome.error is None:
                return rules.done(body, flags, outcome)
            if not isinstance(outcome.error, Changed):
                raise outcome.error
        raise TooBusy("a handle that is changed all the time", told="The handle is being changed: try again")

    # Challenges

    async def _answered(self, turn: Turn) -> Said:
        """An answer: from here on the request that was challenged is the one to be answered."""
        asked, trust = turn.asked, self._trust
        answer, number = cast(ChallengeAnswer, asked.body), asked.message.envelope.session_id
        attempt = Attempt.of(asked.peer.source, answer.key)
        trust.failures.expect_room(attempt)
        challenge = self._challenges.taken(asked)
        if challenge.session_id and turn.session is None:
            raise SessionUnknown(f"session {number}", told=NO_SESSION)
        turn.asked = original = self._challenges.original(asked, challenge)
        turn.reply_session = turn.reply_session if turn.session or asked.peer.channel == number else 0
        digest = request_digest(challenge.version, original.message.signed_part)
        form = min(challenge.version, challenge.suggested)
        found: list[Proof] = []

        async def proof() -> Proof:
            if not found:
                found.append(await trust.authenticator.proof(answer, challenge.nonce, digest, form))
            return found[0]

        async def proves(index: int) -> bool:
            return (await proof()).is_valid and found[0].index == index

        async def verify() -> None:
            if not (await proof()).is_valid:
                older = found[0].older
                if older is not None and challenge.rounds < ROUNDS_MAX:
                    raise _Again(older)
                error = AuthenticationFailed(f"a proof of {_shown(answer.key)} failed")
                self._noted(error, original)
                await trust.failures.failed(attempt)
                raise error
            if turn.session is not None:
                trust.sessions.proven(turn.session.id, answer.key, found[0].index)

        try:
            if original.row.opcode == OpCode.LOGIN_ID_SYSTEM:
                return await self._logged_in(original, answer, verify)
            return await self._after_answer(turn, answer.key, proves, verify)
        except _Again as again:
            said, turn.reply_session = self._challenges.made(
                original,
                nonce=challenge.nonce,
                suggested=again.suggested,
                rounds=challenge.rounds + 1,
                session=turn.session,
                number=number,
            )
            return said

    async def _after_answer(
        self,
        turn: Turn,
        identity: Reference,
        proves: Callable[[int], Awaitable[bool]],
        verify: Callable[[], Awaitable[None]],
    ) -> Said:
        rules = self._rules_of(turn.asked)
        self._expect_done_here(turn.asked)
        turn.asked = self._named(turn.asked)
        said, is_open = self._before(rules, turn.asked, in_session=turn.session is not None)
        if said is not None:
            return said
        if is_open:
            return await self._perform(turn, rules, None)
        return await self._perform(turn, rules, identity, proves=proves, verify=verify)

    async def _verified(self, turn: Turn) -> Said:
        """VERIFY_CHALLENGE: whether an answer fits a secret that is kept here. Guessing costs time."""
        request, trust = cast(VerifyChallengeRequest, turn.asked.body), self._trust
        if not trust.keeps(request.key.handle):
            raise NotResponsible("a secret that is not kept here", told="That prefix doesn't live here")
        attempt = Attempt.of(turn.asked.peer.source, request.key, is_relayed=True)
        trust.failures.expect_room(attempt)
        proof = await trust.authenticator.by_secret(request)
        if not proof.is_valid:
            self._noted(AuthenticationFailed(f"no proof of {_shown(request.key)}"), turn.asked)
            await trust.failures.failed(attempt)
        return Said(ResponseCode.SUCCESS, VerifyResponse(valid=proof.is_valid))

    # The sector's login

    async def _login(self, turn: Turn) -> Said:
        if not turn.asked.peer.is_connection:
            raise NotSupported("a login without a connection", told="Log in over TCP")
        turn.asked.peer.has_tried_login = True  # Again on a connection that has one: the new one counts from then on.
        return self._challenges.ask(turn)

    async def _logged_in(self, asked: Asked, answer: ChallengeAnswer, verify: Callable[[], Awaitable[None]]) -> Said:
        refused_for = ""
        if cast(LoginRequest, asked.body).user != answer.key:
            refused_for = f"a login by the proof of {_shown(answer.key)}"
        elif not self._trust.may_name(answer.key.handle, asked.peer.host):
            refused_for = f"a stranger's login as {_shown(answer.key)}, which is kept elsewhere"
        if refused_for:
            error = AuthenticationFailed(refused_for)
            self._noted(error, asked)
            raise error
        await verify()
        asked.peer.login = answer.key
        return Said(ResponseCode.SUCCESS, EmptyResponse())

    async def _site_info(self, turn: Turn) -> Said:
        return Said(ResponseCode.SUCCESS, SiteResponse(site=self._trust.replies.site))

    async def _next_transaction(self, turn: Turn) -> Said:
        raise NotSupported("asked for the next transaction", told="Next txn id no longer supported; upgrade required")


def _shown(key: Reference) -> str:
    return f"{key.index}:{key.handle[:SHOWN]!r}"


async def _is_index(proven: int, index: int) -> bool:
    return proven == index
