"""The fixed tour: each step does something to the playground, and compares what is answered with what is true.

A step gives the line that tells what was seen, or raises `Missed`. What it pauses or stops is back at its end.
"""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from admin.playground.asking import Guide, Told
from admin.playground.goods import (
    AUTO,
    FAILING_STOCK,
    FREIGHT,
    LIQUOR,
    MACHINES,
    PACK,
    PART,
    PHARMA,
    STOCK,
    STOCK_TTL_S,
    STOCK_TYPE,
    items,
)
from admin.playground.plan import DELEGATED, FAILING, MIRROR_A, NATIONAL, RECURSIVE, ROOT, SECONDARY_A
from admin.playground.running import Playground
from admin.playground.writing import changed, refusal_of
from admin.setup.sample import SAMPLE_HANDLE
from protocol.codes import ResponseCode

BOTTLE: Final = f"{LIQUOR}/BTL{{:03d}}"
OVER_S: Final = STOCK_TTL_S + 0.3
"""After this time a record of short life is no longer remembered as fresh."""

FAILS_WITHIN_S: Final = 5.0  # The recursive node gives a search three seconds; an answer must come soon after.


class Missed(Exception):
    """A step saw something else than it should: the text says what."""


class Tour:
    """What the steps share: the playground, who asks, and the true values of the products by their handles."""

    def __init__(self, playground: Playground) -> None:
        self.playground = playground
        self.guide = Guide(playground.built.bootstrap, playground.nodes[RECURSIVE].port)
        self.truth = {item.handle: dict(item.rows) for item in items()}
        self.names = {node.port: node.name for node in playground.nodes.values()}

    def expect_true(self, handle: str, told: Told) -> None:
        """The answer is a success with the values that the enterprise wrote."""
        expect(told.code == ResponseCode.SUCCESS, f"{handle} was answered with {told.outcome}")
        expect(told.texts == self.truth[handle], f"{handle} was answered with other values: {told.texts}")

    def found(self, handle: str) -> Told:
        """What the recursive node answers, compared with the truth."""
        told = self.guide.recursive(handle)
        self.expect_true(handle, told)
        return told

    def way(self, told: Told) -> list[str]:
        """The names of the nodes that answered, in order, each visit once."""
        names = [self.names.get(port, str(port)) for port in told.ports]
        return [name for at, name in enumerate(names) if not at or names[at - 1] != name]

    @contextmanager
    def hanging(self, *names: str) -> Generator[None]:
        """These nodes are paused in the block."""
        nodes = [self.playground.nodes[name] for name in names]
        for node in nodes:
            node.pause()
        try:
            yield
        finally:
            for node in nodes:
                node.resume()

    @contextmanager
    def away(self, name: str, *, killed: bool = False) -> Generator[None]:
        """The node is stopped, or killed, in the block, and started again behind it."""
        node = self.playground.nodes[name]
        if killed:
            node.kill()
        else:
            node.stop()
        try:
            yield
        finally:
            node.start()
            node.wait()


Step = Callable[[Tour], str]


def expect(is_true: bool, otherwise: str) -> None:
    """`Missed` with that text where it is not true."""
    if not is_true:
        raise Missed(otherwise)


def _referrals(tour: Tour) -> str:
    told = tour.guide.from_root(PART)
    tour.expect_true(PART, told)
    way = tour.way(told)
    ways = ([ROOT, NATIONAL, keeper, DELEGATED] for keeper in (SECONDARY_A, MIRROR_A))
    expect(way in ways, f"the way was {' → '.join(way)}")
    return f"{' → '.join(way)}  {told.ms:.1f} ms"


def _certified(tour: Tour) -> str:
    told = tour.guide.from_root(PART, certified=True)
    tour.expect_true(PART, told)
    expect(told.is_certified, f"{PART} came without a chain of signatures")
    return f"{PART}  {told.ms:.1f} ms"


def _recursive(tour: Tour) -> str:
    return f"{PART}  {tour.found(PART).ms:.1f} ms"


def _cached(tour: Tour) -> str:
    with tour.hanging(ROOT, NATIONAL, SECONDARY_A, MIRROR_A, DELEGATED):
        return f"{PART}  {tour.found(PART).ms:.2f} ms"


def _sets(tour: Tour) -> str:
    handles = [PART, PACK, f"{MACHINES}/M-0001", f"{FREIGHT}/EVENT-0001"]
    times = [tour.found(handle).ms for handle in handles]
    bottle = tour.guide.recursive(SAMPLE_HANDLE)
    expect(bottle.texts.get("bottleCode") == "BTL001", f"{SAMPLE_HANDLE} was answered with {bottle.outcome}")
    times.append(bottle.ms)
    return f"{len(times)} products, {' '.join(f'{ms:.1f}' for ms in times)} ms"


def _references(tour: Tour) -> str:
    """From the event whose parcel holds a part to the parcel, the part, and the machine."""
    parcels = {handle: rows["goods"] for handle, rows in tour.truth.items() if "goods" in rows}
    starts = (handle for handle, rows in tour.truth.items() if parcels.get(rows.get("unit", ""), "").startswith(AUTO))
    handle = next(start for start in starts if start.startswith(FREIGHT))
    seen = [handle]
    for kind in ("unit", "goods", "machine"):
        handle = tour.found(handle).texts[kind]
        seen.append(handle)
    tour.found(handle)
    return " → ".join(seen)


def _mirror(tour: Tour) -> str:
    with tour.away(SECONDARY_A):
        told, handle = tour.guide.from_root(BOTTLE.format(2)), BOTTLE.format(3)
        expect(told.texts.get("bottleCode") == "BTL002", f"from the root: {told.outcome}")
        expect(tour.way(told)[-1] == MIRROR_A, f"the way was {' → '.join(tour.way(told))}")
        asked = tour.guide.recursive(handle)
        expect(asked.texts.get("bottleCode") == "BTL003", f"through the recursive node: {asked.outcome}")
    return f"{' → '.join(tour.way(told))}  {told.ms:.1f} ms"


def _root(tour: Tour) -> str:
    with tour.away(ROOT, killed=True):
        return f"{AUTO}/PART-0002  {tour.found(f'{AUTO}/PART-0002').ms:.1f} ms"


def _miss(tour: Tour) -> str:
    missing = (f"{AUTO}/NO-SUCH-PART", "88.999/NOBODY", "77.7/ELSEWHERE")
    for handle in missing:
        for told in (tour.guide.from_root(handle), tour.guide.recursive(handle)):
            expect(told.code == ResponseCode.HANDLE_NOT_FOUND, f"{handle} was answered with {told.outcome}")
    return f"{', '.join(missing)}: 100"


def _stranger(tour: Tour) -> str:
    told = tour.guide.at(tour.playground.nodes[DELEGATED].port, PACK)
    expect(told.code == ResponseCode.SERVER_NOT_RESP, f"{PACK} was answered with {told.outcome}")
    return f"{DELEGATED} about {PACK}: {told.code}"


def _failing(tour: Tour) -> str:
    tour.found(FAILING_STOCK)
    time.sleep(OVER_S)
    fresh = f"{PHARMA}/PACK-0009"
    with tour.hanging(FAILING):
        stale = tour.found(FAILING_STOCK)
        lost = tour.guide.recursive(fresh)
        expect(lost.code == ResponseCode.ERROR, f"{fresh} was answered with {lost.outcome}")
        expect(lost.ms < FAILS_WITHIN_S * 1000, f"the failure took {lost.ms:.0f} ms")
    tour.found(fresh)
    return f"stale after {stale.ms:.0f} ms, code {lost.code} after {lost.ms:.0f} ms, then found"


def _write(tour: Tour) -> str:
    tour.found(STOCK)
    before = tour.truth[STOCK][STOCK_TYPE]
    now = str(int(before) - 1)
    changed(tour.playground.nodes[DELEGATED], AUTO, STOCK, STOCK_TYPE, now)
    tour.truth[STOCK] = {STOCK_TYPE: now}
    started = time.monotonic()
    time.sleep(OVER_S)
    tour.found(STOCK)
    return f"{STOCK}: {before} → {now}, seen after {time.monotonic() - started:.1f} s"


def _denied(tour: Tour) -> str:
    code = refusal_of(tour.playground.nodes[FAILING], tour.playground.nodes[DELEGATED], AUTO, FAILING_STOCK)
    expect(code in (ResponseCode.INVALID_ADMIN, ResponseCode.AUTHENTICATION_FAILED), f"the answer was {code}")
    tour.found(FAILING_STOCK)
    return f"{FAILING_STOCK} with the key of {AUTO}: {code}"


def _stop(tour: Tour) -> str:
    codes = tour.playground.stop()
    expect(not any(codes.values()), f"exit codes {codes}")
    return f"{len(codes)} nodes, exit code 0"


STEPS: Final[tuple[tuple[str, Step], ...]] = (
    ("referrals", _referrals),
    ("certified", _certified),
    ("recursive", _recursive),
    ("cached", _cached),
    ("sets", _sets),
    ("references", _references),
    ("miss", _miss),
    ("stranger", _stranger),
    ("write", _write),
    ("denied", _denied),
    ("failing", _failing),
    ("mirror", _mirror),
    ("root", _root),
    ("stop", _stop),
)
"""In order; each with the key of its text (`step.…`)."""
