"""Sessions attacked over the wire: each attack ends in a refusal and a line of the log, and the session goes on.

Sources: behaviours 26 to 30 and 35; spec, security: section 8.
"""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest

from protocol.codec import Message
from protocol.codes import (
    CERTIFY,
    DEFAULT_REQUEST_FLAGS,
    ENCRYPT,
    ENCRYPTED,
    KEEP_CONNECTION,
    PUBLIC_ONLY,
    OpCode,
    ResponseCode,
)
from protocol.envelope import Envelope
from protocol.limits import ENVELOPE_SIZE
from protocol.requests import HandleRequest, ResolutionRequest, ValuesRequest
from protocol.trust.credential import Credential
from protocol.trust.session import REPLAY_WINDOW, SessionKey
from protocol.value import Reference
from protocol.version import Version
from tests.resolver.test_attacks import asking
from tests.support.attackers import BY_SECRET, NAME, ORDINARY, AttackedNode, nobody
from tests.support.callers import Caller, Prover
from tests.support.engines import value
from tests.support.trust_vectors import ADMIN
from tests.support.wire_sessions import WireSession, decrypted, opened_session

FLAGS = DEFAULT_REQUEST_FLAGS | CERTIFY
READ = asking(ResolutionRequest(handle=NAME), OpCode.RESOLUTION, flags=FLAGS)
MODIFY = asking(ValuesRequest(handle=NAME, values=(value(1),)), OpCode.MODIFY_VALUE, flags=FLAGS)
DELETE = asking(HandleRequest(handle=NAME), OpCode.DELETE_HANDLE, flags=FLAGS)
SECRETS = asking(ResolutionRequest(handle=ADMIN, indexes=(302,)), OpCode.RESOLUTION, flags=FLAGS & ~PUBLIC_ONLY)
GUESSES = 300


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttackedNode]:
    with AttackedNode(tmp_path_factory.mktemp("attacked") / "n") as running:
        yield running


@pytest.fixture
def caller(node: AttackedNode) -> Caller:
    return node.caller()


@pytest.fixture
def session(node: AttackedNode) -> WireSession:
    """A session that its administrator has proven, from an address of its own."""
    found = opened_session(node.caller(), ORDINARY.who)
    prove(found, ORDINARY)
    return found


def prove(session: WireSession, prover: Prover, asked: Message = MODIFY) -> int:
    """The code of a request that is challenged in the session, and proven."""
    challenge = session.said(asked)
    assert challenge.header.code == ResponseCode.AUTHENTICATION_NEEDED
    return session.said(prover.answers(challenge, asked)).header.code


def goes_on(session: WireSession) -> bool:
    """Whether the session still does what its administrator may do, without another proof."""
    return session.said(MODIFY).header.code == ResponseCode.SUCCESS


def test_a_mac_of_another_session(node: AttackedNode, caller: Caller, session: WireSession) -> None:
    mine = opened_session(caller)
    forged = WireSession(caller, session.number, mine.key, counter=50)
    for seal, code, why in ((False, ResponseCode.INVALID_SESSION_KEY, "MAC"), (True, ResponseCode.SESSION_FAILED, "")):
        asked = forged.octets_of(DELETE, seal=seal)
        node.refuses(caller, asked, code, why, mine.key.key, session.key.key)
    assert goes_on(session)


def test_a_message_of_a_session_sent_into_another(node: AttackedNode, caller: Caller, session: WireSession) -> None:
    overheard = session.octets_of(DELETE)
    mine = opened_session(caller, ORDINARY.who)
    moved = overheard[:4] + mine.number.to_bytes(4, "big") + overheard[8:]
    node.refuses(caller, moved, ResponseCode.INVALID_SESSION_KEY, "MAC")
    assert goes_on(session)


def test_counters_that_came_before_and_skipped_ones(node: AttackedNode, session: WireSession) -> None:
    thief = node.caller()

    def code(counter: int) -> int:
        return session.said(READ, counter=counter).header.code

    overheard = session.octets_of(MODIFY, counter=40)
    assert session.sent(overheard).header.code == ResponseCode.SUCCESS
    for attempt in (overheard, session.octets_of(MODIFY, counter=40, seal=True)):
        node.refuses(thief, attempt, ResponseCode.SESSION_MESSAGE_REJECTED, "counter 40 ", session.key.key)
    assert [code(counter) for counter in (60, 50, 41, 61, 70)] == [ResponseCode.SUCCESS] * 5
    for seen in (60, 50, 41):
        repeated = session.octets_of(READ, counter=seen)
        node.refuses(thief, repeated, ResponseCode.SESSION_MESSAGE_REJECTED, f"counter {seen} ")


def test_counters_older_than_the_window(node: AttackedNode, session: WireSession) -> None:
    late = session.octets_of(MODIFY, counter=100)
    for counter in range(1_000, 1_000 + REPLAY_WINDOW):
        assert session.said(READ, counter=counter).header.code == ResponseCode.SUCCESS
    node.refuses(node.caller(), late, ResponseCode.SESSION_MESSAGE_REJECTED, "counter 100 ", session.key.key)
    session.counter = 5_000
    assert goes_on(session)


def test_session_ids_that_are_guessed(node: AttackedNode, session: WireSession) -> None:
    guesser = node.caller("udp")
    numbers = [session.number ^ 1 << bit for bit in range(31)]
    numbers += [secrets.randbelow(0x7FFFFFFF) + 1 for _ in range(GUESSES - len(numbers))]
    with node.expects(guesser, ResponseCode.SESSION_TIMEOUT, "session"):
        for number in numbers:
            if number != session.number:
                asked = asking(ResolutionRequest(handle=NAME), OpCode.RESOLUTION, session_id=number)
                assert guesser.code(asked) == ResponseCode.SESSION_TIMEOUT
    # And one who knows the number, and not the key, is nobody.
    unproven = replace(DELETE, envelope=replace(DELETE.envelope, session_id=session.number))
    node.refuses(node.caller(), unproven, ResponseCode.INVALID_CREDENTIAL, "without a MAC", session.key.key)
    assert goes_on(session)


def test_the_numbers_of_sessions_follow_no_order(node: AttackedNode, caller: Caller) -> None:
    numbers = [opened_session(caller).number for _ in range(16)]
    steps = {later - earlier for earlier, later in pairwise(numbers)}
    assert len(steps) == len(numbers) - 1
    assert max(numbers) > 1 << 24


def test_encrypted_without_a_session(node: AttackedNode, caller: Caller) -> None:
    plain = DELETE.to_bytes()
    node.refuses(caller, plain[:2] + bytes((plain[2] | ENCRYPTED,)) + plain[3:], ResponseCode.SESSION_FAILED, "")
    mine = opened_session(caller)
    stray = mine.octets_of(DELETE, seal=True)
    node.refuses(caller, stray[:4] + bytes(4) + stray[8:], ResponseCode.SESSION_FAILED, "", mine.key.key)
    unknown = stray[:4] + (mine.number ^ 1).to_bytes(4, "big") + stray[8:]
    node.refuses(caller, unknown, ResponseCode.SESSION_TIMEOUT, "session", mine.key.key)


def test_octets_that_the_key_does_not_open_are_all_told_alike(node: AttackedNode, session: WireSession) -> None:
    sealed = session.octets_of(READ, seal=True)
    attempts = [sealed[:-1] + bytes((sealed[-1] ^ 1,)), sealed[:36] + bytes((sealed[36] ^ 1,)) + sealed[37:]]
    attempts += [secrets.token_bytes(16) + sealed[36:]]
    thief = node.caller()
    said = []
    for attempt in (replace_blob(sealed, blob[ENVELOPE_SIZE:]) for blob in attempts):
        said.append(node.refuses(thief, attempt, ResponseCode.SESSION_FAILED, "", session.key.key))
    assert len({(reply.header.code, reply.body) for reply in said}) == 1
    assert goes_on(session)


def replace_blob(whole: bytes, blob: bytes) -> bytes:
    return replace(Envelope.read(whole), message_size=len(blob)).to_bytes() + blob


@pytest.mark.parametrize("minor", [1, 4, 5, 6, 7])
def test_a_message_told_to_be_of_an_older_version_whose_mac_covers_less(
    node: AttackedNode, session: WireSession, minor: int
) -> None:
    """Before 2.5 a MAC covers neither session nor counter: so a new message must not be taken for an old one."""
    overheard = Message.read(session.octets_of(DELETE))
    older = Version(2, minor)
    lowered = replace(overheard, envelope=replace(overheard.envelope, version=older, suggested=older))
    node.refuses(node.caller(), lowered, ResponseCode.INVALID_SESSION_KEY, "MAC", session.key.key)
    assert goes_on(session)


@pytest.mark.parametrize("name", [b"", b"MD5", b"SHA1", b"\x01", b"\x02", b"HMAC-SHA1", b"NONE", b"\x00", b"\xff"])
def test_a_mac_by_another_name(node: AttackedNode, session: WireSession, name: bytes) -> None:
    overheard = Message.read(session.octets_of(DELETE))
    credential = Credential.read(overheard.credential)
    assert credential is not None
    renamed = replace(overheard, credential=replace(credential, algorithm=name).to_bytes())
    node.refuses(node.caller(), renamed, ResponseCode.INVALID_SESSION_KEY, "MAC", session.key.key)
    assert goes_on(session)


def test_a_session_that_nobody_has_proven(node: AttackedNode, caller: Caller) -> None:
    claimed = opened_session(caller, ORDINARY.who)
    for asked in (DELETE, SECRETS):
        challenge = claimed.said(asked)
        assert challenge.header.code == ResponseCode.AUTHENTICATION_NEEDED
        wrong = Prover(ORDINARY.who, nobody().key).answers(challenge, asked)
        node.refuses(caller, wrong, ResponseCode.AUTHENTICATION_FAILED, "a proof of 300", claimed.key.key)
    assert claimed.said(DELETE).header.code == ResponseCode.AUTHENTICATION_NEEDED


def test_the_proof_of_another_identity_opens_no_session(node: AttackedNode, caller: Caller) -> None:
    claimed = opened_session(caller, ORDINARY.who)
    with node.expects(caller, ResponseCode.INVALID_ADMIN, "NOBODY may not"):
        assert prove(claimed, nobody(), DELETE) == ResponseCode.INVALID_ADMIN
    assert prove(claimed, BY_SECRET) == ResponseCode.SUCCESS  # That one request.
    assert claimed.said(MODIFY).header.code == ResponseCode.AUTHENTICATION_NEEDED


def test_any_key_of_a_handle_is_an_identity_in_a_session_by_a_key_that_is_proven(
    node: AttackedNode, caller: Caller
) -> None:
    anybody = Reference(0, ADMIN)
    session = opened_session(caller, anybody)
    challenge = session.said(MODIFY)
    wrong = Prover(anybody, nobody().key).answers(challenge, MODIFY)
    node.refuses(caller, wrong, ResponseCode.INVALID_ADMIN, "0:0.NA/88.100 may not")
    assert prove(session, Prover(anybody, ORDINARY.key)) == ResponseCode.SUCCESS


def test_a_session_is_ended_by_its_key_alone(node: AttackedNode, session: WireSession) -> None:
    ending = asking(HandleRequest(handle=b"/"), OpCode.SESSION_TERMINATE, flags=FLAGS, session_id=session.number)
    thief = node.caller()
    node.refuses(thief, ending, ResponseCode.INVALID_SESSION_KEY, "", session.key.key)
    forged = WireSession(thief, session.number, SessionKey(session.key.algorithm, bytes(32)))
    node.refuses(thief, forged.octets_of(ending), ResponseCode.INVALID_SESSION_KEY, "MAC")
    assert goes_on(session)
    assert session.said(ending).header.code == ResponseCode.SUCCESS
    node.refuses(thief, session.octets_of(MODIFY), ResponseCode.SESSION_TIMEOUT, "session", session.key.key)


@pytest.mark.parametrize("keep", [False, True])
def test_a_connection_is_kept_as_an_encrypted_message_wishes(session: WireSession, keep: bool) -> None:
    wish = FLAGS | ENCRYPT | (KEEP_CONNECTION if keep else 0)
    asked = replace(READ, header=replace(READ.header, flags=wish))
    for _ in range(8):  # Of the octet where clear messages say it, chance has one in two wish it.
        with session.caller.connected() as sock:
            sock.sendall(session.octets_of(asked, seal=True))
            found = sock.recv(65_536)
            assert decrypted(found, session.key).header.code == ResponseCode.SUCCESS
            if keep:
                sock.sendall(session.octets_of(asked, seal=True))
                assert decrypted(sock.recv(65_536), session.key).header.code == ResponseCode.SUCCESS
            else:
                assert sock.recv(1) == b""
