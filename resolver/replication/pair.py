"""What a mirror's parts share: whom it copies, which share of it, and where the copy is kept."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from protocol.requests import Receiver
from protocol.trust.keys import public_key_octets
from resolver.replication.asking import Asking, SourceServer
from resolver.replication.copying import Copier
from storage.base import HandleStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A source and the store that becomes equal to it. `now_ms` gives milliseconds since 1970.

    `folder` is for what a dump needs while it runs; `case_sensitive` is the store's key rule.
    """

    source: SourceServer
    receiver: Receiver
    asking: Asking
    store: HandleStore
    case_sensitive: bool
    folder: Path
    now_ms: Callable[[], int]

    @property
    def key(self) -> bytes:
        """The source's public key in wire form: whom numbers and dates belong to."""
        return public_key_octets(self.source.key)

    @property
    def copier(self) -> Copier:
        """What writes to the store."""
        return Copier(self.store, self.now_ms)
