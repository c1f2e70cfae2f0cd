"""The captured data of each predefined type, and captured values: read as described, written alike, cut, changed."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.administrator import Administrator, Permission, read_vlist, vlist_octets
from protocol.errors import Malformed
from protocol.json_form.data import data_from_json, data_to_json
from protocol.site import Server, Site
from protocol.trust.keys import (
    DhPublicKey,
    DsaPublicKey,
    RsaPublicKey,
    hashed_secret,
    public_key_octets,
    read_public_key,
)
from protocol.value import HandleValue, Reference
from protocol.wire import Reader
from tests.support.vectors import vectors

Fields = dict[str, Any]
DATA: list[dict[str, Any]] = vectors()["valueData"]
VALUES: list[dict[str, Any]] = vectors()["handleValues"]


def check_administrator(octets: bytes, fields: Fields) -> bytes:
    read = Administrator.from_bytes(octets)
    if "permissionMask" in fields:
        assert (read.handle.decode(), read.index) == (fields["adminHandle"], fields["adminIndex"])
        assert read.permissions == fields["permissionMask"]
        assert [bit.name for bit in Permission if read.may(bit)] == fields["permissions"]
        shown = {"format": "admin", "value": json.loads(fields["jsonForm"])}
        assert data_to_json(b"HS_ADMIN", octets) == shown
        assert json.dumps(shown["value"], separators=(",", ":")) == fields["jsonForm"]
        assert data_from_json(shown) == octets
    else:
        assert read == Administrator(0x07F3, b"0.NA/88.100", 300, legacy=True)
        assert data_from_json(data_to_json(b"HS_ADMIN", octets)) == octets
    return read.to_bytes()


def check_server(server: Server, told: Fields) -> None:
    assert server.id == told["serverId"]
    assert server.address.hex() == told["addressHex"]
    assert server.address_text == told["address"]
    assert server.public_key.hex() == told["publicKeyHex"]
    found = [(one.services, one.transport, one.port) for one in server.interfaces]
    assert found == [(one["serviceType"], one["protocol"], one["port"]) for one in told["interfaces"]]


def check_site(octets: bytes, fields: Fields) -> bytes:
    read = Site.from_bytes(octets)
    assert read.format_version == fields["formatVersion"]
    assert read.protocol == (fields["majorProtocolVersion"], fields["minorProtocolVersion"])
    assert (read.serial, read.hash_option) == (fields["serialNumber"], fields["hashOption"])
    assert (read.is_primary, read.is_multi_primary) == (fields["primary"], fields["multiPrimary"])
    assert read.hash_filter.hex() == fields["hashFilterHex"]
    assert [{"name": n.decode(), "value": v.decode()} for n, v in read.attributes] == fields["attributes"]
    assert len(read.servers) == len(fields["servers"])
    for server, told in zip(read.servers, fields["servers"], strict=True):
        check_server(server, told)
    assert data_from_json(data_to_json(b"HS_SITE", octets)) == octets
    return read.to_bytes()


def check_vlist(octets: bytes, fields: Fields) -> bytes:
    members = read_vlist(octets)
    told = fields.get("references", [])
    assert members == tuple([Reference(one["index"], one["handle"].encode()) for one in told])
    assert data_to_json(b"HS_VLIST", octets) == {"format": "vlist", "value": told}
    return vlist_octets(members)


def check_key(octets: bytes, fields: Fields) -> bytes:
    key = read_public_key(octets)
    told = {name.removesuffix("Hex"): int(text, 16) for name, text in fields.items() if name.endswith("Hex")}
    kinds = {"RSA_PUB_KEY": RsaPublicKey, "DSA_PUB_KEY": DsaPublicKey, "DH_PUB_KEY": DhPublicKey}
    assert key == kinds[fields["algorithm"]](**told)
    if not isinstance(key, DhPublicKey):
        shown = data_to_json(b"HS_PUBKEY", octets)
        assert shown["format"] == "key"
        assert data_from_json(shown) == octets
    return public_key_octets(key)


def check_text(octets: bytes, fields: Fields) -> bytes:
    if fields.get("hashed"):
        return hashed_secret(fields["text"].encode())
    text = next(fields[name] for name in ("text", "xml", "serviceHandle", "target") if name in fields)
    assert data_to_json(b"DESC", octets) == {"format": "string", "value": text}
    return data_from_json(text)


CHECKS: dict[str, Callable[[bytes, Fields], bytes]] = {
    "HS_ADMIN": check_administrator,
    "HS_SITE": check_site,
    "HS_VLIST": check_vlist,
    "HS_PUBKEY": check_key,
    "DH_PUB_KEY": check_key,
    "HS_SECKEY": check_text,
    "HS_NAMESPACE": check_text,
    "HS_SERV": check_text,
    "HS_ALIAS": check_text,
}


def test_all_27_data_are_here() -> None:
    assert len(DATA) == 27


@pytest.mark.parametrize("vector", DATA, ids=lambda vector: vector["name"])
def test_captured_data_is_read_as_described_and_written_alike(vector: dict[str, Any]) -> None:
    octets = bytes.fromhex(vector["hex"])
    assert CHECKS[vector["name"].partition(".")[0].partition(" ")[0]](octets, vector["fields"]) == octets


READERS: dict[str, Callable[[bytes], bytes]] = {
    "HS_ADMIN": lambda octets: Administrator.from_bytes(octets).to_bytes(),
    "HS_SITE": lambda octets: Site.from_bytes(octets).to_bytes(),
    "HS_VLIST": lambda octets: vlist_octets(read_vlist(octets)),
    "HS_PUBKEY": lambda octets: public_key_octets(read_public_key(octets)),
    "DH_PUB_KEY": lambda octets: public_key_octets(read_public_key(octets)),
}
STRUCTURED = [
    (kind, bytes.fromhex(vector["hex"]))
    for vector in DATA
    if (kind := vector["name"].partition(".")[0].partition(" ")[0]) in READERS
]
LEGAL_SHORT_FORMS = {"HS_ADMIN.legacy-length": 2, "HS_PUBKEY.RSA-2048": 4}
"""How many octets may be missing at the end, all of them or none, and it is still whole."""


@pytest.mark.parametrize("vector", DATA, ids=lambda vector: vector["name"])
def test_structured_data_cut_anywhere_is_malformed_but_for_the_legal_short_forms(vector: dict[str, Any]) -> None:
    octets = bytes.fromhex(vector["hex"])
    read = READERS.get(vector["name"].partition(".")[0].partition(" ")[0])
    whole = []
    for end in range(len(octets)):
        try:
            if read is None:
                raise Malformed
            read(octets[:end])
        except Malformed:
            continue
        whole.append(len(octets) - end)
    assert whole == [size for name, size in LEGAL_SHORT_FORMS.items() if name == vector["name"]]


@pytest.mark.parametrize(("kind", "octets"), STRUCTURED, ids=lambda part: part if isinstance(part, str) else "")
def test_structured_data_with_more_octets_behind_it_is_malformed(kind: str, octets: bytes) -> None:
    with pytest.raises(Malformed):
        READERS[kind](octets + b"\x01")


def agree(kind: str, octets: bytes) -> None:
    try:
        once = READERS[kind](octets)
    except Malformed:
        return
    assert READERS[kind](once) == once


@given(st.sampled_from(sorted(READERS)), st.binary(max_size=200))
def test_any_data_is_read_or_malformed_and_written_to_the_same_octets_again(kind: str, octets: bytes) -> None:
    agree(kind, octets)


@given(st.sampled_from(STRUCTURED), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=4))
def test_captured_data_with_changed_octets_is_read_or_malformed(
    captured: tuple[str, bytes], changes: list[tuple[int, int]]
) -> None:
    kind, octets = captured
    changed = bytearray(octets)
    for position, octet in changes:
        changed[position % len(changed)] = octet
    agree(kind, bytes(changed))


def test_all_19_values_are_here() -> None:
    assert len(VALUES) == 19


PERMISSION_NAMES = ("publicWrite", "publicRead", "adminWrite", "adminRead")


@pytest.mark.parametrize("vector", VALUES, ids=lambda vector: f"{vector['index']} {vector['type']}")
def test_a_captured_value_is_read_as_described_and_written_alike(vector: dict[str, Any]) -> None:
    octets = bytes.fromhex(vector["wireHex"])
    reader = Reader(octets)
    value = HandleValue.read(reader)
    assert reader.remaining == 0
    assert value == HandleValue(
        index=vector["index"],
        type=vector["type"].encode(),
        data=bytes.fromhex(vector["dataHex"]),
        ttl_type=vector["ttlType"],
        ttl=vector["ttl"],
        timestamp=vector["timestamp"],
        permissions=sum(1 << at for at, name in enumerate(PERMISSION_NAMES) if vector["permissions"][name]),
        references=tuple([Reference(one["index"], one["handle"].encode()) for one in vector["references"]]),
    )
    assert value.to_bytes() == octets


@pytest.mark.parametrize("vector", VALUES, ids=lambda vector: f"{vector['index']} {vector['type']}")
def test_a_captured_value_cut_anywhere_is_malformed(vector: dict[str, Any]) -> None:
    octets = bytes.fromhex(vector["wireHex"])
    for end in range(len(octets)):
        with pytest.raises(Malformed):
            HandleValue.read(Reader(octets[:end]))
