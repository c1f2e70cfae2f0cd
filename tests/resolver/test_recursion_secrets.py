"""A node that recurses and remembers never shows a secret that another node keeps, whatever is asked and how often."""

from itertools import combinations

import pytest

from protocol.codes import (
    AUTHORITATIVE,
    CACHE_CERTIFY,
    CERTIFY,
    DO_NOT_REFER,
    ENCRYPT,
    OVERWRITE,
    PUBLIC_ONLY,
    RECURSIVE,
    REQUEST_DIGEST,
    ResponseCode,
)
from resolver.cache.cache import cache_key
from resolver.client import Transport
from tests.support.loops import in_loop
from tests.support.three_levels import OLD, SECRET, X, world

FLAGS = (AUTHORITATIVE, CERTIFY, ENCRYPT, CACHE_CERTIFY, PUBLIC_ONLY, REQUEST_DIGEST, OVERWRITE, DO_NOT_REFER)
COMBINED = (0, *FLAGS, *(one | other for one, other in combinations(FLAGS, 2)), sum(FLAGS))
HIDDEN = b"88.100/hidden"
QUESTIONS: dict[str, dict[str, object]] = {
    "all": {},
    "type": {"types": (b"HS_SECKEY",)},
    "type and subtypes": {"types": (b"hs_seckey.", b"URL")},
    "index": {"indexes": (2,)},
    "indexes and types": {"indexes": (2, 1), "types": (b"HS_SECKEY", b"EMAIL")},
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("handle", [X, X.upper(), HIDDEN])
def test_no_question_shows_it(handle: bytes, question: str) -> None:
    @in_loop
    async def run() -> None:
        async with world() as w:
            for _ in range(2):  # The second time much of it is remembered.
                for flags in COMBINED:
                    reply = await w.message(handle, flags=RECURSIVE | flags, way=Transport.TCP, **QUESTIONS[question])
                    assert SECRET.data not in reply.to_bytes(), hex(flags)
                    if not flags & PUBLIC_ONLY:
                        assert reply.header.code == ResponseCode.AUTHEN_ERROR, hex(flags)

    run()


@in_loop
async def test_no_old_client_is_shown_it() -> None:
    async with world() as w:
        for flags in (0, PUBLIC_ONLY, CERTIFY):
            for handle in (X, HIDDEN, X):
                reply = await w.message(handle, flags=RECURSIVE | flags, version=OLD)
                assert SECRET.data not in reply.to_bytes()


@in_loop
async def test_the_memory_itself_holds_none() -> None:
    async with world() as w:
        for flags in (PUBLIC_ONLY, PUBLIC_ONLY | CERTIFY, 0):
            for handle in (X, HIDDEN):
                await w.message(handle, flags=RECURSIVE | flags)
        cache = w.node.recursion.memory.cache
        kept = [answer.values for handle in (X, HIDDEN) for answer in cache.answers(cache_key(handle))]
        assert kept
        assert not [values for values in kept if SECRET.data in values]
