"""From signed claims up to a key that is trusted: which certificates make the chain, and whether each link holds.

Asks nobody by itself: `chain` yields the handles whose values it wants, so that the caller may take them from a store
or from the network. The values given must be the handle's own: certified, or from our store.
Source: spec, records: section 8.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from protocol.errors import HandleError, Malformed
from protocol.identifier import folded, prefix_folded
from protocol.trust.claims import HS_CERT, LINKS_MAX, Grant, SignedClaims, identity, identity_text
from protocol.trust.keys import PublicKey, read_public_key
from protocol.trust.reach import permits, same_handle
from protocol.value import HandleValue, Reference

TRUST_ROOT: Final = b"0.0/0.0"
"""The handle whose public keys are trusted without a certificate (spec, records: section 1.1)."""

HS_PUBKEY: Final = b"HS_PUBKEY"

_T = TypeVar("_T")
Values = Sequence[HandleValue]
Asking = Generator[bytes, Values | None, "tuple[Link, ...]"]
"""Yields a handle, is sent its values (None: no such handle, or nobody can say), and returns the chain."""


class ChainBroken(HandleError):
    """No chain leads from the claims to a self-issued certificate: the text says where it ends and why."""


@dataclass(frozen=True, slots=True)
class Link:
    """Signed claims, with what the next certificate says of their issuer: key (if any) and what it may speak for."""

    signed: SignedClaims
    key: PublicKey | None
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class JudgedLink:
    """What holds of one link: the signature by the certified key, the times, and the right over the handle."""

    link: Link
    is_signed: bool
    is_in_time: bool
    is_authorised: bool

    @property
    def is_good(self) -> bool:
        """Whether all of it holds."""
        return self.is_signed and self.is_in_time and self.is_authorised


@dataclass(frozen=True, slots=True)
class JudgedChain:
    """All links, from the claims up, and whether the last one's key is trusted."""

    links: tuple[JudgedLink, ...]
    is_rooted: bool

    @property
    def is_good(self) -> bool:
        """Whether every link holds and the end is trusted."""
        return self.is_rooted and all(link.is_good for link in self.links)


@dataclass(frozen=True, slots=True)
class TrustRoot:
    """Keys that are believed. `handle` is whose keys they must be; None believes their owners under any name."""

    keys: frozenset[PublicKey]
    handle: bytes | None = TRUST_ROOT

    @classmethod
    def of_values(cls, values: Iterable[HandleValue]) -> "TrustRoot":
        """The keys of the HS_PUBKEY values of the trust root's record; those that cannot be read are left out."""
        keys = set()
        for value in values:
            if is_of_type(value, HS_PUBKEY):
                try:
                    keys.add(read_public_key(value.data))
                except Malformed:
                    continue  # One broken value leaves the other keys in force.
        return cls(frozenset(keys))


def is_of_type(value: HandleValue, kind: bytes) -> bool:
    """Whether the value has that type or a subtype of it, in any case."""
    return (folded(value.type) + b".").startswith(folded(kind) + b".")


def chain(signed: SignedClaims) -> Asking:
    """Follow the claims to a self-issued set: a generator as `Asking` says, `ChainBroken` where none is reached.

    At most `LINKS_MAX` handles are asked for, none twice for the same issuer; they are as a stranger wrote them, and
    may be none (empty, too long): send None for such. Nothing is verified yet: see `judged`.
    """
    links: list[Link] = []
    seen: set[tuple[Reference, Reference]] = set()
    ways: tuple[bytes, ...] = ()
    while not _is_self_issued(signed):
        issuer = _issuer(signed)
        if len(links) >= LINKS_MAX:
            raise ChainBroken(f"the chain has more than {LINKS_MAX} links")
        ways = ways or signed.claims.chain or (identity(issuer).handle,)
        place = identity(ways[0])
        step = (_folded(place), _folded(identity(issuer)))
        if step in seen:
            raise ChainBroken(f"the chain comes back to {_text(ways[0])}")
        seen.add(step)
        values = yield place.handle
        parent = _certificate(values, place, issuer)
        links.append(Link(signed, parent.claims.public_key, parent.claims.grants))
        signed, ways = parent, ways[1:]
    links.append(Link(signed, signed.claims.public_key, signed.claims.grants))
    return tuple(links)


def followed(signed: SignedClaims, values_of: Callable[[bytes], Values | None]) -> tuple[Link, ...]:
    """The chain, with every handle's values taken from a function: for callers that need not wait."""
    return driven(chain(signed), values_of)


def driven(asking: Generator[bytes, Values | None, _T], values_of: Callable[[bytes], Values | None]) -> _T:
    """What a generator that asks for handles returns, each answered by the function."""
    try:
        handle = next(asking)
        while True:
            handle = asking.send(values_of(handle))
    except StopIteration as end:
        found: _T = end.value
        return found


def judged(links: Sequence[Link], handle: bytes, root: TrustRoot, *, now: float) -> JudgedChain:
    """What holds of a chain for claims about the handle, at a time in seconds since 1970. Any links may come."""
    found = []
    for link in links:
        token, claims = link.signed.token, link.signed.claims
        found.append(
            JudgedLink(
                link,
                is_signed=link.key is not None and token.is_signed_by(link.key),
                is_in_time=claims.is_valid_at(now),
                is_authorised=permits(link.grants, handle),
            )
        )
    return JudgedChain(tuple(found), is_rooted=bool(links) and _is_rooted(links[-1], root))


def _is_rooted(link: Link, root: TrustRoot) -> bool:
    claims = link.signed.claims
    if claims.public_key is None or claims.public_key not in root.keys or not _is_self_issued(link.signed):
        return False
    subject = claims.subject or b""
    return root.handle is None or same_handle(identity(subject).handle, root.handle)


def _is_self_issued(signed: SignedClaims) -> bool:
    issuer, subject = signed.claims.issuer, signed.claims.subject
    return issuer is not None and subject is not None and _folded(identity(issuer)) == _folded(identity(subject))


def _issuer(signed: SignedClaims) -> bytes:
    if not signed.claims.issuer:
        raise ChainBroken("the claims name no issuer")
    return signed.claims.issuer


def _folded(reference: Reference) -> Reference:
    return Reference(reference.index, prefix_folded(reference.handle))


def _certificate(values: Values | None, place: Reference, issuer: bytes) -> SignedClaims:
    """The certificate about the issuer at that place: the value of an index, else the newest HS_CERT about it."""
    where = _text(identity_text(place))
    if values is None:
        raise ChainBroken(f"{where} is not found")
    if not place.index:
        return _newest(values, where, issuer)
    data = next((value.data for value in values if value.index == place.index), None)
    if data is None:
        raise ChainBroken(f"{where} is not found")
    try:
        found = SignedClaims.read(data)
    except Malformed as error:
        raise ChainBroken(f"{where} is no certificate: {error}") from error
    if not _is_about(found, issuer):
        raise ChainBroken(f"{where} is not about {_text(issuer)}")
    return found


def _newest(values: Values, where: str, issuer: bytes) -> SignedClaims:
    """The one with the latest iat; values that cannot be read are passed over, as are those about others."""
    found: list[SignedClaims] = []
    for value in values:
        if is_of_type(value, HS_CERT):
            try:
                found.append(SignedClaims.read(value.data))
            except Malformed:
                continue  # A broken certificate beside a good one keeps nobody from being believed.
    about = [signed for signed in found if _is_about(signed, issuer)]
    if not about:
        raise ChainBroken(f"{where} has no certificate about {_text(issuer)}")
    return max(about, key=_issued_at)  # Of equally new ones the first.


def _issued_at(signed: SignedClaims) -> float:
    return float("-inf") if signed.claims.issued_at is None else signed.claims.issued_at


def _is_about(signed: SignedClaims, issuer: bytes) -> bool:
    subject = signed.claims.subject
    return subject is not None and _folded(identity(subject)) == _folded(identity(issuer))


def _text(handle: bytes) -> str:
    return handle.decode(errors="replace")
