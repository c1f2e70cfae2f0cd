"""The root's data asked for anew: what is believed, what keeps the old, how much is asked. The world is a table."""

import asyncio

import pytest

from protocol.codes import AUTHORITATIVE, CERTIFY, RECURSIVE
from protocol.value import HandleValue
from resolver.bootstrap.refreshing import CERTIFICATES_MAX, NotRefreshed, Refresh
from resolver.bootstrap.root_data import RootData
from tests.support.roots import (
    NOW_MS,
    Records,
    Telling,
    key_value,
    root_data,
    root_records,
    service_value,
    signed,
    site,
    site_value,
    trust_record,
)
from tests.support.signing import ADMIN_KEY, OTHER_KEY, ROOT_KEY, cert_value, certificate

LATER_MS = NOW_MS + 1_000
OLD = root_data(updated_ms=1)
MOVED = site("192.0.2.77", serial=2)


def refreshed(world: Telling, old: RootData = OLD, preferred: bytes | None = None) -> RootData:
    return asyncio.run(Refresh(old, world.ended, now_ms=LATER_MS, preferred=preferred).done())


def kept(world: Telling, old: RootData = OLD) -> str:
    """Why the old data stay."""
    with pytest.raises(NotRefreshed) as found:
        refreshed(world, old)
    return str(found.value)


def test_a_moved_root_is_taken_over_with_the_time() -> None:
    records = root_records(site_value(1, MOVED))
    assert refreshed(Telling(records)) == RootData.of(LATER_MS, records)


def test_every_question_is_certified_public_and_asked_of_a_primary() -> None:
    world = Telling(root_records())
    refreshed(world)
    assert world.handles() == [b"0.0/0.0", b"0.NA/0.NA"]
    for query in world.asked:
        assert query.certify
        assert query.primary_only
        assert query.flags & CERTIFY
        assert query.flags & AUTHORITATIVE
        assert not query.flags & RECURSIVE


def test_a_silent_primary_is_no_end_a_mirror_may_tell() -> None:
    world = Telling(root_records(site_value(1, MOVED)))
    world.silent_if = lambda query: query.primary_only
    assert refreshed(world).values(b"0.NA/0.NA") == world.records[b"0.NA/0.NA"]


@pytest.mark.parametrize("handle", [b"0.0/0.0", b"0.NA/0.NA"])
def test_silence_a_missing_record_and_an_uncertified_answer_keep_the_old(handle: bytes) -> None:
    for change in ("silent", "missing", "uncertified"):
        world = Telling(root_records(site_value(1, MOVED)))
        if change == "silent":
            world.silent.add(handle)
        elif change == "missing":
            del world.records[handle]
        else:
            world.uncertified.add(handle)
        assert handle.decode() in kept(world), change


def changed(records: Records, handle: bytes, at: int, value: HandleValue) -> Records:
    values = list(records[handle])
    values[at] = value
    return records | {handle: tuple(values)}


def forged() -> dict[str, Records]:
    """Roots that somebody made who has not the root's key."""
    good = root_records(site_value(1, MOVED))
    own = trust_record(key=OTHER_KEY)
    unsigned = {b"0.NA/0.NA": (site_value(1, MOVED),)}
    more = good | {b"0.NA/0.NA": (*good[b"0.NA/0.NA"], site_value(2, MOVED))}
    admin = b"300:0.NA/0.NA"
    small = cert_value(402, certificate(admin, ADMIN_KEY, grants=()))
    by_admin = signed(b"0.NA/0.NA", site_value(1, MOVED), key_value(300, ADMIN_KEY), small, key=ADMIN_KEY, issuer=admin)
    return {
        "a key of one's own": own | signed(b"0.NA/0.NA", site_value(1, MOVED), key=OTHER_KEY),
        "the root's key told by nobody": good | own,
        "signed by another key": good | signed(b"0.NA/0.NA", site_value(1, MOVED), key=OTHER_KEY),
        "not signed": good | unsigned,
        "a value changed": changed(good, b"0.NA/0.NA", 0, site_value(1, site("192.0.2.66"))),
        "a value added": more,
        "another record's signature": good | {b"0.NA/0.NA": good[b"0.0/0.0"]},
        "a signer without the right": good | by_admin,
    }


@pytest.mark.parametrize("name", forged())
def test_a_forged_root_keeps_the_old(name: str) -> None:
    assert "is not to be believed" in kept(Telling(forged()[name])), name


def test_the_roots_key_may_change_where_the_old_one_signs_the_new() -> None:
    fresh = key_value(302, OTHER_KEY), cert_value(402, certificate(b"302:0.0/0.0", OTHER_KEY))
    records = trust_record(*fresh) | signed(b"0.NA/0.NA", site_value(1, MOVED), key=OTHER_KEY, issuer=b"302:0.0/0.0")
    assert refreshed(Telling(records)).records.keys() == {b"0.0/0.0", b"0.NA/0.NA"}
    # The next change may then be signed by the new key alone.
    gone = signed(
        b"0.0/0.0",
        key_value(302, OTHER_KEY),
        cert_value(402, certificate(b"302:0.0/0.0", OTHER_KEY, b"302:0.0/0.0", OTHER_KEY)),
        key=OTHER_KEY,
        issuer=b"302:0.0/0.0",
    )
    after = records | gone
    assert refreshed(Telling(after), old=refreshed(Telling(records))).values(b"0.0/0.0") == gone[b"0.0/0.0"]
    assert "not to be believed" in kept(Telling(after))


def test_services_are_followed_and_verified_and_one_that_fails_is_left_out() -> None:
    root = (service_value(1, b"0.GHR/20"), service_value(2, b"0.GHR/21", b"HS_SERV.PREFIX"), service_value(3, b"0.X/1"))
    records = (
        root_records(*root)
        | signed(b"0.GHR/20", site_value(1, MOVED), service_value(2, b"0.GHR/22"))
        | signed(b"0.GHR/21", site_value(1, MOVED), key=OTHER_KEY)
        | signed(b"0.GHR/22", site_value(1, site("192.0.2.22")), service_value(2, b"0.NA/0.NA"))
    )
    found = refreshed(Telling(records))
    assert found.records.keys() == {b"0.0/0.0", b"0.NA/0.NA", b"0.GHR/20", b"0.GHR/22"}


def test_a_service_that_cannot_be_asked_stays_as_it_was_known() -> None:
    known = signed(b"0.GHR/20", site_value(1, site("192.0.2.20")))
    records = root_records(service_value(1, b"0.GHR/20"))
    old = root_data(root_records() | known)
    world = Telling(records, silent={b"0.GHR/20"})
    assert refreshed(world, old).values(b"0.GHR/20") == known[b"0.GHR/20"]


def test_a_preferred_root_is_asked_for_as_well() -> None:
    records = root_records() | signed(b"0.GHR/88", site_value(1, MOVED))
    assert refreshed(Telling(records), preferred=b"0.GHR/88").values(b"0.GHR/88") == records[b"0.GHR/88"]


def test_a_root_without_a_site_keeps_the_old() -> None:
    assert "names no site" in kept(Telling(root_records(key_value(300, ADMIN_KEY))))


def test_without_a_known_key_nobody_is_asked() -> None:
    world = Telling(root_records())
    old = root_data({b"0.NA/0.NA": (site_value(1, MOVED),)})
    assert "no public key of 0.0/0.0 is known" in kept(world, old)
    assert world.asked == []


def test_a_root_that_names_endless_certificates_costs_a_bounded_number_of_questions() -> None:
    """Each signature of the record names an issuer of its own: only so many handles are asked for."""
    names = [b"300:0.EVIL/%d" % number for number in range(3 * CERTIFICATES_MAX)]
    signers = [certificate(b"0.NA/0.NA", ROOT_KEY, issuer=name) for name in names]
    values = tuple(
        HandleValue(index=500 + number, type=b"HS_SIGNATURE", data=found.token.to_bytes())
        for number, found in enumerate(signers)
    )
    world = Telling(trust_record() | {b"0.NA/0.NA": (site_value(1, MOVED), *values)})
    assert "not to be believed" in kept(world)
    assert len(world.asked) <= 2 + CERTIFICATES_MAX


def test_services_in_a_circle_and_an_endless_row_of_them_end() -> None:
    records = root_records(site_value(1, MOVED), service_value(2, b"0.GHR/0"))
    for number in range(60):
        records |= signed(b"0.GHR/%d" % number, service_value(1, b"0.GHR/%d" % (number + 1)))
    records |= signed(b"0.GHR/3", service_value(1, b"0.GHR/0"), service_value(2, b"0.GHR/4"))
    found = refreshed(Telling(records))
    assert len(found.records) == 2 + 20
