"""The client against captured servers: what it sends is what deployed clients send, octet for octet where it can be."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from protocol import codec
from protocol.codec import Message
from protocol.requests import ChallengeAnswer
from protocol.trust.challenge import public_key_answer_is_valid, secret_key_answer_is_valid
from protocol.trust.key_values import DhPublicKey
from protocol.trust.keys import PrivateKey, PublicKey, from_pem, read_public_key
from protocol.trust.session import opened
from protocol.value import Reference
from protocol.version import Version
from resolver.client_calls import Calls
from resolver.client_exchange import Asking
from resolver.client_opening import Opening
from resolver.client_proof import Identity
from resolver.client_session import Agreement, Mode
from tests.support.keys import captured_keys
from tests.support.toy_servers import toy_server
from tests.support.vectors import octets, vectors

KEYS = captured_keys()
SERVER_KEY = read_public_key(KEYS["server"][1])
CAPTURED = 1_795_000_000
"""A time at which the captured answers had not expired."""

SECRET = vectors()["keys"]["adminSecretKeyText"].encode()


def private(name: str) -> PrivateKey:
    key = from_pem(KEYS[name][0])
    assert isinstance(key, PrivateKey)
    return key


RSA = Identity(Reference(300, b"0.NA/88.100"), private_key=private("admin RSA"))
DSA = Identity(Reference(301, b"0.NA/88.100"), private_key=private("admin DSA"))
SECKEY = Identity(Reference(302, b"0.NA/88.100"), secret=SECRET)
CHALLENGED = {
    "create.rsa": RSA,
    "create.mint": RSA,
    "create.dsa": DSA,
    "create.seckey-pbkdf2": SECKEY,
    "add-value": RSA,
    "modify-value": RSA,
    "remove-value": RSA,
    "modify-value.rsa.v2.1": RSA,
    "modify-value.rsa.v2.6": RSA,
    "modify-value.rsa.v2.7": RSA,
    "modify-value.seckey.v2.1": SECKEY,
    "modify-value.seckey.v2.6": SECKEY,
    "modify-value.seckey.v2.7": SECKEY,
    "delete.seckey": SECKEY,
    "delete.dsa": DSA,
    "list-handles": RSA,
    "list-homed-prefixes": RSA,
    "home-prefix": RSA,
    "unhome-prefix": RSA,
    "create.with-private-value": RSA,
    "create.large": RSA,
    "resolve.restricted": RSA,
}


def calls_like(request: Message, toy: Any, ids: list[int], keys: Sequence[PublicKey] = (), **options: Any) -> Calls:
    """A client whose ids and clock are those of a captured one."""
    left = iter(ids)
    asking = Asking(
        toy.server(),
        keys=keys,
        version=Version(*request.envelope.version),
        site_serial=request.header.site_serial,
        next_id=lambda: next(left),
        now_s=lambda: CAPTURED,
        lifetime_s=request.header.expiration - CAPTURED,
    )
    return Calls(asking, **options)


async def conversation(name: str, identity: Identity) -> tuple[list[bytes], list[Message]]:
    """What the client sent, and the replies of success that it gave."""
    request, answered = Message.read(octets(f"{name}.request")), Message.read(octets(f"{name}.answer"))
    ids = [request.envelope.request_id, answered.envelope.request_id]
    async with toy_server(octets(f"{name}.challenge"), octets(f"{name}.response")) as toy:
        calls = calls_like(request, toy, ids, identity=identity)
        body = codec.read_request(request)
        found = [reply async for reply in calls.replies(body, opcode=request.header.opcode, flags=request.header.flags)]
    return toy.heard, found


def is_deterministic(name: str, identity: Identity) -> bool:
    version = Message.read(octets(f"{name}.challenge")).envelope.version
    return identity is RSA or (identity is SECKEY and not version.at_least(Version(2, 7)))


@pytest.mark.parametrize("name", CHALLENGED)
def test_a_captured_conversation_is_repeated(name: str) -> None:
    identity = CHALLENGED[name]
    heard, replies = asyncio.run(conversation(name, identity))
    assert [message.to_bytes() for message in replies] == [octets(f"{name}.response")]
    assert heard[0] == octets(f"{name}.request")
    if is_deterministic(name, identity):
        assert heard[1] == octets(f"{name}.answer")
    else:
        expect_same_but_for_chance(heard[1], octets(f"{name}.answer"), name)


def expect_same_but_for_chance(sent: bytes, captured: bytes, name: str) -> None:
    """Signatures by DSA and salted MACs differ each time: the rest is equal, and they prove the same."""
    ours, theirs = codec.read_request(Message.read(sent)), codec.read_request(Message.read(captured))
    assert isinstance(ours, ChallengeAnswer)
    assert isinstance(theirs, ChallengeAnswer)
    assert (ours.type, ours.key) == (theirs.type, theirs.key)
    assert Message.read(sent).envelope.session_id == Message.read(captured).envelope.session_id
    data = bytes.fromhex(
        next(v for v in vectors()["messages"] if v["name"] == f"{name}.answer")["challengeInput"]["signedOrMacedHex"]
    )
    if ours.type == b"HS_SECKEY":
        assert len(ours.answer) == len(theirs.answer)
        assert secret_key_answer_is_valid(ours.answer, SECRET, data)
    else:
        key = read_public_key(KEYS["admin DSA"][1])
        assert ours.answer[:10] == theirs.answer[:10]
        assert public_key_answer_is_valid(ours.answer, key, data)


# Sessions


SESSION = vectors()["keys"]["session"]
SESSION_KEY = bytes.fromhex(SESSION["dhSessionKeyHex"])


def captured_agreement() -> Agreement:
    key = read_public_key(bytes.fromhex(SESSION["clientDhPublicKeyHex"]))
    assert isinstance(key, DhPublicKey)
    return Agreement(int(SESSION["clientDhPrivateX"], 16), key.p, key.g)


def clear(octets_: bytes) -> bytes:
    return opened(SESSION_KEY, 3, Version(2, 11), octets_[20:])


STEPS = ("setup", "resolve-encrypted", "resolve-mac", "create", "delete-no-second-challenge", "terminate")


def test_a_captured_session_is_repeated() -> None:
    async def run() -> list[bytes]:
        replies = [octets(f"session.dh.{step}.response") for step in STEPS]
        replies.insert(3, octets("session.dh.create.challenge"))
        # Without its MAC a deployed client's answer took no counter: ours has one, so what follows is one ahead.
        async with toy_server(*replies) as toy:
            setup = Message.read(octets("session.dh.setup.request"))
            calls = calls_like(
                setup,
                toy,
                list(range(1119, 1126)),
                (SERVER_KEY,),
                identity=RSA,
                opening=Opening(mode=Mode.DH, identity=RSA.key, timeout_s=3600, agreement=captured_agreement),
            )
            for step in STEPS[1:-1]:
                vector = next(v for v in vectors()["messages"] if v["name"] == f"session.dh.{step}.request")
                plain = vector.get("encryption", {}).get("plainMessageHex")
                asked = octets(f"session.dh.{step}.request")
                message = Message.opened(setup.envelope, bytes.fromhex(plain)) if plain else Message.read(asked)
                body = codec.read_request(message)
                await calls.reply(body, opcode=message.header.opcode, flags=message.header.flags)
            assert calls.session is not None
            assert (calls.session.key.key, calls.session.id) == (SESSION_KEY, 34)
            assert calls.session.is_proven
            await calls.end_session()
        return toy.heard

    heard = asyncio.run(run())
    assert heard[0] == octets("session.dh.setup.request")
    assert clear(heard[1]) == clear(octets("session.dh.resolve-encrypted.request"))
    assert heard[1][:20] == octets("session.dh.resolve-encrypted.request")[:20]
    assert heard[2] == octets("session.dh.resolve-mac.request")
    assert heard[3] == octets("session.dh.create.request")
    assert Message.read(heard[4]).body == Message.read(octets("session.dh.create.answer")).body
    assert Message.read(heard[4]).credential  # A MAC of its own, which the captured client leaves out (security 8.4).
    assert Message.opened(Message.read(heard[0]).envelope, clear(heard[5])).body == b"\0\0\0\x0e88.100/VEC-SES"
    assert Message.read(heard[6]).signed_part == Message.read(octets("session.dh.terminate.request")).signed_part


def session_key(name: str, mode: Mode, identity: Identity, check: Callable[[Calls], bytes]) -> bytes:
    async def run() -> bytes:
        setup = Message.read(octets(f"{name}.setup.request"))
        async with toy_server(octets(f"{name}.setup.response"), octets(f"{name}.resolve-encrypted.response")) as toy:
            calls = calls_like(
                setup,
                toy,
                [setup.envelope.request_id, setup.envelope.request_id + 1],
                (SERVER_KEY,),
                identity=identity,
                opening=Opening.by(mode, identity, timeout_s=3600),
            )
            vector = next(v for v in vectors()["messages"] if v["name"] == f"{name}.resolve-encrypted.request")
            message = Message.opened(setup.envelope, bytes.fromhex(vector["encryption"]["plainMessageHex"]))
            await calls.reply(codec.read_request(message), opcode=1, flags=message.header.flags)
            assert toy.heard[0] == octets(f"{name}.setup.request")
            return check(calls)

    return asyncio.run(run())


def key_of(calls: Calls) -> bytes:
    assert calls.session is not None
    return calls.session.key.key


def test_a_captured_session_with_our_own_key_opens_with_that_key() -> None:
    identity = Identity(RSA.key, private_key=private("session client"))
    found = session_key("session.client-key", Mode.CLIENT_KEY, identity, key_of)
    assert found.hex() == SESSION["clientPlainSessionKeyHex"][8:]


def test_a_captured_session_with_the_key_of_a_handle_opens_with_that_key() -> None:
    found = session_key("session.handle-key", Mode.HANDLE_KEY, RSA, key_of)
    assert found.hex() == SESSION["hdlPlainSessionKeyHex"][8:]


@pytest.mark.parametrize("version", ["2.1", "2.5", "2.6", "2.7", "2.8", "2.11"])
def test_captured_signed_answers_are_believed_with_the_right_key_alone(version: str) -> None:
    from resolver.client_errors import NotProven

    async def run(keys: tuple[Any, ...], spoil: bool = False) -> Message:
        name = f"resolve.certified.v{version}"
        request = Message.read(octets(f"{name}.request"))
        reply = bytearray(octets(f"{name}.response"))
        if spoil:
            reply[60] ^= 1
        async with toy_server(bytes(reply)) as toy:
            calls = calls_like(request, toy, [request.envelope.request_id], keys)
            return await calls.reply(codec.read_request(request), opcode=1, flags=request.header.flags)

    assert asyncio.run(run((SERVER_KEY,))).header.code == 1
    with pytest.raises(NotProven, match="not signed with"):
        asyncio.run(run((read_public_key(KEYS["admin RSA"][1]),)))
    with pytest.raises(NotProven, match="not signed with"):
        asyncio.run(run((SERVER_KEY,), spoil=True))
    with pytest.raises(NotProven, match="not known"):
        asyncio.run(run(()))
