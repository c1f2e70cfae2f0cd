"""What a session opens and what it does not; the sector's login; secrets of others; a mirror's refusal of changes."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from protocol.codec import Message
from protocol.codes import CERTIFY, DEFAULT_REQUEST_FLAGS, ENCRYPTED, OpCode, ResponseCode
from protocol.envelope import Envelope
from protocol.errors import TooBusy
from protocol.limits import ENVELOPE_SIZE
from protocol.requests import ExchangeKeyRequest, HandleRequest, LoginRequest, ResolutionRequest, VerifyChallengeRequest
from protocol.trust.challenge import RequestDigest
from protocol.trust.session import iv_size, sealed
from protocol.value import Reference
from protocol.version import NEWEST
from resolver.config import Config
from resolver.failures import FREE_A_SOURCE, WAITING_A_SOURCE_MAX, WAITING_MAX, Attempt, Failures
from resolver.peer import Peer
from storage.volatile import Volatile
from tests.resolver.test_attacks import DELETE, NAME, OWNER, RESTRICTED, answering, asking, code, proof, stands
from tests.resolver.test_replay import site_seen
from tests.resolver.test_replay_sessions import Client, begun, by_diffie_hellman
from tests.support.engines import NOW, SITE, Answering, octets_of, seeded, value
from tests.support.loops import in_loop
from tests.support.trust_vectors import ADMIN, key_seen, prefix_record, server_key_seen

PUBLIC_QUESTION = asking(ResolutionRequest(handle=ADMIN, indexes=(200,)), OpCode.RESOLUTION)


def made(records: int = 0) -> Answering:
    kept = {ADMIN: prefix_record(), NAME: [value(1), value(2, permissions=12), OWNER]}
    kept |= {b"88.100/L%03d" % number: [value(1)] for number in range(records)}
    return Answering(
        seeded(kept, homed=(ADMIN,)),
        site=site_seen(),
        private_key=server_key_seen(),
        config=Config.model_validate({"auth": {"server_admins": ["200:0.NA/88.100"]}}),
    )


def in_session(message: Message, client: Client) -> Message:
    return replace(message, envelope=replace(message.envelope, session_id=client.number))


def proving(client: Client, asked: Message, who: Reference, key: str) -> Message:
    """The reply to a request in a session, its challenge answered by somebody."""
    challenge = client.asked(asked)
    assert code(challenge) == ResponseCode.AUTHENTICATION_NEEDED
    answer = answering(challenge, proof(challenge, in_session(asked, client), key_seen(key)), who)
    return client.read(client.node.octets(answer.to_bytes()))


def test_a_change_in_a_session_without_its_mac_is_refused() -> None:
    node = made()
    client = by_diffie_hellman(node)
    assert code(node.message(in_session(DELETE, client))) == ResponseCode.INVALID_CREDENTIAL
    assert stands(node)


def test_an_encrypted_message_without_a_mac_is_not_believed() -> None:
    node = made()
    client = by_diffie_hellman(node)
    message = in_session(PUBLIC_QUESTION, client)
    algorithm = client.key.algorithm
    blob = sealed(client.key.key, algorithm, NEWEST, message.plain(), bytes(iv_size(algorithm, NEWEST)))
    whole = replace(message.envelope, flags=ENCRYPTED, message_size=len(blob)).to_bytes() + blob
    assert code(node.message(whole)) == ResponseCode.SESSION_FAILED


def test_the_proof_of_another_identity_opens_one_request_and_not_the_session() -> None:
    client = by_diffie_hellman(made())
    read = asking(ResolutionRequest(handle=NAME), OpCode.RESOLUTION, flags=RESTRICTED)
    assert code(proving(client, read, Reference(301, ADMIN), "adminDsaPrivatePkcs8Hex")) == ResponseCode.SUCCESS
    assert code(client.asked(read)) == ResponseCode.AUTHENTICATION_NEEDED
    assert code(proving(client, read, Reference(300, ADMIN), "adminRsaPrivatePkcs8Hex")) == ResponseCode.SUCCESS
    assert code(client.asked(read)) == ResponseCode.SUCCESS


def test_values_that_are_not_public_travel_encrypted_without_being_asked_to() -> None:
    node = made()
    client = by_diffie_hellman(node)
    read = asking(ResolutionRequest(handle=NAME), OpCode.RESOLUTION, flags=RESTRICTED)
    assert code(proving(client, read, Reference(300, ADMIN), "adminRsaPrivatePkcs8Hex")) == ResponseCode.SUCCESS
    for question, is_sealed in ((read, True), (PUBLIC_QUESTION, False)):
        whole = node.octets(client.octets_of(question))
        assert whole is not None
        assert bool(Envelope.read(whole).flags & ENCRYPTED) == is_sealed


def test_each_message_of_a_list_is_proven_by_a_counter_of_its_own() -> None:
    node = made(records=120)
    client = by_diffie_hellman(node)
    asked = asking(HandleRequest(handle=ADMIN), OpCode.LIST_HANDLES, flags=DEFAULT_REQUEST_FLAGS | CERTIFY)
    challenge = client.asked(asked)
    answer = answering(challenge, proof(challenge, in_session(asked, client), key_seen("adminRsaPrivatePkcs8Hex")))
    rest = node.octets(answer.to_bytes())
    assert rest is not None
    counters = []
    while rest:
        end = ENVELOPE_SIZE + Envelope.read(rest).message_size
        reply, rest = client.read(rest[:end]), rest[end:]
        assert client.is_proven(reply)
        counters.append(int.from_bytes(reply.credential[8:12], "big"))
    assert len(counters) == 3
    assert counters == sorted(set(counters))


def test_a_key_that_cannot_be_read_is_answered_like_a_good_one() -> None:
    node = made()
    reply, _ = begun(node, "server-key")
    spoilt = asking(ExchangeKeyRequest(encrypted_key=bytes(256)), OpCode.SESSION_EXCHANGEKEY)
    told = node.message(replace(spoilt, envelope=replace(spoilt.envelope, session_id=reply.envelope.session_id)))
    assert code(told) == ResponseCode.SUCCESS


def test_a_secret_that_is_not_kept_here_is_not_judged_here() -> None:
    request = VerifyChallengeRequest(
        key=Reference(300, b"66.6/X"), nonce=bytes(16), digest=RequestDigest(3, bytes(32)), answer=bytes(16)
    )
    assert code(made().message(asking(request, OpCode.VERIFY_CHALLENGE))) == ResponseCode.SERVER_NOT_RESP


def test_a_mirror_takes_no_changes() -> None:
    node = Answering(seeded({NAME: [value(1)]}), site=replace(SITE, flags=0))
    assert code(node.message(DELETE)) == ResponseCode.SERVER_NOT_RESP
    assert stands(node)


class Channel:
    """One connection of the sector's dialect, which chose its session id itself."""

    def __init__(self) -> None:
        self.node, self.peer = made(), Peer("127.0.0.1", admin=True, is_connection=True)

    def asked(self, message: Message) -> Message:
        message = replace(message, envelope=replace(message.envelope, session_id=0x1A2B))
        found = octets_of(self.node.service.answers([message.to_bytes()], peer=lambda _: self.peer, now_s=NOW)[0])
        assert found is not None
        return Message.read(found)

    def login(self, user: Reference, who: Reference, key: str) -> Message:
        asked = asking(LoginRequest(user=user), OpCode.LOGIN_ID_SYSTEM)
        challenge = self.asked(asked)
        assert (code(challenge), challenge.envelope.session_id) == (ResponseCode.AUTHENTICATION_NEEDED, 0x1A2B)
        return self.asked(answering(challenge, proof(challenge, asked, key_seen(key)), who))


def test_a_login_is_answered_under_its_own_opcode_and_opens_the_connection() -> None:
    channel, rsa = Channel(), Reference(300, ADMIN)
    done = channel.login(rsa, rsa, "adminRsaPrivatePkcs8Hex")
    assert (done.header.opcode, code(done), done.body) == (OpCode.LOGIN_ID_SYSTEM, ResponseCode.SUCCESS, b"")
    assert code(channel.asked(DELETE)) == ResponseCode.SUCCESS
    assert not stands(channel.node)


@pytest.mark.parametrize(("user", "key"), [(300, "adminDsaPrivatePkcs8Hex"), (301, "adminRsaPrivatePkcs8Hex")])
def test_nobody_logs_in_by_the_proof_of_somebody_else(user: int, key: str) -> None:
    channel = Channel()
    said = channel.login(Reference(user, ADMIN), Reference(300, ADMIN), key)
    assert code(said) == ResponseCode.AUTHENTICATION_FAILED
    assert code(channel.asked(DELETE)) == ResponseCode.AUTHENTICATION_NEEDED


async def fail_at_once(failures: Failures, attempts: Sequence[Attempt]) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(failures.failed(attempt)) for attempt in attempts]
    await asyncio.sleep(0)
    return tasks


def tried(handle: bytes, source: str = "192.0.2.1", *, is_relayed: bool = False) -> Attempt:
    return Attempt.of(source, Reference(300, handle), is_relayed=is_relayed)


@pytest.fixture
def failures(tmp_path: Path) -> Iterator[Failures]:
    with closing(Volatile.create(tmp_path / "volatile")) as notes:
        yield Failures(notes, lambda: 0)


@in_loop
async def test_so_many_failures_wait_and_no_more_also_where_connections_break(failures: Failures) -> None:
    one = tried(b"88/A")
    for _ in range(2):
        await failures.failed(one)
    tasks = await fail_at_once(failures, [one] * WAITING_MAX)
    for broken in (False, True):
        with pytest.raises(TooBusy):
            failures.expect_room(one)
        failures.expect_room(tried(b"88/B"))
        failures.expect_room(tried(b"88/A", "192.0.2.2"))
        if not broken:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def test_a_handle_is_one_however_it_is_spelled_and_whichever_key_is_tried() -> None:
    spelled = [b"0.NA/88", b"0.na/88", b"88", b"0.Na/88"]
    assert {Attempt.of("a", Reference(index, handle)) for index, handle in enumerate(spelled)} == {
        Attempt.of("a", Reference(300, b"0.NA/88"))
    }


@in_loop
async def test_a_source_waits_though_it_tries_another_handle_each_time(failures: Failures) -> None:
    for number in range(FREE_A_SOURCE):
        await asyncio.wait_for(failures.failed(tried(b"88/%d" % number)), 0.05)
    tasks = await fail_at_once(failures, [tried(b"88/X%d" % number) for number in range(WAITING_A_SOURCE_MAX)])
    assert not any(task.done() for task in tasks)
    with pytest.raises(TooBusy):
        failures.expect_room(tried(b"88/new"))
    failures.expect_room(tried(b"88/new", "192.0.2.2"))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@in_loop
async def test_a_server_that_asks_for_many_clients_waits_for_each_handle_alone(failures: Failures) -> None:
    for number in range(FREE_A_SOURCE + 8):
        await asyncio.wait_for(failures.failed(tried(b"88/%d" % number, is_relayed=True)), 0.05)
    failures.expect_room(tried(b"88/new", is_relayed=True))
