"""A cache as tests ask it: learn this, ask for that, at such a time."""

from protocol.codes import ResponseCode
from protocol.value import HandleValue, read_values
from protocol.wire import Reader
from resolver.cache.cache import Cache
from resolver.cache.kept import Kept
from resolver.cache.lifetimes import Lifetimes

NOW = 1_700_000_000_000
LIVES = Lifetimes(ttl_max_ms=3_600_000, negative_ms=60_000, stale_ms=7_200_000)
KEY = b"88.100/x"
GONE = int(ResponseCode.HANDLE_NOT_FOUND)
NONE = int(ResponseCode.VALUES_NOT_FOUND)


def value(
    index: int = 1,
    kind: bytes = b"URL",
    *,
    ttl: int = 600,
    ttl_type: int = 0,
    permissions: int = 14,
    data: bytes = b"u",
) -> HandleValue:
    return HandleValue(index=index, type=kind, data=data, ttl=ttl, ttl_type=ttl_type, permissions=permissions)


def learn(
    cache: Cache, *values: HandleValue, code: int = 1, key: bytes = KEY, indexes: tuple[int, ...] = (),
    types: tuple[bytes, ...] = (), certified: bool = False, now: int = NOW,
) -> Kept | None:  # fmt: skip
    kept = cache.kept(code, values, indexes=indexes, types=types, is_certified=certified, now_ms=now)
    if kept is not None:
        cache.put(key, kept, now_ms=now)
    return kept


def asked(
    cache: Cache,
    *types: bytes,
    indexes: tuple[int, ...] = (),
    key: bytes = KEY,
    certified: bool = False,
    now: int = NOW,
) -> tuple[HandleValue, ...] | int | None:
    """The values that are remembered, a code where it is that there are none, None where nothing is."""
    kept = cache.fresh(key, indexes, types, certified=certified, now_ms=now)
    if kept is None:
        return None
    found = kept.selected(indexes, types)
    return (kept.code if kept.is_negative else NONE) if found is None else read_values(Reader(found))


def cache(size: int = 1 << 20, lives: Lifetimes = LIVES) -> Cache:
    return Cache(size, lives)
