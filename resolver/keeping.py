"""Whether a client asks to keep its connection: told in its message, and where that is encrypted, by who opened it."""

from typing import Final

from protocol.codes import ENCRYPTED, KEEP_CONNECTION
from protocol.limits import ENVELOPE_SIZE
from resolver.pending import Pending

_ENVELOPE_FLAGS_AT: Final = 2
_FLAGS_AT: Final = ENVELOPE_SIZE + 8  # Where a clear message has the first octet of its flags.
_KEEP: Final = KEEP_CONNECTION >> 24


def asks_to_keep(asked: bytes) -> bool:
    """Whether a message asks for it in the clear: what an encrypted one has at that place is chance."""
    return len(asked) > _FLAGS_AT and bool(asked[_FLAGS_AT] & _KEEP) and not asked[_ENVELOPE_FLAGS_AT] & ENCRYPTED


def keeps(reply: Pending, asked: bytes) -> bool:
    """Whether a message that takes time to answer asks for it."""
    return asks_to_keep(asked) if reply.keeps is None else reply.keeps
