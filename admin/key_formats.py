"""Key files in the forms that are in use: PEM, the `.bin` files of Handle servers, and JSON (JWK). Touches no disk.

Sources: spec, records: section 6; RFC 7517 and RFC 7518, section 6.3, for the names of JSON members.
"""

import base64
import binascii
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any, Final

from protocol.errors import InvalidValue, Malformed
from protocol.json_form.keys import key_from_json, key_to_json
from protocol.trust.key_files import IV_SIZES, SALT_SIZE, FileEncryption, key_file, read_key_file
from protocol.trust.keys import (
    DsaPrivateKey,
    DsaPublicKey,
    PrivateKey,
    PublicKey,
    RsaPrivateKey,
    RsaPublicKey,
    RsaShortPrivateKey,
    from_pem,
    private_pem,
    public_key_octets,
    public_of,
    public_pem,
    read_private_key,
    read_public_key,
)


class KeyFormat(Enum):
    """What a key file may be written as; the first three keep what was read, private or public."""

    PEM = "pem"
    BIN = "bin"
    JWK = "jwk"
    PUBLIC_PEM = "pub-pem"
    PUBLIC_BIN = "pub-bin"
    PUBLIC_JWK = "pub-jwk"

    @property
    def is_public(self) -> bool:
        """Whether only the public half is written."""
        return self.value.startswith("pub-")


BY_SUFFIX: Final[Mapping[str, KeyFormat]] = MappingProxyType(
    {".pem": KeyFormat.PEM, ".bin": KeyFormat.BIN, ".jwk": KeyFormat.JWK, ".json": KeyFormat.JWK}
)
"""The format that a file's name asks for."""

_RSA_MEMBERS: Final = (("d", "private_exponent"), ("p", "p"), ("q", "q"), ("dp", "dp"), ("dq", "dq"), ("qi", "qinv"))
_ENCRYPTIONS: Final = frozenset(FileEncryption)
_BARE: Final = (b"RSA_PRIV", b"DSA_PRIV")  # How the type of a private key begins that no key file is around.


@dataclass(frozen=True, slots=True)
class KeyRead:
    """A key and the form that it was found in."""

    key: PrivateKey | PublicKey
    form: KeyFormat

    @property
    def is_private(self) -> bool:
        """Whether it signs."""
        return isinstance(self.key, PrivateKey)

    @property
    def public(self) -> PublicKey:
        """The public half, or the key itself; `UnusableKey` where a private key's numbers do not belong together."""
        return public_of(self.key) if isinstance(self.key, PrivateKey) else self.key

    @property
    def bits(self) -> int:
        """Of the modulus; 0 for kinds of keys that are not known."""
        public = self.public
        if isinstance(public, RsaPublicKey):
            return public.modulus.bit_length()
        return public.p.bit_length() if isinstance(public, DsaPublicKey) else 0


def read_key(octets: bytes, passphrase: bytes | None = None) -> KeyRead:
    """The key of a file in any of the forms, told apart by how it begins.

    `Malformed` or `InvalidValue` where it is none of them, `WrongPassphrase` where it stays closed.
    """
    if b"-----BEGIN" in octets:
        return KeyRead(from_pem(octets, passphrase), KeyFormat.PEM)
    if octets.lstrip()[:1] == b"{":
        return KeyRead(_from_jwk(octets), KeyFormat.JWK)
    if len(octets) >= 4 and int.from_bytes(octets[:4], "big") in _ENCRYPTIONS:
        return KeyRead(read_key_file(octets, passphrase), KeyFormat.BIN)
    if octets[4:].startswith(_BARE):
        return KeyRead(read_private_key(octets), KeyFormat.BIN)
    return KeyRead(read_public_key(octets), KeyFormat.PUBLIC_BIN)


def written(key: PrivateKey | PublicKey, form: KeyFormat, passphrase: bytes | None = None) -> bytes:
    """The octets of a key file; a passphrase encrypts private PEM and `.bin`, JSON has no encrypted form.

    `InvalidValue` for a passphrase with JSON and for kinds of keys that JSON has no form for.
    """
    private = key if isinstance(key, PrivateKey) and not form.is_public else None
    public = public_of(key) if isinstance(key, PrivateKey) else key
    match form:
        case KeyFormat.PEM | KeyFormat.PUBLIC_PEM:
            return private_pem(private, passphrase) if private else public_pem(public)
        case KeyFormat.BIN | KeyFormat.PUBLIC_BIN:
            return _key_file(private, passphrase) if private else public_key_octets(public)
        case KeyFormat.JWK | KeyFormat.PUBLIC_JWK:
            if private and passphrase:
                raise InvalidValue("a key in JSON is not encrypted: use pem or bin, or no passphrase")
            return json.dumps(_jwk(private, public), indent=2).encode() + b"\n"


def _key_file(key: PrivateKey, passphrase: bytes | None) -> bytes:
    if not passphrase:
        return key_file(key, encryption=FileEncryption.NONE)
    salt, iv = secrets.token_bytes(SALT_SIZE), secrets.token_bytes(IV_SIZES[FileEncryption.AES])
    return key_file(key, passphrase=passphrase, salt=salt, iv=iv)


def _jwk(private: PrivateKey | None, public: PublicKey) -> dict[str, str]:
    members = key_to_json(public)
    if members is None:
        raise InvalidValue("JSON has no form for this kind of key")
    if isinstance(private, RsaPrivateKey):
        members.update({name: _text(getattr(private, attribute)) for name, attribute in _RSA_MEMBERS})
    elif isinstance(private, RsaShortPrivateKey):
        members["d"] = _text(private.private_exponent)
    elif isinstance(private, DsaPrivateKey):
        members["x"] = _text(private.x)
    return members


def _from_jwk(octets: bytes) -> PrivateKey | PublicKey:
    try:
        members: Any = json.loads(octets)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"neither JSON nor another form of a key: {error}") from error
    public = key_from_json(members, "key")
    if isinstance(public, RsaPublicKey) and "d" in members:
        if "p" not in members:
            return RsaShortPrivateKey(public.modulus, _number(members, "d"))
        numbers = [_number(members, name) for name, _ in _RSA_MEMBERS]
        return RsaPrivateKey(public.modulus, public.exponent, *numbers)
    if isinstance(public, DsaPublicKey) and "x" in members:
        return DsaPrivateKey(_number(members, "x"), public.p, public.q, public.g)
    return public


def _text(number: int) -> str:
    octets = number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big")
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def _number(members: Mapping[str, Any], name: str) -> int:
    found = members.get(name)
    try:
        octets = base64.urlsafe_b64decode(f"{found}".encode("ascii") + b"==") if isinstance(found, str) else b""
    except (ValueError, binascii.Error):
        octets = b""
    if not octets:
        raise InvalidValue(f"key.{name}: a number in base64url is wanted")
    return int.from_bytes(octets, "big")
