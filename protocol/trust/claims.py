"""What HS_SIGNATURE and HS_CERT values claim: who says what about whom, since when and until when. Believes nobody.

Whether an issuer is to be believed is decided in `protocol.trust.chains`.
Sources: spec, records: section 8; RFC 7519, section 4.1, for iss, sub, exp, nbf and iat.
"""

import math
import re
from dataclasses import dataclass
from typing import Any, Final, Self

from protocol.errors import InvalidValue, Malformed
from protocol.json_form.fields import I32_MAX, base64_octets, base64_text, integer, items, mapping, octets, wrong
from protocol.json_form.keys import key_from_json, key_to_json
from protocol.limits import HANDLE_SIZE_MAX, VALUE_COUNT_MAX
from protocol.trust.jws import TOKEN_SIZE_MAX, Token, json_object, json_octets, signed
from protocol.trust.keys import PrivateKey, PublicKey
from protocol.trust.value_digests import Digests
from protocol.value import Reference

HS_SIGNATURE: Final = b"HS_SIGNATURE"
HS_CERT: Final = b"HS_CERT"

EVERYTHING: Final = "everything"
THIS_HANDLE: Final = "thisHandle"
DERIVED_PREFIXES: Final = "derivedPrefixes"
HANDLES_UNDER_THIS_PREFIX: Final = "handlesUnderThisPrefix"
PERMISSIONS: Final = (EVERYTHING, THIS_HANDLE, DERIVED_PREFIXES, HANDLES_UNDER_THIS_PREFIX)
"""What a certificate may permit; other names are carried and permit nothing."""

LINKS_MAX: Final = 50
"""Certificates of one chain above the first claims: what deployed software follows (spec, records: section 8)."""

GRANTS_MAX: Final = 256
"""Permissions of one claims set: deployed certificates have one or two."""

PERMISSION_NAME_SIZE_MAX: Final = 64
"""Octets of a permission's name: the longest that is known has 22."""

TIME_MAX: Final = 2**53 - 1
"""Seconds since 1970: what every JSON reader takes exactly."""

_IDENTITY: Final = re.compile(rb"([0-9]{1,10}):(.*)", re.DOTALL)
_IDENTITY_SIZE_MAX: Final = HANDLE_SIZE_MAX + 11  # The longest handle behind ten digits and a colon.


def identity(text: bytes) -> Reference:
    """The key or value that `index:handle` names; a handle alone has index 0."""
    found = _IDENTITY.fullmatch(text)
    if found is None or int(found[1]) > I32_MAX:
        return Reference(0, text)
    return Reference(int(found[1]), found[2])


def identity_text(reference: Reference) -> bytes:
    """`index:handle`, or the handle alone for index 0."""
    return b"%d:%s" % (reference.index, reference.handle) if reference.index else reference.handle


@dataclass(frozen=True, slots=True)
class Grant:
    """What the subject of a certificate may speak for: `permission` is one of `PERMISSIONS`, or unknown."""

    permission: str
    handle: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """One claims set. Any part may be absent (None, or an empty chain); times are seconds since 1970.

    `issuer` is `index:handle`; `subject` the handle whose values are signed, or `index:handle` of who is certified.
    `chain` says where the issuer's certificate stands, then that one's, and so on. Further members are not kept.
    """

    issuer: bytes | None = None
    subject: bytes | None = None
    issued_at: int | None = None
    not_before: int | None = None
    expires: int | None = None
    digests: Digests | None = None
    public_key: PublicKey | None = None
    grants: tuple[Grant, ...] = ()
    chain: tuple[bytes, ...] = ()
    content: str | None = None

    def is_valid_at(self, now: float) -> bool:
        """Whether that second (since 1970) lies within the claimed times, both ends included."""
        return (self.not_before is None or self.not_before <= now) and (self.expires is None or now <= self.expires)

    @classmethod
    def read(cls, payload: bytes) -> Self:
        """The claims of a token's payload; `Malformed` where a member is of another shape, or too long."""
        if len(payload) > TOKEN_SIZE_MAX:
            raise Malformed(f"claims of {len(payload)} octets, at most {TOKEN_SIZE_MAX} allowed")
        found = json_object(payload, "claims")
        key = found.get("publicKey")
        try:
            return cls(
                issuer=_identity_of(found.get("iss"), "iss"),
                subject=_identity_of(found.get("sub"), "sub"),
                issued_at=_time(found.get("iat"), "iat"),
                not_before=_time(found.get("nbf"), "nbf"),
                expires=_time(found.get("exp"), "exp"),
                digests=_digests(found.get("digests")),
                public_key=None if key is None else key_from_json(key, "publicKey"),
                grants=_grants(found.get("perms")),
                chain=_chain(found.get("chain")),
                content=_content(found.get("content")),
            )
        except InvalidValue as error:
            raise Malformed(f"claims: {error}") from error

    def to_bytes(self) -> bytes:
        """The payload: JSON without white space; absent parts are left out. `InvalidValue` for a key without JSON."""
        found: dict[str, Any] = {}
        if self.digests is not None:
            entries = [{"index": index, "digest": base64_text(digest)} for index, digest in self.digests.digests]
            found["digests"] = {"alg": self.digests.algorithm, "digests": entries}
        if self.grants:
            found["perms"] = [{"handle": grant.handle.decode(), "perm": grant.permission} for grant in self.grants]
        if self.chain:
            found["chain"] = [link.decode() for link in self.chain]
        if self.public_key is not None:
            found["publicKey"] = key_to_json(self.public_key)
            if found["publicKey"] is None:
                raise InvalidValue("claims can carry RSA and DSA keys alone")
        texts = {"content": self.content, "iss": _decoded(self.issuer), "sub": _decoded(self.subject)}
        times = {"exp": self.expires, "nbf": self.not_before, "iat": self.issued_at}
        found |= {name: value for name, value in (texts | times).items() if value is not None}
        return json_octets(found)


@dataclass(frozen=True, slots=True)
class SignedClaims:
    """A token and what it claims."""

    token: Token
    claims: Claims

    @classmethod
    def read(cls, octets: bytes) -> Self:
        """The data of an HS_SIGNATURE or HS_CERT value; `Malformed` where it is none."""
        token = Token.read(octets)
        return cls(token, Claims.read(token.payload))

    @classmethod
    def make(cls, claims: Claims, key: PrivateKey) -> Self:
        """The claims, signed with the issuer's key."""
        return cls(signed(key, claims.to_bytes()), claims)


def _decoded(text: bytes | None) -> str | None:
    return None if text is None else text.decode()


def _identity_of(found: object, place: str) -> bytes | None:
    if found is None:
        return None
    text = octets(found, place)
    if len(text) > _IDENTITY_SIZE_MAX:
        raise InvalidValue(f"{place}: {len(text)} octets, expected at most {_IDENTITY_SIZE_MAX}")
    return text


def _time(found: object, place: str) -> int | None:
    """Whole seconds; parts of a second, which RFC 7519 allows, are dropped."""
    if found is None:
        return None
    if isinstance(found, float) and math.isfinite(found):
        found = math.floor(found)
    if isinstance(found, bool) or not isinstance(found, int) or abs(found) > TIME_MAX:
        raise wrong(place, found, "seconds since 1970")
    return found


def _digests(found: object) -> Digests | None:
    if found is None:
        return None
    fields = mapping(found, "digests")
    algorithm = octets(fields.get("alg"), "digests.alg").decode()
    entries = []
    for number, item in enumerate(items(fields.get("digests"), "digests.digests", VALUE_COUNT_MAX)):
        place = f"digests.digests[{number}]"
        entry = mapping(item, place)
        entries.append((integer(entry.get("index"), place), base64_octets(entry.get("digest"), place)))
    return Digests(algorithm, tuple(entries))


def _grants(found: object) -> tuple[Grant, ...]:
    grants = []
    for number, item in enumerate(items([] if found is None else found, "perms", GRANTS_MAX)):
        place = f"perms[{number}]"
        fields = mapping(item, place)
        name = octets(fields.get("perm"), place)
        if len(name) > PERMISSION_NAME_SIZE_MAX:
            raise wrong(place, fields.get("perm"), f"at most {PERMISSION_NAME_SIZE_MAX} octets")
        grants.append(Grant(name.decode(), _identity_of(fields.get("handle"), place) or b""))
    return tuple(grants)


def _chain(found: object) -> tuple[bytes, ...]:
    links = items([] if found is None else found, "chain", LINKS_MAX)
    return tuple([_identity_of(link, "chain") or b"" for link in links])


def _content(found: object) -> str | None:
    return None if found is None else octets(found, "content").decode()
