"""A reply that must be waited for: for a signature, a disk, another server, or because it is longer than one message.

Most replies are octets at once. The others are parts, made one after the other while a transport sends them.
"""

import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Secure:
    """From here on TLS, on the same connection, with this side as the TLS server (spec, resolution: section 7.1)."""

    context: ssl.SSLContext


Part = bytes | Secure


@dataclass(frozen=True, slots=True)
class Pending:
    """A reply to come. `parts` begins it, once: whole messages as octets, then whatever follows them on the connection.

    No parts at all is silence. A transport that cannot carry more than one part sends the first one. `keeps` says
    whether the client asks to keep its connection, where that was encrypted; None where the message says it itself.
    """

    parts: Callable[[], AsyncIterator[Part]]
    keeps: bool | None = None
