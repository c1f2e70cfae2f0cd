"""A whole record held against its HS_SIGNATURE values: which of its values somebody who is trusted has signed.

Asks nobody by itself: like `protocol.trust.chains.chain`, it yields the handles whose values it wants.
Source: spec, records: section 8.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Final

from protocol.errors import Malformed
from protocol.trust.chains import ChainBroken, JudgedChain, TrustRoot, Values, chain, is_of_type, judged
from protocol.trust.claims import HS_SIGNATURE, SignedClaims
from protocol.trust.reach import same_handle
from protocol.trust.value_digests import Comparison, compared
from protocol.value import HandleValue

SIGNATURES_MAX: Final = 64
"""Signatures of one record that are looked at: each may ask for a whole chain. Records have one or two."""


@dataclass(frozen=True, slots=True)
class JudgedSignature:
    """One HS_SIGNATURE value. `signed` is None where it cannot be read, `chain` where none was found.

    `fault` says why in words; `is_about` whether it speaks of this very handle.
    """

    index: int
    signed: SignedClaims | None = None
    is_about: bool = False
    values: Comparison | None = None
    chain: JudgedChain | None = None
    fault: str = ""

    @property
    def is_good(self) -> bool:
        """Whether it is trusted, and every value that it signs is there as it was signed."""
        return self.is_trusted and self.values is not None and not (self.values.changed or self.values.missing)

    @property
    def is_trusted(self) -> bool:
        """Whether somebody with the right to it, as the trust root says, signed these claims about this handle."""
        return self.is_about and self.values is not None and self.chain is not None and self.chain.is_good


@dataclass(frozen=True, slots=True)
class JudgedRecord:
    """All signatures of a record, and the public values (indexes, ascending) that no trusted signature covers."""

    signatures: tuple[JudgedSignature, ...]
    unsigned: tuple[int, ...]

    @property
    def is_good(self) -> bool:
        """Whether there is a signature, all of them are good, and no public value is without."""
        return bool(self.signatures) and all(found.is_good for found in self.signatures) and not self.unsigned


def judged_record(
    handle: bytes, values: Sequence[HandleValue], root: TrustRoot, *, now: float
) -> Generator[bytes, Values | None, JudgedRecord]:
    """Judge a record, all of whose values are given, at a time in seconds since 1970. Never raises for what they hold.

    Yields handles whose values it wants and is sent them, or None. HS_SIGNATURE values need no signature; values that
    the public may not read need none either, but count where they are signed. Signatures beyond `SIGNATURES_MAX` are
    not looked at and count as bad.
    """
    found: list[JudgedSignature] = []
    for value in values:
        if is_of_type(value, HS_SIGNATURE):
            if len(found) < SIGNATURES_MAX:
                found.append((yield from _judged_signature(value, handle, values, root, now)))
            else:
                found.append(JudgedSignature(value.index, fault=f"more than {SIGNATURES_MAX} signatures"))
    covered: set[int] = set()
    for signature in found:
        if signature.is_trusted and signature.values is not None:
            covered.update(signature.values.same)
    wanted = {value.index for value in values if value.is_public and not is_of_type(value, HS_SIGNATURE)}
    return JudgedRecord(tuple(found), tuple(sorted(wanted - covered)))


def _judged_signature(
    value: HandleValue, handle: bytes, values: Sequence[HandleValue], root: TrustRoot, now: float
) -> Generator[bytes, Values | None, JudgedSignature]:
    try:
        signed = SignedClaims.read(value.data)
    except Malformed as error:
        return JudgedSignature(value.index, fault=f"it cannot be read: {error}")
    claims, fault, judgement = signed.claims, "", None
    is_about = claims.subject is not None and same_handle(claims.subject, handle)
    comparison = None if claims.digests is None else compared(claims.digests, values)
    try:
        links = yield from chain(signed)
        judgement = judged(links, handle, root, now=now)
    except ChainBroken as error:
        fault = str(error)
    return JudgedSignature(value.index, signed, is_about, comparison, judgement, fault)
