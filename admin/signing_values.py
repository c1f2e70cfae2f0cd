"""Making HS_SIGNATURE and HS_CERT values: what is signed, where the value goes, whose key it is. Opens no store.

Source: spec, records: section 8. A decision is a callable for `storage.base.UpdateRecord`: what is signed is what the
store holds at that moment, and the value stands in the same change.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from admin.errors import ExitCode, Failure
from admin.handle_values import with_value
from admin.importing.rows import RowLimits
from protocol.errors import HandleNotFound, InvalidValue, Malformed, ValueExists, ValuesNotFound
from protocol.identifier import full, is_utf8
from protocol.limits import VALUE_COUNT_MAX
from protocol.trust.chains import HS_PUBKEY, is_of_type
from protocol.trust.claims import (
    EVERYTHING,
    HS_CERT,
    HS_SIGNATURE,
    LINKS_MAX,
    PERMISSIONS,
    Claims,
    Grant,
    SignedClaims,
    identity,
    identity_text,
)
from protocol.trust.keys import PrivateKey, PublicKey, public_of, read_public_key
from protocol.trust.value_digests import Digests
from protocol.value import HandleValue, Reference, read_values
from protocol.wire import Reader
from storage.base import Record

FIRST_INDEX: Final = 400
"""Where signatures and certificates stand by convention (spec, records: section 2.2)."""

CLOCK_DIFFERENCE_S: Final = 600
"""How long before now a signature begins to hold: clocks of those who check it may be that late."""

DAY_S: Final = 86_400
HS_SECKEY: Final = b"HS_SECKEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Who signs, with what, when (seconds since 1970) and for how many days; 0 days have no end."""

    name: Reference
    key: PrivateKey
    now_s: int
    days: int
    chain: tuple[bytes, ...] = ()

    @property
    def expires(self) -> int | None:
        """The last second of what is signed now, or None."""
        return self.now_s + self.days * DAY_S if self.days else None

    def signed(
        self,
        subject: bytes,
        *,
        digests: Digests | None = None,
        public_key: PublicKey | None = None,
        grants: tuple[Grant, ...] = (),
    ) -> SignedClaims:
        """The claims about a subject, signed."""
        claims = Claims(
            issuer=identity_text(self.name),
            subject=subject,
            issued_at=self.now_s,
            not_before=self.now_s - CLOCK_DIFFERENCE_S,
            expires=self.expires,
            digests=digests,
            public_key=public_key,
            grants=grants,
            chain=self.chain,
        )
        return SignedClaims.make(claims, self.key)


@dataclass(slots=True, kw_only=True)
class Signing:
    """The decision to sign a record's values. What came of it stands in the last three fields afterwards."""

    issuer: Issuer
    limits: RowLimits
    indexes: Sequence[int] = ()
    at_index: int | None = None
    index: int = 0
    signed: list[HandleValue] = field(default_factory=list)
    left_out: list[HandleValue] = field(default_factory=list)

    def decide(self, record: Record | None) -> Record:
        """The record with its new signature; a `HandleError` where it cannot be made."""
        record, values = _read(record)
        self.signed, self.left_out = _chosen(values, self.indexes)
        token = self.issuer.signed(record.handle, digests=Digests.of(self.signed)).token
        self.index = _place(values, HS_SIGNATURE, self.at_index, self._is_older)
        value = HandleValue(index=self.index, type=HS_SIGNATURE, data=token.to_bytes(), timestamp=self.issuer.now_s)
        return _with(record, value, self.limits)

    def _is_older(self, claims: Claims) -> bool:
        return claims.issuer == identity_text(self.issuer.name)


@dataclass(slots=True, kw_only=True)
class Certifying:
    """The decision to certify a key. `public_key` None takes that of the record's own HS_PUBKEY value."""

    issuer: Issuer
    limits: RowLimits
    subject: Reference
    public_key: PublicKey | None
    grants: tuple[Grant, ...]
    at_index: int | None = None
    index: int = 0

    def decide(self, record: Record | None) -> Record:
        """The record with the new certificate; a `HandleError` where it cannot be made."""
        record, values = _read(record)
        key = self.public_key or key_at(values, self.subject.index)
        if key is None:
            named = identity_text(self.subject).decode(errors="replace")
            raise ValuesNotFound(f"there is no HS_PUBKEY value for {named} here: give its key with --subject-key FILE")
        signed = self.issuer.signed(identity_text(self.subject), public_key=key, grants=self.grants)
        self.index = _place(values, HS_CERT, self.at_index, self._is_older)
        data = signed.token.to_bytes()
        return _with(
            record, HandleValue(index=self.index, type=HS_CERT, data=data, timestamp=self.issuer.now_s), self.limits
        )

    def _is_older(self, claims: Claims) -> bool:
        return (claims.issuer, claims.subject) == (identity_text(self.issuer.name), identity_text(self.subject))


def key_at(values: Sequence[HandleValue], index: int) -> PublicKey | None:
    """The key of the HS_PUBKEY value at that index, or None where there is none that can be read."""
    for value in values:
        if value.index == index and is_of_type(value, HS_PUBKEY):
            try:
                return read_public_key(value.data)
            except Malformed:
                return None
    return None


def named_key(text: str, option: str) -> Reference:
    """The key that `index:handle` names, its index 1 or more; a usage `Failure` where it names none.

    A handle without a slash is a prefix's, as everywhere, and is written in full: claims compare as they are spelled.
    """
    found = identity(text.encode(errors="surrogateescape"))
    if not found.index or not found.handle or not is_utf8(found.handle):
        raise Failure(
            f"{option} {text!r} names no key",
            "it has the form INDEX:HANDLE",
            f"{option} 300:0.NA/88.100",
            code=ExitCode.USAGE,
        )
    return Reference(found.index, full(found.handle))


def named_chain(texts: Sequence[str]) -> tuple[bytes, ...]:
    """Where the certificates of the chain stand, for the claims; a usage `Failure` for what no reader takes."""
    links = tuple([text.encode(errors="surrogateescape") for text in texts])
    if len(links) > LINKS_MAX or not all(link and is_utf8(link) for link in links):
        raise Failure(
            "the chain cannot be written", f"it has at most {LINKS_MAX} links, each a handle", code=ExitCode.USAGE
        )
    return links


def named_grants(texts: Sequence[str], subject: Reference) -> tuple[Grant, ...]:
    """The permissions of `PERMISSION` or `PERMISSION=HANDLE`; without a handle, over the subject's own."""
    grants = []
    for text in texts:
        name, equals, handle = text.partition("=")
        over = handle.encode(errors="surrogateescape") if equals else subject.handle
        if name not in PERMISSIONS or not over or not is_utf8(over):
            why = f"it is one of {', '.join(PERMISSIONS)}, with =HANDLE where it is not about the subject's own"
            raise Failure(
                f"--perm {text!r} is no permission", why, "--perm thisHandle=0.NA/88.100", code=ExitCode.USAGE
            )
        grants.append(Grant(name, b"" if name == EVERYTHING else over))
    return tuple(grants)


def expect_own_key(issuer: Issuer, values: Sequence[HandleValue] | None) -> bool:
    """Whether the issuer's record shows that the key is the issuer's; a `Failure` where it shows another.

    `values` are those of the issuer's handle, None where it is not in this store: then nobody can say.
    """
    shown = None if values is None else key_at(values, issuer.name.index)
    if shown is not None and shown != public_of(issuer.key):
        name = identity_text(issuer.name).decode(errors="replace")
        why = "its HS_PUBKEY value holds another: nobody would believe the signature"
        raise Failure(f"the key given is not that of {name}", why, f"hnode handle get {name.partition(':')[2]}")
    return shown is not None


def _read(record: Record | None) -> tuple[Record, tuple[HandleValue, ...]]:
    if record is None:
        raise HandleNotFound("the handle does not exist")
    return record, read_values(Reader(record.values))


def _chosen(values: Sequence[HandleValue], indexes: Sequence[int]) -> tuple[list[HandleValue], list[HandleValue]]:
    """The values to sign and those left out: what the public may not read is signed only where its index is given.

    A digest tells a guesser when a secret is found, and who cannot read a value cannot check it. Secret keys are never
    signed.
    """
    signable = [value for value in values if not is_of_type(value, HS_SIGNATURE)]
    if not indexes:
        chosen = [value for value in signable if value.is_public]
        if not chosen:
            raise ValuesNotFound("there is no value to sign that the public may read")
        return chosen, [value for value in signable if not value.is_public]
    chosen = [value for value in signable if value.index in indexes]
    missing = sorted(set(indexes) - {value.index for value in chosen})
    if missing:
        raise ValuesNotFound(f"there is no value to sign at {', '.join(map(str, missing))}")
    secret = [str(value.index) for value in chosen if is_of_type(value, HS_SECKEY)]
    if secret:
        raise InvalidValue(f"the value at {secret[0]} is a secret key: a digest of it would help to guess it")
    return chosen, []


def _place(values: Sequence[HandleValue], kind: bytes, at_index: int | None, is_older: Callable[[Claims], bool]) -> int:
    """The index to write at: the one wished, that of an older one of the same, or the first free one from 400."""
    by_index = {value.index: value for value in values}
    if at_index is not None:
        there = by_index.get(at_index)
        if there is not None and not is_of_type(there, kind):
            raise ValueExists(f"at {at_index} stands a value of type {there.type.decode(errors='replace')}")
        return at_index
    for value in values:
        if is_of_type(value, kind):
            try:
                if is_older(SignedClaims.read(value.data).claims):
                    return value.index
            except Malformed:
                continue  # What cannot be read is nobody's older one, and stays.
    return next(index for index in range(FIRST_INDEX, FIRST_INDEX + VALUE_COUNT_MAX + 1) if index not in by_index)


def _with(record: Record, value: HandleValue, limits: RowLimits) -> Record:
    if len(value.data) > limits.value_size:
        raise InvalidValue(f"the value has {len(value.data):,} octets, at most {limits.value_size:,} are allowed")
    return with_value(record, value, limits, keep_ttl=False, keep_permissions=False)
