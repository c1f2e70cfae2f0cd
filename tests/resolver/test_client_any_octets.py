"""Whatever a server sends, the client gives an answer or an error of its own: no other exception, no endless wait."""

import asyncio
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import Message
from protocol.trust.session import SessionKey
from protocol.version import NEWEST
from resolver.client import NoAnswer
from resolver.client_admin import Client
from resolver.client_calls import Calls
from resolver.client_errors import NotProven, Refused
from resolver.client_exchange import Asking
from resolver.client_opening import Opening
from resolver.client_session import Mode, Session
from tests.support.toy_clients import FOUND, RSA, SERVER
from tests.support.toy_nodes import ToySession, bare, challenging, signed_by
from tests.support.toy_servers import toy_server

EXPECTED = (NoAnswer, NotProven, Refused)


def spoilt(octets: bytes, place: int, octet: int) -> bytes:
    """A reply with one octet changed behind its request id, and lengths that still fit the connection."""
    at = 20 + place % (len(octets) - 20)
    return octets[:at] + bytes([octet]) + octets[at + 1 :]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([FOUND, None]), st.booleans(), st.integers(0, 400), st.integers(0, 255))
def test_a_changed_octet_in_a_plain_reply_ends_in_an_answer_or_our_error(
    body: object, signed: bool, place: int, octet: int
) -> None:
    async def run() -> None:
        good = challenging() if body is None else signed_by(SERVER, FOUND) if signed else bare(FOUND)
        async with toy_server(lambda asked: spoilt(good(asked), place, octet)) as toy:
            try:
                await Client(Calls(Asking(toy.server()), identity=RSA)).resolve(b"88.100/A")
            except EXPECTED:
                pass

    asyncio.run(run())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 700), st.integers(0, 255))
def test_a_changed_octet_in_a_set_up_ends_in_our_error(place: int, octet: int) -> None:
    async def run() -> None:
        session = ToySession()
        async with toy_server(lambda asked: spoilt(session.set_up(asked), place, octet), bare(FOUND)) as toy:
            try:
                await Client(Calls(Asking(toy.server()), opening=Opening.by(Mode.DH, None))).resolve(b"88.100/A")
            except EXPECTED:
                pass

    asyncio.run(run())


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80))
def test_any_octets_on_a_connection_are_no_answer(octets: bytes) -> None:
    async def run() -> None:
        async with toy_server(octets) as toy:
            try:
                await Client(Calls(Asking(toy.server()))).resolve(b"88.100/A")
            except EXPECTED:
                return
            raise AssertionError("believed")

    asyncio.run(run())


@settings(deadline=None)
@given(st.binary(max_size=120), st.sampled_from([0, 0x40]))
def test_octets_that_are_no_reply_of_the_session_are_not_believed(plain: bytes, flags: int) -> None:
    session = Session(77, SessionKey(3, bytes(32)), NEWEST, Mode.DH)
    request = Message.read(session.written(_question()))
    envelope = replace(request.envelope, flags=flags, message_size=len(plain))
    from protocol.errors import Malformed

    try:
        found = session.read(envelope.to_bytes() + plain)
    except (NotProven, Malformed):
        return
    assert found.header.code >= 2  # One of the few refusals that need no proof.


def _question() -> Message:
    from resolver.client import resolution

    made = resolution(b"88.100/A", now_s=1)
    return replace(made, envelope=replace(made.envelope, session_id=77))
