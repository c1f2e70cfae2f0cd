"""Whatever octets arrive are read or `Malformed`, and what was read is written and read alike."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import codec
from protocol.codec import Message
from protocol.codes import OpCode, ResponseCode
from protocol.envelope import Envelope
from protocol.errors import HandleError, Malformed, NotSupported
from protocol.header import Header
from protocol.operations import OPERATIONS, operation
from protocol.requests import Body
from protocol.version import Version
from protocol.wire import Reader, Writer
from tests.support.vectors import messages

READERS: dict[str, Callable[[Reader, Version], Body]] = {
    f"{row.opcode.name} {kind}": reader
    for row in OPERATIONS.values()
    for kind, reader in (("request", row.request), ("response", row.response))
}
versions = st.sampled_from([Version(2, minor) for minor in range(12)] + [Version(3, 0), Version(5, 0)])


def written(body: Body, version: Version) -> bytes:
    octets = Writer()
    body.write(octets, version)
    return octets.to_bytes()


@pytest.mark.parametrize("name", READERS)
@given(octets=st.binary(max_size=120), version=versions)
def test_any_body_is_read_or_malformed_and_stays_as_it_was_read(name: str, octets: bytes, version: Version) -> None:
    read = READERS[name]
    try:
        body = read(Reader(octets), version)
    except Malformed:
        return
    once = written(body, version)
    assert read(Reader(once), version) == body
    assert written(read(Reader(once), version), version) == once


def handled(octets: bytes) -> None:
    """Read a message as far as it goes; nothing but a `HandleError` may leave this."""
    try:
        message = Message.read(octets)
        if message.header.is_request:
            codec.read_request(message)
        else:
            codec.read_response(message)
    except HandleError:
        return
    assert Message.read(message.to_bytes()).to_bytes() == message.to_bytes()


@given(st.binary(max_size=300))
def test_any_message_is_read_or_refused(octets: bytes) -> None:
    handled(octets)


CAPTURED = [bytes.fromhex(vector["hex"]) for vector in messages() if "encryption" not in vector]


@given(st.sampled_from(CAPTURED), st.lists(st.tuples(st.integers(20, 2000), st.integers(0, 255)), max_size=6))
def test_a_captured_message_with_changed_octets_is_read_or_refused(
    octets: bytes, changes: list[tuple[int, int]]
) -> None:
    changed = bytearray(octets)
    for position, octet in changes:
        changed[position % len(changed)] = octet
    handled(bytes(changed))


@given(
    opcode=st.one_of(st.sampled_from(list(OpCode)).map(int), st.integers(0, 2**32 - 1)),
    code=st.one_of(st.sampled_from(list(ResponseCode)).map(int), st.integers(0, 2**32 - 1)),
    flags=st.integers(0, 2**32 - 1),
    version=versions,
    body=st.binary(max_size=100),
)
def test_any_response_body_is_read_or_malformed(
    opcode: int, code: int, flags: int, version: Version, body: bytes
) -> None:
    message = Message(
        envelope=Envelope(version=version, suggested=version, request_id=1, message_size=0),
        header=Header(opcode=opcode, code=code or 1, flags=flags, expiration=0, body_size=len(body)),
        body=body,
    )
    try:
        digest, read = codec.read_response(message)
    except Malformed:
        return
    once = codec.response_body(read, code=message.header.code, version=version, digest=digest)
    again = codec.read_response(replace(message, body=once))
    assert again == (digest, read)


def test_an_opcode_without_a_row_is_not_supported() -> None:
    with pytest.raises(NotSupported):
        operation(4711)


def test_every_opcode_has_a_row_whose_readers_differ_from_nothing() -> None:
    assert set(OPERATIONS) == {int(opcode) for opcode in OpCode}
    assert len(READERS) == 2 * len(OpCode)
