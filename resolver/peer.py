"""Who sent a message, and by what: the place of one client, or of one connection, as far as answers depend on it."""

from dataclasses import dataclass

from protocol.value import Reference
from resolver.challenges import Challenge


@dataclass(slots=True)
class Peer:
    """`source` is whose limits count, `host` the address itself; `admin` whether this interface may administer.

    `is_connection`: more than one message can follow a request. `channel` and `login` are of the sector's dialect: the
    session id that the client chose for its connection, and who logged in on it; `waiting` is the challenge that the
    connection has under such an id, and `has_tried_login` says that somebody asked to log in on it (spec, protocol:
    section 11).
    """

    source: str
    admin: bool
    is_connection: bool = False
    is_secure: bool = False
    channel: int = 0
    login: Reference | None = None
    has_tried_login: bool = False
    waiting: Challenge | None = None
    host: str = ""
