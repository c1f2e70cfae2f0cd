"""A handle resolved from the root down by this very command: the search, and the tree of it. Prints nothing.

No node takes part: what the standard files tell of the root is all that is known at first.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from admin.errors import ExitCode, Failure
from protocol.codes import CERTIFY, DEFAULT_REQUEST_FLAGS, REQUEST_DIGEST, OpCode
from protocol.identifier import full
from protocol.requests import ResolutionRequest
from resolver.bootstrap.deriving import faults_of, world_of
from resolver.bootstrap.files import read_files
from resolver.cache.cache import Cache
from resolver.cache.lifetimes import Lifetimes
from resolver.client_errors import named
from resolver.clock import SystemClock
from resolver.counters import Counters
from resolver.memory import Memories
from resolver.own import NothingKept
from resolver.recursion import Recursion, RecursionLimits
from resolver.walk.events import Ended, NoReply, Query, Step
from resolver.walk.world import World

TIMEOUT_S: Final = 30.0
"""How long a person waits for a search: longer than a node does, which has others to serve."""

_CACHE_SIZE: Final = 1 << 20  # Octets: of one search.


def world_in(folder: Path) -> tuple[World, list[str]]:
    """The world that the files tell, and what is wrong with them; a `Failure` where they name nobody to ask."""
    files = read_files(folder)
    faults = faults_of(files)
    world = world_of(files)
    if world.is_empty:
        first = faults[0] if faults else None
        why = str(first.path) + ": " + first.why if first else f"{folder} names no server"
        then = (first.then if first else "") or "on the root: hnode upstream bootstrap --out DIR"
        raise Failure("no root is known", why, then, code=ExitCode.CONFIG)
    return world, [str(fault) for fault in faults]


def resolved(
    world: World,
    handle: bytes,
    *,
    indexes: Sequence[int] = (),
    types: Sequence[bytes] = (),
    certified: bool = False,
    aliases: bool = False,
) -> Ended:
    """How the search for a handle's values ends. Never raises for what the world does."""
    body = ResolutionRequest(handle=handle, indexes=tuple(indexes), types=tuple(types))
    query = Query(
        handle=full(handle),
        body=body,
        opcode=OpCode.RESOLUTION,
        flags=DEFAULT_REQUEST_FLAGS | ((CERTIFY | REQUEST_DIGEST) if certified else 0),
        certify=certified,
        follow_aliases=aliases,
    )
    recursion = Recursion(
        world=world,
        memory=Memories(Cache(_CACHE_SIZE, Lifetimes()), NothingKept()),
        limits=RecursionLimits(walks_max=1, timeout_s=TIMEOUT_S, prefetch=False),
        clock=SystemClock(),
        counters=Counters(),
    )

    async def search() -> Ended:
        recursion.start(asyncio.get_running_loop())
        try:
            return await recursion.ended(query)
        finally:
            recursion.close()

    return asyncio.run(search())


# The tree


@dataclass(slots=True)
class _Looked:
    """Questions for one thing, one after the other, and the look-ups that they needed first."""

    why: str
    handle: bytes
    depth: int
    steps: list[Step] = field(default_factory=list)
    needed: "list[_Looked]" = field(default_factory=list)


def tree(handle: str, ended: Ended) -> list[str]:
    """The search as lines of a tree: what was asked for, below it what had to be known first, with times."""
    asked = sum(step.place is not None for step in ended.steps)
    began = min((step.began_ms for step in ended.steps), default=0)
    took = max((step.began_ms + step.took_ms for step in ended.steps), default=0) - began
    noun = "question" if asked == 1 else "questions"
    lines = [f"{handle}  {named(ended.code)}  ({asked} {noun}, {took} ms)"]
    lines += _branches(_grouped(ended.steps), "")
    if ended.told:
        lines.append(f"  {ended.told}")
    return lines


def _grouped(steps: Sequence[Step]) -> list[_Looked]:
    """Look-ups of depth 0 with those that they needed within them: a look-up stands before what needs it."""
    open_: list[_Looked] = []
    for step in steps:
        last = open_[-1] if open_ else None
        if last is None or (last.why, last.handle, last.depth) != (step.why, step.handle, step.depth):
            needed: list[_Looked] = []
            while open_ and open_[-1].depth > step.depth:
                needed.insert(0, open_.pop())
            last = open_[-1] if open_ else None
            if last is not None and needed and (last.why, last.handle) == (step.why, step.handle):
                last.needed += needed  # A referral on the way: the question goes on where it stood.
            else:
                last = _Looked(step.why, step.handle, step.depth, needed=needed)
                open_.append(last)
        last.steps.append(step)
    return open_


def _branches(looked: Sequence[_Looked], indent: str) -> Iterator[str]:
    for place, one in enumerate(looked):
        is_last = place == len(looked) - 1
        yield f"{indent}{'└─' if is_last else '├─'} {one.why} {one.handle.decode(errors='replace')}"
        inner = indent + ("   " if is_last else "│  ")
        yield from _branches(one.needed, inner)
        for step in one.steps:
            yield f"{inner}{_shown(step)}"


def _shown(step: Step) -> str:
    outcome = step.outcome.value if isinstance(step.outcome, NoReply) else named(step.outcome)
    if step.place is None or step.way is None:
        return f"· remembered: {outcome}"
    return f"· {step.place.host}:{step.place.port} {step.way.value}  {outcome}  {step.took_ms} ms"
