"""What whoever fails proofs meets: delays, and a bound of those that wait, however a key is spelled. Late answers."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from itertools import cycle

import pytest

from protocol import codec
from protocol.codec import Message
from protocol.codes import OpCode, ResponseCode
from protocol.requests import HandleRequest, ValuesRequest, VerifyChallengeRequest
from protocol.responses import ErrorResponse, VerifyResponse
from protocol.trust.challenge import RequestDigest, challenge_input, secret_key_answer
from protocol.value import Reference, value_list
from resolver import failures
from resolver.administration import CHANGES_TRIED
from resolver.failures import BUSY, DELAY_MAX_S, FREE_FAILURES, WAITING_MAX
from storage.base import Change, Outcome, PutRecord
from tests.resolver.test_attacks import (
    DELETE,
    NAME,
    OWNER,
    RSA,
    WORD,
    admin_key,
    answering,
    asking,
    code,
    proof,
    stands,
)
from tests.resolver.test_replay_sessions import by_diffie_hellman
from tests.resolver.test_session_rules import in_session, made
from tests.support import engines
from tests.support.at_once import heard, peer_at, told_soon, waiting
from tests.support.engines import Answering, seeded, value
from tests.support.loops import in_loop
from tests.support.operating import PRIVATE, PUBLIC_WRITE, SEALED
from tests.support.trust_vectors import ADMIN, key_seen

Guess = Callable[[], Awaitable[Message]]

GUESSER, OTHER = "198.51.100.1", "198.51.100.2"
CHANGING = b"The handle is being changed: try again"
NONCE, DIGEST = bytes(16), RequestDigest(3, bytes(32))
SECRETS = [(302, ADMIN), (0, b"0.na/88.100"), (300, b"0.Na/88.100"), (7, ADMIN)]
"""One handle in four spellings, with keys that it has and has not."""

ADMINS = [(300, ADMIN), (301, b"0.na/88.100"), (302, b"0.Na/88.100")]
"""The administrators of a handle: whoever is none hears so before any proof is looked at."""


async def verified(node: Answering, who: tuple[int, bytes], secret: bytes, host: str = GUESSER) -> Message:
    answer = secret_key_answer(secret, 2, challenge_input(NONCE, DIGEST))
    request = VerifyChallengeRequest(key=Reference(*who), nonce=NONCE, digest=DIGEST, answer=answer)
    return await heard(node, asking(request, OpCode.VERIFY_CHALLENGE), peer_at(host))


async def answered(node: Answering, who: tuple[int, bytes], key: str, host: str = GUESSER) -> Message:
    challenge = await heard(node, DELETE, peer_at(host))
    assert code(challenge) == ResponseCode.AUTHENTICATION_NEEDED
    return await heard(
        node, answering(challenge, proof(challenge, DELETE, key_seen(key)), Reference(*who)), peer_at(host)
    )


def guesses(node: Answering, opcode: OpCode) -> Guess:
    """Wrong proofs, each in another spelling than the last."""
    if opcode == OpCode.VERIFY_CHALLENGE:
        secrets = cycle(SECRETS)
        return lambda: verified(node, next(secrets), b"wrong")
    admins = cycle(ADMINS)
    return lambda: answered(node, next(admins), "serverPrivatePkcs8Hex")


def right(node: Answering, opcode: OpCode, host: str) -> Guess:
    if opcode == OpCode.VERIFY_CHALLENGE:
        return lambda: verified(node, SECRETS[0], WORD, host)
    return lambda: answered(node, ADMINS[0], "adminRsaPrivatePkcs8Hex", host)


def is_wrong(reply: Message) -> bool:
    """Whether a proof was looked at, and fits nothing."""
    is_none = code(reply) == ResponseCode.AUTHENTICATION_FAILED
    return is_none or codec.read_response(reply)[1] == VerifyResponse(valid=False)


def is_refused(reply: Message) -> bool:
    """Whether a proof was not even looked at."""
    is_busy = code(reply) == ResponseCode.SERVER_TOO_BUSY
    return is_busy and codec.read_response(reply)[1] == ErrorResponse(message=BUSY.encode())


@pytest.mark.parametrize("is_broken_off", [False, True])
@pytest.mark.parametrize("opcode", [OpCode.VERIFY_CHALLENGE, OpCode.RESPONSE_TO_CHALLENGE])
@in_loop
async def test_wrong_proofs_wait_however_the_key_is_spelled_and_so_many_keep_all_others_out(
    monkeypatch: pytest.MonkeyPatch, opcode: OpCode, is_broken_off: bool
) -> None:
    monkeypatch.setattr(failures, "DELAY_FIRST_S", DELAY_MAX_S)
    node = made()
    guess = guesses(node, opcode)
    for _ in range(FREE_FAILURES):
        assert is_wrong(await told_soon(guess))
    tasks = await waiting(guess, WAITING_MAX)
    if is_broken_off:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for kept_out in (guess, right(node, opcode, GUESSER)):
        assert is_refused(await told_soon(kept_out))
    assert stands(node)
    other = await told_soon(right(node, opcode, OTHER))
    assert code(other) == ResponseCode.SUCCESS
    assert not is_wrong(other)


def test_the_answer_to_a_challenge_of_a_session_that_has_ended_opens_nothing() -> None:
    node = made()
    client = by_diffie_hellman(node)
    challenge = client.asked(DELETE)
    assert code(challenge) == ResponseCode.AUTHENTICATION_NEEDED
    ended = client.octets_of(asking(HandleRequest(handle=b"/"), OpCode.SESSION_TERMINATE))
    assert code(node.message(ended)) == ResponseCode.SUCCESS
    late = answering(challenge, proof(challenge, in_session(DELETE, client), admin_key()), RSA)
    assert code(node.message(late)) == ResponseCode.SESSION_TIMEOUT
    assert stands(node)


def overtaken(permissions: int, times: int) -> type[engines.Writing]:
    """A writer before whose first changes another one comes, which gives the value these permissions."""
    numbers = iter(range(times))

    class Overtaken(engines.Writing):
        def submit(self, change: Change) -> "Future[Outcome]":
            number = next(numbers, None)
            if number is not None:
                data = b"%d" % number
                between = PutRecord(NAME, value_list([value(1, data=data, permissions=permissions), OWNER]))
                assert super().submit(between).result().error is None
            return super().submit(change)

    return Overtaken


@pytest.mark.parametrize(
    ("permissions", "times", "ended"),
    [
        (PUBLIC_WRITE, 1, (ResponseCode.SUCCESS, b"")),
        (PUBLIC_WRITE, CHANGES_TRIED, (ResponseCode.SERVER_TOO_BUSY, CHANGING)),
        (PRIVATE, 1, (ResponseCode.SERVER_TOO_BUSY, CHANGING)),
        (SEALED, 1, (ResponseCode.INSUFFICIENT_PERMISSIONS, b"Value is read-only")),
    ],
)
def test_a_value_that_everybody_might_write_is_not_written_once_it_is_closed_meanwhile(
    monkeypatch: pytest.MonkeyPatch, permissions: int, times: int, ended: tuple[int, bytes]
) -> None:
    monkeypatch.setattr(engines, "Writing", overtaken(permissions, times))
    node = Answering(seeded({NAME: [value(1, permissions=PUBLIC_WRITE), OWNER]}))
    reply = node.message(asking(ValuesRequest(handle=NAME, values=(value(1, data=b"mine"),)), OpCode.MODIFY_VALUE))
    body = codec.read_response(reply)[1]
    assert (code(reply), body.message if isinstance(body, ErrorResponse) else b"") == ended
    with node.store.view() as view:
        record = view.get(NAME)
    assert record is not None
    assert (b"mine" in record.values) == (ended[0] == ResponseCode.SUCCESS)
