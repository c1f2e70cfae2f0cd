"""A secret key is shown to nobody without the right to read it: by no question, list, dump or session, at no node.

A question for public values alone leaves a secret out, which is no refusal; all others are challenged, and the answer
of one without rights is refused and told. Sources: behaviours 13 and 16; spec, security: sections 8.5 and 9.5.
"""

import time
from collections.abc import Iterator
from itertools import combinations

import pytest

from protocol import codec
from protocol.codec import Message
from protocol.codes import (
    AUTHORITATIVE,
    CACHE_CERTIFY,
    CERTIFY,
    CONTINUOUS,
    DEFAULT_REQUEST_FLAGS,
    DO_NOT_REFER,
    ENCRYPT,
    MINT_SUFFIX,
    OVERWRITE,
    PUBLIC_ONLY,
    RECURSIVE,
    REQUEST_DIGEST,
    OpCode,
    ResponseCode,
)
from protocol.requests import DumpRequest, HandleRequest, Receiver, ResolutionRequest
from protocol.responses import ResolutionResponse
from protocol.trust.keys import private_pem
from protocol.version import Version
from tests.resolver.test_attacks import WORD, asking
from tests.support.attackers import NAME, ORDINARY, AttackedNode, made_key, nobody, server_admin
from tests.support.callers import Caller
from tests.support.running import RunningNode
from tests.support.trust_vectors import ADMIN
from tests.support.wire_sessions import opened_session

FLAGS = (
    AUTHORITATIVE, CERTIFY, ENCRYPT, RECURSIVE, CACHE_CERTIFY, CONTINUOUS, PUBLIC_ONLY, REQUEST_DIGEST, OVERWRITE,
    MINT_SUFFIX, DO_NOT_REFER,
)  # fmt: skip
COMBINED = [0, *FLAGS, *[one | other for one, other in combinations(FLAGS, 2)], sum(FLAGS)]
QUESTIONS = {
    "all": ResolutionRequest(handle=ADMIN),
    "without the prefix": ResolutionRequest(handle=b"88.100"),
    "lower case": ResolutionRequest(handle=b"0.na/88.100"),
    "type": ResolutionRequest(handle=ADMIN, types=(b"HS_SECKEY",)),
    "type and subtypes": ResolutionRequest(handle=ADMIN, types=(b"hs_seckey.", b"HS_PUBKEY")),
    "index": ResolutionRequest(handle=ADMIN, indexes=(302,)),
    "indexes and types": ResolutionRequest(handle=ADMIN, indexes=(302, 300), types=(b"HS_SECKEY", b"URL")),
}
DUMP = asking(DumpRequest(receiver=Receiver(hash_option=2, server_count=1, server_number=0)), OpCode.DUMP_HANDLES)
RESTRICTED = DEFAULT_REQUEST_FLAGS & ~PUBLIC_ONLY
COPIED_S = 20.0


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttackedNode]:
    folder = tmp_path_factory.mktemp("attacked") / "n"
    with AttackedNode(folder, HNODE_REPLICATION__ADMINS="300:88.100/ROOT") as running:
        yield running


@pytest.fixture(scope="module")
def mirror(node: AttackedNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node that has copied the other one, its secrets with it."""
    folder = tmp_path_factory.mktemp("mirror")
    (folder / "root.pem").touch(mode=0o600)
    (folder / "root.pem").write_bytes(private_pem(made_key("root")))
    public = folder / "source.pem"
    assert node.cli("key", "convert", node.folder / "keys" / "server.pem", public, "--to", "pub-pem").returncode == 0
    env = {
        "HNODE_REPLICATION__ROLE": "mirror",
        "HNODE_REPLICATION__SOURCE": f"127.0.0.1:{node.port}",
        "HNODE_REPLICATION__SOURCE_KEY": str(public),
        "HNODE_REPLICATION__KEY": str(folder / "root.pem"),
        "HNODE_REPLICATION__IDENTITY": "300:88.100/ROOT",
        "HNODE_REPLICATION__INTERVAL": "0.1s",
    }
    with RunningNode(folder / "n", prefixes=("88.100",), env=env, workers=2) as running:
        end = time.monotonic() + COPIED_S
        question = asking(ResolutionRequest(handle=NAME), OpCode.RESOLUTION)
        while Caller(running.port, "udp").code(question) != ResponseCode.SUCCESS:
            assert time.monotonic() < end, running.log
            time.sleep(0.05)
        yield running


@pytest.fixture(params=["primary", "mirror"])
def port(request: pytest.FixtureRequest, node: AttackedNode) -> int:
    """Where each of the two nodes is."""
    if request.param == "primary":
        return node.port
    found: RunningNode = request.getfixturevalue("mirror")
    return found.port


def shows_no_secret(said: Message) -> bool:
    """Whether a reply says nothing of the secret, not even that value's type or length."""
    if WORD in said.to_bytes():
        return False
    _, body = codec.read_response(said)
    return not isinstance(body, ResolutionResponse) or all(b"SECKEY" not in value.type for value in body.values)


def test_who_may_read_it_is_shown_it(port: int) -> None:
    asked = asking(QUESTIONS["index"], OpCode.RESOLUTION, flags=RESTRICTED)
    (said,) = Caller(port).proving(asked, ORDINARY)
    assert not shows_no_secret(said)


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_question_shows_it(port: int, question: str) -> None:
    caller = Caller(port, "udp")
    for flags in COMBINED:
        said = caller.said(asking(QUESTIONS[question], OpCode.RESOLUTION, flags=flags))
        assert shows_no_secret(said), hex(flags)
        if not flags & PUBLIC_ONLY:
            assert said.header.code == ResponseCode.AUTHENTICATION_NEEDED


@pytest.mark.parametrize("minor", range(12))
def test_no_version_shows_it(node: AttackedNode, minor: int) -> None:
    caller, version = node.caller(), Version(2, minor)
    for body in QUESTIONS.values():
        for flags in (DEFAULT_REQUEST_FLAGS, RESTRICTED, RESTRICTED | CERTIFY):
            asked = codec.request(
                body, opcode=OpCode.RESOLUTION, request_id=7, flags=flags, expiration=0, version=version,
                suggested=version,
            )  # fmt: skip
            assert shows_no_secret(caller.said(asked))


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_answer_of_one_without_rights_is_refused(node: AttackedNode, question: str) -> None:
    caller = node.caller()
    for flags in (RESTRICTED, RESTRICTED | CERTIFY | REQUEST_DIGEST):
        asked = asking(QUESTIONS[question], OpCode.RESOLUTION, flags=flags)
        answer = nobody().answers(caller.challenged(asked), asked)
        said = node.refuses(caller, answer, ResponseCode.INVALID_ADMIN, "300:88.100/NOBODY may not")
        assert shows_no_secret(said)


@pytest.mark.parametrize("seal", [False, True])
def test_no_session_shows_it_to_one_without_rights(node: AttackedNode, seal: bool) -> None:
    caller = node.caller()
    anonymous, named = opened_session(caller), opened_session(caller, nobody().who)
    claimed = opened_session(caller, ORDINARY.who)  # In the name of one who may, and not proven.
    for session in (anonymous, named, claimed):
        for body in QUESTIONS.values():
            for flags in (DEFAULT_REQUEST_FLAGS, RESTRICTED, RESTRICTED | CERTIFY | ENCRYPT):
                said = session.said(asking(body, OpCode.RESOLUTION, flags=flags), seal=seal)
                assert shows_no_secret(said)
        asked = asking(QUESTIONS["index"], OpCode.RESOLUTION, flags=RESTRICTED)
        answer = nobody().answers(session.said(asked, seal=seal), asked)
        with node.expects(caller, ResponseCode.INVALID_ADMIN, "300:88.100/NOBODY may not", session.key.key):
            said = session.said(answer, seal=seal)
        assert (said.header.code, shows_no_secret(said)) == (ResponseCode.INVALID_ADMIN, True)


def test_lists_and_dumps_show_it_to_none_without_rights(node: AttackedNode) -> None:
    caller = node.caller()
    listing = asking(HandleRequest(handle=ADMIN), OpCode.LIST_HANDLES)
    for asked in (listing, asking(HandleRequest(handle=ADMIN), OpCode.LIST_HOMED_NAS), DUMP):
        challenge = caller.challenged(asked)
        said = node.refuses(caller, nobody().answers(challenge, asked), ResponseCode.INVALID_ADMIN, "may not")
        assert shows_no_secret(challenge) and shows_no_secret(said)
    (listed,) = caller.proving(listing, ORDINARY)
    assert listed.header.code == ResponseCode.SUCCESS
    assert shows_no_secret(listed)


def test_a_mirror_hands_its_copy_to_nobody(mirror: RunningNode) -> None:
    caller = Caller(mirror.port)
    said = caller.said(DUMP)
    assert said.header.code == ResponseCode.SERVER_NOT_RESP
    mirror.wait_for(rf"refused DUMP_HANDLES of {caller.source} with 301", 5)
    asked = asking(QUESTIONS["index"], OpCode.RESOLUTION, flags=RESTRICTED)
    said = caller.said(nobody().answers(caller.challenged(asked), asked))
    assert (said.header.code, shows_no_secret(said)) == (ResponseCode.INVALID_ADMIN, True)
    mirror.wait_for(rf"refused RESOLUTION of {caller.source} with 400 .*300:88.100/NOBODY may not", 5)


def test_the_status_of_the_server_is_for_its_administrators(node: AttackedNode) -> None:
    caller = node.caller()
    asked = asking(ResolutionRequest(handle=b"0.SITE/status"), OpCode.RESOLUTION, flags=RESTRICTED)
    answer = nobody().answers(caller.challenged(asked), asked)
    node.refuses(caller, answer, ResponseCode.INVALID_ADMIN, "300:88.100/NOBODY may not")
    (told,) = caller.proving(asked, server_admin())
    assert (told.header.code, shows_no_secret(told)) == (ResponseCode.SUCCESS, True)
