"""The root's data asked for anew: every record certified on its way and signed, in the end by a key that was known.

Asks through a function and writes nothing: what comes back replaces the old data as a whole, or not at all.
Source: spec, resolution: section 2.3; spec, records: section 8.
"""

import logging
from collections.abc import Awaitable, Callable, Generator
from typing import Final, TypeVar

from protocol.codes import (
    AUTHORITATIVE,
    CERTIFY,
    DEFAULT_REQUEST_FLAGS,
    RECURSIVE,
    REQUEST_DIGEST,
    OpCode,
    ResponseCode,
)
from protocol.identifier import ROOT_PREFIX_HANDLE, folded, full, is_utf8, prefix_folded
from protocol.limits import HANDLE_SIZE_MAX
from protocol.requests import ResolutionRequest
from protocol.responses import ResolutionResponse
from protocol.trust.chains import TRUST_ROOT, TrustRoot, Values
from protocol.trust.record_signatures import JudgedRecord, judged_record
from protocol.value import HandleValue
from resolver.bootstrap.deriving import SERVICE_DEPTH_MAX, root_sites, trust_root
from resolver.bootstrap.rollback import older
from resolver.bootstrap.root_data import RootData
from resolver.bootstrap.sites import services_of
from resolver.walk.events import Ended, Query

log = logging.getLogger(__name__)

Ask = Callable[[Query], Awaitable[Ended]]
"""Finds the answer to a question, wherever it is: `Recursion.ended`."""

SERVICES_MAX: Final = 256
"""Service handles of one refresh: the public root names about a dozen."""

CERTIFICATES_MAX: Final = 64
"""Handles of certificates asked for in one refresh, beside those of the root itself."""

_THEN: Final = "If the root truly went back, take bootstrap_handles from who runs it"
_TOLD: Final = 200  # Characters of a stranger's words that the log shows.
_T = TypeVar("_T")


class NotRefreshed(Exception):
    """The root's data stay as they were; the text says why."""


class Refresh:
    """One refresh. `old` is what is known now, and alone decides which keys are believed."""

    def __init__(self, old: RootData, ask: Ask, *, now_ms: int, preferred: bytes | None = None) -> None:
        self._old = old
        self._ask = ask
        self._now_ms = now_ms
        self._preferred = preferred
        self._trusted = trust_root(old)
        self._asked: dict[bytes, tuple[HandleValue, ...] | None] = {}
        self._certificates_left = CERTIFICATES_MAX

    async def done(self) -> RootData:
        """The new data, all of it verified; `NotRefreshed` where the old must be kept."""
        if not self._trusted.keys:
            raise NotRefreshed("no public key of 0.0/0.0 is known: nothing that comes could be believed")
        found = {handle: await self._needed(handle) for handle in (TRUST_ROOT, ROOT_PREFIX_HANDLE)}
        if self._preferred is not None and folded(self._preferred) not in found:
            await self._add(self._preferred, found)
        await self._follow(found)
        new = RootData.of(self._now_ms, found)
        if not root_sites(new):
            raise NotRefreshed("the new root names no site")
        if not trust_root(new).keys:
            raise NotRefreshed("the new root has no key")
        return new

    async def _needed(self, handle: bytes) -> tuple[HandleValue, ...]:
        values = await self._values(handle)
        if values is None:
            raise NotRefreshed(f"{_shown(handle)} was not told with a signature of its server")
        fault = await self._fault(handle, values)
        if fault:
            raise NotRefreshed(f"{_shown(handle)} is not to be believed: {fault}")
        why = self._older(handle, values)
        if why:
            raise NotRefreshed(f"{_shown(handle)} is an old one: {why}. {_THEN}")
        return values

    async def _follow(self, found: dict[bytes, tuple[HandleValue, ...]]) -> None:
        """Add the services that the records name, level by level."""
        level = list(found)
        for _ in range(SERVICE_DEPTH_MAX):
            named = [service for handle in level for service in services_of(found.get(handle, ()))]
            known = {prefix_folded(handle) for handle in found}
            level = [handle for handle in dict.fromkeys(named) if prefix_folded(handle) not in known]
            for handle in level:
                if len(found) >= SERVICES_MAX:
                    log.warning("the root names more than %d services: the others are left out", SERVICES_MAX)
                    return
                await self._add(handle, found)

    async def _add(self, handle: bytes, found: dict[bytes, tuple[HandleValue, ...]]) -> None:
        """One service: verified, or as it was known where it cannot be asked, or left out."""
        values = await self._values(handle)
        if values is None:
            kept = self._old.values(handle)
            if kept is not None:
                log.info("%s could not be asked for: what was known of it stays", _shown(handle))
                found[handle] = kept
            return
        fault = await self._fault(handle, values)
        if fault:
            log.warning("%s is left out of the root's data: %s", _shown(handle), fault)
            return
        why, kept = self._older(handle, values), self._old.values(handle)
        if why and kept is not None:
            log.warning("what was told of %s is an old one: %s. What was known stays", _shown(handle), why)
            values = kept
        found[handle] = values

    # Asking and judging

    async def _fault(self, handle: bytes, values: tuple[HandleValue, ...]) -> str:
        """Why a record is not to be believed; empty where it is."""
        judged = await self._driven(judged_record(handle, values, self._trusted, now=self._now_ms / 1000))
        return "" if judged.is_good else _why(judged, self._trusted)

    def _older(self, handle: bytes, values: tuple[HandleValue, ...]) -> str:
        """Why a record that is to be believed is older than the known one; empty where it is not."""
        return older(self._old.values(handle) or (), values, now_s=self._now_ms / 1000)

    async def _driven(self, asking: Generator[bytes, Values | None, _T]) -> _T:
        """What a generator returns that asks for the values of handles which strangers named."""
        try:
            handle = next(asking)
            while True:
                handle = asking.send(await self._certificates(handle))
        except StopIteration as end:
            found: _T = end.value
            return found

    async def _certificates(self, handle: bytes) -> Values | None:
        if not 0 < len(handle) <= HANDLE_SIZE_MAX or not is_utf8(handle):
            return None
        if prefix_folded(full(handle)) not in self._asked:
            if not self._certificates_left:
                return None
            self._certificates_left -= 1
        return await self._values(handle)

    async def _values(self, handle: bytes) -> tuple[HandleValue, ...] | None:
        """The public values of a handle as its server signed them, asked for once; None where nobody tells them."""
        name = full(handle)
        key = prefix_folded(name)
        if key not in self._asked:
            # A primary first: a mirror may be behind, and what is remembered is not what is wanted.
            ended = await self._ask(_query(name, AUTHORITATIVE))
            if ended.is_failure:
                ended = await self._ask(_query(name))
            self._asked[key] = _public(ended)
        return self._asked[key]


def _query(handle: bytes, flags: int = 0) -> Query:
    return Query(
        handle=handle,
        body=ResolutionRequest(handle=handle),
        opcode=OpCode.RESOLUTION,
        flags=(DEFAULT_REQUEST_FLAGS & ~RECURSIVE) | CERTIFY | REQUEST_DIGEST | flags,
        certify=True,
        primary_only=bool(flags & AUTHORITATIVE),
    )


def _public(ended: Ended) -> tuple[HandleValue, ...] | None:
    if ended.code != ResponseCode.SUCCESS or not isinstance(ended.body, ResolutionResponse) or not ended.is_certified:
        return None
    return tuple([value for value in ended.body.values if value.is_public])


def _why(judged: JudgedRecord, trusted: TrustRoot) -> str:
    if not judged.signatures:
        return "nobody signed it"
    for signature in judged.signatures:
        if signature.is_good:
            continue
        if signature.fault:
            return signature.fault[:_TOLD]
        if signature.chain is not None and not signature.chain.is_rooted:
            return f"the chain of the signature at {signature.index} ends at none of {len(trusted.keys)} trusted keys"
        if signature.values is not None and (signature.values.changed or signature.values.missing):
            return f"values were changed after the signature at {signature.index}"
        return f"the signature at {signature.index} does not hold"
    return f"nobody signed the value at {judged.unsigned[0]}"


def _shown(handle: bytes) -> str:
    return handle[:_TOLD].decode(errors="replace")
