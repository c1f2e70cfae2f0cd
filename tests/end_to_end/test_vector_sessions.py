"""Captured sessions and what mirrors ask, made anew with the vectors' keys, at a real node: none is left out.

Ids, keys and initialisation vectors are the node's own; signatures and MACs are verified instead of compared.
Sources: the vectors; behaviours 26 to 31 and 36; spec, resolution: section 7.1.
"""

import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from protocol import codec
from protocol.codec import Message
from protocol.codes import ENCRYPTED, OpCode, ResponseCode
from protocol.envelope import Envelope
from protocol.limits import ENVELOPE_SIZE
from protocol.replication.dump import DumpedHandle, DumpStart, HomedPrefix, read_dump_record
from protocol.replication.streams import StreamKind, StreamReader
from protocol.replication.transactions import TransactionStart, TransactionStatus, read_transaction_record
from protocol.requests import ChallengeAnswer, ExchangeKeyRequest
from protocol.responses import SessionSetupResponse
from protocol.trust.credential import Credential
from protocol.trust.keys import RsaPrivateKey, RsaPublicKey, from_pem, public_of
from protocol.trust.session import SessionKey, read_dh_response, session_key, unwrapped_key, wrapped_key
from protocol.trust.signature import signature_is_valid
from protocol.value import Reference
from protocol.version import NEWEST
from resolver.client_tls import certified_key
from tests.end_to_end.test_vectors import EXCHANGES, HOMED, READ
from tests.resolver.test_replay import values_in
from tests.resolver.test_replay_administration import STORY
from tests.resolver.test_replay_sessions import clear
from tests.support.callers import Caller, Prover, in_form_of
from tests.support.keys import pkcs8_pem
from tests.support.running import read_to_end
from tests.support.seen import expect_credential, expect_header
from tests.support.trust_vectors import ADMIN, key_seen, prefix_record, server_key_seen
from tests.support.vector_nodes import VectorNode
from tests.support.vectors import messages, octets, vectors
from tests.support.wire_sessions import WireSession

RSA = Prover(Reference(300, ADMIN), key_seen("adminRsaPrivatePkcs8Hex"))
PARTS = ("request", "challenge", "answer", "response")
SESSIONS = [
    *[f"session.dh.{step}" for step in (
        "setup", "resolve-encrypted", "resolve-mac", "create", "delete-no-second-challenge", "replayed", "terminate",
        "after-termination",
    )],
    "session.client-key.setup", "session.client-key.resolve-encrypted",
    "session.server-key.setup", "session.server-key.exchange-key", "session.server-key.resolve-encrypted",
    "session.handle-key.setup", "session.handle-key.resolve-encrypted",
]  # fmt: skip
"""In the order in which they were captured."""

OWN = {
    "session.dh.replayed": ResponseCode.SESSION_MESSAGE_REJECTED,
    "session.dh.after-termination": ResponseCode.SESSION_TIMEOUT,
}
"""Where the deployed software takes what must be refused: a message a second time, a session that has ended."""

STREAMS = ["encode.retrieve-txn", "encode.retrieve-txn.v2.8", "encode.dump-handles", "encode.dump-handles.resuming"]
"""Requests whose streams were not captured: what comes is read by what is known of its form, and proven."""


def test_every_captured_conversation_is_one_that_is_held() -> None:
    found = set()
    for name in (str(vector["name"]) for vector in messages()):
        front, _, part = name.rpartition(".")
        if not name.startswith("encode.") or "txn" in name or "dump" in name:
            found.add(front if part in PARTS else name)
    held = [*READ, "siteinfo", *STORY, *SESSIONS, *STREAMS]
    assert found == set(held)
    # Read twice: of a node that has it, and of one where an administrator has just made it.
    assert [name for name in held if held.count(name) > 1] == ["resolve.public-only"] * 2
    assert len(EXCHANGES) == len(vectors()["udpExchanges"])


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VectorNode]:
    env = {"HNODE_AUTH__SERVER_ADMINS": "200:0.NA/88.100"}
    records = {ADMIN: prefix_record(), b"88.100/VEC-1": values_in("resolve.all.response")}
    with VectorNode(tmp_path_factory.mktemp("sessions") / "n", records, homed=HOMED, env=env) as running:
        yield running


# Sessions


class Story:
    """One client's sessions, step by step. `sessions` by their mode; `last` is what was sent last, to be replayed."""

    def __init__(self, node: VectorNode) -> None:
        self.caller = Caller(node.port)
        self.sessions: dict[str, WireSession] = {}
        self.last = b""
        self.special: dict[str, Callable[[str, str], None]] = {
            "setup": self.set_up,
            "create": self.create,
            "exchange-key": self.exchange_key,
            "terminate": self.terminate,
            "replayed": self.replayed,
            "after-termination": self.after_termination,
        }

    def step(self, name: str) -> None:
        _, mode, step = name.split(".", 2)
        self.special.get(step, self.ask)(name, mode)

    def ask(self, name: str, mode: str) -> None:
        """A request with the session's MAC, encrypted where the captured one was."""
        session = self.sessions[mode]
        is_sealed = bool(Envelope.read(octets(f"{name}.request")).flags & ENCRYPTED)
        self.last = session.octets_of(bare(f"{name}.request"), seal=is_sealed)
        expect_in_session(session, session.sent(self.last), f"{name}.response")

    def set_up(self, name: str, mode: str) -> None:
        reply, seen = self.caller.said(octets(f"{name}.request")), Message.read(octets(f"{name}.response"))
        expect_header(reply, seen, body_size=0)  # A number of Diffie-Hellman's may be an octet shorter.
        expect_credential(reply, seen)
        assert reply.envelope.session_id
        body, theirs = (cast(SessionSetupResponse, codec.read_response(found)[1]) for found in (reply, seen))
        assert (body.mode, body.padding) == (theirs.mode, theirs.padding)
        key = getattr(self, f"key_by_{mode.replace('-', '_')}")(body.data, theirs.data)
        self.sessions[mode] = WireSession(self.caller, reply.envelope.session_id, key)

    def key_by_dh(self, data: bytes, seen: bytes) -> SessionKey:
        (algorithm, ours), (wanted, theirs) = (read_dh_response(found, NEWEST) for found in (data, seen))
        assert (algorithm, ours.p, ours.g) == (wanted, theirs.p, theirs.g)
        assert ours.y != theirs.y
        private = int(vectors()["keys"]["session"]["clientDhPrivateX"], 16)
        secret = pow(ours.y, private, ours.p).to_bytes(-(-ours.p.bit_length() // 8), "big")
        return SessionKey(algorithm, session_key(algorithm, secret))

    def key_by_client_key(self, data: bytes, seen: bytes) -> SessionKey:
        key = from_pem(pkcs8_pem(vectors()["keys"]["session"]["clientRsaPrivatePkcs8Hex"]))
        assert isinstance(key, RsaPrivateKey) and len(data) == len(seen)
        return unwrapped_key(key, data, NEWEST)

    def key_by_handle_key(self, data: bytes, seen: bytes) -> SessionKey:
        assert len(data) == len(seen)
        return unwrapped_key(key_seen("adminRsaPrivatePkcs8Hex"), data, NEWEST)

    def key_by_server_key(self, data: bytes, seen: bytes) -> SessionKey:
        assert data == seen
        return SessionKey(3, bytes(range(1, 17)))  # The client makes it, and sends it next.

    def exchange_key(self, name: str, mode: str) -> None:
        session, public = self.sessions[mode], public_of(server_key_seen())
        assert isinstance(public, RsaPublicKey)
        sent = ExchangeKeyRequest(encrypted_key=wrapped_key(public, session.key, NEWEST))
        asked = in_form_of(clear(f"{name}.request"), sent, opcode=OpCode.SESSION_EXCHANGEKEY, session_id=session.number)
        reply, seen = self.caller.said(asked), clear(f"{name}.response")
        expect_header(reply, seen)
        assert (reply.body, reply.envelope.session_id) == (seen.body, session.number)

    def create(self, name: str, mode: str) -> None:
        session, asked = self.sessions[mode], bare(f"{name}.request")
        challenge, seen = session.said(asked), clear(f"{name}.challenge")
        expect_header(challenge, seen)
        assert (challenge.body[:-16], challenge.envelope.session_id) == (seen.body[:-16], session.number)
        assert session.is_proven(challenge)
        captured = clear(f"{name}.answer")
        body = cast(ChallengeAnswer, codec.read_request(captured))
        answer = replace(body, answer=RSA.proof(challenge, asked))
        proof = in_form_of(captured, answer, opcode=OpCode.RESPONSE_TO_CHALLENGE, session_id=session.number)
        expect_in_session(session, session.sent(proof.to_bytes()), f"{name}.response")  # Without a MAC, as was seen.

    def replayed(self, name: str, mode: str) -> None:
        assert self.sessions[mode].sent(self.last).header.code == OWN[name]

    def terminate(self, name: str, mode: str) -> None:
        session, seen = self.sessions[mode], clear(f"{name}.response")
        reply = session.said(bare(f"{name}.request"))
        expect_header(reply, seen)
        assert reply.body == seen.body
        credential = Credential.read(reply.credential)
        assert credential is not None
        assert signature_is_valid(credential, public_of(server_key_seen()), reply.envelope, reply.signed_part)

    def after_termination(self, name: str, mode: str) -> None:
        asked = clear(f"{name}.request")
        asked = replace(asked, envelope=replace(asked.envelope, session_id=self.sessions[mode].number))
        assert self.caller.said(asked).header.code == OWN[name]


def bare(name: str) -> Message:
    """A captured request of a session, in the clear and without its MAC."""
    return replace(clear(name), credential=b"")


def expect_in_session(session: WireSession, reply: Message, name: str) -> None:
    """The reply that was captured, proven by the session's key."""
    seen = clear(name)
    expect_header(reply, seen)
    assert (reply.body, reply.envelope.session_id) == (seen.body, session.number)
    assert bool(reply.credential) == bool(seen.credential)
    assert session.is_proven(reply)


@pytest.fixture(scope="module")
def story(node: VectorNode) -> Story:
    return Story(node)


@pytest.mark.parametrize("name", SESSIONS)
def test_sessions_go_as_they_were_seen(story: Story, name: str) -> None:
    story.step(name)


# Streams


def read_message(sock: socket.socket) -> Message:
    """The reply, and not an octet of what follows it."""
    envelope = sock.recv(ENVELOPE_SIZE, socket.MSG_WAITALL)
    return Message.read(envelope + sock.recv(Envelope.read(envelope).message_size, socket.MSG_WAITALL))


def streamed(caller: Caller, name: str) -> tuple[Message, bytes]:
    """The reply once the challenge is answered, and the octets that come within TLS behind it."""
    asked = Message.read(octets(name))
    answer = RSA.answers(caller.challenged(asked), asked)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with caller.connected() as sock:
        sock.sendall(answer.to_bytes())
        reply = read_message(sock)
        assert sock.recv(4, socket.MSG_WAITALL) == StreamKind.TLS.to_bytes(4, "big")
        with context.wrap_socket(sock) as secured:
            certificate = secured.getpeercert(binary_form=True)
            assert certificate is not None
            assert certified_key(certificate) == public_of(server_key_seen())
            return reply, read_to_end(secured)


@pytest.mark.parametrize("name", STREAMS)
def test_what_mirrors_ask_for_comes_signed_and_within_tls_of_the_servers_key(node: VectorNode, name: str) -> None:
    reply, found = streamed(Caller(node.port), name)
    asked = Message.read(octets(name))
    assert reply.header.code == ResponseCode.SUCCESS
    assert (reply.header.opcode, reply.envelope.version) == (asked.header.opcode, asked.envelope.version)
    credential = Credential.read(reply.credential)
    assert credential is not None
    assert signature_is_valid(credential, public_of(server_key_seen()), reply.envelope, reply.signed_part)
    is_dump = asked.header.opcode == OpCode.DUMP_HANDLES
    reader: StreamReader[Any] = StreamReader(
        read_dump_record if is_dump else read_transaction_record, kind=StreamKind.UNSIGNED
    )
    reader.feed(found)
    records = [block.record for block in reader.blocks()]
    assert reader.is_finished and reader.rest() == b""
    if not is_dump:  # It tells of change 42 and a date of 2023: this store has never had so many.
        assert isinstance(records[0], TransactionStart) and records[0].status == TransactionStatus.NEED_TO_REDUMP
        return
    assert isinstance(records[0], DumpStart)
    assert {record.handle for record in records if isinstance(record, HomedPrefix)} == set(HOMED)
    names = {record.handle for record in records if isinstance(record, DumpedHandle)}
    assert names <= ({b"88.100/VEC-1"} if name.endswith("resuming") else {ADMIN, b"88.100/VEC-1"})
