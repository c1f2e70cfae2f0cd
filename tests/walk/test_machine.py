"""What a walk sends, what it remembers of a look-up, and where it gives up."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from protocol.codec import Message
from protocol.codes import (
    AUTHORITATIVE,
    CACHE_CERTIFY,
    CERTIFY,
    DEFAULT_REQUEST_FLAGS,
    DO_NOT_REFER,
    ENCRYPT,
    KEEP_CONNECTION,
    PUBLIC_ONLY,
    RECURSIVE,
    REQUEST_DIGEST,
    OpCode,
    ResponseCode,
)
from protocol.requests import ResolutionRequest
from protocol.responses import ReferralResponse
from protocol.site import PRIMARY, Site
from protocol.value import HandleValue
from resolver.walk.events import Ask, Drop, Ended, Known, NoReply, Query, Surroundings, Wake, Way
from resolver.walk.limits import CLIENT_RECURSION_COUNT_MAX, RECURSION_COUNT_MAX, Limits
from resolver.walk.machine import Walk
from resolver.walk.records import PREFIX_TYPES
from resolver.walk.round_trips import FAILED_MS, Measured
from resolver.walk.world import World
from tests.scenarios.lies import LIES
from tests.support.keys import captured_keys
from tests.walk.net import Middle, Net, Walked
from tests.walk.remembering import Remembering
from tests.walk.servers import PORT, SimServer, Temper, server_record

ROOT, NODE = "192.0.2.1", "198.51.100.1"
X = b"88.100/X"
KEY = captured_keys()["server"][1]


def site(*addresses: str, flags: int = PRIMARY, **options: Any) -> Site:
    servers = tuple([server_record(text, number=number, **options) for number, text in enumerate(addresses, 1)])
    return Site(flags=flags, servers=servers)


def values(*pairs: tuple[str, bytes]) -> tuple[HandleValue, ...]:
    return tuple([HandleValue(index=i, type=type_.encode(), data=data) for i, (type_, data) in enumerate(pairs, 1)])


def server(address: str, temper: Temper | None = None, *, homes: Sequence[bytes] = (), **records: Any) -> SimServer:
    return SimServer(
        name=address,
        address=address,
        port=PORT,
        site=site(address),
        number=0,
        homes=homes,
        records=records.get("records", {}),
        temper=temper or Temper(),
    )


def query(handle: bytes = X, **options: Any) -> Query:
    body = ResolutionRequest(handle=handle, types=options.pop("types", ()), indexes=options.pop("indexes", ()))
    plain = Query(handle=handle, body=body, opcode=OpCode.RESOLUTION, flags=DEFAULT_REQUEST_FLAGS)
    return replace(plain, **options)


def around(memory: Any = None, **world: Any) -> Surroundings:
    return Surroundings(
        world=World(**{"root_sites": (site(ROOT, public_key=KEY),)} | world),
        memory=memory or Remembering(),
        round_trips=Measured(),
        chance=Middle(),
    )


def two_levels() -> Net:
    root = server(ROOT, homes=[b"0.NA/0.NA"], records={b"0.NA/88.100": values(("HS_SITE", site(NODE).to_bytes()))})
    node = server(NODE, homes=[b"0.NA/88.100"], records={X: values(("URL", b"u"), ("DESC", b"d"))})
    return Net([root, node])


def asks(asked: Query, surroundings: Surroundings | None = None) -> list[Ask]:
    return two_levels().walk(asked, surroundings or around()).asks


def first_ask(asked: Query, surroundings: Surroundings | None = None, limits: Limits | None = None) -> Ask:
    actions = Walk(asked, surroundings or around(), limits or Limits()).start(0)
    return next(action for action in actions if isinstance(action, Ask))


# What is sent


def test_a_look_up_asks_for_what_tells_of_services_and_for_public_values_alone() -> None:
    look_up, target = asks(query(flags=RECURSIVE | CACHE_CERTIFY))
    assert look_up.body == ResolutionRequest(handle=b"0.NA/88.100", types=PREFIX_TYPES)
    assert look_up.flags == PUBLIC_ONLY | CACHE_CERTIFY
    assert target.flags == CACHE_CERTIFY


def test_flags_between_two_peers_are_not_passed_on_and_all_others_are() -> None:
    flags = RECURSIVE | ENCRYPT | KEEP_CONNECTION | CERTIFY | REQUEST_DIGEST | PUBLIC_ONLY | DO_NOT_REFER
    assert asks(query(flags=flags))[-1].flags == PUBLIC_ONLY | DO_NOT_REFER


def test_a_certified_walk_asks_for_signatures_and_digests_on_its_whole_way() -> None:
    ask = first_ask(query(certify=True))
    assert ask.flags & (CERTIFY | REQUEST_DIGEST) == CERTIFY | REQUEST_DIGEST
    assert len(ask.keys) == 1


def test_a_question_tells_the_serial_that_we_know_of_the_site() -> None:
    known = replace(site(ROOT), serial=77)
    assert first_ask(query(), around(root_sites=(known,))).site_serial == 77


def test_each_look_up_counts_one_more_than_the_question_that_needs_it() -> None:
    assert [ask.recursion_count for ask in asks(query(recursion_count=3))] == [5, 4]


def test_a_referred_question_counts_one_more() -> None:
    root = server(ROOT, Temper(refer=ReferralResponse(values=values(("HS_SITE.PREFIX", site(NODE).to_bytes())))))
    walked = Net([root, server(NODE, homes=[b"0.NA/0.NA"])]).walk(query(b"0.NA/88.100"), around())
    assert [ask.recursion_count for ask in walked.asks] == [1, 2]


def test_a_caching_site_gets_the_question_as_it_is_with_the_wish_to_recurse() -> None:
    ask = first_ask(query(types=(b"URL",)), around(caches=(site("192.0.2.77"),)))
    assert (ask.place.host, ask.flags) == ("192.0.2.77", DEFAULT_REQUEST_FLAGS)
    assert ask.body == ResolutionRequest(handle=X, types=(b"URL",))


@pytest.mark.parametrize("options", [{"flags": RECURSIVE}, {"primary_only": True}])
def test_a_caching_site_gets_no_question_for_private_values_or_primaries(options: dict[str, Any]) -> None:
    assert first_ask(query(**options), around(caches=(site("192.0.2.77"),))).place.host == ROOT


def test_fixed_sites_of_the_root_replace_it() -> None:
    own = around(fixed={b"0.NA/0.NA": (site("192.0.2.88"),)})
    assert first_ask(query(), own).place.host == "192.0.2.88"


def test_the_second_look_up_goes_to_a_primary_and_says_so() -> None:
    mirror = replace(server("192.0.2.9", homes=[b"0.NA/0.NA"]), site=site("192.0.2.9", flags=0))
    root = server(ROOT, Temper(latency_ms=1), homes=[b"0.NA/0.NA"])
    walked = Net([mirror, root]).walk(query(), around(root_sites=(site("192.0.2.9", flags=0), site(ROOT))))
    assert [(ask.place.host, ask.flags & AUTHORITATIVE) for ask in walked.asks] == [
        ("192.0.2.9", 0),
        (ROOT, AUTHORITATIVE),
    ]
    assert walked.ended.code == ResponseCode.HANDLE_NOT_FOUND


def test_udp_is_waited_for_less_where_another_site_is_left() -> None:
    ask = first_ask(query(), around(root_sites=(site(ROOT), site(NODE))))
    assert ask.waits_ms == Limits().udp_waits_early_ms
    assert first_ask(query()).waits_ms == Limits().udp_waits_ms


def test_what_needs_a_connection_goes_over_tcp_alone() -> None:
    listing = query(opcode=OpCode.LIST_HANDLES)
    assert first_ask(listing, around(fixed={b"0.NA/88.100": (site(NODE),)})).way is Way.TCP
    none = around(fixed={b"0.NA/88.100": (site(NODE, tcp=False),)})
    ended = Walk(listing, none).start(0)[-1]
    assert isinstance(ended, Ended)
    assert "none of the servers is reached" in ended.told


def test_who_asks_for_authority_asks_primaries_alone() -> None:
    two = around(root_sites=(site(NODE, flags=0), site(ROOT)))
    assert first_ask(query(b"0.NA/88", flags=DEFAULT_REQUEST_FLAGS | AUTHORITATIVE), two).place.host == ROOT


# What is taken for an answer, and what is kept of it


@pytest.mark.parametrize("opcode", [OpCode.GET_SITE_INFO, OpCode.DELETE_HANDLE, 0, 4_711])
def test_the_answer_to_another_operation_is_none_whatever_its_code(opcode: int) -> None:
    def distort(message: Message) -> Message:
        return replace(message, header=replace(message.header, opcode=opcode))

    net = Net([server(ROOT, Temper(distort=distort), homes=[b"0.NA/0.NA"])])
    steps = net.walk(query(b"0.NA/MISSING"), around()).ended.steps
    assert [step.outcome for step in steps] == [NoReply.UNREADABLE, NoReply.UNREADABLE]


def test_round_trips_are_told_of_answers_and_of_silence() -> None:
    surroundings = around(root_sites=(site(NODE), site(ROOT)))
    Net([server(ROOT, Temper(latency_ms=40), homes=[b"0.NA/0.NA"])]).walk(query(b"0.NA/88"), surroundings)
    times = surroundings.round_trips
    assert (times.of_ms(ROOT), times.of_ms(NODE)) == (40, FAILED_MS)


def test_that_the_root_has_moved_is_told_once() -> None:
    mirror = replace(server("192.0.2.9", Temper(serial=9), homes=[b"0.NA/0.NA"]), site=site("192.0.2.9", flags=0))
    root = server(ROOT, Temper(serial=9), homes=[b"0.NA/0.NA"])
    walked = Net([mirror, root]).walk(query(), around(root_sites=(site("192.0.2.9", flags=0), site(ROOT))))
    assert (len(walked.asks), walked.root_moved) == (2, 1)


# IPv6 and IPv4


def racing() -> tuple[Walk, Ask, Wake]:
    walk = Walk(query(b"0.NA/88"), around(root_sites=(site(ROOT), site("2001:db8::1"))))
    actions = walk.start(1_000)
    (ask,) = [action for action in actions if isinstance(action, Ask)]
    lead = [action for action in actions if isinstance(action, Wake)][-1]
    return walk, ask, lead


def test_ipv4_is_asked_when_the_lead_of_ipv6_is_over() -> None:
    walk, ask, lead = racing()
    assert (ask.place.host, lead.at_ms) == ("2001:db8::1", 1_300)
    (second,) = walk.woken(lead.number, 1_300)
    assert isinstance(second, Ask)
    assert second.place.host == ROOT


def test_the_loser_of_the_race_is_dropped() -> None:
    walk, ask, lead = racing()
    (second,) = walk.woken(lead.number, 1_300)
    assert isinstance(second, Ask)
    reply = server(ROOT, homes=[b"0.NA/0.NA"])
    net = Net([reply])
    _, octets = net.outcome(second)
    assert isinstance(octets, bytes)
    actions = walk.heard(second.number, Message.read(octets), 1_400)
    assert [type(action).__name__ for action in actions] == ["Drop", "Learnt", "Ended"]
    assert actions[0] == Drop(ask.number)
    assert walk.failed(ask.number, NoReply.SILENT, 1_500) == []


# Bounds, each by its name


def refused(walked: Walked, told: str, code: ResponseCode = ResponseCode.ERROR, *, is_failure: bool = True) -> None:
    ended = walked.ended
    assert (ended.code, ended.is_failure) == (code, is_failure)
    assert told in ended.told
    assert ended.reply is None


def test_a_request_that_was_passed_on_too_often_costs_nothing() -> None:
    for count, is_taken in ((RECURSION_COUNT_MAX - 1, True), (RECURSION_COUNT_MAX, False)):
        actions = Walk(query(recursion_count=count), around()).start(0)
        assert any(isinstance(action, Ask) for action in actions) == is_taken


def test_no_question_of_ours_carries_a_count_over_the_clients_limit() -> None:
    limits = Limits(recursion_count=1_000)
    walked = two_levels().walk(query(recursion_count=CLIENT_RECURSION_COUNT_MAX - 1), around(), limits)
    refused(walked, "recursion count is over 40", ResponseCode.RECURSION_COUNT_TOO_HIGH)
    assert two_levels().walk(query(recursion_count=CLIENT_RECURSION_COUNT_MAX - 2), around(), limits).ended.code == 1


def test_a_walk_asks_no_more_questions_than_its_limit() -> None:
    walked = two_levels().walk(query(), around(), Limits(questions=1))
    refused(walked, "asked 1 questions")
    assert len(walked.asks) == 1


def test_a_walk_takes_no_longer_than_its_limit() -> None:
    walked = Net([server(ROOT, Temper(latency_ms=1_000))]).walk(query(), around(), Limits(total_ms=700))
    refused(walked, "no answer was found in 0.7 s")
    assert walked.took_ms == 700


def test_no_question_is_asked_when_the_time_is_up_though_nobody_woke_the_walk() -> None:
    walk = Walk(query(), around())
    (ask,) = [action for action in walk.start(0) if isinstance(action, Ask)]
    (ended,) = walk.failed(ask.number, NoReply.SILENT, 10_000)
    assert isinstance(ended, Ended)
    assert "no answer was found in 10 s" in ended.told


class Endless:
    """A memory in which every service handle names others, without end."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.looks = 0

    def known(self, handle: bytes, *, types: Sequence[bytes], certified: bool, now_ms: int) -> Known:
        self.looks += 1
        named = [("HS_SERV", b"0.GHR/%d" % (self.looks * self.width + number)) for number in range(self.width)]
        return Known(code=1, values=values(*named), is_certified=False)


def test_records_in_memory_that_name_one_another_without_end_are_left() -> None:
    memory = Endless(1)
    refused(Net([]).walk(query(), around(memory)), "more than 20 deep")
    assert memory.looks == 21


def test_a_tree_of_records_in_memory_is_left_after_so_many_look_ups() -> None:
    memory = Endless(4)
    refused(Net([]).walk(query(), around(memory), Limits(depth=5)), "deep")
    shallow = Limits(depth=100, services=4, lookups=50)
    memory = Endless(4)
    refused(Net([]).walk(query(), around(memory), shallow), "more than 50 look-ups")
    assert memory.looks == 50


def test_of_one_record_so_many_service_handles_count() -> None:
    class Wide:
        def __init__(self) -> None:
            self.asked: list[bytes] = []

        def known(self, handle: bytes, *, types: Sequence[bytes], certified: bool, now_ms: int) -> Known:
            self.asked.append(handle)
            named = [("HS_SERV", b"0.GHR/%d" % number) for number in range(100)]
            is_prefix = handle.startswith(b"0.NA")
            return Known(code=1, values=values(*named) if is_prefix else (), is_certified=False)

    memory = Wide()
    walked = Net([]).walk(query(), around(memory))
    assert len(memory.asked) == 1 + Limits().services
    refused(walked, "names no site", ResponseCode.HANDLE_NOT_FOUND, is_failure=False)


def test_of_a_name_with_a_thousand_labels_no_ancestors_are_looked_up() -> None:
    class Forgetful:
        looks = 0

        def known(self, handle: bytes, *, types: Sequence[bytes], certified: bool, now_ms: int) -> None:
            self.looks += 1

    memory = Forgetful()
    ours = around(memory, ours=frozenset([(ROOT, PORT)]))
    refused(Net([]).walk(query(b"0.NA/1" + b".1" * 1_000), ours), "this node itself")
    assert memory.looks == 0
    Net([]).walk(query(b"0.NA/1.1.1"), ours)
    assert memory.looks == 2


def test_a_question_is_put_to_so_many_sites() -> None:
    sites = tuple([site(f"192.0.2.{number}") for number in range(1, 20)])
    net = Net([server(f"192.0.2.{number}", Temper(code=2)) for number in range(1, 20)])
    walked = net.walk(query(), around(root_sites=sites))
    refused(walked, "answered that it failed")
    assert len(walked.asks) == Limits().servers


# What is told


def test_a_failure_tells_who_was_asked_and_what_came() -> None:
    net = Net([server(ROOT, Temper(silent=frozenset([Way.UDP]), code=3))])
    refused(
        net.walk(query(), around()),
        "prefix 0.NA/88.100: 192.0.2.1 port 2641 (udp) gave no answer; "
        "192.0.2.1 port 2641 (tcp) answered that it is too busy",
    )


def test_a_strangers_handle_is_shown_printable_and_short() -> None:
    walked = Net([]).walk(query(b"0.NA/\x1b[31m\xff" + b"x" * 500), around(root_sites=()))
    assert "\x1b" not in walked.ended.told
    walked = Net([server(ROOT)]).walk(query(b"0.NA/\x1b[31m\xff" + b"x" * 500), around())
    assert "\x1b" not in walked.ended.told
    assert len(walked.ended.told) < 400


def test_steps_tell_how_deep_and_how_long() -> None:
    steps = two_levels().walk(query(), around()).ended.steps
    assert [(step.why, step.depth, step.took_ms) for step in steps] == [("prefix", 1, 5), ("target", 0, 5)]


def test_what_was_not_asked_for_is_taken_out_of_the_answer() -> None:
    net = two_levels()
    net.servers[1].temper = Temper(lie=LIES["values of other types"])
    walked = net.walk(query(types=(b"URL",)), around())
    assert [value.type for value in walked.ended.body.values] == [b"URL"]  # type: ignore[attr-defined]


def test_an_answer_for_everything_is_passed_on_as_it_came() -> None:
    ended = two_levels().walk(query(), around()).ended
    assert ended.reply is not None
    assert ended.place is not None
    assert ended.place.host == NODE
