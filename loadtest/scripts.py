"""What clients of an administrative load say: each kind of load as a script for one client, told the replies it gets.

A script is a generator: it gives `Say`s, and is sent the octets of each reply. It asks no clock and opens nothing.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from loadtest.session import Link, Owner, Session, answer, done, opened, request
from loadtest.workload import PREFIX, values
from protocol.administrator import ALL_PERMISSIONS, Administrator
from protocol.codec import Message
from protocol.codes import DEFAULT_PERMISSIONS, OpCode, ResponseCode
from protocol.requests import ResolutionRequest, ValuesRequest
from protocol.value import HandleValue

OPEN_INDEX: Final = 5  # The value that everybody may write, and the one that its administrator alone may.
OWNED_INDEX: Final = 6
_EVERYBODY: Final = 0x0F


class Kind(Enum):
    """What clients do: create handles or resolve them, each in a session; or modify a value, outside of sessions."""

    CREATE = "create"  # In a session: a handle with the three values of a workload.
    RESOLVE = "resolve"  # In a session: all values of a handle that stands.
    OPEN = "open"  # A value that everybody may write: no proof is needed.
    CHALLENGED = "challenged"  # The like of it that its administrator alone may write: a challenge, and an RSA answer.


class Say(NamedTuple):
    """Octets to send, the code that their reply is to have, and whether that reply ends an operation."""

    octets: bytes
    code: ResponseCode = ResponseCode.SUCCESS
    is_last: bool = True


Script = Generator[Say, bytes, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One client's part in a load: `count` operations over a connection.

    `name` tells the client from all others of all runs; `handles` are those to resolve.
    """

    link: Link
    owner: Owner
    name: str
    count: int
    handles: Sequence[bytes] = ()

    def session(self) -> Session:
        """A session that needs no further challenge."""
        session = opened(self.link, self.owner)
        body = ValuesRequest(handle=f"{PREFIX}/session-{self.name}".encode(), values=values(0, 0))
        done(self.link, self.owner, body, OpCode.CREATE_HANDLE, session)
        return session

    def modified(self, index: int, permissions: int, number: int) -> ValuesRequest:
        """The value at an index with a new number in it."""
        value = HandleValue(index=index, type=b"COUNT", data=b"%012d" % number, permissions=permissions)
        return ValuesRequest(handle=f"{PREFIX}/record-{self.name}".encode(), values=(value,))

    def make_record(self) -> None:
        """A record with a value that everybody may write, one that is its administrator's, and that administrator."""
        admin = Administrator(ALL_PERMISSIONS, self.owner.key.handle, self.owner.key.index).to_bytes()
        open_, owned = self.modified(OPEN_INDEX, _EVERYBODY, 0), self.modified(OWNED_INDEX, DEFAULT_PERMISSIONS, 0)
        found = (*open_.values, *owned.values, HandleValue(index=100, type=b"HS_ADMIN", data=admin))
        done(self.link, self.owner, ValuesRequest(handle=open_.handle, values=found), OpCode.CREATE_HANDLE)


def script(kind: Kind, part: Part) -> Script:
    """What one client of that kind says; its session or record is made before the first operation."""
    return _MAKERS[kind](part)


def _creating(part: Part) -> Script:
    session = part.session()
    made = [
        ValuesRequest(handle=f"{PREFIX}/{part.name}-{number:06d}".encode(), values=values(0, number))
        for number in range(part.count)
    ]
    return _said([session.written(request(body, OpCode.CREATE_HANDLE, n, session)) for n, body in enumerate(made)])


def _resolving(part: Part) -> Script:
    session, handles = part.session(), part.handles
    asked = [ResolutionRequest(handle=handles[number % len(handles)]) for number in range(part.count)]
    return _said([session.written(request(body, OpCode.RESOLUTION, n, session)) for n, body in enumerate(asked)])


def _open(part: Part) -> Script:
    part.make_record()
    asked = [part.modified(OPEN_INDEX, _EVERYBODY, number) for number in range(1, part.count + 1)]
    return _said([request(body, OpCode.MODIFY_VALUE, n).to_bytes() for n, body in enumerate(asked)])


def _challenged(part: Part) -> Script:
    part.make_record()
    asked = [part.modified(OWNED_INDEX, DEFAULT_PERMISSIONS, number) for number in range(1, part.count + 1)]
    return _proven(part.owner, [request(body, OpCode.MODIFY_VALUE, n).to_bytes() for n, body in enumerate(asked)])


def _said(messages: Sequence[bytes]) -> Script:
    for octets in messages:
        yield Say(octets)


def _proven(owner: Owner, messages: Sequence[bytes]) -> Script:
    for number, octets in enumerate(messages):
        challenge = yield Say(octets, ResponseCode.AUTHENTICATION_NEEDED, is_last=False)
        yield Say(answer(owner, Message.read(challenge), number).to_bytes())


_MAKERS: Final[dict[Kind, Callable[[Part], Script]]] = {
    Kind.CREATE: _creating,
    Kind.RESOLVE: _resolving,
    Kind.OPEN: _open,
    Kind.CHALLENGED: _challenged,
}
