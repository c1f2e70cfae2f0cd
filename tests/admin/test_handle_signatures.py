"""`hnode handle sign`, `certify` and `verify` on the local store: what is signed, what spoils it, the exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from admin.errors import ExitCode
from protocol.trust.claims import Claims, SignedClaims
from protocol.trust.keys import public_of
from protocol.trust.value_digests import Digests
from protocol.value import HandleValue
from storage.base import Action
from tests.admin.signing_nodes import A1, ADMIN, ROOT, Signers, key_value
from tests.support.signing import ADMIN_KEY, OTHER_KEY


@pytest.fixture
def signers(tmp_path: Path) -> Signers:
    return Signers(tmp_path)


def faults(told: Any) -> str:
    return "; ".join(fault for signature in told["signatures"] for fault in signature["faults"])


# Signing


def test_signing_puts_one_value_beside_the_others_and_says_so(signers: Signers) -> None:
    before = len(signers.node.journal())
    ended = signers.sign("--days", 0)
    assert ended.code == ExitCode.OK
    assert ended.out == ("signed 88.100/A1  (values: 1 URL, 2 DESC, at 400, by 300:0.NA/88.100, without end)\n")
    values = signers.node.values(A1.encode())
    assert values is not None
    assert [(value.index, value.type) for value in values] == [(1, b"URL"), (2, b"DESC"), (400, b"HS_SIGNATURE")]
    assert (values[2].permission_text, values[2].data.count(b".")) == ("1110", 2)
    claims = signers.claims(400)
    assert (claims.issuer, claims.subject) == (b"300:0.NA/88.100", b"88.100/A1")
    assert claims.digests == Digests.of(values[:2])
    assert claims.issued_at is not None
    assert (claims.not_before, claims.expires) == (claims.issued_at - 600, None)
    (row,) = signers.node.journal()[before:]
    assert row.action == Action.UPDATE


def test_signing_tells_programs_what_was_made(signers: Signers) -> None:
    told = json.loads(signers.sign("--days", 2, "--chain", "400:0.NA/88.100", "-o", "json").out)
    assert (told["result"], told["index"], told["signer"], told["values"]) == ("signed", 400, ADMIN, "1 URL, 2 DESC")
    claims = signers.claims(400)
    assert claims.issued_at is not None
    assert claims.expires == claims.issued_at + 2 * 86_400
    assert claims.chain == (b"400:0.NA/88.100",)


def test_a_signature_by_the_same_signer_takes_the_place_of_the_older_one(signers: Signers) -> None:
    signers.node.run("handle", "set-value", A1, 400, "DESC", "in the way")
    assert signers.sign().code == ExitCode.OK
    signers.node.run("handle", "set-value", A1, 1, "URL", "https://example.com/new")
    assert signers.sign().code == ExitCode.OK
    assert signers.sign(key="root", signer=ROOT).code == ExitCode.OK
    values = signers.node.values(A1.encode())
    assert values is not None
    assert [value.index for value in values] == [1, 2, 400, 401, 402]
    assert (signers.claims(401).issuer, signers.claims(402).issuer) == (ADMIN.encode(), ROOT.encode())


def test_values_that_the_public_may_not_read_are_left_out_unless_named(signers: Signers) -> None:
    signers.node.run("handle", "set-value", A1, 5, "NOTE", "inside", "--permissions", "1100")
    ended = signers.sign()
    assert "not signed, since the public may not read it: 5 NOTE" in ended.err
    assert [index for index, _ in _digested(signers)] == [1, 2]
    assert signers.sign("--index", 1, "--index", 5).code == ExitCode.OK
    assert [index for index, _ in _digested(signers)] == [1, 5]


def _digested(signers: Signers) -> tuple[tuple[int, bytes], ...]:
    digests = signers.claims(400).digests
    assert digests is not None
    return digests.digests


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--index", 9], ExitCode.NOT_FOUND, "no value to sign at 9"),
        (["--index", 300], ExitCode.FAILED, "secret key"),
        (["--at-index", 1], ExitCode.CONFLICT, "at 1 stands a value of type URL"),
        (["--signer", "0.NA/88.100"], ExitCode.USAGE, "INDEX:HANDLE"),
        (["--signer", "0:0.NA/88.100"], ExitCode.USAGE, "INDEX:HANDLE"),
        (["--signer", "301:0.0/0.0"], ExitCode.FAILED, "not that of 301:0.0/0.0"),
        (["--chain", ""], ExitCode.USAGE, "chain"),
        (["--days", -1], ExitCode.USAGE, "--days"),
        (["--index", 0], ExitCode.USAGE, "--index"),
        (["--passphrase-file", "/nowhere"], ExitCode.FAILED, "No such file"),
        (["--key", "/nowhere"], ExitCode.FAILED, "No such file"),
    ],
)
def test_what_cannot_be_signed_says_why_and_changes_nothing(
    signers: Signers, options: list[object], code: ExitCode, says: str
) -> None:
    signers.node.run("handle", "set-value", A1, 300, "HS_SECKEY", "secret", "--permissions", "1100")
    before = signers.node.journal()
    ended = signers.sign(*options)
    assert ended.code == code
    assert says in ended.err
    assert signers.node.journal() == before


def test_a_public_key_signs_nothing(signers: Signers) -> None:
    ended = signers.sign("--key", signers.folder / "admin.pub.pem")
    assert ended.code == ExitCode.USAGE
    assert "public key" in ended.err


def test_a_missing_handle_ends_with_3(signers: Signers) -> None:
    assert signers.sign(handle="88.100/no").code == ExitCode.NOT_FOUND
    assert (
        signers.certify("300:88.100/no", "--subject-key", signers.folder / "other.pub.pem").code == ExitCode.NOT_FOUND
    )
    assert signers.verify(handle="88.100/no")[0] == ExitCode.NOT_FOUND


def test_a_signature_longer_than_a_value_may_be_is_refused(tmp_path: Path) -> None:
    signers = Signers(tmp_path)
    with signers.node.config.open("a") as config:
        config.write("[limits]\nvalue_bytes = 512\n")
    ended = signers.sign()
    assert ended.code == ExitCode.FAILED
    assert "at most 512" in ended.err


def test_a_key_that_nobody_here_knows_signs_with_a_note(signers: Signers) -> None:
    ended = signers.sign(key="other", signer="300:88.9/elsewhere")
    assert ended.code == ExitCode.OK
    assert "not known here" in ended.err


# Certifying


def test_a_certificate_stands_in_the_record_of_its_subject(signers: Signers) -> None:
    ended = signers.certify(ADMIN, "--perm", "thisHandle", "--perm", "derivedPrefixes=0.NA/88", "--perm", "everything")
    assert ended.code == ExitCode.OK
    claims = signers.claims(400, "0.NA/88.100")
    assert (claims.issuer, claims.subject, claims.public_key) == (ROOT.encode(), ADMIN.encode(), public_of(ADMIN_KEY))
    assert [(grant.permission, grant.handle) for grant in claims.grants] == [
        ("thisHandle", b"0.NA/88.100"),
        ("derivedPrefixes", b"0.NA/88"),
        ("everything", b""),
    ]
    assert signers.certify(ADMIN).code == ExitCode.OK
    values = signers.node.values(b"0.NA/88.100")
    assert values is not None
    assert [value.index for value in values] == [300, 400]


def test_a_key_without_a_value_is_certified_from_a_file_into_any_record(signers: Signers) -> None:
    assert signers.certify("300:88.9/x", "--into", A1).code == ExitCode.NOT_FOUND
    file = signers.folder / "other.pub.pem"
    assert signers.certify("300:88.9/x", "--into", A1, "--subject-key", file, "--at-index", 9).code == ExitCode.OK
    assert signers.claims(9).public_key == public_of(OTHER_KEY)


@pytest.mark.parametrize(
    ("subject", "options", "says"),
    [
        ("0.NA/88.100", ["--perm", "everything"], "INDEX:HANDLE"),
        (ADMIN, ["--perm", "all"], "is no permission"),
        (ADMIN, ["--perm", "thisHandle="], "is no permission"),
    ],
)
def test_what_cannot_be_certified_is_wrong_usage(signers: Signers, subject: str, options: list[str], says: str) -> None:
    ended = signers.certify(subject, *options)
    assert ended.code == ExitCode.USAGE
    assert says in ended.err


# Verifying


def test_a_record_signed_under_the_trust_root_is_good(signers: Signers) -> None:
    signers.trusted().sign()
    code, told = signers.verify()
    assert (code, told["result"], told["unsigned"]) == (ExitCode.OK, "good", [])
    (signature,) = told["signatures"]
    assert (signature["index"], signature["issuer"], signature["algorithm"]) == (400, ADMIN, "RS256")
    assert (signature["good"], signature["trusted"], signature["signed"]) == (True, True, [1, 2])
    assert [link["issuer"] for link in signature["chain"]] == [ADMIN, ROOT, ROOT]
    ended = signers.node.run("handle", "verify", A1)
    assert ended.out.startswith("88.100/A1: good\n  good  400 by 300:0.NA/88.100  (signs 1, 2; until 20")
    assert f"chain {ADMIN} ← {ROOT} ← {ROOT}" in ended.out


def test_certificates_and_signatures_of_one_record_verify_together(signers: Signers) -> None:
    signers.trusted()
    assert signers.sign(handle="0.0/0.0", key="root", signer=ROOT).code == ExitCode.OK
    assert signers.sign(handle="0.NA/88.100", key="root", signer=ROOT).code == ExitCode.OK
    assert signers.verify(handle="0.0/0.0")[0] == ExitCode.OK
    assert signers.verify(handle="0.NA/88.100")[1]["signatures"][0]["signed"] == [300, 400]


def test_what_changed_was_added_or_is_missing_since_is_named(signers: Signers) -> None:
    signers.trusted().sign()
    signers.node.run("handle", "set-value", A1, 1, "URL", "https://example.org/")
    signers.node.run("handle", "set-value", A1, 7, "EMAIL", "a@example.org")
    signers.node.run("handle", "rm-value", A1, 2)
    code, told = signers.verify()
    assert (code, told["result"]) == (ExitCode.DENIED, "bad")
    assert told["unsigned"] == [{"index": 1, "type": "URL"}, {"index": 7, "type": "EMAIL"}]
    (signature,) = told["signatures"]
    assert (signature["changed"], signature["missing"], signature["signed"]) == ([1], [2], [])
    assert signature["faults"] == ["changed: 1", "missing: 2"]
    ended = signers.node.run("handle", "verify", A1)
    assert ended.code == ExitCode.DENIED
    assert ended.out.splitlines()[0] == "88.100/A1: bad"
    assert "  unsigned: 1 URL, 7 EMAIL\n" in ended.out


def test_a_value_that_nobody_signed_spoils_a_record_unless_allowed(signers: Signers) -> None:
    signers.trusted().sign("--index", 1)
    assert signers.verify()[0] == ExitCode.DENIED
    assert signers.verify("--allow-unsigned")[0] == ExitCode.OK
    signers.node.run("handle", "set-value", A1, 1, "URL", "https://example.org/")
    assert signers.verify("--allow-unsigned")[0] == ExitCode.DENIED


def test_a_record_without_a_signature_ends_with_3(signers: Signers) -> None:
    for options in ((), ("--allow-unsigned",)):
        code, told = signers.verify(*options)
        assert (code, told["result"], told["signatures"]) == (ExitCode.NOT_FOUND, "unsigned", [])


def test_a_signature_by_a_key_without_certificate_is_bad(signers: Signers) -> None:
    signers.sign()
    code, told = signers.verify()
    assert code == ExitCode.DENIED
    assert "0.NA/88.100 has no certificate about 300:0.NA/88.100" in faults(told)


def test_a_signature_by_another_key_is_bad(signers: Signers) -> None:
    signers.trusted()
    signers.put(b"0.NA/88.100", *[v for v in signers.node.values(b"0.NA/88.100") or () if v.index != 300])
    assert signers.sign(key="other").code == ExitCode.OK
    code, told = signers.verify()
    assert code == ExitCode.DENIED
    assert "not by the certified key of 300:0.NA/88.100" in faults(told)


def test_a_signer_without_permission_over_the_handle_is_bad(signers: Signers) -> None:
    signers.trusted()
    signers.node.run("handle", "create", "88.200/B", "URL=x", "--no-admin")
    assert signers.sign(handle="88.200/B").code == ExitCode.OK
    code, told = signers.verify(handle="88.200/B")
    assert code == ExitCode.DENIED
    assert faults(told) == "300:0.NA/88.100 has no permission over this handle"


def test_a_signature_of_another_handle_is_bad(signers: Signers) -> None:
    signers.trusted().sign()
    signers.put(b"88.100/A2", *(signers.node.values(A1.encode()) or ()))
    code, told = signers.verify(handle="88.100/A2")
    assert code == ExitCode.DENIED
    assert "it is about 88.100/A1, another handle" in faults(told)


def test_a_signature_that_is_over_is_bad(signers: Signers) -> None:
    signers.trusted()
    values = signers.node.values(A1.encode()) or ()
    claims = Claims(issuer=ADMIN.encode(), subject=A1.encode(), digests=Digests.of(values), expires=1_700_000_000)
    data = SignedClaims.make(claims, ADMIN_KEY).token.to_bytes()
    signers.put(A1.encode(), *values, HandleValue(index=400, type=b"HS_SIGNATURE", data=data))
    code, told = signers.verify()
    assert code == ExitCode.DENIED
    assert "holds from any time to 2023-11-14T22:13:20Z, not now" in faults(told)


def test_one_bad_signature_beside_a_good_one_spoils_the_record(signers: Signers) -> None:
    signers.trusted().sign()
    signers.node.run("handle", "set-value", A1, 401, "HS_SIGNATURE", "no token")
    code, told = signers.verify()
    assert code == ExitCode.DENIED
    assert [signature["good"] for signature in told["signatures"]] == [True, False]
    assert "cannot be read" in faults(told)
    assert "BAD  401\n" in signers.node.run("handle", "verify", A1).out


def test_a_chain_that_names_what_is_no_handle_is_bad_and_nothing_worse(signers: Signers) -> None:
    for issuer in (b"1:", b"1:" + b"x" * 2_048, b"\x1b[2J/x"):
        claims = Claims(issuer=issuer, subject=A1.encode(), digests=Digests.of(()))
        data = SignedClaims.make(claims, OTHER_KEY).token.to_bytes()
        signers.put(A1.encode(), HandleValue(index=400, type=b"HS_SIGNATURE", data=data))
        code, told = signers.verify()
        assert (code, told["result"]) == (ExitCode.DENIED, "bad")
        assert "\x1b" not in signers.node.run("handle", "verify", A1).out


@pytest.mark.parametrize("form", ["private", "public", "list"])
def test_a_trusted_key_may_be_given_instead_of_the_root(signers: Signers, form: str) -> None:
    trusted = signers.folder / {"private": "other.pem", "public": "other.pub.pem", "list": "trust.json"}[form]
    if form == "list":
        shown = signers.node.run("key", "show", signers.files["other"], "-o", "json").json["public"]
        trusted.write_text(json.dumps([shown]))
    signers.put(b"0.0/0.0")
    signers.put(b"0.NA/88.100", key_value(300, OTHER_KEY))
    assert signers.certify(ADMIN, key="other", signer=ADMIN).code == ExitCode.OK
    assert signers.sign(key="other").code == ExitCode.OK
    code, told = signers.verify()
    assert code == ExitCode.DENIED
    assert "whose key is not trusted" in faults(told)
    assert signers.verify("--trust", trusted)[0] == ExitCode.OK
    assert signers.verify("--trust", signers.files["admin"])[0] == ExitCode.DENIED


def test_without_any_trusted_key_the_mend_is_told(signers: Signers) -> None:
    signers.trusted().sign()
    signers.put(b"0.0/0.0", *[v for v in signers.node.values(b"0.0/0.0") or () if v.index != 301])
    ended = signers.node.run("handle", "verify", A1)
    assert ended.code == ExitCode.DENIED
    assert "--trust FILE" in ended.err


@pytest.mark.parametrize(
    "content", ["", "[", "[]", "[3]", "[" * 5_000, "[" + "{}," * 70 + "{}]", "x" * ((1 << 20) + 1)]
)
def test_a_file_without_a_key_cannot_be_trusted(signers: Signers, content: str) -> None:
    file = signers.folder / "trust"
    file.write_text(content)
    ended = signers.node.run("handle", "verify", A1, "--trust", file)
    assert ended.code == ExitCode.USAGE
    assert "holds no key to trust" in ended.err


def test_a_chain_by_its_places_needs_no_search(signers: Signers) -> None:
    signers.node.run("handle", "create", "88.100/certs", "DESC=certificates", "--no-admin")
    for subject, index in ((ADMIN, 7), (ROOT, 8)):
        file = signers.folder / ("admin.pub.pem" if subject == ADMIN else "root.pub.pem")
        more = ("--into", "88.100/certs", "--at-index", index, "--subject-key", file)
        assert signers.certify(subject, *more).code == ExitCode.OK
    assert signers.sign("--chain", "7:88.100/certs", "--chain", "8:88.100/certs").code == ExitCode.OK
    assert signers.verify()[0] == ExitCode.OK


def test_a_handle_without_a_slash_is_a_prefix_here_too(signers: Signers) -> None:
    signers.certify(ROOT)
    assert signers.certify("300:88.100").code == ExitCode.OK
    assert signers.sign("--chain", "88.100", signer="300:88.100").code == ExitCode.OK
    assert (signers.claims(400).issuer, signers.claims(400).chain) == (ADMIN.encode(), (b"88.100",))
    assert signers.verify()[0] == ExitCode.OK
