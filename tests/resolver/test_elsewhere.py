"""Keys, groups and secrets that are kept elsewhere: what is asked, what is believed, how long a client waits."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from protocol.codec import request
from protocol.codes import ADMIN_READ, CERTIFY, PUBLIC_ONLY, RECURSIVE, OpCode, ResponseCode
from protocol.requests import HandleRequest, VerifyChallengeRequest
from protocol.responses import ErrorResponse, VerifyResponse
from protocol.trust.challenge import RequestDigest
from protocol.value import HandleValue, Reference
from protocol.version import NEWEST, Version
from resolver.elsewhere import A_SERVICE_AT_ONCE_MAX, AT_ONCE_MAX, DEADLINE_S, Others, finder
from resolver.walk.events import Ended, Query
from resolver.walk.world import World
from tests.support.engines import seeded, value
from tests.support.roots import Telling, site

KEY = value(300, b"HS_PUBKEY", b"a key")
SECRET = HandleValue(index=301, type=b"HS_SECKEY", data=b"secret", permissions=ADMIN_READ)
ELSEWHERE = b"0.NA/88.200"
KNOWN = World(root_sites=(site(),))
PROOF = VerifyChallengeRequest(
    key=Reference(301, ELSEWHERE), nonce=b"n" * 16, digest=RequestDigest(3, b"d" * 32), answer=b"\x02" + b"a" * 20
)


@dataclass
class Anywhere:
    """Who finds answers anywhere, in a world that knows these records; `wait_s` is how long each takes."""

    telling: Telling
    world: World = KNOWN
    wait_s: float = 0.0
    verdict: Ended | None = None
    open: int = 0
    most: int = 0
    asked: list[Query] = field(default_factory=list)

    async def ended(self, query: Query) -> Ended:
        self.asked.append(query)
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            await asyncio.sleep(self.wait_s)
        finally:
            self.open -= 1
        if query.opcode == OpCode.VERIFY_CHALLENGE:
            assert self.verdict is not None
            return self.verdict
        return await self.telling.ended(query)


def anywhere(*values: HandleValue, **more: Any) -> Anywhere:
    return Anywhere(Telling({ELSEWHERE: values}), **more)


def verdict(*, valid: bool, is_certified: bool = True, version: Version = NEWEST) -> Ended:
    reply = request(
        HandleRequest(handle=b"/"),
        opcode=1,
        request_id=1,
        flags=0,
        expiration=0,
        version=version,
        suggested=Version(2, 6),
    )
    return Ended(code=ResponseCode.SUCCESS, body=VerifyResponse(valid=valid), reply=reply, is_certified=is_certified)


def test_a_handle_that_is_homed_here_asks_nobody() -> None:
    others = anywhere(KEY)
    found = finder(seeded({b"0.NA/88.100": [KEY]}), others)
    assert asyncio.run(found.values(b"0.NA/88.100")) == (KEY,)
    assert asyncio.run(found.values(b"0.NA/88.100.9")) is None
    assert others.asked == []


def test_a_handle_homed_elsewhere_is_asked_for_certified_and_public_only() -> None:
    others = anywhere(KEY, SECRET)
    assert asyncio.run(finder(seeded({}), others).values(ELSEWHERE)) == (KEY,)
    (query,) = others.asked
    assert query.certify
    assert query.flags & CERTIFY
    assert query.flags & PUBLIC_ONLY
    assert not query.flags & RECURSIVE


def test_an_answer_that_its_server_did_not_sign_decides_nothing() -> None:
    others = anywhere(KEY)
    others.telling.uncertified.add(ELSEWHERE)
    assert asyncio.run(Others(others).values(ELSEWHERE)) is None


def test_an_empty_world_is_asked_nothing() -> None:
    others = anywhere(KEY, world=World(), verdict=verdict(valid=True))
    assert asyncio.run(Others(others).values(ELSEWHERE)) is None
    assert asyncio.run(Others(others).verified(PROOF)) is None
    assert others.asked == []


@pytest.mark.parametrize("name", [b"", b"x" * 3000, b"0.NA/\xff"])
def test_a_name_that_no_handle_has_is_asked_of_nobody(name: bytes) -> None:
    others = anywhere(KEY)
    assert asyncio.run(Others(others).values(name)) is None
    assert others.asked == []


def test_missing_and_silent_give_nothing() -> None:
    others = anywhere(KEY)
    assert asyncio.run(Others(others).values(b"0.NA/88.300")) is None
    others.telling.silent.add(ELSEWHERE)
    assert asyncio.run(Others(others).values(ELSEWHERE)) is None


@pytest.mark.parametrize("valid", [True, False])
def test_a_secret_is_checked_by_the_primary_that_keeps_it(valid: bool) -> None:
    others = anywhere(verdict=verdict(valid=valid, version=Version(2, 7)))
    found = asyncio.run(Others(others).verified(PROOF))
    assert found is not None
    assert (found.is_valid, found.version, found.suggested) == (valid, Version(2, 7), Version(2, 6))
    (query,) = others.asked
    assert (query.handle, query.opcode, query.body) == (ELSEWHERE, OpCode.VERIFY_CHALLENGE, PROOF)
    assert query.primary_only
    assert query.certify


def test_a_verdict_without_signature_or_of_a_refusal_is_none() -> None:
    for ended in (
        verdict(valid=True, is_certified=False),
        Ended(code=ResponseCode.HANDLE_NOT_FOUND, body=ErrorResponse()),
    ):
        assert asyncio.run(Others(anywhere(verdict=ended)).verified(PROOF)) is None


def test_a_slow_server_holds_a_client_no_longer_than_the_deadline() -> None:
    others = anywhere(KEY, wait_s=30.0, verdict=verdict(valid=True))
    asking = Others(others, deadline_s=0.05)
    began = time.monotonic()
    assert asyncio.run(asking.values(ELSEWHERE)) is None
    assert asyncio.run(asking.verified(PROOF)) is None
    assert time.monotonic() - began < 2.0
    assert others.open == 0
    assert DEADLINE_S <= 5.0


def test_only_so_many_are_asked_at_a_time_and_of_one_service_fewer() -> None:
    names = [b"0.NA/88.%d" % number for number in range(2 * AT_ONCE_MAX)]
    others = Anywhere(Telling(dict.fromkeys(names, (KEY,))), wait_s=0.02)

    async def many(handles: list[bytes]) -> list[object]:
        asking = Others(others)
        return await asyncio.gather(*(asking.values(handle) for handle in handles))

    assert asyncio.run(many(names)) == [(KEY,)] * len(names)
    assert others.most == AT_ONCE_MAX
    others.most = 0
    same = [b"88.100/%d" % number for number in range(3 * A_SERVICE_AT_ONCE_MAX)]
    others.telling = Telling(dict.fromkeys(same, (KEY,)))
    found = asyncio.run(many(same))
    assert found.count((KEY,)) == A_SERVICE_AT_ONCE_MAX
    assert others.most == A_SERVICE_AT_ONCE_MAX
