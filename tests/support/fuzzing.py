"""Every reader of the protocol as a target: octets in, read or refused. What it must never do is anything else.

A target reads, and where reading works writes and reads again: the second writing must equal the first.
"""

import json
import random
from collections.abc import Callable, Iterator
from typing import Final

from protocol import codec
from protocol.administrator import Administrator, read_vlist, vlist_octets
from protocol.codec import Message
from protocol.computed.namespace import Namespace, Template
from protocol.envelope import Envelope
from protocol.errors import HandleError
from protocol.framing import Framer, Reassembly
from protocol.header import Header
from protocol.json_form.values import value_from_json, value_to_json
from protocol.operations import OPERATIONS
from protocol.replication.dump import read_dump_record
from protocol.replication.state_table import read_replication_state, write_replication_state
from protocol.replication.streams import StreamReader
from protocol.replication.transactions import read_transaction_record
from protocol.requests import Body
from protocol.site import Site
from protocol.trust.challenge import PublicKeyAnswer, RequestDigest, SecretKeyAnswer
from protocol.trust.claims import Claims, SignedClaims
from protocol.trust.credential import Credential
from protocol.trust.jws import Token
from protocol.trust.key_files import FileEncryption, key_file, read_key_file
from protocol.trust.keys import private_key_octets, public_key_octets, read_private_key, read_public_key
from protocol.trust.session import opened, read_dh_key, read_dh_response
from protocol.value import HandleValue
from protocol.value_list import spans
from protocol.version import Version
from protocol.wire import Reader, Writer
from tests.support.vectors import messages, vectors

_CLAIMS: Final = (
    b'{"digests":{"alg":"SHA-256","digests":[{"index":1,"digest":"g9ISqOtUUclyqfNSMXZQhsNlpnI0xSGG3QlGzyKUgHE="}]},'
    b'"perms":[{"handle":"0.NA/88","perm":"thisHandle"}],"chain":["400:0.NA/88"],"publicKey":{"kty":"RSA","n":"AQAB",'
    b'"e":"AQAB"},"content":"x","iss":"300:0.NA/88","sub":"88/1","exp":1700000000,"nbf":1.5,"iat":1600000000}'
)
_TOKEN: Final = b"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiIzMDA6MC5OQS84OCIsInN1YiI6Ijg4LzEiLCJleHAiOjE3MDAwMDAwMDB9.AAECAwQF"
VERSIONS: Final = (Version(2, 0), Version(2, 4), Version(2, 8), Version(2, 11), Version(5, 0))
Target = Callable[[bytes], None]


def _body(read: Callable[[Reader, Version], Body]) -> Target:
    def target(octets: bytes) -> None:
        version = VERSIONS[octets[0] % len(VERSIONS)] if octets else VERSIONS[-1]
        body = read(Reader(octets[1:]), version)
        once = Writer()
        body.write(once, version)
        again = Writer()
        read(Reader(once.to_bytes()), version).write(again, version)
        assert once.to_bytes() == again.to_bytes()

    return target


def _stable(read: Callable[[bytes], bytes]) -> Target:
    """A target of a function that reads octets and writes what it read."""

    def target(octets: bytes) -> None:
        once = read(octets)
        assert read(once) == once

    return target


def _message(octets: bytes) -> None:
    message = Message.read(octets)
    if message.header.is_request:
        codec.read_request(message)
    else:
        digest, body = codec.read_response(message)
        codec.response_body(body, code=message.header.code, version=message.envelope.version, digest=digest)
    assert Message.read(message.to_bytes()).to_bytes() == message.to_bytes()


def _value(octets: bytes) -> bytes:
    return HandleValue.read(Reader(octets)).to_bytes()


def _digest(octets: bytes) -> bytes:
    written = Writer()
    RequestDigest.read(Reader(octets)).write(written)
    return written.to_bytes()


def _credential(octets: bytes) -> bytes:
    found = Credential.read(octets)
    return b"" if found is None else found.to_bytes()


def _framed(octets: bytes) -> None:
    whole, cut = Framer(4096), Framer(4096)
    whole.feed(octets)
    for start in range(0, len(octets), 7):
        cut.feed(octets[start : start + 7])
    found: list[list[bytes]] = []
    for framer in (whole, cut):
        frames: list[bytes] = []
        try:
            while more := framer.frames():
                frames += more
        except HandleError:
            frames.append(b"refused")
        found.append(frames)
    assert found[0] == found[1]


def _reassembled(octets: bytes) -> None:
    pieces = Reassembly()
    for start in range(0, len(octets), 100):
        whole = pieces.add("x", octets[start : start + 100], now=0.0)
        assert whole is None or Envelope.read(whole).message_size == len(whole) - 20
    assert pieces.octet_count <= len(octets)


def _dump(octets: bytes) -> None:
    reader = StreamReader(read_dump_record)
    reader.feed(octets)
    while reader.blocks():
        pass  # An error comes behind the whole blocks before it.


def _transactions(octets: bytes) -> None:
    reader = StreamReader(read_transaction_record)
    reader.feed(octets)
    while reader.blocks():
        pass  # An error comes behind the whole blocks before it.


def _json(octets: bytes) -> None:
    try:
        found = json.loads(octets)
    except (ValueError, RecursionError):
        return
    value = value_from_json(found)
    exact = value_to_json(value, exact=True)
    assert value_from_json(exact).data == value.data


def _session(octets: bytes) -> None:
    key = bytes(range(32))
    for algorithm, size in ((1, 8), (2, 24), (3, 32)):
        opened(key[:size], algorithm, Version(2, 3 + octets[0] % 2) if octets else Version(2, 11), octets[1:])


def _claims(octets: bytes) -> bytes:
    return Claims.read(octets).to_bytes()


def _token(octets: bytes) -> bytes:
    found = SignedClaims.read(octets)
    assert SignedClaims.read(found.token.to_json()) == found
    return found.token.to_bytes()


def _private_key_file(octets: bytes) -> None:
    if octets[:4] in (b"\0\0\0\3", b"\0\0\0\4"):
        return  # Its rounds of key derivation cost what they are asked to cost: bounded by a test of its own.
    key = read_key_file(octets, b"pass phrase")
    assert read_key_file(key_file(key, encryption=FileEncryption.NONE)) == key


TARGETS: Final[dict[str, Target]] = {
    "message": _message,
    "envelope": _stable(lambda octets: Envelope.read(octets).to_bytes()),
    "header": _stable(lambda octets: Header.read(octets).to_bytes()),
    "value": _stable(_value),
    "value list": lambda octets: void(spans(octets)),
    "site": _stable(lambda octets: Site.from_bytes(octets).to_bytes()),
    "administrator": _stable(lambda octets: Administrator.from_bytes(octets).to_bytes()),
    "group": _stable(lambda octets: vlist_octets(read_vlist(octets))),
    "public key": _stable(lambda octets: public_key_octets(read_public_key(octets))),
    "private key": _stable(lambda octets: private_key_octets(read_private_key(octets))),
    "private key file": _private_key_file,
    "key of a session": lambda octets: void(read_dh_key(octets)),
    "answer to a set-up": lambda octets: void(read_dh_response(octets, Version(2, 11))),
    "sealed message": _session,
    "request digest": _stable(_digest),
    "credential": _stable(_credential),
    "public-key answer": _stable(lambda octets: PublicKeyAnswer.read(octets).to_bytes()),
    "secret-key answer": _stable(lambda octets: SecretKeyAnswer.read(octets).to_bytes()),
    "frames": _framed,
    "pieces": _reassembled,
    "dump": _dump,
    "transactions": _transactions,
    "replication state": lambda octets: void(write_replication_state(read_replication_state(octets))),
    "namespace": lambda octets: void(Namespace.read(octets)),
    "template": lambda octets: void(Template.read(octets)),
    "JSON value": _json,
    "claims": _stable(_claims),
    "signed claims": _stable(_token),
    **{f"{row.opcode.name} request": _body(row.request) for row in OPERATIONS.values()},
    **{f"{row.opcode.name} response": _body(row.response) for row in OPERATIONS.values()},
}


def void(_: object) -> None:
    """What was read is not looked at: that it was read is enough."""


def tried(name: str, octets: bytes) -> bool:
    """Give octets to a target; whether it read them. Whatever else than a refusal it raises is the finding."""
    try:
        TARGETS[name](octets)
    except HandleError:
        return False
    return True


def seeds(name: str) -> list[bytes]:
    """Octets that a target reads, from the captures, to begin with."""
    captured = [bytes.fromhex(vector["hex"]) for vector in messages()]
    opcode, _, kind = name.rpartition(" ")
    if kind in ("request", "response"):
        row = next(row for row in OPERATIONS.values() if row.opcode.name == opcode)
        bodies = [Message.read(octets) for octets in captured if not octets[2] & 0x40]
        wanted = [m for m in bodies if m.header.opcode == row.opcode and m.header.is_request == (kind == "request")]
        return [b"\3" + message.body for message in wanted] or [bytes(30)]
    data = vectors()["valueData"]
    special: dict[str, list[bytes]] = {
        "value": [bytes.fromhex(entry["wireHex"]) for entry in vectors()["handleValues"]],
        "value list": [message.body[16:] for message in map(Message.read, captured[:40])],
        "credential": [bytes.fromhex(m["credential"]["hex"]) for m in messages() if "credential" in m],
        "private key file": [bytes.fromhex(entry["fileHex"]) for entry in vectors()["privateKeyFiles"][:2]],
        "private key": [bytes.fromhex(vectors()["privateKeyFiles"][4]["fileHex"])],
        "pieces": [b"".join(bytes.fromhex(d["hex"]) for d in e["received"]) for e in vectors()["udpExchanges"]],
        "JSON value": [b'{"index":1,"type":"URL","data":{"format":"string","value":"x"},"ttl":86400}'],
        "claims": [_CLAIMS],
        "signed claims": [_TOKEN, Token.read(_TOKEN).to_json()],
        "namespace": [bytes.fromhex(entry["hex"]) for entry in data if entry["name"] == "HS_NAMESPACE"],
        "replication state": [
            b'{\n "301:0.NA/20.1000" = (\n{\n "last_timestamp" = "1"\n "last_txn_id" = "7"\n}\n)\n}\n'
        ],
        "dump": [
            bytes.fromhex("ffffffff0000000200000001a20314e620000000000000000a020000000c302e4e412f32302e31303030ff")
        ],
        "transactions": [bytes.fromhex("ffffffff000000010000000200000001a20314e61b")],
        "public-key answer": [bytes.fromhex(m["body"]["responseHex"]) for m in messages() if "keyHandle" in m["body"]],
    }
    special["template"] = special["namespace"]
    special["secret-key answer"] = special["public-key answer"]
    prefixes = {"site": "HS_SITE", "administrator": "HS_ADMIN", "group": "HS_VLIST", "public key": "HS_PUBKEY"}
    if name in prefixes:
        return [bytes.fromhex(entry["hex"]) for entry in data if entry["name"].startswith(prefixes[name])]
    return special.get(name, captured)


INTERESTING: Final = [
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\0\0\0\1",
    b"\0\1\0\0",
    b"\0",
]


def mutations(name: str, count: int, chance: random.Random) -> Iterator[bytes]:
    """`count` inputs for a target: captured ones with octets changed, numbers replaced, parts cut, doubled or mixed."""
    pool = seeds(name)
    for _ in range(count):
        octets = bytearray(chance.choice(pool))
        for _ in range(chance.randrange(1, 5)):
            at = chance.randrange(len(octets) + 1)
            how = chance.randrange(6)
            if how == 0 and octets:
                octets[at % len(octets)] = chance.randrange(256)
            elif how == 1:
                octets[at : at + 4] = chance.choice(INTERESTING)
            elif how == 2:
                del octets[at:]
            elif how == 3:
                octets[at:at] = octets[at : at + chance.randrange(1, 40)]
            elif how == 4:
                del octets[at : at + chance.randrange(1, 8)]
            else:
                other = chance.choice(pool)
                octets[at:] = other[chance.randrange(len(other) + 1) :]
        yield bytes(octets[:3_000])
