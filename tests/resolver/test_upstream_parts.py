"""The parts of asking others: requests as the codec writes them, deadlines, watched sockets."""

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import codec
from protocol.codes import CERTIFY, REQUEST_DIGEST, OpCode
from protocol.requests import ResolutionRequest
from protocol.trust.keys import public_of
from protocol.version import NEWEST, Version
from resolver.client import REQUEST_LIFETIME_S
from resolver.ticking import SLICE_S, TICK_S, Ticks
from resolver.upstream_messages import address_of, is_address, request_octets
from resolver.walk.events import Ask, Place, Way
from resolver.watching import READABLE, WRITABLE, Watch
from tests.support.engines import server_key
from tests.support.loops import in_loop

KEYS = (public_of(server_key()),)


@given(
    version=st.sampled_from([Version(2, 0), Version(2, 5), Version(2, 10), NEWEST]),
    flags=st.integers(0, 2**32 - 1),
    request_id=st.integers(1, 2**31 - 1),
    serial=st.integers(0, 2**16 - 1),
    count=st.integers(0, 255),
    now=st.integers(0, 2**31 - 1),
    handle=st.binary(max_size=40),
    types=st.lists(st.binary(max_size=6), max_size=3).map(tuple),
    keys=st.sampled_from([(), KEYS]),
)
def test_a_request_is_written_as_the_codec_writes_it(
    version: Version, flags: int, request_id: int, serial: int, count: int, now: int, handle: bytes,
    types: tuple[bytes, ...], keys: tuple[object, ...],
) -> None:  # fmt: skip
    body = ResolutionRequest(handle=handle, types=types, indexes=(1,) if types else ())
    ask = Ask(
        number=1, place=Place("127.0.0.1", 1), way=Way.UDP, body=body, opcode=OpCode.RESOLUTION, flags=flags,
        version=version, site_serial=serial, recursion_count=count, waits_ms=(1,), keys=keys,  # type: ignore[arg-type]
    )  # fmt: skip
    same = codec.request(
        body, opcode=OpCode.RESOLUTION, request_id=request_id,
        flags=flags | (CERTIFY | REQUEST_DIGEST if keys else 0), expiration=min(now + REQUEST_LIFETIME_S, 2**31 - 1),
        version=version, suggested=version, site_serial=serial, recursion_count=count,
    )  # fmt: skip
    assert request_octets(ask, request_id, now) == same.to_bytes()


@pytest.mark.parametrize(
    ("host", "is_one"),
    [
        ("192.0.2.1", True),
        ("2001:db8::1", True),
        ("::1", True),
        ("example.org", False),
        ("a1", False),
        ("", False),
        ("999.999.999.999", False),
        ("2130706433", False),
        ("127.1", False),
        ("a:b", False),
        ("192.0.2.1\0", False),
    ],
)
def test_an_address_is_told_from_what_the_system_would_look_up(host: str, is_one: bool) -> None:
    assert is_address(host) is is_one


def test_a_name_that_nobody_has_gives_no_address() -> None:
    assert address_of("no-such-name.invalid") == ""
    assert address_of("." * 300) == ""


@in_loop
async def test_deadlines_come_in_their_order_and_never_early() -> None:
    loop = asyncio.get_running_loop()
    ticks, told, began = Ticks(loop), [], loop.time()
    for delay in (0.05, 0.01, 0.03, 0.0):
        ticks.after(delay, lambda delay=delay: told.append((delay, loop.time() - began)))  # type: ignore[misc]
    await asyncio.sleep(0.15)
    assert [delay for delay, _ in told] == [0.0, 0.01, 0.03, 0.05]
    assert all(delay <= when for delay, when in told)


@in_loop
async def test_what_was_given_up_is_not_called_and_what_fails_stops_no_other() -> None:
    ticks = Ticks(asyncio.get_running_loop())
    told: list[object] = []
    ticks.after(0.0, lambda: told.append("never")).cancel()
    ticks.after(0.0, lambda: 1 // 0)  # type: ignore[arg-type]
    for n in range(200):
        ticks.after(0.0, lambda n=n: told.append(n))  # type: ignore[misc]
    await asyncio.sleep(10 * TICK_S)
    assert told == list(range(200))
    ticks.after(0.0, lambda: told.append("late"))
    ticks.close()
    await asyncio.sleep(3 * TICK_S)
    assert "late" not in told


@in_loop
async def test_many_deadlines_at_once_leave_others_their_turn() -> None:
    loop = asyncio.get_running_loop()
    ticks = Ticks(loop)
    turns: list[float] = []
    done: list[int] = []

    def work() -> None:
        end = loop.time() + SLICE_S / 2
        while loop.time() < end:
            pass
        done.append(len(turns))

    for _ in range(40):
        ticks.after(0.0, work)
    while len(done) < 40:
        turns.append(loop.time())
        await asyncio.sleep(0)
    assert len(set(done)) > 8, "they took turns"


@in_loop
async def test_a_watched_socket_calls_until_it_is_forgotten() -> None:
    watch = Watch(asyncio.get_running_loop())
    ours, theirs = socket.socketpair()
    told = []

    def ready() -> None:
        told.append(ours.recv(1))
        if len(told) == 2:
            watch.forget(ours.fileno())
            ours.close()

    watch.add(ours.fileno(), READABLE, ready)
    theirs.send(b"abc")
    await asyncio.sleep(0.05)
    assert told == [b"a", b"b"]
    assert len(watch) == 0
    mine, other = socket.socketpair()
    watch.add(mine.fileno(), READABLE | WRITABLE, lambda: 1 // 0)  # type: ignore[arg-type]
    await asyncio.sleep(0.02)
    watch.close()
    watch.close()
    for end in (theirs, mine, other):
        end.close()
