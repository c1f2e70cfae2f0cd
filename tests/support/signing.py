"""Signed claims for tests: a network of certificates with the captured throw-away keys. Nothing here checks a chain."""

from protocol.trust.claims import EVERYTHING, HS_CERT, HS_SIGNATURE, Claims, Grant, SignedClaims
from protocol.trust.keys import PrivateKey, PublicKey, from_pem, public_of
from protocol.trust.value_digests import Digests
from protocol.value import HandleValue
from tests.support.keys import captured_keys

NOW = 1_700_000_000


def private_key(name: str) -> PrivateKey:
    """The captured private key: `server`, `admin RSA`, `admin DSA` or `session client`."""
    key = from_pem(captured_keys()[name][0])
    assert isinstance(key, PrivateKey)
    return key


ROOT_KEY = private_key("server")
ADMIN_KEY = private_key("admin RSA")
DSA_KEY = private_key("admin DSA")
OTHER_KEY = private_key("session client")

ROOT = b"301:0.0/0.0"
ADMIN = b"300:0.NA/88.100"
HANDLE = b"88.100/A1"
ALL = (Grant(EVERYTHING),)


def certificate(
    subject: bytes,
    key: PrivateKey,
    issuer: bytes = ROOT,
    issuer_key: PrivateKey = ROOT_KEY,
    *,
    grants: tuple[Grant, ...] = ALL,
    chain: tuple[bytes, ...] = (),
    issued_at: int | None = NOW,
    expires: int | None = None,
    public_key: PublicKey | None = None,
) -> SignedClaims:
    """What the issuer says of the subject's key."""
    claims = Claims(
        issuer=issuer,
        subject=subject,
        issued_at=issued_at,
        expires=expires,
        public_key=public_key or public_of(key),
        grants=grants,
        chain=chain,
    )
    return SignedClaims.make(claims, issuer_key)


def record_signature(
    values: tuple[HandleValue, ...],
    issuer: bytes = ADMIN,
    key: PrivateKey = ADMIN_KEY,
    *,
    handle: bytes = HANDLE,
    chain: tuple[bytes, ...] = (),
    issued_at: int | None = NOW,
    not_before: int | None = None,
    expires: int | None = None,
) -> SignedClaims:
    """What the issuer says of the values of the handle."""
    claims = Claims(
        issuer=issuer,
        subject=handle,
        issued_at=issued_at,
        not_before=not_before,
        expires=expires,
        digests=Digests.of(values),
        chain=chain,
    )
    return SignedClaims.make(claims, key)


def cert_value(index: int, signed: SignedClaims) -> HandleValue:
    """An HS_CERT value."""
    return HandleValue(index=index, type=HS_CERT, data=signed.token.to_bytes())


def signature_value(index: int, signed: SignedClaims) -> HandleValue:
    """An HS_SIGNATURE value."""
    return HandleValue(index=index, type=HS_SIGNATURE, data=signed.token.to_bytes())
