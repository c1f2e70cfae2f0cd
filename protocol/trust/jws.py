"""JSON Web Signatures as the data of HS_SIGNATURE and HS_CERT values: read, written, made and checked.

Knows nothing of what the payload claims: that is `protocol.trust.claims`.
Sources: spec, records: section 8; RFC 7515, sections 3 (compact), 4.1.11 (crit) and 7.2.1 (general JSON form).
Only base64url in its one shortest spelling is read, so that nobody makes a second token of a signed one.
"""

import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Self

from protocol.errors import Malformed
from protocol.limits import MESSAGE_SIZE_MAX
from protocol.trust.keys import (
    SHA256,
    SHA384,
    SHA512,
    DsaPrivateKey,
    DsaPublicKey,
    PrivateKey,
    PublicKey,
    RsaPublicKey,
    signature,
    verifies,
)

TOKEN_SIZE_MAX: Final = MESSAGE_SIZE_MAX  # Octets of a whole token: no message carries a longer value.
HEADER_SIZE_MAX: Final = 4_096  # Octets of a header: deployed ones have 15, and nothing but `alg` is used.
JSON_DEPTH_MAX: Final = 16  # Nested lists and objects: a claims set has four.

_ALGORITHMS: Final[Mapping[str, tuple[type[PublicKey], str]]] = MappingProxyType(
    {
        "RS256": (RsaPublicKey, SHA256),
        "RS384": (RsaPublicKey, SHA384),
        "RS512": (RsaPublicKey, SHA512),
        "DS256": (DsaPublicKey, SHA256),
        "DS384": (DsaPublicKey, SHA384),
        "DS512": (DsaPublicKey, SHA512),
    }
)
_NESTING: Final = re.compile(rb'([\[{])|[\]}]|"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Token:
    """A payload with its signature. `header` is JSON, octet for octet as it was signed; `payload` is any octets."""

    header: bytes
    payload: bytes
    signature: bytes

    def __post_init__(self) -> None:
        if len(self.header) > HEADER_SIZE_MAX:
            raise Malformed(f"a token's header of {len(self.header)} octets, at most {HEADER_SIZE_MAX} allowed")
        fields = json_object(self.header, "the header of a token")
        if not isinstance(fields.get("alg"), str):
            raise Malformed("the header of a token names no algorithm")
        if "crit" in fields:  # What it lists must be understood, and we understand nothing but `alg`.
            raise Malformed("the header of a token demands what is not known here")

    @property
    def algorithm(self) -> str:
        """What the header names, such as `RS256`: known or not, and whatever its length."""
        return str(json_object(self.header, "the header of a token")["alg"])

    @classmethod
    def read(cls, octets: bytes) -> Self:
        """A token in compact or in general JSON form, whose first signature counts; `Malformed` for anything else."""
        if len(octets) > TOKEN_SIZE_MAX:
            raise Malformed(f"a token of {len(octets)} octets, at most {TOKEN_SIZE_MAX} allowed")
        text = octets.strip()
        if not text.startswith(b"{"):
            parts = text.split(b".", 3)
            if len(parts) != 3:
                raise Malformed("a token is header, payload and signature, joined by dots")
            header, payload, signed = parts
            return cls(_octets(header), _octets(payload), _octets(signed))
        fields = json_object(text, "a token")
        signatures = fields.get("signatures")
        if not isinstance(signatures, list) or not signatures or not isinstance(signatures[0], dict):
            raise Malformed("a token in JSON without a signature")
        first = signatures[0]
        return cls(_member(first, "protected"), _member(fields, "payload"), _member(first, "signature"))

    def to_bytes(self) -> bytes:
        """The compact form."""
        return self._signed_octets() + b"." + _text(self.signature)

    def to_json(self) -> bytes:
        """The general JSON form, with its one signature."""
        parts = {"protected": _text(self.header).decode(), "signature": _text(self.signature).decode()}
        return json_octets({"payload": _text(self.payload).decode(), "signatures": [parts]})

    def is_signed_by(self, key: PublicKey) -> bool:
        """Whether the key's owner signed just this; False for an algorithm that is not known or of another key."""
        kind, digest = _ALGORITHMS.get(self.algorithm, (None, ""))
        return kind is type(key) and verifies(key, digest, self._signed_octets(), self.signature)

    def _signed_octets(self) -> bytes:
        return _text(self.header) + b"." + _text(self.payload)


def signed(key: PrivateKey, payload: bytes) -> Token:
    """The payload signed with SHA-256, as deployed software writes it; `UnusableKey` where the key is none."""
    header = json_octets({"alg": "DS256" if isinstance(key, DsaPrivateKey) else "RS256"})
    octets = signature(key, SHA256, _text(header) + b"." + _text(payload))
    return Token(header, payload, octets)


def json_octets(value: object) -> bytes:
    """JSON without white space, in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def json_object(octets: bytes, what: str) -> dict[str, Any]:
    """The members of a JSON object; `Malformed` for anything else, a name that stands twice, and deep nesting."""
    depth = 0
    for found in _NESTING.finditer(octets):
        if found[0][:1] != b'"':
            depth += 1 if found[1] else -1
            if depth > JSON_DEPTH_MAX:
                raise Malformed(f"{what} is JSON nested more than {JSON_DEPTH_MAX} deep")
    try:
        value = json.loads(octets.decode(), object_pairs_hook=_members, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:  # Octets that are no UTF-8 are a ValueError, too.
        raise Malformed(f"{what} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise Malformed(f"{what} is no JSON object")
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name stands twice")
    return members


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _member(fields: Mapping[str, Any], name: str) -> bytes:
    found = fields.get(name)
    if not isinstance(found, str) or not found.isascii():
        raise Malformed(f"a token in JSON without a text {name!r}")
    return _octets(found.encode())


def _text(octets: bytes) -> bytes:
    return binascii.b2a_base64(octets, newline=False).rstrip(b"=").translate(_TO_URL)


def _octets(text: bytes) -> bytes:
    try:
        octets = binascii.a2b_base64(text.translate(_FROM_URL) + b"=" * (-len(text) % 4), strict_mode=True)
    except ValueError as error:
        raise Malformed("a part of a token is no base64url") from error
    if _text(octets) != text:
        raise Malformed("a part of a token is base64url in no usual spelling")
    return octets


_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_", b"+/")
