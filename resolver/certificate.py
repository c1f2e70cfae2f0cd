"""The certificate that is configured for TLS: read from its files and judged, with words for everything that is wrong.

What cannot be used is `BadCertificate`; what may be meant so, such as a date that has passed, is a doubt.
"""

import stat
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from protocol.trust.keys import PublicKey, UnusableKey, public_pem
from resolver.config_loading import TLS_KEY_SHUT

SOON_DAYS: Final = 30
"""How long before its end a certificate is told of: tools that renew by themselves do so by then."""

_SIZE_MAX: Final = 1 << 20  # Octets of a file: real chains have some thousand.


class BadCertificate(Exception):
    """Files that no TLS can be spoken with: the text says which and why, `then` what mends it."""

    def __init__(self, text: str, then: str = "") -> None:
        super().__init__(text)
        self.then = then


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that fits its key. `chain` and `key` are PEM, the key unencrypted; `leaf` is the node's own."""

    path: Path
    chain: bytes
    leaf: x509.Certificate
    key: bytes = field(repr=False)


def read_certificate(cert: Path, key: Path) -> Certificate:
    """Both files, each read once; `BadCertificate` where they are no certificate with its key, or the key is open."""
    octets = _octets(cert, "the certificate")
    try:
        leaves = x509.load_pem_x509_certificates(octets)
    except ValueError as error:
        raise BadCertificate(f"{cert} holds no certificate as PEM: {error}", f"openssl x509 -in {cert}") from error
    private = _private_key(key)
    fitting = [number for number, leaf in enumerate(leaves) if _spki(leaf.public_key()) == _spki(private.public_key())]
    if not fitting:
        raise BadCertificate(f"{key} is not the key of the certificate in {cert}", f"openssl x509 -in {cert} -text")
    if fitting[0]:
        said = f"the node's certificate is number {fitting[0] + 1} of {cert}, and clients take the first for it"
        raise BadCertificate(said, "put the node's own certificate first, and those that vouch for it behind it")
    clear = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Certificate(cert, octets, leaves[0], clear)


def doubts(found: Certificate, server_key: PublicKey, now_s: float) -> list[str]:
    """What may be wrong with a certificate that can be used: its dates, and whether it holds the node's own key."""
    now, leaf = datetime.fromtimestamp(now_s, UTC), found.leaf
    start, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    told = []
    if now > end:
        told.append(f"the certificate {found.path} has expired on {end:%Y-%m-%d %H:%M} UTC: clients will refuse it")
    elif (end - now).days < SOON_DAYS:
        told.append(f"the certificate {found.path} expires on {end:%Y-%m-%d %H:%M} UTC: renew it")
    if now < start:
        told.append(f"the certificate {found.path} is not valid before {start:%Y-%m-%d %H:%M} UTC: is the clock right?")
    if not holds(found, server_key):
        said = "holds another key than the site record: clients that know the node by that key will refuse it"
        told.append(f"the certificate {found.path} {said}")
    return told


def has_expired(found: Certificate, now_s: float) -> bool:
    """Whether its last day is over."""
    return datetime.fromtimestamp(now_s, UTC) > found.leaf.not_valid_after_utc


def holds(found: Certificate, server_key: PublicKey) -> bool:
    """Whether it holds that key."""
    try:
        return public_pem(server_key) == found.leaf.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
    except UnusableKey:
        return False


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _octets(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_SIZE_MAX)
    except OSError as error:
        raise BadCertificate(f"{what} {path} cannot be read: {error.strerror}", f"ls -l {path}") from error


def _private_key(path: Path) -> PrivateKeyTypes:
    octets = _octets(path, "the certificate's key")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & TLS_KEY_SHUT:
        raise BadCertificate(f"{path} has mode {mode:04o}: others may use this private key", f"chmod 640 {path}")
    try:
        return load_pem_private_key(octets, None)
    except TypeError as error:  # How the library says that a passphrase is missing.
        said = f"{path} is encrypted, and nobody is there to type its passphrase when the node starts"
        raise BadCertificate(said, f"openssl pkey -in {path} -out PLAIN") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadCertificate(f"{path} holds no private key as PEM", f"openssl pkey -in {path} -noout") from error
