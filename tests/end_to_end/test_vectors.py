"""What was captured is asked of a real node by UDP and TCP, and answered as it was seen, challenges proven anew.

Nonces, times and minted names are the node's own, and signatures are verified instead of compared; all else is equal.
Sources: the vectors; behaviours 4 to 25, 32 and 35.
"""

import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import pytest

from protocol import codec
from protocol.codec import Message
from protocol.codes import TRUNCATED, OpCode, ResponseCode
from protocol.framing import Reassembly
from protocol.requests import ChallengeAnswer
from protocol.responses import CreateResponse, ResolutionResponse, SiteResponse
from protocol.site import Site, Transport
from protocol.trust.challenge import PublicKeyAnswer, SecretKeyAnswer
from protocol.value import HandleValue
from tests.resolver.test_attacks import WORD
from tests.resolver.test_replay import CERTIFIED, PLAIN, values_in
from tests.resolver.test_replay_administration import STORY
from tests.support.callers import Caller, Prover, in_form_of
from tests.support.running import REPLY_S
from tests.support.seen import expect_as_seen, expect_envelope, expect_header, timeless
from tests.support.trust_vectors import ADMIN, key_seen, prefix_record
from tests.support.vector_nodes import VectorNode
from tests.support.vectors import messages, octets, vectors

READ = [name for name in (*PLAIN, *CERTIFIED) if name != "siteinfo"]
LISTS = ("list-handles", "list-homed-prefixes")
"""The answer may be many messages: only by TCP."""

WRITTEN = ("resolve.public-only", "resolve.restricted")
"""Read in the story behind the creation of what they read: the timestamps are of the run."""

EXCHANGES = {exchange["name"]: exchange for exchange in vectors()["udpExchanges"]}
HOMED = (b"0.NA/0.NA", ADMIN, b"0.NA/88.400")
KEYS = {300: "adminRsaPrivatePkcs8Hex", 301: "adminDsaPrivatePkcs8Hex"}
NAMES = {vector["name"] for vector in messages()}


def received(name: str) -> list[bytes]:
    """The datagrams that answered in a captured exchange."""
    return [bytes.fromhex(piece["hex"]) for piece in EXCHANGES[name]["received"]]


def whole(datagrams: list[bytes]) -> Message:
    """The message that datagrams are the pieces of."""
    found, pieces = datagrams[0] if len(datagrams) == 1 else None, Reassembly()
    for datagram in datagrams if found is None else ():
        found = pieces.add("node", datagram, now=0)
    assert found is not None
    return Message.read(found[:2] + bytes((found[2] & ~TRUNCATED,)) + found[3:])


def values_received(name: str) -> tuple[HandleValue, ...]:
    _, body = codec.read_response(whole(received(name)))
    assert isinstance(body, ResolutionResponse)
    return body.values


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VectorNode]:
    """A node with the records that the captured answers tell of."""
    records = {
        b"88.100/VEC-1": values_in("resolve.all.response"),
        b"88.100/VEC-PRIV": values_in("resolve.restricted.response"),
        b"88.100/VEC-BIG": values_received("large-response"),
        b"0.NA/88.400": values_in("referral.prefix.response"),
        ADMIN: prefix_record(),
    }
    with VectorNode(tmp_path_factory.mktemp("reader") / "n", records, homed=HOMED) as node:
        yield node


@pytest.mark.parametrize("way", ["udp", "tcp"])
@pytest.mark.parametrize("name", READ)
def test_what_is_read_is_answered_as_it_was_seen(reader: VectorNode, name: str, way: str) -> None:
    said = Caller(reader.port, way).said(octets(f"{name}.request"))
    expect_as_seen(said, Message.read(octets(f"{name}.response")))


@pytest.mark.parametrize("way", ["udp", "tcp"])
def test_the_site_is_told_as_it_was_seen(reader: VectorNode, way: str) -> None:
    said, seen = Caller(reader.port, way).said(octets("siteinfo.request")), Message.read(octets("siteinfo.response"))
    expect_envelope(said, seen)
    expect_header(said, seen, body_size=0)  # There an interface more: HTTP.
    ours, theirs = (cast(SiteResponse, codec.read_response(message)[1]).site for message in (said, seen))
    assert {interface.port for server in ours.servers for interface in server.interfaces} == {reader.port}
    assert without_ports(ours) == without_ports(theirs)


def without_ports(site: Site) -> Site:
    """A site record with the interfaces for the Handle protocol itself, and no ports."""
    spoken = (Transport.TCP, Transport.UDP)
    servers = [
        replace(server, interfaces=tuple(replace(one, port=0) for one in server.interfaces if one.transport in spoken))
        for server in site.servers
    ]
    return replace(site, servers=tuple(servers))


@pytest.mark.parametrize("name", EXCHANGES)
def test_datagrams_are_exchanged_as_they_were_seen(reader: VectorNode, name: str) -> None:
    sent, seen = [bytes.fromhex(piece["hex"]) for piece in EXCHANGES[name]["sent"]], received(name)
    if name == "large-request":
        reader.put({b"88.100/VEC-1": values_received(name)})  # By then it was another record.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", reader.port))
        sock.settimeout(REPLY_S)
        for datagram in sent:
            sock.send(datagram)
        said = [sock.recv(65_536) for _ in seen]
    assert [len(piece) for piece in said] == [len(piece) for piece in seen]
    ours, theirs = whole(said), whole(seen)
    expect_header(ours, theirs)
    assert ours.body.hex() == theirs.body.hex()
    if theirs.header.code == ResponseCode.SUCCESS:
        assert [piece[:20] for piece in said] == [piece[:20] for piece in seen]
    else:  # The deployed software answers in 2.3 and to request -1, which its own clients do not take.
        assert ours.envelope.request_id == Message.read(sent[0]).envelope.request_id


# Administration


class Story:
    """One node through all that the administrators asked, by one way."""

    def __init__(self, node: VectorNode, way: str) -> None:
        self.node, self.way = node, way

    def caller(self, name: str) -> Caller:
        return Caller(self.node.port, "tcp" if name in LISTS else self.way)

    def lived(self, name: str) -> tuple[Message, Message]:
        """The last reply of a conversation and the one that was seen; what comes before is held against it here."""
        asked, caller = Message.read(octets(f"{name}.request")), self.caller(name)
        if f"{name}.challenge" in NAMES:
            challenge = caller.said(asked)
            expect_as_seen(challenge, Message.read(octets(f"{name}.challenge")))
            asked = proven(name, challenge, asked)
        return caller.said(asked), Message.read(octets(f"{name}.response"))


def proven(name: str, challenge: Message, asked: Message) -> Message:
    """The captured answer, made anew for another challenge, in the form that it had."""
    seen = Message.read(octets(f"{name}.answer"))
    body = codec.read_request(seen)
    assert isinstance(body, ChallengeAnswer)
    if body.type == b"HS_PUBKEY":
        proof = Prover(body.key, key_seen(KEYS[body.key.index])).proof(challenge, asked)
        assert PublicKeyAnswer.read(proof).digest_name == PublicKeyAnswer.read(body.answer).digest_name
    else:
        form = SecretKeyAnswer.read(body.answer).form
        secret = b"wrong" if name == "wrong-secret" else WORD
        proof = Prover(body.key, secret=secret, form=form).proof(challenge, asked)
        assert len(proof) == len(body.answer)
    answer = replace(body, answer=proof)
    return in_form_of(seen, answer, opcode=OpCode.RESPONSE_TO_CHALLENGE, session_id=challenge.envelope.session_id)


@pytest.fixture(scope="module", params=["tcp", "udp"])
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    env = {"HNODE_AUTH__SERVER_ADMINS": "200:0.NA/88.100", "HNODE_UDP__ADMIN": str(request.param == "udp").lower()}
    records = {ADMIN: prefix_record(), b"0.NA/88.400": values_in("referral.prefix.response")}
    folder = tmp_path_factory.mktemp(f"story-{request.param}")
    with VectorNode(folder / "n", records, homed=HOMED, env=env) as node:
        yield Story(node, request.param)


@pytest.mark.parametrize("name", STORY)
def test_administration_goes_as_it_was_seen(story: Story, name: str) -> None:
    said, seen = story.lived(name)
    if name != "create.mint":
        expect_as_seen(said, seen, was_written=name in WRITTEN)
        return
    expect_envelope(said, seen)
    expect_header(said, seen)
    (_, ours), (_, theirs) = timeless(said), timeless(seen)
    assert isinstance(ours, CreateResponse) and isinstance(theirs, CreateResponse)
    assert ours.handle is not None and theirs.handle is not None
    assert (len(ours.handle), ours.handle[:7]) == (len(theirs.handle), b"88.100/")
    deleted = story.node.cli("handle", "delete", ours.handle.decode())  # Nobody saw it again.
    assert deleted.returncode == 0, deleted.stderr
