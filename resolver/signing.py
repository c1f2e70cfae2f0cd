"""Signed answers: the node's key at work off the event loop, in a bounded pool.

Sources: behaviours 5; spec, security: sections 6.2 and 7.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from typing import Final, TypeVar

from protocol.codec import Message
from protocol.codes import CERTIFY
from protocol.errors import TooBusy
from protocol.trust.credential import Credential
from protocol.trust.keys import SHA1, PrivateKey, signature
from protocol.trust.signature import signed, signed_octets

_Result = TypeVar("_Result")

THREADS: Final = 2  # A worker has one core as a rule: a second thread keeps it busy while the first one hands over.
WAITING_MAX: Final = 256  # Things to compute that may wait: with RSA-2048 about half a second of one core.
KEPT_MAX: Final = 1_024  # Signatures that are kept: 256 octets each as a rule.


class Pool:
    """Computes what takes a millisecond or more: signatures, checks of proofs, key exchanges."""

    def __init__(self, *, threads: int = THREADS, waiting_max: int = WAITING_MAX) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="proof")
        self._waiting_max = waiting_max
        self.waiting = 0

    async def run(self, work: Callable[[], _Result]) -> _Result:
        """What `work` gives, computed by a thread; `TooBusy` at once where too much waits already."""
        if self.waiting >= self._waiting_max:
            raise TooBusy(f"{self.waiting} computations wait")
        self.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self.waiting -= 1

    def close(self) -> None:
        """Start nothing more."""
        self._executor.shutdown(wait=False, cancel_futures=True)


class Signer:
    """Signs with the node's private key. A signature is kept for octets that are just the same."""

    def __init__(self, key: PrivateKey, pool: Pool) -> None:
        self._key = key
        self._pool = pool
        self._kept: OrderedDict[bytes, Credential] = OrderedDict()

    async def certified(self, message: Message) -> Message:
        """The message with a credential `HS_SIGNED` and the flag that says so; `TooBusy` where too much waits."""
        flagged = replace(message, header=replace(message.header, flags=message.header.flags | CERTIFY))
        part = flagged.signed_part
        name = sha256(signed_octets(flagged.envelope, 0, part)).digest() + bytes(flagged.envelope.version)
        credential = self._kept.get(name)
        if credential is None:
            credential = await self._pool.run(lambda: signed(self._key, flagged.envelope, part))
            self._kept[name] = credential
            if len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
        return replace(flagged, credential=credential.to_bytes())

    async def signature_of(self, octets: bytes) -> bytes:
        """The signature of a block of a replication stream, by SHA1 (spec, resolution: section 7.1)."""
        return await self._pool.run(lambda: signature(self._key, SHA1, octets))
