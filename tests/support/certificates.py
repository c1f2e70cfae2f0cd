"""Certificates for tests: keys that are cheap to make, and whoever issued them."""

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from protocol.trust.keys import RsaPrivateKey, from_pem
from tests.support.keys import captured_keys

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@cache
def server_key() -> RsaPrivateKey:
    """The captured server key."""
    key = from_pem(captured_keys()["server"][0])
    assert isinstance(key, RsaPrivateKey)
    return key


def server_engine_key() -> rsa.RSAPrivateKey:
    """The same, as a certificate is made of it."""
    key = load_pem_private_key(captured_keys()["server"][0], None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def fresh_key() -> ec.EllipticCurvePrivateKey:
    """Another key than any that was there before."""
    return ec.generate_private_key(ec.SECP256R1())


def certificate(
    key: Key, name: str = "node", *, from_days: float = -1, until_days: float = 365, now: datetime | None = None
) -> bytes:
    """A certificate of the key, signed by itself, as PEM; its dates are told from now."""
    at = now or datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at + timedelta(days=from_days))
        .not_valid_after(at + timedelta(days=until_days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def key_text(key: Key, passphrase: bytes | None = None) -> bytes:
    """The private key as PEM."""
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def written(folder: Path, chain: bytes, key: bytes, *, mode: int = 0o600) -> tuple[Path, Path]:
    """Both as files `tls.pem` and `tls.key`, as if a tool had renewed them; their paths."""
    cert_path, key_path = folder / "tls.pem", folder / "tls.key"
    for path, octets, its_mode in ((cert_path, chain, 0o644), (key_path, key, mode)):
        beside = path.with_suffix(".new")
        beside.write_bytes(octets)
        beside.chmod(its_mode)
        beside.replace(path)
    return cert_path, key_path
