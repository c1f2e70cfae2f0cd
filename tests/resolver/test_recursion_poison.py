"""One whom this node delegated a prefix to speaks for that prefix, and whatever he says for nothing else."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from protocol import identifier
from protocol.codes import CERTIFY, DEFAULT_REQUEST_FLAGS, REQUEST_DIGEST, ResponseCode
from protocol.requests import ResolutionRequest
from protocol.responses import ReferralResponse, ResolutionResponse
from protocol.trust.keys import generate_rsa
from protocol.value import HandleValue, value_list
from resolver.authority import Said
from resolver.walk.world import World
from storage.base import PutRecord, StoreView
from tests.resolver.test_recursion_many import DELEGATED, delegating
from tests.support.engines import NOW, value
from tests.support.loops import in_loop
from tests.support.neighbours import Neighbour, Ports, living
from tests.support.three_levels import OLD, URL, World3, X, world

BANK = b"77/bank"
EVIL = replace(value(1), ttl=600, data=b"https://evil.example/")
GOOD = replace(value(1), ttl=600, data=b"https://good.example/")
LIES: Mapping[str, tuple[tuple[int, bytes] | None, Sequence[HandleValue]]] = {
    "refers to another prefix": ((ResponseCode.SERVICE_REFERRAL, b"0.NA/77"), ()),
    "refers to the root's prefix": ((ResponseCode.PREFIX_REFERRAL, b"0.NA/0.NA"), ()),
    "names another prefix as its service": (None, [replace(value(2, b"HS_SERV"), ttl=600, data=b"0.NA/77")]),
    "names the root's prefix as its service": (None, [replace(value(2, b"HS_SERV"), ttl=600, data=b"0.NA/0.NA")]),
}
"""What it tells of the prefix handle that it keeps: a referral, or these values."""

TRIGGERS = ("the prefix", "a handle", "a stranger")


def delegate(ports: Ports, lie: str) -> Neighbour:
    """A server that keeps 88.7.5, and claims to be the root and to keep 77."""
    referral, values = LIES[lie]
    site = replace(value(1, b"HS_SITE"), ttl=600, data=ports.site().to_bytes())
    records = {b"0.NA/77": [site], b"0.NA/0.NA": [site], BANK: [EVIL], b"88.7.5/z": [EVIL]}
    node = Neighbour(ports, records | ({DELEGATED: values} if values else {}), [b"0.NA/0.NA", b"0.NA/77", DELEGATED])
    authority = node.answering.service.engine._authority
    honest = authority.resolve

    def resolve(view: StoreView, request: ResolutionRequest, *, flags: int, version: object) -> object:
        if referral is not None and identifier.folded(request.handle) == DELEGATED:
            code, where = referral
            return Said(ResponseCode(code), ReferralResponse(handle=where, values=tuple(values) or None))
        return honest(view, request, flags=flags, version=version)  # type: ignore[arg-type]

    authority.resolve = resolve  # type: ignore[method-assign, assignment]
    return node


@asynccontextmanager
async def lied_to(lie: str) -> AsyncIterator[World3]:
    """The three levels, the one who lies, and the one who truly keeps 77; every server has a key of its own."""
    theirs, true = Ports(generate_rsa(1_024)), Ports(generate_rsa(1_024))
    bank = Neighbour(true, {BANK: [GOOD]}, [b"0.NA/77"])
    async with world() as w, living(delegate(theirs, lie), bank):
        site = replace(value(1, b"HS_SITE"), ttl=600, data=true.site().to_bytes())
        w.root.answering.store.apply([PutRecord(b"0.NA/77", value_list([site]))], now_ms=NOW * 1000)
        delegating(w, theirs)
        yield w


async def lured(w: World3, trigger: str, *, certify: bool) -> None:
    """Have the node ask the one who lies."""
    if trigger == "a stranger":  # He may have nothing searched for, but that which was delegated.
        access = w.node.answering.service.recursing.access  # type: ignore[union-attr]
        access._hosts["127.0.0.1"] = False
        flags = DEFAULT_REQUEST_FLAGS | ((CERTIFY | REQUEST_DIGEST) if certify else 0)
        await w.asked(DELEGATED, version=OLD, flags=flags)
        access._hosts["127.0.0.1"] = True
    else:
        handle = DELEGATED if trigger == "the prefix" else b"88.7.5/z"
        await w.node.recursion.ended(w.query(handle, certify=certify))


@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("certify", [False, True])
@in_loop
async def test_who_keeps_a_delegated_prefix_says_nothing_of_any_other(lie: str, trigger: str, certify: bool) -> None:
    async with lied_to(lie) as w:
        await lured(w, trigger, certify=certify)
        for handle, real in ((BANK, GOOD), (X, URL)):
            ended = await w.node.recursion.ended(w.query(handle, certify=certify))
            assert isinstance(ended.body, ResolutionResponse), ended.told
            assert ended.body.values[0] == real
            assert ended.is_certified == certify


@pytest.mark.parametrize("service", [b"", b"/", b"\xff\xfe", b"0.NA/\xff", b"x" * 5_000, DELEGATED, b"88.7.5/a"])
@pytest.mark.parametrize("world_known", [True, False])
@in_loop
async def test_a_delegation_to_what_can_be_no_service_ends_soon(service: bytes, world_known: bool) -> None:
    async with world() as w:
        named = replace(value(1, b"HS_SERV.PREFIX"), ttl=600, data=service)
        w.node.answering.store.apply([PutRecord(b"0.NA/88.7", value_list([named]))], now_ms=NOW * 1000)
        if not world_known:
            w.node.recursion.world = World()
        for handle in (DELEGATED, b"88.7.5/z"):
            ended = await w.node.recursion.ended(w.query(handle))
            assert ended.code == (ResponseCode.HANDLE_NOT_FOUND if world_known else ResponseCode.ERROR)
            assert await w.asked(handle) == ended.code
        assert await w.asked(b"88.7/own") == (URL,)
