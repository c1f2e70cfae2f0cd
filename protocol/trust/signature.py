"""What the signature or the MAC of a message covers at each protocol version, octet for octet, made and checked.

A caller has parsed the envelope and holds header and body as they stand on the wire (`message_part`). Which key is to
be believed is decided elsewhere. Sources: behaviours 5 and 6; spec, security: section 6.
"""

import hashlib
import hmac
from collections.abc import Mapping
from enum import IntEnum
from functools import lru_cache
from struct import Struct
from types import MappingProxyType
from typing import Final

from protocol.codes import DIGEST_MD5, DIGEST_SHA1, DIGEST_SHA256
from protocol.envelope import Envelope
from protocol.trust.credential import HS_DSAPUBKEY, HS_MAC, HS_SIGNED, Credential
from protocol.trust.keys import DsaPrivateKey, PrivateKey, PublicKey, signature, verifies
from protocol.version import V_DSA_SHA256, V_NAMED_DIGESTS, V_OWN_CODES, V_SHA256, V_SUGGESTION_SIGNED, Version

_PREFIX: Final = Struct(">BBIII")  # major, minor, session id, request id, session counter
_PREFIX_WITH_SUGGESTION: Final = Struct(">BBBBIII")
_PREFIX_BROKEN: Final = Struct(">BBHI6x")
_MAC_TAIL_SIZE: Final = 10  # Zeros behind the broken MAC layout, as many as the key has not counted.
_NAMES_KEPT: Final = 32  # Of MACs: more than there are; names are short, whatever strangers write.
_MAC_HEAD_SIZE: Final = 4  # What is left of the key at the front of that layout.

_DIGESTS: Final[Mapping[bytes, str]] = MappingProxyType(
    {
        b"MD5": "MD5",
        b"SHA1": "SHA1",
        b"SHA-1": "SHA1",
        b"SHA-256": "SHA-256",
        b"SHA256": "SHA-256",
        bytes([DIGEST_MD5]): "MD5",
        bytes([DIGEST_SHA1]): "SHA1",
        bytes([DIGEST_SHA256]): "SHA-256",
    }
)


class MacForm(IntEnum):
    """How a MAC comes of key and data, by its one-octet name (behaviours 21): hash(key, data, key), or HMAC."""

    MD5 = DIGEST_MD5
    SHA1 = DIGEST_SHA1
    SHA256 = DIGEST_SHA256
    HMAC_SHA1 = 0x12
    HMAC_SHA256 = 0x13


_HASHES: Final[Mapping[MacForm, str]] = MappingProxyType(
    {
        MacForm.MD5: "md5",
        MacForm.SHA1: "sha1",
        MacForm.SHA256: "sha256",
        MacForm.HMAC_SHA1: "sha1",
        MacForm.HMAC_SHA256: "sha256",
    }
)
_HMAC_NAMES: Final[Mapping[bytes, MacForm]] = MappingProxyType(
    {b"HMACSHA1": MacForm.HMAC_SHA1, b"HMACSHA256": MacForm.HMAC_SHA256}
)
_HASH_NAMES: Final[Mapping[str, MacForm]] = MappingProxyType(
    {"MD5": MacForm.MD5, "SHA1": MacForm.SHA1, "SHA-256": MacForm.SHA256}
)
assert set(_HASHES) == set(MacForm)


def named_digest(name: bytes) -> str | None:
    """The one name `protocol.trust.keys` knows for any that peers write, or None. The case of letters counts."""
    return _DIGESTS.get(name)


def signing_digest(version: Version, key: PrivateKey) -> str:
    """The digest to sign with at that version: SHA-256 from 2.7 with RSA, from 2.11 with DSA, else SHA1."""
    since = V_DSA_SHA256 if isinstance(key, DsaPrivateKey) else V_SHA256
    return "SHA-256" if version.at_least(since) else "SHA1"


def _prefix(envelope: Envelope, counter: int) -> bytes:
    """The envelope's part in front of header and body, from 2.7 on."""
    version, suggested = envelope.version, envelope.suggested
    if version.at_least(V_SUGGESTION_SIGNED):
        return _PREFIX_WITH_SUGGESTION.pack(*version, *suggested, envelope.session_id, envelope.request_id, counter)
    return _PREFIX.pack(*version, envelope.session_id, envelope.request_id, counter)


def signed_octets(envelope: Envelope, counter: int, message_part: bytes) -> bytes:
    """What a signature covers. `counter` is the session counter; `message_part` is header and body.

    2.6 wrote the fields over one another: two octets of the session id are left, then the counter, then zeros.
    """
    version = envelope.version
    if version.at_least(V_SHA256):
        return _prefix(envelope, counter) + message_part
    if version.at_least(V_NAMED_DIGESTS):
        return _PREFIX_BROKEN.pack(*version, envelope.session_id >> 16, counter) + message_part
    return message_part


def signed(key: PrivateKey, envelope: Envelope, message_part: bytes, *, counter: int = 0) -> Credential:
    """The credential `HS_SIGNED` of a message, with the digest that its version asks for."""
    digest = signing_digest(envelope.version, key)
    octets = signature(key, digest, signed_octets(envelope, counter, message_part))
    return Credential(type=HS_SIGNED, algorithm=digest.encode(), signature=octets, counter=counter)


def signature_is_valid(credential: Credential, key: PublicKey, envelope: Envelope, message_part: bytes) -> bool:
    """Whether the credential is a signature of just this message with that key, by whichever digest it names."""
    digest = named_digest(credential.algorithm)
    if credential.type not in (HS_SIGNED, HS_DSAPUBKEY) or digest is None:
        return False
    return verifies(key, digest, signed_octets(envelope, credential.counter, message_part), credential.signature)


def mac(form: MacForm, key: bytes, data: bytes) -> bytes:
    """The MAC of the data: 16 octets with MD5, 20 with SHA-1, 32 with SHA-256."""
    if form in (MacForm.HMAC_SHA1, MacForm.HMAC_SHA256):
        return hmac.digest(key, data, _HASHES[form])
    return hashlib.new(_HASHES[form], key + data + key, usedforsecurity=False).digest()


def mac_size(form: MacForm) -> int:
    """Octets of such a MAC."""
    return hashlib.new(_HASHES[form], usedforsecurity=False).digest_size


@lru_cache(maxsize=_NAMES_KEPT)
def mac_form(name: bytes) -> MacForm | None:
    """The form that a credential's algorithm names, or None.

    HMACs are known without case and punctuation, hashes by the names that signatures use, all by their one octet.
    """
    if len(name) == 1:
        return MacForm(name[0]) if name[0] in set(MacForm) else None
    digest = named_digest(name)
    if digest is not None:
        return _HASH_NAMES[digest]
    return _HMAC_NAMES.get(bytes([octet for octet in name.upper() if bytes([octet]).isalnum()]))


def message_mac(form: MacForm, key: bytes, envelope: Envelope, counter: int, message_part: bytes) -> bytes | None:
    """The MAC of a message in a session, laid out as its version demands; None for an HMAC at 2.5 or 2.6: none exists.

    2.5 and 2.6 wrote their parts over one another: all that the hash sees is four octets of the key, the message, the
    key, and zeros; neither the envelope nor the counter.
    """
    version = envelope.version
    if version.at_least(V_SHA256):
        return mac(form, key, _prefix(envelope, counter) + message_part)
    if not version.at_least(V_OWN_CODES):
        return mac(form, key, message_part)
    if form in (MacForm.HMAC_SHA1, MacForm.HMAC_SHA256):
        return None
    octets = key[:_MAC_HEAD_SIZE] + message_part + key + bytes(len(key) + _MAC_TAIL_SIZE)
    return hashlib.new(_HASHES[form], octets, usedforsecurity=False).digest()


def maced(key: bytes, envelope: Envelope, message_part: bytes, *, counter: int) -> Credential:
    """The credential `HS_MAC` of a message with the whole session key, named and laid out as its version demands."""
    version = envelope.version
    form, name = MacForm.SHA1, bytes([MacForm.SHA1])
    if version.at_least(V_SHA256):
        form, name = MacForm.HMAC_SHA256, b"HMAC-SHA256"
    elif version.at_least(V_NAMED_DIGESTS):
        name = b"SHA1"
    octets = message_mac(form, key, envelope, counter, message_part)
    assert octets is not None, "each version has its own form"
    return Credential(type=HS_MAC, algorithm=name, signature=octets, counter=counter)


def mac_is_valid(credential: Credential, key: bytes, envelope: Envelope, message_part: bytes) -> bool:
    """Whether the credential is a MAC of just this message with that key, by whichever form it names."""
    form = mac_form(credential.algorithm)
    if credential.type != HS_MAC or form is None:
        return False
    expected = message_mac(form, key, envelope, credential.counter, message_part)
    return expected is not None and hmac.compare_digest(expected, credential.signature)
