"""Chains of certificates: how they are followed, what each link must hold, and which records may be believed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from protocol.trust.chains import (
    ChainBroken,
    JudgedChain,
    Link,
    TrustRoot,
    chain,
    driven,
    followed,
    is_of_type,
    judged,
)
from protocol.trust.claims import (
    DERIVED_PREFIXES,
    EVERYTHING,
    HANDLES_UNDER_THIS_PREFIX,
    LINKS_MAX,
    THIS_HANDLE,
    Claims,
    Grant,
    SignedClaims,
)
from protocol.trust.keys import public_key_octets, public_of
from protocol.trust.reach import permits
from protocol.trust.record_signatures import SIGNATURES_MAX, JudgedRecord, judged_record
from protocol.value import HandleValue
from tests.support.signing import (
    ADMIN,
    ADMIN_KEY,
    ALL,
    DSA_KEY,
    HANDLE,
    NOW,
    OTHER_KEY,
    ROOT,
    ROOT_KEY,
    cert_value,
    certificate,
    record_signature,
    signature_value,
)

URL = HandleValue(index=1, type=b"URL", data=b"https://example.com/")
DESC = HandleValue(index=2, type=b"DESC", data=b"wrench")
VALUES = (URL, DESC)
ROOT_CERT = certificate(ROOT, ROOT_KEY)
ADMIN_CERT = certificate(ADMIN, ADMIN_KEY)
TRUSTED = TrustRoot(frozenset([public_of(ROOT_KEY)]))
Net = Mapping[bytes, Sequence[HandleValue]]
NET: Net = {b"0.0/0.0": (cert_value(400, ROOT_CERT),), b"0.NA/88.100": (cert_value(400, ADMIN_CERT),)}


def net(**more: SignedClaims) -> dict[bytes, Sequence[HandleValue]]:
    """The usual two certificates; `admin` and `root` replace one of them."""
    changed = {b"0.NA/88.100": more.get("admin", ADMIN_CERT), b"0.0/0.0": more.get("root", ROOT_CERT)}
    return {handle: (cert_value(400, signed),) for handle, signed in changed.items()}


class Counted:
    """A net that counts how often it is asked."""

    def __init__(self, found: Net) -> None:
        self._found = found
        self.asked = 0

    def get(self, handle: bytes) -> Sequence[HandleValue] | None:
        self.asked += 1
        return self._found.get(handle)


def links(signed: SignedClaims, found: Net = NET) -> tuple[Link, ...]:
    return followed(signed, found.get)


def judgement(
    signed: SignedClaims, found: Net = NET, *, handle: bytes = HANDLE, root: TrustRoot = TRUSTED, now: float = NOW
) -> JudgedChain:
    return judged(links(signed, found), handle, root, now=now)


def record(values: Sequence[HandleValue], found: Net = NET, root: TrustRoot = TRUSTED) -> JudgedRecord:
    return driven(judged_record(HANDLE, values, root, now=NOW), found.get)


# Following


def test_a_chain_leads_over_the_issuers_handles_to_the_self_issued_end() -> None:
    signed = record_signature(VALUES)
    asking = chain(signed)
    assert next(asking) == b"0.NA/88.100"
    assert asking.send(NET[b"0.NA/88.100"]) == b"0.0/0.0"
    with pytest.raises(StopIteration) as end:
        asking.send(NET[b"0.0/0.0"])
    assert [link.signed for link in end.value.value] == [signed, ADMIN_CERT, ROOT_CERT]
    assert [link.key for link in end.value.value] == [public_of(ADMIN_KEY), public_of(ROOT_KEY), public_of(ROOT_KEY)]


def test_self_issued_claims_are_a_chain_by_themselves() -> None:
    assert [link.signed for link in links(ROOT_CERT, {})] == [ROOT_CERT]
    other_case = certificate(b"301:0.NA/a", ROOT_KEY, issuer=b"301:0.na/A")
    assert len(links(other_case, {})) == 1


def test_a_chain_that_is_written_down_is_followed_and_inherited() -> None:
    place = b"88.100/certificates"
    signed = record_signature(VALUES, chain=(b"7:" + place, b"8:" + place))
    found = {place: (cert_value(7, ADMIN_CERT), cert_value(8, ROOT_CERT))}
    assert [link.signed for link in links(signed, found)] == [signed, ADMIN_CERT, ROOT_CERT]
    by_handle = record_signature(VALUES, chain=(place, place))
    assert [link.signed for link in links(by_handle, found)] == [by_handle, ADMIN_CERT, ROOT_CERT]
    of_the_parent = certificate(ADMIN, ADMIN_KEY, chain=(b"8:" + place,))
    found = {place: (cert_value(7, of_the_parent), cert_value(8, ROOT_CERT))}
    assert len(links(record_signature(VALUES, chain=(b"7:" + place,)), found)) == 3


def test_the_newest_certificate_about_the_issuer_counts_and_broken_ones_are_passed_over() -> None:
    values = (
        HandleValue(index=1, type=b"HS_CERT", data=b"broken"),
        cert_value(2, certificate(b"301:0.NA/88.100", OTHER_KEY, issued_at=NOW + 9)),
        cert_value(3, certificate(ADMIN, OTHER_KEY, issued_at=None)),
        cert_value(4, certificate(ADMIN, ADMIN_KEY, issued_at=NOW)),
        cert_value(5, certificate(ADMIN, DSA_KEY, issued_at=NOW - 1)),
        replace(cert_value(6, certificate(ADMIN, OTHER_KEY, issued_at=NOW + 9)), type=b"DESC"),
        cert_value(7, certificate(ADMIN, OTHER_KEY, issued_at=NOW)),
    )
    assert links(record_signature(VALUES), {**NET, b"0.NA/88.100": values})[0].key == public_of(ADMIN_KEY)
    assert links(record_signature(VALUES), {**NET, b"0.NA/88.100": values[:3]})[0].key == public_of(OTHER_KEY)


@pytest.mark.parametrize(
    ("chain_of", "found", "says"),
    [
        ((), {}, "0.NA/88.100 is not found"),
        ((), {b"0.NA/88.100": ()}, "no certificate about 300:0.NA/88.100"),
        ((), {b"0.NA/88.100": (cert_value(1, certificate(b"301:0.NA/88.100", ADMIN_KEY)),)}, "no certificate about"),
        ((b"5:x/y",), {b"x/y": (cert_value(4, ADMIN_CERT),)}, "5:x/y is not found"),
        ((b"5:x/y",), {b"x/y": (URL, replace(URL, index=5))}, "5:x/y is no certificate"),
        ((b"5:x/y",), {b"x/y": (cert_value(5, ROOT_CERT),)}, "is not about 300:0.NA/88.100"),
        ((b"5:x/y",), {b"x/y": (cert_value(5, SignedClaims.make(Claims(), ADMIN_KEY)),)}, "is not about"),
        (
            (b"5:x/y",),
            {b"x/y": (cert_value(5, SignedClaims.make(Claims(subject=ADMIN), ADMIN_KEY)),)},
            "name no issuer",
        ),
    ],
)
def test_a_chain_that_breaks_says_where(chain_of: tuple[bytes, ...], found: Net, says: str) -> None:
    with pytest.raises(ChainBroken, match=says):
        links(record_signature(VALUES, chain=chain_of), found)


def test_claims_without_issuer_and_subject_are_not_self_issued() -> None:
    with pytest.raises(ChainBroken, match="name no issuer"):
        links(SignedClaims.make(Claims(public_key=public_of(ROOT_KEY)), ROOT_KEY), {})


def test_a_circle_is_left() -> None:
    one, two = b"300:88.100/one", b"300:88.100/two"
    found = {
        b"88.100/one": (cert_value(1, certificate(one, ADMIN_KEY, two, ADMIN_KEY)),),
        b"88.100/two": (cert_value(1, certificate(two, ADMIN_KEY, one, ADMIN_KEY)),),
    }
    with pytest.raises(ChainBroken, match="comes back"):
        links(record_signature(VALUES, one), found)


def test_two_keys_of_one_handle_are_no_circle() -> None:
    values = (
        cert_value(1, certificate(ADMIN, ADMIN_KEY, b"301:0.NA/88.100", OTHER_KEY)),
        cert_value(2, certificate(b"301:0.NA/88.100", OTHER_KEY)),
    )
    assert judgement(record_signature(VALUES), {**NET, b"0.NA/88.100": values}).is_good


def long_chain(length: int) -> tuple[SignedClaims, Net]:
    """A signature below that many certificates, the last of them self-issued, all with one key."""
    names = [b"1:88.100/%d" % number for number in range(length)]
    issuers = [*names[1:], names[-1]]
    found = {
        name[2:]: (cert_value(1, certificate(name, ROOT_KEY, issuer, ROOT_KEY)),)
        for name, issuer in zip(names, issuers, strict=True)
    }
    return record_signature(VALUES, names[0], ROOT_KEY), found


def test_a_chain_has_at_most_fifty_links_above_its_first() -> None:
    signed, found = long_chain(LINKS_MAX)
    assert len(links(signed, found)) == 51
    signed, found = long_chain(LINKS_MAX + 1)
    counted = Counted(found)
    with pytest.raises(ChainBroken, match="more than 50"):
        followed(signed, counted.get)
    assert counted.asked == LINKS_MAX


# Judging


def test_a_chain_to_the_root_is_good() -> None:
    found = judgement(record_signature(VALUES))
    assert found.is_good
    assert all(link.is_good for link in found.links)


def test_dsa_keys_make_chains_as_well() -> None:
    found = net(admin=certificate(ADMIN, DSA_KEY))
    assert judgement(record_signature(VALUES, key=DSA_KEY), found).is_good
    assert not judgement(record_signature(VALUES, key=ADMIN_KEY), found).is_good


def flaws(found: JudgedChain) -> list[tuple[bool, bool, bool]]:
    assert not found.is_good
    return [(link.is_signed, link.is_in_time, link.is_authorised) for link in found.links]


GOOD = (True, True, True)


def test_a_signature_by_another_key_is_bad_wherever_it_stands() -> None:
    assert flaws(judgement(record_signature(VALUES, key=OTHER_KEY))) == [(False, True, True), GOOD, GOOD]
    forged = certificate(ADMIN, ADMIN_KEY, issuer_key=OTHER_KEY)
    assert flaws(judgement(record_signature(VALUES), net(admin=forged))) == [GOOD, (False, True, True), GOOD]
    claimed = certificate(ROOT, OTHER_KEY, issuer_key=OTHER_KEY, public_key=public_of(ROOT_KEY))
    assert flaws(judgement(record_signature(VALUES), net(root=claimed))) == [GOOD, GOOD, (False, True, True)]


def test_a_certificate_without_a_key_lets_nobody_sign() -> None:
    claims = Claims(issuer=ROOT, subject=ADMIN, grants=ALL)
    found = judgement(record_signature(VALUES), net(admin=SignedClaims.make(claims, ROOT_KEY)))
    assert flaws(found) == [(False, True, True), GOOD, GOOD]


def test_every_link_must_be_in_time() -> None:
    signed = record_signature(VALUES, not_before=NOW, expires=NOW + 1)
    assert [judgement(signed, now=now).is_good for now in (NOW - 1, NOW, NOW + 1, NOW + 2)] == [
        False,
        True,
        True,
        False,
    ]
    old = certificate(ADMIN, ADMIN_KEY, expires=NOW - 1)
    assert flaws(judgement(record_signature(VALUES), net(admin=old))) == [GOOD, (True, False, True), GOOD]
    old = certificate(ROOT, ROOT_KEY, expires=NOW - 1)
    assert flaws(judgement(record_signature(VALUES), net(root=old))) == [GOOD, GOOD, (True, False, True)]


def test_every_issuer_must_be_permitted_over_the_handle() -> None:
    narrow = certificate(ADMIN, ADMIN_KEY, grants=(Grant(THIS_HANDLE, b"0.NA/88.100"),))
    assert judgement(record_signature(VALUES), net(admin=narrow)).is_good
    stranger = judgement(record_signature(VALUES), net(admin=narrow), handle=b"88.200/A1")
    assert flaws(stranger) == [(True, True, False), GOOD, GOOD]
    for grants in ((), (Grant("unheard of", HANDLE),)):
        found = judgement(record_signature(VALUES), net(admin=certificate(ADMIN, ADMIN_KEY, grants=grants)))
        assert flaws(found) == [(True, True, False), GOOD, GOOD]
    of_the_root = certificate(ROOT, ROOT_KEY, grants=(Grant(THIS_HANDLE, b"0.NA/88.200"),))
    found = judgement(record_signature(VALUES), net(root=of_the_root))
    assert flaws(found) == [GOOD, (True, True, False), (True, True, False)]


def test_the_end_must_be_a_trusted_key_of_the_root_handle() -> None:
    signed = record_signature(VALUES)
    assert not judgement(signed, root=TrustRoot(frozenset())).is_rooted
    assert not judgement(signed, root=TrustRoot(frozenset([public_of(OTHER_KEY)]))).is_rooted
    elsewhere = TrustRoot(TRUSTED.keys, b"0.NA/88")
    assert not judgement(signed, root=elsewhere).is_rooted
    assert judgement(signed, root=TrustRoot(TRUSTED.keys, None)).is_good
    own = certificate(ADMIN, ADMIN_KEY, ADMIN, ADMIN_KEY)
    assert not judgement(signed, net(admin=own)).is_rooted
    assert not judged((), HANDLE, TRUSTED, now=NOW).is_good
    certified = TrustRoot(frozenset([public_of(ADMIN_KEY)]), None)
    assert not judged(links(signed)[:-1], HANDLE, certified, now=NOW).is_rooted  # It certifies the key, not itself.


def test_the_root_keys_are_the_readable_hs_pubkey_values() -> None:
    values = [
        HandleValue(index=301, type=b"HS_PUBKEY", data=public_key_octets(public_of(ROOT_KEY))),
        HandleValue(index=302, type=b"hs_pubkey.old", data=public_key_octets(public_of(DSA_KEY))),
        HandleValue(index=303, type=b"HS_PUBKEY", data=b"broken"),
        HandleValue(index=304, type=b"HS_PUBKEYS", data=public_key_octets(public_of(OTHER_KEY))),
    ]
    assert TrustRoot.of_values(values) == TrustRoot(frozenset([public_of(ROOT_KEY), public_of(DSA_KEY)]), b"0.0/0.0")
    assert is_of_type(values[1], b"HS_PUBKEY")
    assert not is_of_type(values[3], b"HS_PUBKEY")


@pytest.mark.parametrize(
    ("permission", "over", "reached", "not_reached"),
    [
        (EVERYTHING, b"", [b"88.100/A1", b"0.NA/88"], []),
        (THIS_HANDLE, b"88.100/A1", [b"88.100/A1"], [b"88.100/a1", b"88.100/A1/x", b"88.101/A1"]),
        (THIS_HANDLE, b"0.na/88.x", [b"0.NA/88.X", b"88.x/A", b"88.X/b"], [b"0.NA/88.x.1", b"88.x.1/A", b"0.NA/88"]),
        (DERIVED_PREFIXES, b"0.NA/88", [b"0.NA/88.100", b"88.100/x", b"88.1.2/x"], [b"0.NA/88", b"88/x", b"0.NA/888"]),
        (DERIVED_PREFIXES, b"88.100/x", [], [b"88.100/x.1", b"88.100/x"]),
        (HANDLES_UNDER_THIS_PREFIX, b"0.NA/88", [b"88/x", b"88/x/y"], [b"0.NA/88", b"88.1/x", b"0.NA/88.1"]),
        ("Everything", b"0.NA/88", [], [b"88/x", b"0.NA/88"]),
    ],
)
def test_permissions_reach_as_far_as_they_say(
    permission: str, over: bytes, reached: list[bytes], not_reached: list[bytes]
) -> None:
    grants = (Grant("other"), Grant(permission, over))
    assert [handle for handle in reached + not_reached if permits(grants, handle)] == reached


# Whole records


def test_a_record_that_is_signed_whole_is_good() -> None:
    found = record((*VALUES, signature_value(400, record_signature(VALUES))))
    assert found.is_good
    assert found.unsigned == ()


def test_two_good_signatures_may_share_a_record() -> None:
    one, two = record_signature((URL,)), record_signature((DESC,), ROOT, ROOT_KEY)
    assert record((*VALUES, signature_value(400, one), signature_value(401, two))).is_good


def test_a_record_without_a_signature_is_not_good() -> None:
    found = record(VALUES)
    assert (found.is_good, found.unsigned) == (False, (1, 2))


def test_an_added_changed_or_missing_value_spoils_a_record() -> None:
    signature = signature_value(400, record_signature(VALUES))
    added = record((*VALUES, replace(URL, index=3), signature))
    assert (added.is_good, added.unsigned) == (False, (3,))
    changed = record((URL, replace(DESC, data=b"hammer"), signature))
    assert (changed.is_good, changed.unsigned) == (False, (2,))
    missing = record((URL, signature))
    assert (missing.is_good, missing.unsigned) == (False, ())
    assert missing.signatures[0].is_trusted


def test_a_value_that_the_public_may_not_read_needs_no_signature() -> None:
    secret = HandleValue(index=300, type=b"HS_SECKEY", data=b"secret", permissions=0x0C)
    assert record((*VALUES, secret, signature_value(400, record_signature(VALUES)))).is_good


def test_an_untrusted_signature_covers_nothing() -> None:
    for signature in (record_signature(VALUES, key=OTHER_KEY), record_signature(VALUES, handle=b"88.100/A2")):
        found = record((*VALUES, signature_value(400, signature)))
        assert (found.is_good, found.unsigned) == (False, (1, 2))
    found = record((*VALUES, signature_value(400, record_signature(VALUES))), root=TrustRoot(frozenset()))
    assert (found.is_good, found.unsigned) == (False, (1, 2))


def test_claims_without_digests_sign_no_value() -> None:
    claims = SignedClaims.make(Claims(issuer=ADMIN, subject=HANDLE, content="x"), ADMIN_KEY)
    assert not record((signature_value(400, claims),)).is_good


def test_a_broken_signature_or_chain_is_told_and_raises_nothing() -> None:
    broken = HandleValue(index=400, type=b"HS_SIGNATURE", data=b"x.y.z")
    lost = signature_value(401, record_signature(VALUES, issuer=b"300:88.9/none"))
    found = record((*VALUES, broken, lost))
    assert not found.is_good
    assert "cannot be read" in found.signatures[0].fault
    assert "88.9/none is not found" in found.signatures[1].fault


def test_only_so_many_signatures_are_looked_at() -> None:
    signature = signature_value(1_000, record_signature(VALUES))
    values = (*VALUES, *(replace(signature, index=1_000 + number) for number in range(SIGNATURES_MAX + 1)))
    counted = Counted(NET)
    found = driven(judged_record(HANDLE, values, TRUSTED, now=NOW), counted.get)
    assert counted.asked == 2 * SIGNATURES_MAX
    assert [judged.is_good for judged in found.signatures] == [True] * SIGNATURES_MAX + [False]
    assert not found.is_good
