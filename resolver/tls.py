"""TLS contexts of the node as a server: of a certificate and its key, or of a certificate that its own key makes.

Clients of the Handle System look at one thing in a server's certificate: that it holds the key of the site record. So
a certificate that the node makes itself serves them as well as any (spec, protocol: section 8.4; resolution: 7.1).
"""

import os
import ssl
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID

from protocol.trust.key_values import key_bits
from protocol.trust.keys import PrivateKey, UnusableKey, private_pem, public_key_octets, public_of
from resolver.tls_short_keys import USUAL_BITS_MIN, admit_key

OLDEST: Final = ssl.TLSVersion.TLSv1_2
"""What is spoken unless the configuration says otherwise: all software in service has it."""

# No clock goes into the certificate: all workers make the same one, and so does the node after each start.
_FROM: Final = datetime(2020, 1, 1, tzinfo=UTC)
_UNTIL: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # "No well-defined date" (RFC 5280, section 4.1.2.5).
_NAME: Final = "hnode"
_SERIAL_SIZE: Final = 16  # At most 20 octets are allowed (RFC 5280, section 4.1.2.2).


def self_signed_context(private_key: PrivateKey) -> ssl.SSLContext:
    """A server's context with a certificate of this key, signed by itself; `UnusableKey` where it is no RSA key."""
    return own_context(private_key)


def own_context(private_key: PrivateKey, oldest: ssl.TLSVersion = OLDEST) -> ssl.SSLContext:
    """The same with an oldest version. A key that is shorter than is usual today is used all the same."""
    pem, bits = private_pem(private_key), key_bits(private_key)
    return server_context(self_signed(private_key), pem, oldest, key_bits_min=bits)


def self_signed(private_key: PrivateKey) -> bytes:
    """The certificate as PEM: the same octets for the same key, and valid without an end. `UnusableKey` for DSA."""
    engine = load_pem_private_key(private_pem(private_key), None)
    if not isinstance(engine, rsa.RSAPrivateKey):
        raise UnusableKey("TLS wants an RSA key: no client takes a certificate with a DSA key")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _NAME)])
    serial = sha256(public_key_octets(public_of(private_key))).digest()[:_SERIAL_SIZE]
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(engine.public_key())
        .serial_number(int.from_bytes(serial, "big") >> 1 | 1)  # Positive, with its top bit unset.
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    return builder.sign(engine, hashes.SHA256()).public_bytes(Encoding.PEM)


def server_context(
    chain: bytes, key: bytes, oldest: ssl.TLSVersion = OLDEST, *, key_bits_min: int = USUAL_BITS_MIN
) -> ssl.SSLContext:
    """The context of a certificate, with those that vouch for it behind it, and its unencrypted key, both PEM.

    `ssl.SSLError` where they do not belong together, or the key has fewer bits than may be. Peers may not negotiate
    again: that costs us more than them.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    admit_key(context, key_bits_min)
    context.minimum_version = oldest
    context.options |= ssl.OP_NO_RENEGOTIATION
    # The library reads files alone. This one is in memory and nobody else's, and what was checked is what is read.
    descriptor = os.memfd_create("certificate")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(chain.rstrip() + b"\n" + key)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context
