"""Proofs and rights attacked over the wire: each attack ends in a refusal, and in a line of the log without a secret.

Sources: behaviours 15 to 25; spec, security: sections 2 to 5 and 9.
"""

import threading
import time
from collections.abc import Iterator

import pytest

from protocol import codec
from protocol.codec import Message
from protocol.codes import DEFAULT_REQUEST_FLAGS, PUBLIC_ONLY, OpCode, ResponseCode
from protocol.requests import (
    Body,
    DumpRequest,
    HandleRequest,
    Receiver,
    RemoveValuesRequest,
    ResolutionRequest,
    RetrieveTransactionsRequest,
    ValuesRequest,
)
from protocol.responses import ResolutionResponse
from protocol.trust.challenge import BARE_MD5, PublicKeyAnswer
from protocol.trust.keys import signature
from protocol.trust.signature import MacForm
from protocol.value import Reference
from tests.resolver.test_attacks import OWNER, asking
from tests.support.attackers import (
    BY_SECRET,
    CHALLENGE_TTL_S,
    LONELY,
    NAME,
    ORDINARY,
    AttackedNode,
    nobody,
    server_admin,
)
from tests.support.callers import Caller, Prover, messages, proof_data
from tests.support.engines import value
from tests.support.trust_vectors import ADMIN, key_seen
from tests.support.vectors import octets

DELETE = asking(HandleRequest(handle=NAME), OpCode.DELETE_HANDLE)
MODIFY = asking(ValuesRequest(handle=NAME, values=(value(1),)), OpCode.MODIFY_VALUE)
ALL = Receiver(hash_option=2, server_count=1, server_number=0)
COPIES = [
    asking(DumpRequest(receiver=ALL), OpCode.DUMP_HANDLES),
    asking(RetrieveTransactionsRequest(receiver=ALL, last_number=0, last_date_ms=0), OpCode.RETRIEVE_TXN_LOG),
]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttackedNode]:
    with AttackedNode(tmp_path_factory.mktemp("attacked") / "n") as running:
        yield running


@pytest.fixture
def caller(node: AttackedNode) -> Caller:
    return node.caller()


def stands(node: AttackedNode, name: bytes = NAME) -> bool:
    return node.caller("udp").code(asking(ResolutionRequest(handle=name), OpCode.RESOLUTION)) == ResponseCode.SUCCESS


# Challenges and proofs


def test_the_answer_to_anothers_challenge(node: AttackedNode, caller: Caller) -> None:
    first, second = node.caller().challenged(DELETE), caller.challenged(DELETE)
    proof = ORDINARY.proof(first, DELETE)
    crossed = ORDINARY.answers(second, DELETE, proof=proof)
    node.refuses(caller, crossed, ResponseCode.AUTHENTICATION_FAILED, "a proof of 300", proof)
    assert stands(node)


def test_the_same_answer_twice(node: AttackedNode, caller: Caller) -> None:
    answer = ORDINARY.answers(caller.challenged(MODIFY), MODIFY)
    assert caller.code(answer) == ResponseCode.SUCCESS
    node.refuses(caller, answer, ResponseCode.AUTHEN_TIMEOUT, "no challenge")
    node.refuses(stranger := node.caller(), answer, ResponseCode.AUTHEN_TIMEOUT, "no challenge")
    assert stranger.source != caller.source


def test_the_same_answer_at_the_same_moment_by_many_connections_of_both_workers(
    node: AttackedNode, caller: Caller
) -> None:
    answer = ORDINARY.answers(caller.challenged(MODIFY), MODIFY).to_bytes()
    codes: list[int] = []
    threads = [threading.Thread(target=lambda: codes.append(caller.code(answer))) for _ in range(12)]
    with node.expects(caller, ResponseCode.AUTHEN_TIMEOUT, "no challenge"):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(codes) == [ResponseCode.SUCCESS] + [ResponseCode.AUTHEN_TIMEOUT] * 11


def test_an_answer_after_its_time(node: AttackedNode, caller: Caller) -> None:
    answer = ORDINARY.answers(caller.challenged(DELETE), DELETE)
    time.sleep(CHALLENGE_TTL_S + 0.1)
    node.refuses(caller, answer, ResponseCode.AUTHEN_TIMEOUT, "no challenge")
    assert stands(node)


def test_the_digest_of_another_request(node: AttackedNode, caller: Caller) -> None:
    challenge = caller.challenged(DELETE)
    other = asking(HandleRequest(handle=b"88.100/Y"), OpCode.DELETE_HANDLE)
    for prover in (ORDINARY, BY_SECRET):
        wrong = prover.answers(challenge, DELETE, proof=prover.proof(challenge, other))
        node.refuses(caller, wrong, ResponseCode.AUTHENTICATION_FAILED, f"a proof of {prover.who.index}")
        challenge = caller.challenged(DELETE)
    assert stands(node)


def test_a_signature_by_another_key_of_the_same_handle(node: AttackedNode, caller: Caller) -> None:
    challenge = caller.challenged(DELETE)
    by_dsa = Prover(ORDINARY.who, key_seen("adminDsaPrivatePkcs8Hex"))
    node.refuses(caller, by_dsa.answers(challenge, DELETE), ResponseCode.AUTHENTICATION_FAILED, "a proof of 300")
    assert stands(node)


@pytest.mark.parametrize("prover", [ORDINARY, BY_SECRET], ids=["key", "secret"])
def test_any_key_of_a_handle_outside_of_sessions(node: AttackedNode, caller: Caller, prover: Prover) -> None:
    any_key = Prover(Reference(0, ADMIN), prover.key, prover.secret)
    answer = any_key.answers(caller.challenged(DELETE), DELETE)
    node.refuses(caller, answer, ResponseCode.INVALID_ADMIN, "0:0.NA/88.100 may not")
    assert stands(node)


@pytest.mark.parametrize("form", [BARE_MD5, MacForm.MD5])
def test_a_secret_in_a_weaker_form_than_was_asked_for(node: AttackedNode, caller: Caller, form: int) -> None:
    weak = Prover(BY_SECRET.who, secret=BY_SECRET.secret, form=form)
    challenge = caller.challenged(DELETE)
    node.refuses(caller, weak.answers(challenge, DELETE), ResponseCode.AUTHENTICATION_FAILED, "a proof of 302")
    assert stands(node)


def test_a_signature_of_a_weaker_digest_than_any_version_asks_for(node: AttackedNode, caller: Caller) -> None:
    challenge = caller.challenged(DELETE)
    assert ORDINARY.key is not None
    signed = signature(ORDINARY.key, "MD5", proof_data(challenge, DELETE))
    weak = PublicKeyAnswer(digest_name=b"MD5", signature=signed).to_bytes()
    answer = ORDINARY.answers(challenge, DELETE, proof=weak)
    node.refuses(caller, answer, ResponseCode.AUTHENTICATION_FAILED, "a proof of 300", weak)
    assert stands(node)


def test_a_secret_that_is_guessed_at_by_verify_challenge_is_told(node: AttackedNode, caller: Caller) -> None:
    with node.expects(caller, ResponseCode.AUTHENTICATION_FAILED, "no proof of 302"):
        said = caller.said(octets("verify-challenge.wrong.request"))
    assert (
        codec.read_response(said)[1] == codec.read_response(Message.read(octets("verify-challenge.wrong.response")))[1]
    )


# Rights


def test_administration_on_an_interface_for_questions(node: AttackedNode) -> None:
    asker = node.caller("udp")
    node.refuses(asker, DELETE, ResponseCode.PROTOCOL_ERROR, "admin request")
    challenge = Caller(node.port, source=asker.source).challenged(DELETE)
    node.refuses(asker, ORDINARY.answers(challenge, DELETE), ResponseCode.PROTOCOL_ERROR, "answer to an admin request")
    assert stands(node)


@pytest.mark.parametrize("opcode", [OpCode.CREATE_HANDLE, OpCode.HOME_NA, OpCode.LIST_HANDLES, OpCode.DUMP_HANDLES])
def test_a_stranger_is_nobodys_administrator(node: AttackedNode, caller: Caller, opcode: OpCode) -> None:
    bodies: dict[OpCode, Body] = {
        OpCode.CREATE_HANDLE: ValuesRequest(handle=b"88.100/NEW", values=(value(1),)),
        OpCode.HOME_NA: HandleRequest(handle=b"0.NA/66"),
        OpCode.LIST_HANDLES: HandleRequest(handle=ADMIN),
        OpCode.DUMP_HANDLES: DumpRequest(receiver=ALL),
    }
    asked = asking(bodies[opcode], opcode)
    elsewhere = Prover(Reference(300, b"66.6/ME"), nobody().key)
    for prover in (nobody(), elsewhere):
        answer = prover.answers(caller.challenged(asked), asked)
        node.refuses(caller, answer, ResponseCode.INVALID_ADMIN, f"300:{prover.who.handle.decode()} may not")
    assert not stands(node, b"88.100/NEW")


def test_a_handle_under_a_prefix_that_is_not_homed(node: AttackedNode, caller: Caller) -> None:
    for name in (b"66.6/X", b"0.NA/66.6", b"0.NA/66", b"77.1/X"):
        asked = asking(ValuesRequest(handle=name, values=(value(1),)), OpCode.CREATE_HANDLE)
        node.refuses(caller, asked, ResponseCode.SERVER_NOT_RESP, "")


@pytest.mark.parametrize("name", [b"77/X", b"0.NA/77.1"])
def test_a_handle_under_a_prefix_of_somebody_else(node: AttackedNode, caller: Caller, name: bytes) -> None:
    asked = asking(ValuesRequest(handle=name, values=(value(1), OWNER)), OpCode.CREATE_HANDLE)
    answer = ORDINARY.answers(caller.challenged(asked), asked)
    node.refuses(caller, answer, ResponseCode.INVALID_ADMIN, "300:0.NA/88.100 may not")
    assert not stands(node, name)


def test_who_removes_the_last_administrator_is_shut_out_and_a_server_admin_mends_it(
    node: AttackedNode, caller: Caller
) -> None:
    removal = asking(RemoveValuesRequest(handle=LONELY, indexes=(100,)), OpCode.REMOVE_VALUE)
    (said,) = caller.proving(removal, ORDINARY)
    assert said.header.code == ResponseCode.SUCCESS
    change = asking(ValuesRequest(handle=LONELY, values=(value(1, data=b"mine"),)), OpCode.MODIFY_VALUE)
    answer = ORDINARY.answers(caller.challenged(change), change)
    node.refuses(caller, answer, ResponseCode.INVALID_ADMIN, "300:0.NA/88.100 may not")
    mending = asking(ValuesRequest(handle=LONELY, values=(OWNER,)), OpCode.ADD_VALUE)
    (mended,) = caller.proving(mending, server_admin())
    assert mended.header.code == ResponseCode.SUCCESS
    (again,) = caller.proving(change, ORDINARY)
    assert again.header.code == ResponseCode.SUCCESS
    _, body = codec.read_response(caller.said(asking(ResolutionRequest(handle=LONELY), OpCode.RESOLUTION)))
    assert isinstance(body, ResolutionResponse)
    assert [found.data for found in body.values if found.index == 1] == [b"mine"]


@pytest.mark.parametrize("asked", COPIES, ids=["dump", "changes"])
def test_a_mirror_without_rights(node: AttackedNode, caller: Caller, asked: Message) -> None:
    (challenge,) = messages(caller.octets(asked.to_bytes()))  # And nothing behind it.
    assert challenge.header.code == ResponseCode.AUTHENTICATION_NEEDED
    for prover, code in ((nobody(), 400), (ORDINARY, 400), (Prover(server_admin().who, nobody().key), 403)):
        answer = prover.answers(caller.challenged(asked), asked)
        why = "a proof of 300" if code == ResponseCode.AUTHENTICATION_FAILED else "may not"
        node.refuses(caller, answer, code, why)  # One message, and no stream behind it.


def test_private_values_are_not_read_by_one_without_rights(node: AttackedNode, caller: Caller) -> None:
    asked = asking(
        ResolutionRequest(handle=ADMIN, indexes=(302,)),
        OpCode.RESOLUTION,
        flags=DEFAULT_REQUEST_FLAGS & ~PUBLIC_ONLY,
    )
    answer = nobody().answers(caller.challenged(asked), asked)
    node.refuses(caller, answer, ResponseCode.INVALID_ADMIN, "300:88.100/NOBODY may not")
