"""The throw-away keys of the captured messages."""

from functools import cache

from protocol.administrator import ALL_PERMISSIONS, Administrator, vlist_octets
from protocol.codes import ADMIN_READ, ADMIN_WRITE
from protocol.trust.keys import PrivateKey, from_pem
from protocol.value import HandleValue, Reference
from tests.support.vectors import vectors

ADMIN = b"0.NA/88.100"
SEEN_AT = 1_700_000_000


@cache
def key_seen(name: str) -> PrivateKey:
    """A private key, from its PKCS#8 octets."""
    import base64

    text = base64.encodebytes(bytes.fromhex(vectors()["keys"][name])).decode()
    key = from_pem(f"-----BEGIN PRIVATE KEY-----\n{text}-----END PRIVATE KEY-----\n".encode())
    assert isinstance(key, PrivateKey)
    return key


def server_key_seen() -> PrivateKey:
    """The captured server's key."""
    return key_seen("serverPrivatePkcs8Hex")


def prefix_record() -> list[HandleValue]:
    """The values of `0.NA/88.100`: its administrators' group 200 and their keys 300 (RSA), 301 (DSA), 302 (secret)."""
    keys = vectors()["keys"]
    group = vlist_octets([Reference(300, ADMIN), Reference(301, ADMIN), Reference(302, ADMIN)])

    def at(index: int, kind: bytes, data: bytes, permissions: int = 0x0E) -> HandleValue:
        return HandleValue(index=index, type=kind, data=data, permissions=permissions, timestamp=SEEN_AT, ttl=86_400)

    return [
        at(100, b"HS_ADMIN", Administrator(ALL_PERMISSIONS, ADMIN, 200).to_bytes()),
        at(200, b"HS_VLIST", group),
        at(300, b"HS_PUBKEY", bytes.fromhex(keys["adminRsaPublicKeyHex"])),
        at(301, b"HS_PUBKEY", bytes.fromhex(keys["adminDsaPublicKeyHex"])),
        at(302, b"HS_SECKEY", keys["adminSecretKeyText"].encode(), ADMIN_READ | ADMIN_WRITE),
    ]
