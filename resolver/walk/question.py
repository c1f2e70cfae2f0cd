"""What the parts of a walk say to each other: a question to be put to sites, and what came of it. Values only.

Named tuples where a walk makes many: they cost a third of a frozen dataclass. Fields are given by name.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from protocol.codec import Message
from protocol.codes import ResponseCode
from protocol.requests import Body
from protocol.site import Site
from protocol.trust.keys import PublicKey
from resolver.walk.events import NoReply, Place, Way


class Candidate(NamedTuple):
    """One server that may be asked: that of a site which holds the handle. `udp` and `tcp` are ports, 0 for none."""

    site: Site
    host: str
    udp: int
    tcp: int
    keys: tuple[PublicKey, ...]

    @property
    def where(self) -> tuple[str, int, int]:
        """What tells servers apart."""
        return self.host, self.udp, self.tcp

    def place(self, way: Way) -> Place:
        """Where it listens for what travels that way."""
        return Place(self.host, self.udp if way is Way.UDP else self.tcp)


class Question(NamedTuple):
    """Put this to the sites until one answers.

    `handle` decides the server of each site. A look-up (`is_lookup`) wants values alone, so that other codes are no
    answers. `avoid`: servers that have been asked this already, and referred. `is_root`: the sites are the root's.
    """

    why: str
    handle: bytes
    body: Body
    opcode: int
    flags: int
    sites: tuple[Site, ...]
    recursion_count: int
    depth: int
    is_lookup: bool
    is_primary_only: bool = False
    is_certified: bool = False
    is_root: bool = False
    avoid: Collection[tuple[str, int, int]] = ()

    def put_to(self, sites: tuple[Site, ...], *, is_root: bool) -> "Question":
        """The same for these sites: `_replace` takes three times as long."""
        return Question(
            self.why, self.handle, self.body, self.opcode, self.flags, sites, self.recursion_count, self.depth,
            self.is_lookup, self.is_primary_only, self.is_certified, is_root, self.avoid,
        )  # fmt: skip


class Reply(NamedTuple):
    """An answer that counts. `message` and `server` are None for what was known without asking.

    `octets`: the list of the body's values as it came; empty where there is none, or none that is just that.
    """

    code: int
    body: Body
    message: Message | None = None
    server: Candidate | None = None
    place: Place | None = None
    is_authoritative: bool = True
    octets: bytes = b""


class Try(NamedTuple):
    """One message that brought no answer that counts, with the code or the reason."""

    place: Place
    way: Way
    outcome: int | NoReply


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """No site answered. `is_ours`: the node itself, which is never asked, is among the servers named."""

    told: str
    is_ours: bool = False


class Stuck(Exception):
    """A walk, or a look-up on its way, that comes to nothing. `is_limit`: a bound was met, and all must end."""

    def __init__(self, told: str, *, code: int = ResponseCode.ERROR, is_failure: bool, is_limit: bool = False) -> None:
        super().__init__(told)
        self.told = told
        self.code = code
        self.is_failure = is_failure
        self.is_limit = is_limit


def shown(handle: bytes, size_max: int = 80) -> str:
    """A stranger's handle for people: printable, cut short."""
    text = handle.decode(errors="replace")
    text = "".join([sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text[: size_max + 1]])
    return text if len(text) <= size_max else text[:size_max] + "…"
