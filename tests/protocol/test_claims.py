"""Signed claims: tokens in both forms, claims as values, the digest of the spec, and whatever a stranger sends."""

import base64
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import InvalidValue, Malformed
from protocol.limits import HANDLE_SIZE_MAX, VALUE_COUNT_MAX
from protocol.trust import keys
from protocol.trust.claims import GRANTS_MAX, LINKS_MAX, TIME_MAX, Claims, Grant, SignedClaims, identity, identity_text
from protocol.trust.jws import HEADER_SIZE_MAX, JSON_DEPTH_MAX, TOKEN_SIZE_MAX, Token, json_object, signed
from protocol.trust.keys import DhPublicKey, public_of, signature
from protocol.trust.value_digests import Comparison, Digests, compared, value_digest
from protocol.value import HandleValue, Reference
from protocol.wire import Reader
from tests.support.signing import ADMIN_KEY, DSA_KEY, OTHER_KEY, ROOT_KEY

URL = HandleValue.read(
    Reader(
        bytes.fromhex(
            "00000001 5f5e1000 00 00015180 0e 00000003 55524c 00000013 687474703a2f2f6578616d706c652e636f6d2f 00000000"
        )
    )
)
"""The first example of the spec, records: section 2."""

RFC_TOKEN = (
    b"eyJhbGciOiJSUzI1NiJ9"
    b".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    b".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t"
    b"1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jz"
    b"DwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe"
    b"77Rw"
)
"""The example of RFC 7515, appendix A.2."""
RFC_MODULUS = (
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMs"
    "D1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdV"
    "MTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
)


def b64(octets: bytes) -> bytes:
    return base64.urlsafe_b64encode(octets).rstrip(b"=")


def token(header: bytes = b'{"alg":"RS256"}', payload: bytes = b"{}", mark: bytes = b"x") -> bytes:
    return b".".join((b64(header), b64(payload), b64(mark)))


def claims_of(**members: Any) -> Claims:
    return Claims.read(json.dumps(members).encode())


# Tokens


def test_the_example_of_the_rfc_is_read_and_verified() -> None:
    found = Token.read(RFC_TOKEN)
    modulus = int.from_bytes(base64.urlsafe_b64decode(RFC_MODULUS + "=="), "big")
    assert found.algorithm == "RS256"
    assert json.loads(found.payload)["iss"] == "joe"
    assert found.is_signed_by(keys.RsaPublicKey(modulus, 65_537))
    assert found.to_bytes() == RFC_TOKEN


@pytest.mark.parametrize("key", [ADMIN_KEY, DSA_KEY])
def test_what_a_key_signs_it_verifies_and_no_other_does(key: keys.PrivateKey) -> None:
    made = signed(key, b"octets")
    assert made.header == (b'{"alg":"DS256"}' if key is DSA_KEY else b'{"alg":"RS256"}')
    assert made.is_signed_by(public_of(key))
    for other in (ROOT_KEY, OTHER_KEY, DSA_KEY if key is ADMIN_KEY else ADMIN_KEY):
        assert not made.is_signed_by(public_of(other))
    assert not replace(made, payload=b"octetz").is_signed_by(public_of(key))
    assert not replace(made, header=made.header + b" ").is_signed_by(public_of(key))
    assert not made.is_signed_by(DhPublicKey(1, 2, 3))


@pytest.mark.parametrize("size", [256, 384, 512])
@pytest.mark.parametrize(("kind", "key"), [("RS", ADMIN_KEY), ("DS", DSA_KEY)])
def test_the_longer_digests_are_verified(kind: str, key: keys.PrivateKey, size: int) -> None:
    header = json.dumps({"typ": "JWT", "alg": f"{kind}{size}"}).encode()
    octets = signature(key, f"SHA-{size}", b64(header) + b"." + b64(b"{}"))
    assert Token(header, b"{}", octets).is_signed_by(public_of(key))
    other = json.dumps({"typ": "JWT", "alg": f"{kind}{640 - size if size != 512 else 256}"}).encode()
    assert size == 256 or not Token(other, b"{}", octets).is_signed_by(public_of(key))


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS1", "DS256", "ES256", "rs256", "", "RS256\0"])
def test_an_algorithm_of_another_key_or_of_none_never_verifies(algorithm: str) -> None:
    header = json.dumps({"alg": algorithm}).encode()
    octets = signature(ADMIN_KEY, keys.SHA256, b64(header) + b"." + b64(b"{}"))
    for mark in (octets, b""):
        assert not Token(header, b"{}", mark).is_signed_by(public_of(ADMIN_KEY))


def test_the_json_form_is_the_same_token_and_its_first_signature_counts() -> None:
    made = signed(ADMIN_KEY, '{"content":"标识"}'.encode())
    assert Token.read(made.to_json()) == made
    assert list(json.loads(made.to_json())) == ["payload", "signatures"]
    more = json.loads(made.to_json())
    more["signatures"].append({"protected": "!", "signature": 7})
    assert Token.read(b"  " + json.dumps(more, indent=1).encode() + b"\n") == made
    assert Token.read(made.to_bytes() + b"\n") == made


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b".",
        b"..",
        b"a.b",
        token() + b".x",
        token().replace(b".", b"=.", 1),
        b64(b'{"alg":"RS256"}') + b".!!." + b64(b"x"),
        b64(b'{"alg":"RS256"}') + b".e31." + b64(b"x"),  # The same octets as `e30`: bits left over that are not 0.
        token(b'{"alg":"RS256"}').replace(b"-", b"+") + b"+",
        token(b"[]"),
        token(b"{}"),
        token(b'{"alg":7}'),
        token(b'{"alg":"RS256","alg":"RS256"}'),
        token(b'{"alg":"RS256","crit":["b64"],"b64":false}'),
        token(b'{"alg":"RS256","x":NaN}'),
        token(b"\xff"),
        token(b'{"alg":"RS256","x":"' + b"x" * HEADER_SIZE_MAX + b'"}'),
        b"{",
        b"{}",
        b'{"payload":"e30","signatures":[]}',
        b'{"payload":"e30","signatures":{}}',
        b'{"payload":"e30","signatures":["x"]}',
        b'{"payload":"e30","signatures":[{"protected":"eyJhbGciOiJSUzI1NiJ9"}]}',
        b'{"payload":7,"signatures":[{"protected":"eyJhbGciOiJSUzI1NiJ9","signature":"eA"}]}',
        '{"payload":"é","signatures":[{"protected":"eyJhbGciOiJSUzI1NiJ9","signature":"eA"}]}'.encode(),
        b'{"payload":"e30","payload":"e30","signatures":[{"protected":"eyJhbGciOiJSUzI1NiJ9","signature":"eA"}]}',
    ],
)
def test_what_is_no_token_is_malformed(octets: bytes) -> None:
    with pytest.raises(Malformed):
        Token.read(octets)


def test_a_token_is_bounded_in_size_and_depth() -> None:
    fits = token(payload=b"x" * (3 * (TOKEN_SIZE_MAX - 100) // 4))
    assert len(Token.read(fits).payload) > 100_000
    with pytest.raises(Malformed, match="at most"):
        Token.read(fits + b"x" * 200)
    deepest = b"[" * (JSON_DEPTH_MAX - 1) + b"]" * (JSON_DEPTH_MAX - 1)
    assert json_object(b'{"a":' + deepest + b',"b":"[[[[[[[[[[[[[[[[[[[[\\"{{{{{{"}', "it")
    with pytest.raises(Malformed, match="deep"):
        json_object(b'{"a":[' + deepest + b"]}", "it")
    for hostile in (b"[" * 200_000, b'{"a":' * 50_000, b'"\\' * 100_000, b'"' * 200_001, b'{"a":' + b"9" * 100_000):
        with pytest.raises(Malformed):
            json_object(hostile, "it")


# Identities


@pytest.mark.parametrize(
    ("text", "index", "handle"),
    [
        (b"300:0.NA/88.100", 300, b"0.NA/88.100"),
        (b"0.NA/88.100", 0, b"0.NA/88.100"),
        (b"88.100/urn:x:1", 0, b"88.100/urn:x:1"),
        (b"1:88.100/1:2", 1, b"88.100/1:2"),
        (b":88.100/x", 0, b":88.100/x"),
        (b"99999999999:x", 0, b"99999999999:x"),
        (b"2147483648:x", 0, b"2147483648:x"),
    ],
)
def test_an_identity_is_index_and_handle(text: bytes, index: int, handle: bytes) -> None:
    assert identity(text) == Reference(index, handle)
    assert identity_text(identity(text)) == text


# Claims


def test_claims_are_written_and_read_alike() -> None:
    claims = Claims(
        issuer="300:0.NA/标识".encode(),
        subject=b"88.100/A1",
        issued_at=1,
        not_before=-5,
        expires=2**40,
        digests=Digests.of([URL]),
        public_key=public_of(DSA_KEY),
        grants=(Grant("everything"), Grant("thisHandle", b"0.NA/88.100")),
        chain=(b"400:0.NA/88.100", b"0.NA/88"),
        content="free",
    )
    assert Claims.read(claims.to_bytes()) == claims
    found = json.loads(claims.to_bytes())
    assert found["digests"] == {
        "alg": "SHA-256",
        "digests": [{"index": 1, "digest": "g9ISqOtUUclyqfNSMXZQhsNlpnI0xSGG3QlGzyKUgHE="}],
    }
    assert found["perms"][1] == {"handle": "0.NA/88.100", "perm": "thisHandle"}
    assert found["publicKey"]["kty"] == "DSA"
    assert (found["iat"], found["exp"], found["chain"]) == (1, 2**40, ["400:0.NA/88.100", "0.NA/88"])


def test_every_claim_may_be_absent_or_null_and_others_are_passed_over() -> None:
    names = ("iss", "sub", "iat", "nbf", "exp", "digests", "publicKey", "perms", "chain", "content")
    assert claims_of() == claims_of(**dict.fromkeys(names)) == claims_of(jti="x", aud=[1]) == Claims()
    assert Claims().to_bytes() == b"{}"


def test_parts_of_a_second_are_dropped() -> None:
    assert claims_of(exp=1.9, nbf=-0.5).expires == 1
    assert claims_of(nbf=-0.5).not_before == -1


@pytest.mark.parametrize(
    "members",
    [
        {"iss": 7},
        {"iss": "x" * (HANDLE_SIZE_MAX + 12)},
        {"sub": ["x"]},
        {"sub": "\ud800"},
        {"iat": "1"},
        {"iat": True},
        {"exp": TIME_MAX + 1},
        {"nbf": 1e300},
        {"digests": []},
        {"digests": {"digests": []}},
        {"digests": {"alg": "SHA-256"}},
        {"digests": {"alg": "SHA-256", "digests": [7]}},
        {"digests": {"alg": "SHA-256", "digests": [{"index": 2**31, "digest": ""}]}},
        {"digests": {"alg": "SHA-256", "digests": [{"index": 1, "digest": "*"}]}},
        {"digests": {"alg": "SHA-256", "digests": [{"index": 1, "digest": "eA=="}] * 2}},
        {"digests": {"alg": "SHA-256", "digests": [{"index": n, "digest": ""} for n in range(VALUE_COUNT_MAX + 1)]}},
        {"publicKey": "x"},
        {"publicKey": {"kty": "EC"}},
        {"publicKey": {"kty": "RSA", "n": "AQAB"}},
        {"publicKey": {"kty": "RSA", "e": "AQAB", "n": "_" * 4_000}},
        {"perms": {}},
        {"perms": ["everything"]},
        {"perms": [{"handle": "x"}]},
        {"perms": [{"perm": "x" * 65}]},
        {"perms": [{"perm": "everything"}] * (GRANTS_MAX + 1)},
        {"chain": "400:0.NA/88.100"},
        {"chain": [400]},
        {"chain": ["0.NA/88"] * (LINKS_MAX + 1)},
        {"content": {}},
    ],
)
def test_claims_of_another_shape_are_malformed(members: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        claims_of(**members)


def test_the_most_that_is_allowed_is_read() -> None:
    entries = [{"index": n, "digest": base64.b64encode(bytes(32)).decode()} for n in range(VALUE_COUNT_MAX)]
    claims = claims_of(
        digests={"alg": "SHA-256", "digests": entries},
        perms=[{"perm": "x" * 64, "handle": ""}] * GRANTS_MAX,
        chain=["0.NA/88"] * LINKS_MAX,
        iss="2147483647:" + "x" * HANDLE_SIZE_MAX,
        exp=TIME_MAX,
    )
    assert claims.digests is not None
    assert len(claims.digests.digests) == VALUE_COUNT_MAX
    assert Claims.read(claims.to_bytes()) == claims


def test_claims_as_long_as_no_token_are_malformed() -> None:
    with pytest.raises(Malformed, match="at most"):
        Claims.read(b'{"content":"' + b"x" * TOKEN_SIZE_MAX + b'"}')


def test_a_key_that_json_has_no_form_for_cannot_be_claimed() -> None:
    with pytest.raises(InvalidValue):
        Claims(public_key=DhPublicKey(1, 2, 3)).to_bytes()


def test_claims_hold_from_nbf_to_exp_both_included() -> None:
    claims = Claims(not_before=10, expires=20)
    assert [claims.is_valid_at(now) for now in (9.9, 10, 20, 20.1)] == [False, True, True, False]
    assert Claims().is_valid_at(0)
    assert Claims().is_valid_at(1e12)


def test_signed_claims_are_read_back() -> None:
    made = SignedClaims.make(Claims(issuer=b"300:0.NA/88.100", content="x"), ADMIN_KEY)
    for octets in (made.token.to_bytes(), made.token.to_json()):
        assert SignedClaims.read(octets) == made
    with pytest.raises(Malformed):
        SignedClaims.read(token(payload=b"[]"))


identities = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=30).map(str.encode)
times = st.none() | st.integers(-TIME_MAX, TIME_MAX)
some_claims = st.builds(
    Claims,
    issuer=identities,
    subject=identities,
    issued_at=times,
    not_before=times,
    expires=times,
    digests=st.none()
    | st.dictionaries(st.integers(-(2**31), 2**31 - 1), st.binary(max_size=64), max_size=5).map(
        lambda found: Digests("SHA-256", tuple(found.items()))
    ),
    chain=st.lists(st.sampled_from([b"", b"0.NA/88", "400:0.NA/é".encode()]), max_size=4).map(tuple),
    grants=st.lists(st.builds(Grant, st.sampled_from(["everything", "x", ""]), st.just(b"0.NA/88")), max_size=3).map(
        tuple
    ),
    content=st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)


@given(some_claims)
def test_all_claims_are_written_and_read_alike(claims: Claims) -> None:
    assert Claims.read(claims.to_bytes()) == claims


# Digests


def test_the_digest_of_the_example_is_that_of_the_spec() -> None:
    expected = base64.b64decode("g9ISqOtUUclyqfNSMXZQhsNlpnI0xSGG3QlGzyKUgHE=")
    assert value_digest(URL) == expected
    assert value_digest(replace(URL, index=77, timestamp=1)) == expected
    assert value_digest(replace(URL, permissions=0xFE)) == expected  # Deployed software drops unknown bits.
    encoded = URL.to_bytes()[8:]
    assert value_digest(URL, "SHA-384") == hashlib.sha384(encoded).digest()
    assert value_digest(URL, "SHA-512") == hashlib.sha512(encoded).digest()


@pytest.mark.parametrize(
    "changed",
    [
        replace(URL, data=b"http://example.org/"),
        replace(URL, type=b"URI"),
        replace(URL, ttl=1),
        replace(URL, ttl_type=1),
        replace(URL, permissions=0x0F),
        replace(URL, references=(Reference(1, b"x"),)),
    ],
)
def test_every_other_field_counts(changed: HandleValue) -> None:
    assert compared(Digests.of([URL]), [changed]) == Comparison(same=(), changed=(1,), undigested=(), missing=())


def test_values_are_the_same_changed_undigested_or_missing() -> None:
    values = [replace(URL, index=index) for index in (4, 1, 2, 3)]
    digests = Digests.of(values)
    now = [values[0], replace(values[2], data=b"new"), values[1], replace(URL, index=9)]
    assert compared(digests, now) == Comparison(same=(1, 4), changed=(2,), undigested=(9,), missing=(3,))


def test_no_value_hides_behind_another_of_its_index() -> None:
    forged = replace(URL, data=b"http://evil.example/")
    for values in ([URL, forged], [forged, URL]):
        assert compared(Digests.of([URL]), values).changed == (1,)


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-1", "SHA-256 ", ""])
def test_digests_of_an_unknown_or_broken_algorithm_prove_nothing(algorithm: str) -> None:
    digests = Digests(algorithm, ((1, value_digest(URL)),))
    assert not digests.is_known
    assert compared(digests, [URL]).changed == (1,)
