"""Which server of which site is asked first."""

from dataclasses import replace
from typing import Any

import pytest

from protocol.codes import DEFAULT_REQUEST_FLAGS, OpCode
from protocol.identifier import server_of
from protocol.requests import HandleRequest, ResolutionRequest
from protocol.site import PRIMARY, Interface, Site
from protocol.version import Version
from resolver.walk.contest import is_long, spoken_with
from resolver.walk.events import Surroundings
from resolver.walk.question import Question
from resolver.walk.round_trips import Measured
from resolver.walk.selection import Selection, is_global, selected, usable_host
from resolver.walk.world import World
from tests.support.keys import captured_keys
from tests.walk.net import Dice, Middle
from tests.walk.remembering import Remembering
from tests.walk.servers import server_record

X = b"88.100/X"


def site(*addresses: str, flags: int = PRIMARY, words: str = "", **options: Any) -> Site:
    attributes = ((b"site_filter_keywords", words.encode()),) if words else ()
    servers = tuple([server_record(text, number=number, **options) for number, text in enumerate(addresses, 1)])
    return Site(flags=flags, servers=servers, attributes=attributes)


def question(*sites: Site, **options: Any) -> Question:
    plain = Question(
        why="target",
        handle=X,
        body=ResolutionRequest(handle=X),
        opcode=OpCode.RESOLUTION,
        flags=DEFAULT_REQUEST_FLAGS,
        sites=sites,
        recursion_count=1,
        depth=0,
        is_lookup=False,
    )
    return plain._replace(**options)


def choice(asked: Question, times: Measured | None = None, dice: Any = None, **world: Any) -> Selection:
    around = Surroundings(
        world=World(**world),
        memory=Remembering(),
        round_trips=times or Measured(),
        chance=dice or Middle(),
    )
    return selected(asked, around, count_max=6)


def hosts(asked: Question, times: Measured | None = None, dice: Any = None, **world: Any) -> list[str]:
    return [one.host for one in choice(asked, times, dice, **world).candidates]


A, B, C = "192.0.2.1", "192.0.2.2", "192.0.2.3"


def test_the_quickest_site_comes_first() -> None:
    times = Measured()
    times.took(A, 300)
    times.took(B, 20)
    assert hosts(question(site(A), site(B)), times) == [B, A]


def test_chance_gives_every_site_some_traffic_and_no_slow_one_much() -> None:
    times = Measured()
    for host, ms in ((A, 10), (B, 60), (C, 1_000)):
        times.took(host, ms)
    dice, first = Dice(7), []
    for _ in range(400):
        asked = hosts(question(site(A), site(B), site(C)), times, dice)
        first.append(asked[0])
        for host, ms in ((A, 10), (B, 60), (C, 1_000)):
            times.took(host, ms)
    assert first.count(A) > first.count(B) > 40
    assert first.count(C) == 0


def test_of_a_site_the_server_that_the_hash_names_is_asked() -> None:
    three = (A, B, C)
    for suffix in (b"X", b"Y", b"D"):
        handle = b"88.100/" + suffix
        assert hosts(question(site(*three), handle=handle)) == [three[server_of(handle, 2, 3)]]


def test_only_primaries_are_asked_what_only_they_may_answer_in_the_order_of_the_record() -> None:
    times = Measured()
    times.took(B, 500)
    asked = question(site(A, flags=0), site(B), site(C), is_primary_only=True)
    assert hosts(asked, times) == [B, C]


def test_sites_with_a_shared_keyword_are_preferred_and_all_asked_where_there_is_none() -> None:
    sites = site(A, words="south"), site(B, words="east north"), site(C)
    assert hosts(question(*sites), keywords=frozenset([b"north", b"west"])) == [B]
    assert hosts(question(*sites), keywords=frozenset([b"west"])) == [A, B, C]


def test_a_keyword_does_not_hide_the_primary() -> None:
    sites = site(A, words="south"), site(B, flags=0, words="north")
    assert hosts(question(*sites, is_primary_only=True), keywords=frozenset([b"north"])) == [A]


def test_changes_go_to_interfaces_for_administration() -> None:
    server = replace(server_record(A), interfaces=(Interface(2, 0, 1000), Interface(1, 1, 2000), Interface(2, 1, 3000)))
    two = Site(flags=PRIMARY, servers=(server,))
    changing = question(two, opcode=OpCode.DELETE_HANDLE, body=HandleRequest(handle=X))
    listing = question(two, opcode=OpCode.LIST_HANDLES, body=HandleRequest(handle=X))
    assert [(one.udp, one.tcp) for one in choice(question(two)).candidates] == [(1000, 3000)]
    assert [(one.udp, one.tcp) for one in choice(changing).candidates] == [(0, 2000)]
    assert [(one.udp, one.tcp) for one in choice(listing).candidates] == [(1000, 2000)]


@pytest.mark.parametrize(
    "interface", [Interface(2, 2, 8000), Interface(2, 0, 0), Interface(2, 1, 65_536), Interface(0, 0, 1)]
)
def test_a_server_without_a_usable_interface_is_passed_over(interface: Interface) -> None:
    server = replace(server_record(A), interfaces=(interface,))
    assert hosts(question(Site(servers=(server,)), site(B), Site())) == [B]


def test_addresses_are_told_as_this_machine_reaches_them() -> None:
    assert hosts(question(site(A), site(B)), inside={A: "10.0.0.1"}) == ["10.0.0.1", B]


def test_this_node_is_never_asked_and_knows_itself_by_any_port_and_spelling() -> None:
    ours = frozenset([(A, 2641)])
    assert hosts(question(site(A), site(B)), ours=ours) == [B]
    for one in (site(A), site(A, udp=False), site("::ffff:192.0.2.1")):
        found = choice(question(one), ours=ours)
        assert (found.candidates, found.is_ours) == ((), True)


def test_this_node_is_known_by_its_inside_address() -> None:
    assert choice(question(site(A)), ours=frozenset([("10.0.0.1", 2641)]), inside={A: "10.0.0.1"}).is_ours


def test_servers_that_have_referred_are_not_asked_again() -> None:
    assert hosts(question(site(A), site(B), avoid=[(A, 2641, 2641)])) == [B]
    assert "leads back" in choice(question(site(A), avoid=[(A, 2641, 2641)])).why_none


def test_a_certified_question_goes_to_servers_with_a_key_alone() -> None:
    key = captured_keys()["server"][1]
    found = choice(question(site(A), site(B, public_key=key), is_certified=True)).candidates
    assert [(one.host, len(one.keys)) for one in found] == [(B, 1)]


def test_an_uncertified_question_reads_no_keys() -> None:
    key = captured_keys()["server"][1]
    assert choice(question(site(B, public_key=key))).candidates[0].keys == ()


def test_a_server_without_an_address_is_asked_by_its_domain() -> None:
    nowhere = replace(site("0.0.0.0"), attributes=((b"domain", b"h.example"),))
    assert hosts(question(nowhere)) == ["h.example"]


def test_as_many_sites_as_wished_are_asked() -> None:
    assert len(hosts(question(*[site(f"192.0.2.{number}") for number in range(1, 20)]))) == 6


@pytest.mark.parametrize("text", ["0.0.0.0", "224.0.0.1", "255.255.255.255", "ff02::1", "::ffff:224.0.0.1"])
def test_an_address_of_nobody_or_of_everybody_is_unusable(text: str) -> None:
    assert usable_host(server_record(text).address) is None


def test_handles_of_the_root() -> None:
    assert all(map(is_global, (b"0.NA/88", b"0.na/88", b"0.GHR/1", b"0/x", b"slashless")))
    assert not any(map(is_global, (b"88/x", b"00/x", b"10.0/x")))


@pytest.mark.parametrize(
    ("theirs", "written"), [((2, 11), (2, 11)), ((3, 0), (2, 11)), ((2, 1), (2, 1)), ((1, 0), (2, 0)), ((5, 0), (2, 0))]
)
def test_the_request_is_written_in_the_lower_version(theirs: tuple[int, int], written: tuple[int, int]) -> None:
    assert spoken_with(Version(*theirs)) == written


def test_a_request_is_long_just_where_it_is_cut_into_datagrams() -> None:
    fits = ResolutionRequest(handle=b"88.100/" + b"x" * 445)
    assert not is_long(fits)
    assert is_long(replace(fits, handle=fits.handle + b"x"))
    assert is_long(replace(fits, handle=fits.handle[:-3], indexes=(1,)))
    assert not is_long(HandleRequest(handle=b"x" * 460))
    assert is_long(HandleRequest(handle=b"x" * 461))
