"""Sessions as they were captured: the client's messages, made anew with the vectors' keys, and what ours says to them.

Ids, keys and initialisation vectors are ours; headers and bodies of the replies must be those that were seen.
Sources: the vectors; behaviours 26 to 31.
"""

from dataclasses import replace
from typing import cast

import pytest

from protocol import codec
from protocol.codec import Message
from protocol.codes import ENCRYPTED, OpCode, ResponseCode
from protocol.envelope import Envelope
from protocol.limits import ENVELOPE_SIZE
from protocol.requests import ChallengeAnswer, ExchangeKeyRequest, HandleRequest
from protocol.responses import ChallengeResponse, SessionSetupResponse
from protocol.trust.challenge import challenge_input, public_key_answer, request_digest
from protocol.trust.credential import Credential
from protocol.trust.keys import RsaPublicKey, public_of
from protocol.trust.session import (
    SessionKey,
    iv_size,
    opened,
    read_dh_response,
    sealed,
    session_key,
    unwrapped_key,
    wrapped_key,
)
from protocol.trust.signature import mac_is_valid, maced, signature_is_valid
from protocol.version import NEWEST
from resolver.config import Config
from tests.resolver.test_replay import site_seen
from tests.support.engines import NOW, Answering, asking, seeded
from tests.support.trust_vectors import ADMIN, key_seen, prefix_record, server_key_seen
from tests.support.vectors import octets, vectors


@pytest.fixture
def node() -> Answering:
    return Answering(
        seeded({ADMIN: prefix_record()}, homed=(ADMIN,)),
        site=site_seen(),
        private_key=server_key_seen(),
        config=Config.model_validate({"auth": {"server_admins": ["200:0.NA/88.100"]}}),
    )


def clear(name: str) -> Message:
    """A captured message of a session, opened where it was encrypted."""
    whole = octets(name)
    envelope = Envelope.read(whole)
    told = next(vector for vector in vectors()["messages"] if vector["name"] == name)
    if envelope.flags & ENCRYPTED:
        return Message.opened(replace(envelope, flags=0), bytes.fromhex(told["encryption"]["plainMessageHex"]))
    return Message.read(whole)


class Client:
    """One client's session with a node, by hand."""

    def __init__(self, node: Answering, number: int, key: SessionKey) -> None:
        self.node, self.number, self.key, self.counter = node, number, key, 0

    def octets_of(self, message: Message, *, counter: int | None = None, seal: bool = False) -> bytes:
        self.counter += counter is None
        message = replace(message, envelope=replace(message.envelope, session_id=self.number))
        count = self.counter if counter is None else counter
        proof = maced(self.key.key, message.envelope, message.signed_part, counter=count)
        message = replace(message, credential=proof.to_bytes())
        if not seal:
            return message.to_bytes()
        algorithm = self.key.algorithm
        blob = sealed(self.key.key, algorithm, NEWEST, message.plain(), bytes(iv_size(algorithm, NEWEST)))
        return replace(message.envelope, flags=ENCRYPTED, message_size=len(blob)).to_bytes() + blob

    def read(self, whole: bytes | None) -> Message:
        """A reply, opened and proven by the session's key."""
        assert whole is not None
        envelope, blob = Envelope.read(whole), whole[ENVELOPE_SIZE:]
        if envelope.flags & ENCRYPTED:
            blob = opened(self.key.key, self.key.algorithm, NEWEST, blob)
        return Message.opened(replace(envelope, flags=0), blob)

    def asked(self, message: Message, *, seal: bool = False) -> Message:
        return self.read(self.node.octets(self.octets_of(message, seal=seal)))

    def is_proven(self, reply: Message) -> bool:
        credential = Credential.read(reply.credential)
        return credential is not None and mac_is_valid(credential, self.key.key, reply.envelope, reply.signed_part)


def begun(node: Answering, name: str) -> tuple[Message, SessionSetupResponse]:
    reply = node.message(octets(f"session.{name}.setup.request"))
    credential = Credential.read(reply.credential)
    assert credential is not None
    assert signature_is_valid(credential, public_of(server_key_seen()), reply.envelope, reply.signed_part)
    assert reply.header.code == ResponseCode.SUCCESS
    _, body = codec.read_response(reply)
    return reply, cast(SessionSetupResponse, body)


def by_diffie_hellman(node: Answering) -> Client:
    reply, body = begun(node, "dh")
    algorithm, theirs = read_dh_response(body.data, NEWEST)
    private = int(vectors()["keys"]["session"]["clientDhPrivateX"], 16)
    secret = pow(theirs.y, private, theirs.p).to_bytes(-(-theirs.p.bit_length() // 8), "big")
    return Client(node, reply.envelope.session_id, SessionKey(algorithm, session_key(algorithm, secret)))


def client_key() -> object:
    return key_seen_in_session("clientRsaPrivatePkcs8Hex")


def key_seen_in_session(name: str) -> object:
    import base64

    from protocol.trust.keys import from_pem

    text = base64.encodebytes(bytes.fromhex(vectors()["keys"]["session"][name])).decode()
    return from_pem(f"-----BEGIN PRIVATE KEY-----\n{text}-----END PRIVATE KEY-----\n".encode())


def same(reply: Message, name: str) -> None:
    """The reply has the captured header, but for times, and body."""
    seen = clear(name)
    times = {"expiration": 0}
    assert replace(reply.header, **times) == replace(seen.header, **times)
    assert reply.body == seen.body


def as_asked(name: str) -> Message:
    return replace(clear(name), credential=b"")


def authenticated(client: Client, challenge: Message, asked: Message) -> Message:
    _, body = codec.read_response(challenge)
    nonce = cast(ChallengeResponse, body).nonce
    data = challenge_input(nonce, request_digest(challenge.envelope.version, asked.signed_part))
    answer = public_key_answer(key_seen("adminRsaPrivatePkcs8Hex"), challenge.envelope.version, data)
    seen = clear("session.dh.create.answer")
    request = codec.read_request(seen)
    assert isinstance(request, ChallengeAnswer)
    return codec.request(
        replace(request, answer=answer),
        opcode=OpCode.RESPONSE_TO_CHALLENGE,
        request_id=seen.envelope.request_id,
        flags=seen.header.flags,
        expiration=seen.header.expiration,
        session_id=client.number,
    )


def test_a_diffie_hellman_session_goes_as_it_was_seen(node: Answering) -> None:
    client = by_diffie_hellman(node)
    sealed_reply = client.asked(as_asked("session.dh.resolve-encrypted.request"), seal=True)
    same(sealed_reply, "session.dh.resolve-encrypted.response")
    assert client.is_proven(sealed_reply)
    proven = client.asked(as_asked("session.dh.resolve-mac.request"))
    same(proven, "session.dh.resolve-mac.response")
    assert client.is_proven(proven)

    create = as_asked("session.dh.create.request")
    challenge = client.asked(create)
    assert challenge.header.code == ResponseCode.AUTHENTICATION_NEEDED
    assert challenge.envelope.session_id == client.number
    assert client.is_proven(challenge)
    done = client.read(node.octets(authenticated(client, challenge, create).to_bytes()))  # Without a MAC, as was seen.
    same(done, "session.dh.create.response")
    assert client.is_proven(done)

    deleting = client.octets_of(as_asked("session.dh.delete-no-second-challenge.request"), seal=True)
    same(client.read(node.octets(deleting)), "session.dh.delete-no-second-challenge.response")
    again = client.read(node.octets(deleting))
    assert again.header.code == ResponseCode.SESSION_MESSAGE_REJECTED  # Ours: the deployed software says 100.

    ended = client.asked(as_asked("session.dh.terminate.request"))
    same(ended, "session.dh.terminate.response")
    credential = Credential.read(ended.credential)
    assert credential is not None
    assert signature_is_valid(credential, public_of(server_key_seen()), ended.envelope, ended.signed_part)
    after = replace(
        clear("session.dh.after-termination.request"),
        envelope=replace(clear("session.dh.after-termination.request").envelope, session_id=client.number),
    )
    assert node.message(after).header.code == ResponseCode.SESSION_TIMEOUT  # Ours: the deployed software answers.


@pytest.mark.parametrize("mode", ["client-key", "server-key", "handle-key"])
def test_sessions_by_rsa_keys_go_as_they_were_seen(node: Answering, mode: str) -> None:
    reply, body = begun(node, mode)
    if mode == "client-key":
        private = client_key()
        key = unwrapped_key(private, body.data, NEWEST)  # type: ignore[arg-type]
    elif mode == "handle-key":
        key = unwrapped_key(key_seen("adminRsaPrivatePkcs8Hex"), body.data, NEWEST)
    else:
        key = SessionKey(3, bytes(range(1, 17)))
        public = public_of(server_key_seen())
        assert isinstance(public, RsaPublicKey)
        seen = clear("session.server-key.exchange-key.request")
        sent = codec.request(
            ExchangeKeyRequest(encrypted_key=wrapped_key(public, key, NEWEST)),
            opcode=OpCode.SESSION_EXCHANGEKEY,
            request_id=seen.envelope.request_id,
            flags=seen.header.flags,
            expiration=seen.header.expiration,
            session_id=reply.envelope.session_id,
        )
        same(node.message(sent), "session.server-key.exchange-key.response")
    client = Client(node, reply.envelope.session_id, key)
    told = client.asked(as_asked(f"session.{mode}.resolve-encrypted.request"), seal=True)
    same(told, f"session.{mode}.resolve-encrypted.response")
    assert client.is_proven(told)


# Attacks


def test_a_mac_of_another_session_is_no_proof(node: Answering) -> None:
    one, two = by_diffie_hellman(node), by_diffie_hellman(node)
    forged = Client(node, one.number, two.key)
    said = node.message(forged.octets_of(as_asked("session.dh.resolve-mac.request")))
    assert said.header.code == ResponseCode.INVALID_SESSION_KEY


def test_skipped_counters_are_taken_and_old_ones_are_refused(node: Answering) -> None:
    client = by_diffie_hellman(node)
    asked = as_asked("session.dh.resolve-mac.request")

    def code(counter: int) -> int:
        return client.read(node.octets(client.octets_of(asked, counter=counter))).header.code

    assert code(7) == ResponseCode.SUCCESS
    assert code(3) == ResponseCode.SUCCESS
    assert code(3) == ResponseCode.SESSION_MESSAGE_REJECTED
    for counter in range(1_000, 1_200):
        assert code(counter) == ResponseCode.SUCCESS
    assert code(4) == ResponseCode.SESSION_MESSAGE_REJECTED


def test_an_encrypted_message_tells_nobody_what_is_wrong_with_it(node: Answering) -> None:
    client = by_diffie_hellman(node)
    good = client.octets_of(as_asked("session.dh.resolve-encrypted.request"), seal=True)
    spoilt_padding = good[:-1] + bytes([good[-1] ^ 1])
    forged = Client(node, client.number, SessionKey(client.key.algorithm, client.key.key[:16] + bytes(16)))
    wrong_mac = forged.octets_of(as_asked("session.dh.resolve-encrypted.request"), seal=True)
    spoilt_header = good[:36] + bytes([good[36] ^ 1]) + good[37:]  # Padded well, and no message behind the first block.
    as_response = good[:27] + bytes([good[27] ^ 1]) + good[28:]  # The vector's bit flips the code that says "request".
    said = [node.message(whole) for whole in (spoilt_padding, wrong_mac, spoilt_header, as_response)]
    assert [reply.header.code for reply in said] == [ResponseCode.SESSION_FAILED] * 4
    assert all(reply == said[0] for reply in said)


def test_a_guessed_session_is_none(node: Answering) -> None:
    by_diffie_hellman(node)
    for guess in range(1, 200):
        asked = asking(b"0.NA/88.100")
        said = node.message(replace(asked, envelope=replace(asked.envelope, session_id=guess)))
        assert said.header.code == ResponseCode.SESSION_TIMEOUT


def test_only_the_key_ends_a_session(node: Answering) -> None:
    client = by_diffie_hellman(node)
    ending = codec.request(
        HandleRequest(handle=b"/"),
        opcode=OpCode.SESSION_TERMINATE,
        request_id=9,
        flags=0,
        expiration=NOW + 60,
        session_id=client.number,
    )
    assert node.message(ending).header.code == ResponseCode.INVALID_SESSION_KEY
    assert client.asked(as_asked("session.dh.resolve-mac.request")).header.code == ResponseCode.SUCCESS
