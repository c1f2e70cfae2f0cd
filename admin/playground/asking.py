"""Who asks in the tour: a client that knows only the root, one that knows only the recursive node. Blocking."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from admin.root_resolving import resolved, world_in
from admin.setup.initialise import LOOPBACK
from protocol import codec
from protocol.codes import DEFAULT_REQUEST_FLAGS
from protocol.requests import Body
from protocol.responses import ResolutionResponse
from protocol.value import HandleValue
from resolver.client import NoAnswer, Transport, ask, resolution
from resolver.client_errors import named

PATIENCE_S: Final = 8.0  # More than a recursive node may take for a search.


@dataclass(frozen=True, slots=True)
class Told:
    """An answer: its code (0: none came), its values, how long it took, and the ports that answered on its way.

    `is_certified`: a chain of signatures leads from the root to it.
    """

    code: int
    values: tuple[HandleValue, ...]
    ms: float
    ports: tuple[int, ...] = ()
    is_certified: bool = False

    @property
    def texts(self) -> dict[str, str]:
        """The data of plain values by their types."""
        return {v.type.decode(): v.data.decode() for v in self.values if not v.type.startswith(b"HS_")}

    @property
    def outcome(self) -> str:
        """The code and its name."""
        return named(self.code) if self.code else "silence"


class Guide:
    """Asks for handles, from the root down or through the recursive node."""

    def __init__(self, bootstrap: Path, recursive_port: int) -> None:
        self._bootstrap = bootstrap
        self._recursive_port = recursive_port

    def from_root(self, handle: str, *, certified: bool = False) -> Told:
        """What a client hears that knows the root and nothing else, and follows every referral itself."""
        world, _ = world_in(self._bootstrap)
        started = time.perf_counter()
        ended = resolved(world, handle.encode(), certified=certified)
        ports = [step.place.port for step in ended.steps if step.place is not None and isinstance(step.outcome, int)]
        return Told(ended.code, _values(ended.body), _since_ms(started), tuple(ports), ended.is_certified)

    def recursive(self, handle: str) -> Told:
        """What the recursive node answers."""
        return self.at(self._recursive_port, handle)

    def at(self, port: int, handle: str) -> Told:
        """What the node on that port answers, asked over TCP to resolve for us: there it has all the time it wants."""
        question = resolution(handle.encode(), flags=DEFAULT_REQUEST_FLAGS, now_s=int(time.time()))
        started = time.perf_counter()
        try:
            asking = ask(question, LOOPBACK, port, transport=Transport.TCP, timeout_s=PATIENCE_S)
            message = asyncio.run(asking).message
        except NoAnswer:
            return Told(0, (), _since_ms(started), (port,))
        spent = _since_ms(started)
        return Told(message.header.code, _values(codec.read_response(message)[1]), spent, (port,))


def _values(body: Body) -> tuple[HandleValue, ...]:
    return body.values if isinstance(body, ResolutionResponse) else ()


def _since_ms(started: float) -> float:
    return (time.perf_counter() - started) * 1000
