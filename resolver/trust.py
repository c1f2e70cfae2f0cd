"""What administration is made of, and one message on its way through it."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from protocol.codes import OpCode
from resolver.authentication import Authenticator
from resolver.authorization import Authorizer
from resolver.challenges import Challenges
from resolver.failures import Failures
from resolver.key_exchange import KeyExchanges
from resolver.operations.listing import Page
from resolver.operations.rules import Rules
from resolver.pending import Part
from resolver.replication.source import Source
from resolver.replies import Asked, Replies
from resolver.sessions import Session, Sessions
from resolver.signing import Signer
from storage.base import Change, HandleStore, Outcome

Submit = Callable[[Change], Awaitable[Outcome]]
Status = Callable[[], tuple[bytes, bytes]]
"""Text of the server's state, and JSON of its replication, for `0.SITE/status`."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What administration is made of."""

    store: HandleStore
    rules: Mapping[OpCode, Rules[Any]]
    replies: Replies
    authorizer: Authorizer
    authenticator: Authenticator
    failures: Failures
    challenges: Challenges
    sessions: Sessions
    exchanges: KeyExchanges
    signer: Signer
    submit: Submit
    source: Source
    status: Status
    keeps: Callable[[bytes], bool]
    may_recurse: Callable[[str], bool] = field(default=lambda _: False)
    random_octets: Callable[[int], bytes] = secrets.token_bytes
    minted_suffix: Callable[[], bytes] = field(default=lambda: b"")

    def may_name(self, handle: bytes, host: str) -> bool:
        """Whether somebody who has proven nothing may name this handle's key: it is kept here, or we ask for them."""
        return self.keeps(handle) or self.may_recurse(host)


@dataclass(slots=True)
class Turn:
    """One message on its way: what is answered in the end may be an earlier request, which this one proves."""

    asked: Asked
    session: Session | None = None
    is_proven: bool = False
    reply_session: int = 0
    pages: Iterator[Page] | None = None
    stream: AsyncIterator[Part] | None = None
