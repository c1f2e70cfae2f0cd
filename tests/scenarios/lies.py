"""The lies that a scenario's server may tell, by the words that the files use."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from protocol.codec import Message
from protocol.codes import DEFAULT_PERMISSIONS, PUBLIC_READ, REQUEST, OpCode, ResponseCode
from protocol.requests import ResolutionRequest
from protocol.responses import ResolutionResponse, StoredValuesResponse
from protocol.site import Site
from protocol.value import HandleValue, read_values
from protocol.wire import Reader
from resolver.authority import Said
from tests.walk.servers import Lie, server_record, with_values

EVIL_ADDRESS = "203.0.113.66"
EVIL_SITE = Site(flags=0x80, servers=(server_record(EVIL_ADDRESS),)).to_bytes()
EVIL_URL = HandleValue(index=1, type=b"URL", data=b"https://evil.example/")
EVIL = (
    HandleValue(index=9, type=b"HS_SITE", data=EVIL_SITE),
    HandleValue(index=10, type=b"HS_SERV", data=b"66/EVIL"),
    HandleValue(index=11, type=b"HS_ALIAS", data=b"66/EVIL"),
)
PRIVATE = HandleValue(index=12, type=b"URL", data=b"secret", permissions=DEFAULT_PERMISSIONS & ~PUBLIC_READ)


def _values(said: Said) -> tuple[HandleValue, ...]:
    assert isinstance(said.body, StoredValuesResponse)
    return read_values(Reader(said.body.value_list))


def _with_more(*more: HandleValue) -> Lie:
    def lie(said: Said, asked: ResolutionRequest) -> Said:
        if said.code != ResponseCode.SUCCESS:
            return said
        return Said(said.code, ResolutionResponse(handle=asked.handle, values=(*_values(said), *more)))

    return lie


def _respelt(said: Said, asked: ResolutionRequest) -> Said:
    if said.code != ResponseCode.SUCCESS:
        return said
    return Said(said.code, ResolutionResponse(handle=asked.handle.swapcase(), values=_values(said)))


LIES: Mapping[str, Lie] = {
    "an answer about another handle": with_values((EVIL_URL, *EVIL), handle=b"88.100/BANK"),
    "the handle in another spelling": _respelt,
    "values of other types": _with_more(*EVIL),
    "a private value": _with_more(PRIVATE),
    "success without values": with_values(()),
    "only values that nobody asked for": with_values(EVIL),
}

DISTORTIONS: Mapping[str, Callable[[Message], Message]] = {
    "the answer to another operation": lambda m: replace(m, header=replace(m.header, opcode=OpCode.GET_SITE_INFO)),
    "a request": lambda m: replace(m, header=replace(m.header, code=REQUEST)),
    "a body that ends too early": lambda m: replace(
        m, header=replace(m.header, body_size=len(m.body) - 3), body=m.body[:-3]
    ),
    "an expired answer": lambda m: replace(m, header=replace(m.header, expiration=1)),
    "the answer to another request": lambda m: replace(
        m, body=m.body[:1] + bytes(32) + m.body[33:]
    ),  # The digest in front says so.
}
