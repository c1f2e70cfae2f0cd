"""Every captured message decodes to the fields that its description names and encodes back to the same octets."""

from collections.abc import Callable
from typing import Any

import pytest

from protocol import codec, requests, responses
from protocol.codec import Message
from protocol.codes import COMPRESSED, ENCRYPTED, TRUNCATED
from protocol.envelope import Envelope
from protocol.errors import Malformed
from protocol.requests import Body
from protocol.site import Site
from protocol.trust.challenge import RequestDigest
from protocol.value import HandleValue, Reference
from protocol.version import NEWEST
from tests.support.vectors import messages

MESSAGES = messages()


def test_all_244_messages_are_here() -> None:
    assert len(MESSAGES) == 244


def opened(vector: dict[str, Any]) -> Message:
    octets = bytes.fromhex(vector["hex"])
    if "encryption" in vector:
        envelope, _ = codec.split(octets)
        return Message.opened(envelope, bytes.fromhex(vector["encryption"]["plainMessageHex"]))
    return Message.read(octets)


def signed(number: int, bits: int = 32) -> int:
    return number - (1 << bits) if number >> (bits - 1) else number


def body_of(message: Message) -> tuple[RequestDigest | None, Body]:
    if message.header.is_request:
        return None, codec.read_request(message)
    return codec.read_response(message)


@pytest.mark.parametrize("vector", MESSAGES, ids=lambda vector: vector["name"])
def test_the_envelope_is_read_as_described_and_written_alike(vector: dict[str, Any]) -> None:
    octets = bytes.fromhex(vector["hex"])
    envelope, told = Envelope.read(octets), vector["envelope"]
    assert envelope.to_bytes() == octets[:20]
    assert list(envelope.version) == [told["majorVersion"], told["minorVersion"]]
    assert list(envelope.suggested) == [told["suggestMajorVersion"], told["suggestMinorVersion"]]
    assert bool(envelope.flags & COMPRESSED) == told["compressed"]
    assert bool(envelope.flags & ENCRYPTED) == told["encrypted"]
    assert bool(envelope.flags & TRUNCATED) == told["truncated"]
    assert f"{envelope.flags | envelope.suggested.major:02x}" == told["flagsByteHex"]
    assert signed(envelope.session_id) == told["sessionId"]
    assert signed(envelope.request_id) == told["requestId"]
    assert envelope.sequence == told["sequenceNumber"]
    assert envelope.message_size == told["messageLength"] == len(octets) - 20


FLAG_NAMES = {
    "AT": 0x80000000, "CT": 0x40000000, "ENC": 0x20000000, "REC": 0x10000000, "CA": 0x08000000, "CN": 0x04000000,
    "KC": 0x02000000, "PO": 0x01000000, "RD": 0x00800000, "OVRW": 0x00400000, "MINT": 0x00200000, "DNRF": 0x00100000,
}  # fmt: skip


@pytest.mark.parametrize("vector", MESSAGES, ids=lambda vector: vector["name"])
def test_the_header_is_read_as_described_and_written_alike(vector: dict[str, Any]) -> None:
    message, told = opened(vector), vector["header"]
    header = message.header
    assert header.to_bytes() == message.plain()[:24]
    assert (header.opcode, header.code, header.flags) == (told["opCode"], told["responseCode"], told["opFlags"])
    assert {name for name, bit in FLAG_NAMES.items() if header.flags & bit} == set(told["flags"])
    assert signed(header.site_serial, 16) == told["siteInfoSerial"]
    assert (header.recursion_count, header.expiration) == (told["recursionCount"], told["expiration"])
    assert header.body_size == told["bodyLength"] == len(message.body)


@pytest.mark.parametrize("vector", MESSAGES, ids=lambda vector: vector["name"])
def test_the_whole_is_written_alike_from_its_values(vector: dict[str, Any]) -> None:
    message = opened(vector)
    digest, body = body_of(message)
    version = message.envelope.version
    written = codec.response_body(body, code=message.header.code, version=version, digest=digest)
    assert written == message.body
    again = Message(envelope=message.envelope, header=message.header, body=written, credential=message.credential)
    if "encryption" in vector:  # Its encryption is tested beside the session keys.
        assert again.plain().hex() == vector["encryption"]["plainMessageHex"]
    else:
        assert again.to_bytes().hex() == vector["hex"]


@pytest.mark.parametrize("vector", MESSAGES, ids=lambda vector: vector["name"])
def test_the_body_says_what_its_description_says(vector: dict[str, Any]) -> None:
    digest, body = body_of(opened(vector))
    told = dict(vector["body"])
    if "requestDigest" in vector:
        assert digest is not None
        assert digest.algorithm == vector["requestDigest"]["algorithmCode"]
        assert digest.octets.hex() == vector["requestDigest"]["hex"]
    else:
        assert digest is None
    if isinstance(body, requests.ChallengeAnswer):
        for key in ("responseDigestAlgorithm", "responseSignatureHex", "responseDigestCode", "responseMacHex"):
            told.pop(key, None)  # The inside of an answer is tested beside the challenges.
    assert DESCRIPTIONS[type(body)](body) == without_texts(told)


def described_reference(reference: Reference) -> dict[str, Any]:
    return {"handle": reference.handle.decode(), "index": reference.index}


def described_value(value: HandleValue) -> dict[str, Any]:
    bits = value.permissions
    described: dict[str, Any] = {
        "index": value.index,
        "type": value.type.decode(),
        "dataHex": value.data.hex(),
        "ttlType": value.ttl_type,
        "ttl": value.ttl,
        "timestamp": value.timestamp,
        "permissions": {
            "adminRead": bool(bits & 8), "adminWrite": bool(bits & 4),
            "publicRead": bool(bits & 2), "publicWrite": bool(bits & 1),
        },
        "references": [described_reference(reference) for reference in value.references],
        "wireHex": value.to_bytes().hex(),
    }  # fmt: skip
    return described


def without_texts(told: dict[str, Any]) -> dict[str, Any]:
    """A described body whose values lost `dataText`: it says `dataHex` again, as is checked here."""
    for value in told.get("values", ()):
        if "dataText" in value:
            assert value["dataText"].encode().hex() == value["dataHex"]
    values = [{key: part for key, part in value.items() if key != "dataText"} for value in told.get("values", ())]
    return told | {"values": values} if "values" in told else told


def described_site(site: Site) -> dict[str, Any]:
    return {
        "formatVersion": site.format_version,
        "majorProtocolVersion": site.protocol.major,
        "minorProtocolVersion": site.protocol.minor,
        "serialNumber": site.serial,
        "primary": site.is_primary,
        "multiPrimary": site.is_multi_primary,
        "hashOption": site.hash_option,
        "hashFilterHex": site.hash_filter.hex(),
        "attributes": [{"name": name.decode(), "value": value.decode()} for name, value in site.attributes],
        "servers": [
            {
                "serverId": server.id,
                "addressHex": server.address.hex(),
                "address": server.address_text,
                "publicKeyHex": server.public_key.hex(),
                "interfaces": [
                    {"serviceType": i.services, "protocol": i.transport, "port": i.port} for i in server.interfaces
                ],
            }
            for server in site.servers
        ],
    }


def described_setup(body: requests.SessionSetupRequest) -> dict[str, Any]:
    told: dict[str, Any] = {
        "keyExchangeMode": body.mode,
        "timeout": body.timeout_s,
        "identity": described_reference(body.identity),
    }
    if body.public_key is not None:
        told["publicKeyHex"] = body.public_key.hex()
    if body.key is not None:
        told["exchangeKey"] = described_reference(body.key)
    return told


def described_receiver(receiver: requests.Receiver) -> dict[str, Any]:
    return {
        "receiverHashType": receiver.hash_option,
        "numServers": receiver.server_count,
        "serverNum": receiver.server_number,
    }


def described_dump(body: requests.DumpRequest) -> dict[str, Any]:
    told = described_receiver(body.receiver)
    if body.start is not None:
        told |= {"startingPoint": body.start.decode(), "startingPointType": body.start_type}
    return told


def described_referral(body: responses.ReferralResponse) -> dict[str, Any]:
    told: dict[str, Any] = {"referralHandle": body.handle.decode()}
    if body.values is not None:
        told["values"] = [described_value(value) for value in body.values]
    return told


DESCRIPTIONS: dict[type, Callable[[Any], dict[str, Any]]] = {
    requests.ResolutionRequest: lambda body: {
        "handle": body.handle.decode(),
        "requestedIndexes": list(body.indexes),
        "requestedTypes": [wanted.decode() for wanted in body.types],
    },
    requests.HandleRequest: lambda body: {"handle": body.handle.decode()},
    requests.ValuesRequest: lambda body: {
        "handle": body.handle.decode(),
        "values": [described_value(value) for value in body.values],
    },
    requests.RemoveValuesRequest: lambda body: {"handle": body.handle.decode(), "indexes": list(body.indexes)},
    requests.ChallengeAnswer: lambda body: {
        "authenticationType": body.type.decode(),
        "keyHandle": described_reference(body.key),
        "responseHex": body.answer.hex(),
    },
    requests.VerifyChallengeRequest: lambda body: {
        "handle": body.key.handle.decode(),
        "index": body.key.index,
        "nonceHex": body.nonce.hex(),
        "origRequestDigestHex": body.digest.octets.hex(),
        "signedResponseHex": body.answer.hex(),
    },
    requests.SessionSetupRequest: described_setup,
    requests.ExchangeKeyRequest: lambda body: {"encryptedSessionKeyHex": body.encrypted_key.hex()},
    requests.RetrieveTransactionsRequest: lambda body: {
        "lastTxnId": body.last_number,
        "lastQueryDate": body.last_date_ms,
        **described_receiver(body.receiver),
    },
    requests.DumpRequest: described_dump,
    responses.EmptyResponse: lambda body: {},
    responses.ErrorResponse: lambda body: {"message": body.message.decode()},
    responses.ChallengeResponse: lambda body: {"nonceHex": body.nonce.hex()},
    responses.ResolutionResponse: lambda body: {
        "handle": body.handle.decode(),
        "values": [described_value(value) for value in body.values],
    },
    responses.SiteResponse: lambda body: {"site": described_site(body.site)},
    responses.ReferralResponse: described_referral,
    responses.CreateResponse: lambda body: {"handle": body.handle.decode()},
    responses.HandleListResponse: lambda body: {"handles": [handle.decode() for handle in body.handles]},
    responses.VerifyResponse: lambda body: {"valid": body.valid},
    responses.SessionSetupResponse: lambda body: {"keyExchangeMode": body.mode, "dataHex": body.data.hex()},
}


def test_the_messages_have_these_kinds_of_bodies() -> None:
    kinds: dict[str, int] = {}
    for vector in MESSAGES:
        _, body = body_of(opened(vector))
        kinds[type(body).__name__] = kinds.get(type(body).__name__, 0) + 1
    assert kinds == EXPECTED_KINDS
    assert sum(kinds.values()) == 244


EXPECTED_KINDS = {
    "ResolutionRequest": 54,
    "HandleRequest": 12,
    "ValuesRequest": 17,
    "RemoveValuesRequest": 2,
    "ChallengeAnswer": 28,
    "VerifyChallengeRequest": 7,
    "RetrieveTransactionsRequest": 2,
    "DumpRequest": 2,
    "SessionSetupRequest": 4,
    "ExchangeKeyRequest": 1,
    "ResolutionResponse": 26,
    "SiteResponse": 1,
    "ReferralResponse": 3,
    "CreateResponse": 7,
    "EmptyResponse": 17,
    "ErrorResponse": 20,
    "HandleListResponse": 2,
    "VerifyResponse": 7,
    "ChallengeResponse": 28,
    "SessionSetupResponse": 4,
}


@pytest.mark.parametrize("vector", MESSAGES, ids=lambda vector: vector["name"])
def test_a_message_cut_anywhere_is_malformed(vector: dict[str, Any]) -> None:
    octets = bytes.fromhex(vector["hex"])
    for end in range(len(octets)):
        with pytest.raises(Malformed):
            codec.split(octets[:end])
        with pytest.raises(Malformed):
            Message.read(octets[:end])


@pytest.mark.parametrize("vector", MESSAGES, ids=lambda vector: vector["name"])
def test_octets_behind_a_body_are_ignored(vector: dict[str, Any]) -> None:
    message = opened(vector)
    longer = Message(envelope=message.envelope, header=message.header, body=message.body + bytes(8), credential=b"")
    _, body = body_of(message)
    _, found = body_of(longer)
    session = (requests.SessionSetupRequest, responses.SessionSetupResponse)
    opens_on_the_end = (requests.DumpRequest, responses.ReferralResponse, responses.CreateResponse)
    if isinstance(body, session):
        assert found == body
    elif isinstance(body, opens_on_the_end) or message.body == b"":
        assert type(found) is type(body)  # Here the next octets have a meaning of their own.
    else:
        assert found == body


def legal_ends(body: Body, digest: RequestDigest | None) -> set[int]:
    """Where a body may end early, by the name of the short form."""
    start = 0 if digest is None else 1 + len(digest.octets)
    if isinstance(body, requests.SessionSetupRequest | responses.SessionSetupResponse):
        whole = codec.response_body(body, code=1, version=NEWEST, digest=digest)
        return {len(whole) - 2, len(whole) - 1}  # Session padding.
    if isinstance(body, responses.ReferralResponse):
        return {start + 4 + len(body.handle)}  # Optional referral count.
    if isinstance(body, requests.DumpRequest):
        return {9}  # Optional dump start.
    if isinstance(body, responses.ErrorResponse | responses.CreateResponse):
        return {start}  # An old peer sends no text; an old server does not tell the handle.
    return set()


@pytest.mark.parametrize("vector", MESSAGES, ids=lambda vector: vector["name"])
def test_a_body_cut_anywhere_is_malformed_but_for_the_legal_short_forms(vector: dict[str, Any]) -> None:
    message = opened(vector)
    digest, body = body_of(message)
    legal = legal_ends(body, digest)
    for end in range(len(message.body)):
        cut = Message(envelope=message.envelope, header=message.header, body=message.body[:end])
        if end in legal:
            body_of(cut)
        else:
            with pytest.raises(Malformed):
                body_of(cut)
