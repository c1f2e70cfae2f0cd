"""Certificates: those that the node makes of its key, those in files, and words for all that can be wrong with them."""

import ssl
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from protocol.trust.keys import UnusableKey, from_pem, private_pem, public_of, public_pem
from resolver.certificate import BadCertificate, doubts, has_expired, holds, read_certificate
from resolver.client_tls import certified_key
from resolver.tls import self_signed, self_signed_context, server_context
from tests.support.certificates import certificate, fresh_key, key_text, server_engine_key, server_key, written
from tests.support.keys import captured_keys

NOW = time.time()
KEY = fresh_key()


def test_the_nodes_own_certificate_holds_its_key_is_always_the_same_and_never_ends() -> None:
    made = self_signed(server_key())
    assert self_signed(server_key()) == made
    leaf = x509.load_pem_x509_certificate(made)
    assert certified_key(ssl.PEM_cert_to_DER_cert(made.decode())) == public_of(server_key())
    assert leaf.not_valid_before_utc < datetime(2021, 1, 1, tzinfo=UTC)
    assert leaf.not_valid_after_utc == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    leaf.verify_directly_issued_by(leaf)
    assert leaf.serial_number > 0


def test_an_own_context_speaks_nothing_older_than_1_2_and_negotiates_once() -> None:
    context = self_signed_context(server_key())
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION


def test_a_dsa_key_makes_no_certificate() -> None:
    key = from_pem(captured_keys()["admin DSA"][0])
    with pytest.raises(UnusableKey, match="RSA"):
        self_signed(key)  # type: ignore[arg-type]


def test_a_context_of_another_key_is_refused() -> None:
    with pytest.raises(ssl.SSLError):
        server_context(self_signed(server_key()), key_text(KEY))


def test_a_certificate_with_its_key_is_read(tmp_path: Path) -> None:
    cert, key = written(tmp_path, certificate(KEY), key_text(KEY))
    found = read_certificate(cert, key)
    assert found.leaf.public_key() == KEY.public_key()
    assert key_text(KEY) not in repr(found).encode()
    server_context(found.chain, found.key)


def test_both_may_stand_in_one_file(tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(key_text(KEY) + certificate(KEY))
    both.chmod(0o600)
    found = read_certificate(both, both)
    server_context(found.chain, found.key)


def test_a_key_may_be_shared_with_a_group_that_reads(tmp_path: Path) -> None:
    read_certificate(*written(tmp_path, certificate(KEY), key_text(KEY), mode=0o640))


OTHER = fresh_key()
WRONG: dict[str, tuple[bytes, bytes, int, str]] = {
    "another key": (certificate(KEY), key_text(OTHER), 0o600, r"tls\.key is not the key of the certificate in"),
    "its issuer first": (certificate(OTHER) + certificate(KEY), key_text(KEY), 0o600, "is number 2 of"),
    "an encrypted key": (certificate(KEY), key_text(KEY, b"pass"), 0o600, "is encrypted"),
    "a key that all may read": (certificate(KEY), key_text(KEY), 0o644, "has mode 0644: others may use"),
    "a key that its group may write": (certificate(KEY), key_text(KEY), 0o660, "has mode 0660"),
    "no certificate": (b"text", key_text(KEY), 0o600, "holds no certificate as PEM"),
    "an empty certificate": (b"", key_text(KEY), 0o600, "holds no certificate as PEM"),
    "a cut certificate": (certificate(KEY)[:-60], key_text(KEY), 0o600, "holds no certificate as PEM"),
    "no key": (certificate(KEY), b"text", 0o600, "holds no private key"),
    "a certificate for a key": (certificate(KEY), certificate(KEY), 0o600, "holds no private key"),
}


@pytest.mark.parametrize("name", WRONG)
def test_files_that_no_tls_can_be_spoken_with_are_told_with_what_mends_them(name: str, tmp_path: Path) -> None:
    chain, key, mode, said = WRONG[name]
    with pytest.raises(BadCertificate, match=said) as caught:
        read_certificate(*written(tmp_path, chain, key, mode=mode))
    assert caught.value.then


def test_a_missing_file_is_told_by_name(tmp_path: Path) -> None:
    cert, key = written(tmp_path, certificate(KEY), key_text(KEY))
    key.unlink()
    with pytest.raises(BadCertificate, match=r"the certificate's key .*tls\.key cannot be read: No such file"):
        read_certificate(cert, key)
    cert.unlink()
    with pytest.raises(BadCertificate, match=r"the certificate .*tls\.pem cannot be read: No such file"):
        read_certificate(cert, key)
    with pytest.raises(BadCertificate, match="Is a directory"):
        read_certificate(tmp_path, key)


@pytest.mark.parametrize(
    ("from_days", "until_days", "said"),
    [
        (-10.0, 365.0, ""),
        (-10.0, 31.0, ""),
        (-10.0, 29.0, "expires on"),
        (-10.0, -1.0, "has expired on"),
        (1.0, 365.0, "is not valid before"),
    ],
)
def test_dates_are_doubts_and_no_errors(from_days: float, until_days: float, said: str, tmp_path: Path) -> None:
    key = server_engine_key()
    chain = certificate(key, from_days=from_days, until_days=until_days)
    found = read_certificate(*written(tmp_path, chain, key_text(key)))
    told = doubts(found, public_of(server_key()), NOW)
    assert len(told) == bool(said)
    assert all(said in text for text in told)
    assert has_expired(found, NOW) == (until_days < 0)


def test_another_key_than_that_of_the_site_record_is_a_doubt(tmp_path: Path) -> None:
    own, other = public_of(server_key()), from_pem(public_pem(public_of(server_key())))
    found = read_certificate(*written(tmp_path, certificate(KEY), key_text(KEY)))
    assert not holds(found, own)
    (told,) = doubts(found, own, NOW)
    assert "another key than the site record" in told
    mine = read_certificate(*written(tmp_path, self_signed(server_key()), private_pem(server_key())))
    assert holds(mine, own)
    assert other == own
    assert doubts(mine, own, NOW) == []
