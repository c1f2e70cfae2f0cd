"""`hnode key`: make, show, convert, and what is never overwritten or readable by others."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin.errors import ExitCode
from admin.key_formats import KeyFormat, read_key, written
from protocol.errors import HandleError, InvalidValue, Malformed
from protocol.trust.keys import DsaPrivateKey, PrivateKey, from_pem, generate_rsa
from tests.support.command import hnode
from tests.support.keys import captured_keys
from tests.support.vectors import vectors


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "key.pem"
    assert hnode("key", "generate", "--out", path).code == ExitCode.OK
    return path


def test_a_generated_key_is_rsa_2048_for_its_owner_alone(key_file: Path) -> None:
    assert mode(key_file) == 0o600
    assert b"-----BEGIN PRIVATE KEY-----" in key_file.read_bytes()
    shown = hnode("key", "show", key_file, "-o", "json").json
    assert (shown["kind"], shown["bits"], shown["private"], shown["form"]) == ("RSA", 2048, True, "pem")
    assert shown["fingerprint"].startswith("SHA256:")
    assert set(shown["public"]) == {"kty", "n", "e"}


def test_what_is_printed_holds_nothing_of_the_private_half(key_file: Path) -> None:
    private = from_pem(key_file.read_bytes())
    assert isinstance(private, PrivateKey)
    secret = json.loads(written(private, KeyFormat.JWK))["d"]
    out = hnode("key", "show", key_file).out + hnode("key", "show", key_file, "-o", "json").out
    assert secret not in out


def test_conversion_through_every_form_and_back_gives_the_same_pem(key_file: Path, tmp_path: Path) -> None:
    steps = [key_file, tmp_path / "a.bin", tmp_path / "b.jwk", tmp_path / "c.pem"]
    for source, target in pairwise(steps):
        assert hnode("key", "convert", source, target).code == ExitCode.OK
        assert mode(target) == 0o600
    assert steps[-1].read_bytes() == key_file.read_bytes()


def test_the_public_half_converts_through_every_form_with_one_fingerprint(key_file: Path, tmp_path: Path) -> None:
    steps = [key_file, tmp_path / "a", tmp_path / "b", tmp_path / "c", tmp_path / "d"]
    forms = ("pub-bin", "pub-jwk", "pub-pem", "bin")
    for (source, target), form in zip(pairwise(steps), forms, strict=True):
        assert hnode("key", "convert", source, target, "--to", form).code == ExitCode.OK
        assert mode(target) == 0o644
    fingerprints = {hnode("key", "show", path, "-o", "json").json["fingerprint"] for path in steps}
    assert len(fingerprints) == 1
    assert steps[1].read_bytes() == steps[-1].read_bytes()


@pytest.mark.parametrize("suffix", ["bin", "pem"])
def test_an_encrypted_file_opens_with_its_passphrase_alone(key_file: Path, tmp_path: Path, suffix: str) -> None:
    secret, wrong = tmp_path / "secret", tmp_path / "wrong"
    secret.write_text("pässe\nsecond line\n")
    wrong.write_text("pässf\n")
    sealed, opened = tmp_path / f"sealed.{suffix}", tmp_path / "opened.pem"
    assert hnode("key", "convert", key_file, sealed, "--new-passphrase-file", secret).code == ExitCode.OK
    for arguments in ((), ("--passphrase-file", wrong)):
        ended = hnode("key", "convert", sealed, opened, *arguments)
        assert ended.code == ExitCode.DENIED
        assert "--passphrase-file" in ended.err
    assert hnode("key", "convert", sealed, opened, "--passphrase-file", secret).code == ExitCode.OK
    assert opened.read_bytes() == key_file.read_bytes()


def test_a_key_is_not_overwritten_without_force(key_file: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.pem"
    target.write_text("precious")
    for arguments in (("convert", key_file, target), ("generate", "--out", target)):
        ended = hnode("key", *arguments)
        assert ended.code == ExitCode.CONFLICT
        assert target.read_text() == "precious"
    assert hnode("key", "convert", key_file, target, "--force").code == ExitCode.OK
    assert target.read_bytes() == key_file.read_bytes()
    assert mode(target) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a.pem"]


def test_a_form_that_the_name_does_not_tell_must_be_said(key_file: Path, tmp_path: Path) -> None:
    assert hnode("key", "convert", key_file, tmp_path / "x").code == ExitCode.USAGE


def test_what_is_no_key_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for octets in (b"", b"hello", b"{", b"{}", b"-----BEGIN PRIVATE KEY-----\n", bytes(2_000_000), bytes(40)):
        path.write_bytes(octets)
        ended = hnode("key", "show", path)
        assert ended.code in (ExitCode.FAILED, ExitCode.DENIED), octets[:20]
        assert ended.err.startswith("error: ")
        assert "fault of hnode" not in ended.err
    assert hnode("key", "show", tmp_path / "none").code == ExitCode.FAILED


def test_an_empty_passphrase_file_is_refused(key_file: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    ended = hnode("key", "convert", key_file, tmp_path / "x.pem", "--new-passphrase-file", tmp_path / "empty")
    assert ended.code == ExitCode.FAILED
    assert not (tmp_path / "x.pem").exists()


def test_a_dsa_key_keeps_its_numbers_through_every_form() -> None:
    pem, public = captured_keys()["admin DSA"]
    key = read_key(pem).key
    assert isinstance(key, DsaPrivateKey)
    for form in (KeyFormat.PEM, KeyFormat.BIN, KeyFormat.JWK):
        assert read_key(written(key, form)).key == key
    assert written(key, KeyFormat.PUBLIC_BIN) == public
    assert read_key(written(key, KeyFormat.PUBLIC_JWK)).bits == 1024


def test_captured_key_files_of_every_encryption_are_read() -> None:
    files = vectors()["privateKeyFiles"]
    assert len(files) == 5
    for file in files:
        passphrase = (file.get("passphrase") or "").encode()
        found = read_key(bytes.fromhex(file["fileHex"]), passphrase)
        assert found.is_private
        assert found.form is KeyFormat.BIN


def test_json_of_a_private_key_takes_no_passphrase_and_broken_members_are_refused() -> None:
    key = generate_rsa(2048)
    with pytest.raises(InvalidValue):
        written(key, KeyFormat.JWK, b"secret")
    members = json.loads(written(key, KeyFormat.JWK))
    for wrong in (5, "", "???", None):
        with pytest.raises(InvalidValue):
            read_key(json.dumps({**members, "d": wrong}).encode())
    with pytest.raises(Malformed):
        read_key(b"{" * 100_000)


BEGINNINGS = (b"", b"{", b"-----BEGIN ", b"\0\0\0\x01", b"\0\0\0\x04", b"\0\0\0\x0b", b"\0\0\0\x0fRSA_PRIVCRT_KEY")


@given(st.builds(bytes.__add__, st.sampled_from(BEGINNINGS), st.binary(max_size=80)))
def test_any_octets_are_a_key_or_refused(octets: bytes) -> None:
    try:
        found = read_key(octets, b"secret")
    except HandleError:
        return
    assert found.bits >= 0
