"""TLS of the client: whom it trusts, by a certificate authority, by the server's own key, or nobody's word at all.

The messages inside are the same as without it. Source: spec, protocol: section 8.4 (a server's certificate holds the
key of its site record; names and issuers of such certificates say nothing).
"""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_der_x509_certificate

from protocol.errors import Malformed
from protocol.trust.key_values import RsaPublicKey, key_bits
from protocol.trust.keys import PublicKey, UnusableKey, from_pem
from resolver.tls_short_keys import USUAL_BITS_MIN, admit_key


class NotTrusted(ConnectionError):
    """The server's certificate is not of the key that was expected."""


@dataclass(frozen=True, slots=True)
class Tls:
    """How connections are secured. `keys`: the certificate must hold one of them; empty: the context decides alone."""

    context: ssl.SSLContext
    keys: tuple[PublicKey, ...] = ()

    @classmethod
    def by_authority(cls, path: Path | None = None) -> Self:
        """Trusts what the authorities of a PEM file vouch for, host name included; without a file the system's.

        `OSError` where the file cannot be read or holds no certificate (`ssl.SSLError`).
        """
        return cls(ssl.create_default_context(cafile=None if path is None else str(path)))

    @classmethod
    def by_key(cls, *keys: PublicKey) -> Self:
        """Trusts a certificate of one of these keys, whoever issued it: what the site record of a server tells."""
        assert keys, "no key at all would be nobody's word"
        context = _unchecked()
        bits = [key_bits(key) for key in keys if isinstance(key, RsaPublicKey)]
        admit_key(context, min(bits, default=USUAL_BITS_MIN))
        return cls(context, keys)

    @classmethod
    def by_nobody(cls) -> Self:
        """Trusts whoever answers: secret from those who only listen, and from nobody else."""
        return cls(_unchecked())

    def expect(self, found: ssl.SSLObject | ssl.SSLSocket | None) -> None:
        """`NotTrusted` where the certificate of an open connection holds none of the keys."""
        if not self.keys:
            return
        octets = None if found is None else found.getpeercert(binary_form=True)
        if not octets or certified_key(octets) not in self.keys:
            raise NotTrusted("the certificate of the server holds another key than the one that is expected")


def _unchecked() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def certified_key(octets: bytes) -> PublicKey | None:
    """The key in a certificate (DER), or None where it holds one that the Handle protocol does not know."""
    try:
        key = load_der_x509_certificate(octets).public_key()
        found = from_pem(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    except (ValueError, UnsupportedAlgorithm, UnusableKey, Malformed):
        return None
    assert isinstance(found, PublicKey), "a certificate holds no private key"
    return found
