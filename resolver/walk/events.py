"""What a walk is asked for, what it wants done, what it hears, and how it ends. Values; nothing here decides.

Named tuples where a walk makes many: they cost a third of a frozen dataclass. Fields are given by name.

The driver (`resolver.recursion`) calls `Walk.start`, `Walk.heard`, `Walk.failed` and `Walk.woken`, each with the time,
and carries out the actions that they return, in order. After `Ended` nothing more comes and nothing may be told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from protocol.codec import Message
from protocol.requests import Body
from protocol.trust.keys import PublicKey
from protocol.value import HandleValue
from protocol.version import Version
from resolver.walk.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One request to be answered wherever its handle is kept.

    `handle` is the full handle that decides where; `body`, `opcode` and `flags` are those of the request. `flags`
    lose RECURSIVE on the way. `recursion_count` is that of the request on whose behalf we walk. With `certify` every
    answer on the way must be signed by the site's key, which a chain of signed answers leads to. `follow_aliases`: an
    HS_ALIAS among the values is followed (resolutions only). `primary_only`: changes and proofs are asked of primaries.
    """

    handle: bytes
    body: Body
    opcode: int
    flags: int
    recursion_count: int = 0
    certify: bool = False
    follow_aliases: bool = False
    primary_only: bool = False


class Way(Enum):
    """How one message travels."""

    UDP = "udp"
    TCP = "tcp"


class Place(NamedTuple):
    """Where a server listens: an address as text, and a port.

    `host` is a DNS name where a site has no address but an attribute `domain`: the driver looks it up.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host} port {self.port}"


class Ask(NamedTuple):
    """Send a request and tell what comes: `Walk.heard(number, …)` or `Walk.failed(number, …)`, once.

    The driver draws the request id and, for each question, a source port; over UDP it sends again after each of
    `waits_ms` but the last, over TCP `waits_ms` are connecting and answering. Only a message from `place` with this
    request's id counts. With `keys` the answer must be signed by one of them and carry the request's digest
    (`client_proof`): one that does not is a failure, `NoReply.UNPROVEN`.
    """

    number: int
    place: Place
    way: Way
    body: Body
    opcode: int
    flags: int
    version: Version
    site_serial: int
    recursion_count: int
    waits_ms: tuple[int, ...]
    keys: tuple[PublicKey, ...] = ()


class Drop(NamedTuple):
    """Wait no longer for the reply to `number`: nothing must be told of it."""

    number: int


class Wake(NamedTuple):
    """Call `Walk.woken(number, …)` at `at_ms`, of the clock whose readings the walk is given."""

    number: int
    at_ms: int


class Learnt(NamedTuple):
    """Something worth remembering: the public values of a handle, or that there are none.

    `indexes` and `types` are those that were asked for. `code` is SUCCESS, HANDLE_NOT_FOUND or VALUES_NOT_FOUND.
    `is_certified`: a signature chain vouches for it. `octets`: the list of `values` as it came, empty where there is
    none that is just that.
    """

    handle: bytes
    indexes: tuple[int, ...]
    types: tuple[bytes, ...]
    code: int
    values: tuple[HandleValue, ...]
    is_certified: bool
    octets: bytes = b""


@dataclass(frozen=True, slots=True)
class RootMoved:
    """A root server says that what is known of the root is out of date: refresh it, some time soon."""


class NoReply(Enum):
    """Why no answer came."""

    SILENT = "no answer"
    UNREACHABLE = "cannot be reached"
    UNREADABLE = "sent what is no answer"
    UNPROVEN = "sent an answer without a good signature"


class Step(NamedTuple):
    """One question of a walk, for people: what was asked of whom, and what came of it. Times in milliseconds.

    `why` says what the question was for (`prefix`, `service`, `target`, …); `place` is None for what was remembered.
    `outcome` is a response code, or a `NoReply` (SILENT also where another answer was first). `depth`: 0 for questions
    about what was asked for, one more for each look-up that another one needs; a look-up stands before what needs it.
    """

    why: str
    handle: bytes
    place: Place | None
    way: Way | None
    began_ms: int
    took_ms: int
    outcome: int | NoReply
    depth: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a walk ended.

    `code` and `body` are those of the answer, or of the error that the walk itself came to (then `reply` is None and
    `body` an `ErrorResponse`): HANDLE_NOT_FOUND where there is no service, RECURSION_COUNT_TOO_HIGH, else ERROR.
    `reply` is None, too, where an alias led to what is kept here or remembered. `body` counts, not `reply.body`: values
    that nobody asked for are left out. `namespaces`: HS_NAMESPACE XML of the handle's prefix, lowest index first, then
    what all prefixes inherit; a client needs it for `locs` alone, since servers compute template handles themselves.
    `told` says for people what went wrong. `is_certified` as in `Learnt`. `is_failure`: the world could not be asked
    (servers silent, lame, too many questions), so that an older answer may be used instead. `octets`: the list of the
    body's values, where it is known, so that nobody has to write them anew.
    """

    code: int
    body: Body
    reply: Message | None = None
    place: Place | None = None
    told: str = ""
    is_certified: bool = False
    is_failure: bool = False
    steps: tuple[Step, ...] = ()
    namespaces: tuple[bytes, ...] = ()
    octets: bytes = b""


Action = Ask | Drop | Wake | Learnt | RootMoved | Ended


class Known(NamedTuple):
    """What is remembered of a handle: see `Learnt`. `age_ms`: how long ago it was learnt; 0 for what is kept here."""

    code: int
    values: tuple[HandleValue, ...]
    is_certified: bool
    age_ms: int = 0


class Memory(Protocol):
    """What a walk may look up on its way: the node's own store and its cache. Never waits."""

    def known(self, handle: bytes, *, types: Sequence[bytes], certified: bool, now_ms: int) -> Known | None:
        """What is known of the values of these types, kept here or remembered; None where somebody must be asked.

        No types: all values. `certified`: only what a signature chain vouches for, or what is kept here.
        """
        ...


class Chance(Protocol):
    """Random numbers, or a seeded stand-in."""

    def below(self, bound: int) -> int:
        """A number from 0 up to, not including, `bound`."""
        ...


class RoundTrips(Protocol):
    """How long servers took, as this process saw it."""

    def of_ms(self, host: str) -> int:
        """The time to expect, 0 where nothing is known."""
        ...

    def took(self, host: str, ms: int) -> None:
        """An answer came after that time."""
        ...

    def failed(self, host: str) -> None:
        """No answer came."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a walk is given."""

    world: World
    memory: Memory
    round_trips: RoundTrips
    chance: Chance
