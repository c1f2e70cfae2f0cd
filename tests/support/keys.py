"""The throw-away keys of the captured messages as PEM. Nothing here makes a key."""

import base64
from textwrap import wrap

from tests.support.vectors import vectors

PRIVATE_KEYS = {
    "server": ("serverPrivatePkcs8Hex", "serverPublicKeyHex"),
    "admin RSA": ("adminRsaPrivatePkcs8Hex", "adminRsaPublicKeyHex"),
    "admin DSA": ("adminDsaPrivatePkcs8Hex", "adminDsaPublicKeyHex"),
    "session client": ("clientRsaPrivatePkcs8Hex", "clientRsaPublicKeyHex"),
}
"""Name to the entries of the private and of the public key."""


def pkcs8_pem(digits: str) -> bytes:
    """PKCS#8 in hexadecimal as PEM."""
    lines = wrap(base64.b64encode(bytes.fromhex(digits)).decode(), 64)
    return "\n".join(["-----BEGIN PRIVATE KEY-----", *lines, "-----END PRIVATE KEY-----", ""]).encode()


def captured_keys() -> dict[str, tuple[bytes, bytes]]:
    """Name to the private key as PEM and the public key's octets."""
    entries = vectors()["keys"] | vectors()["keys"]["session"]
    return {
        name: (pkcs8_pem(entries[private]), bytes.fromhex(entries[public]))
        for name, (private, public) in PRIVATE_KEYS.items()
    }
