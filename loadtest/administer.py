"""The administrative load: clients on kept connections, each with one operation under way. No asyncio, no retries.

`python -m loadtest.administer --help` runs it as a process of its own. It prepares sessions and messages, says `ready`,
waits for an octet on standard input, and then prints the result of the load as one JSON object: whoever started it can
tell what the load costs from what its preparation did. The next octet ends the load.
"""

import argparse
import gc
import json
import os
import select
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter_ns
from typing import Final

from loadtest.plan import Result, Tally, cut, message_size
from loadtest.scripts import Kind, Part, Say, Script, script
from loadtest.session import BadReply, Link, Owner
from loadtest.workload import PREFIX
from protocol import codec
from protocol.limits import ENVELOPE_SIZE
from protocol.requests import ResolutionRequest
from protocol.trust.keys import PrivateKey, from_pem
from protocol.value import Reference

ADMIN_INDEX: Final = 300  # Where `hnode init` puts the administrator's public key.
_CODE: Final = slice(ENVELOPE_SIZE + 4, ENVELOPE_SIZE + 8)
_RECEIVE_SIZE: Final = 65_536
_NS_A_S: Final = 1_000_000_000
_PACE_S: Final = 0.001  # How often it is looked whether an operation is due.


class Client:
    """One connection and its script."""

    def __init__(self, link: Link, lines: Script) -> None:
        self.socket = link.socket
        self._lines = lines
        self._said = Say(b"")
        self._got = bytearray()
        self.begun_ns = 0

    def begin(self, now_ns: int) -> bool:
        """Send the next operation; False where the script is at its end."""
        said = next(self._lines, None)
        if said is None:
            return False
        self.begun_ns = now_ns
        self._say(said)
        return True

    def _say(self, said: Say) -> None:
        self._said = said
        self.socket.sendall(said.octets)

    def hear(self, tally: Tally) -> bool:
        """Take what came; whether the operation has ended. A wrong code of its end is counted."""
        more = self.socket.recv(_RECEIVE_SIZE)
        if not more:
            raise ConnectionError("the node closed a connection that was to be kept")
        got = self._got
        got += more
        if not message_size(got) or len(got) < message_size(got):
            return False
        reply = bytes(got)
        got.clear()
        is_right = int.from_bytes(reply[_CODE], "big") == self._said.code
        if not self._said.is_last:
            if not is_right:
                raise BadReply(f"code {int.from_bytes(reply[_CODE], 'big')} in the midst of an operation")
            self._say(self._lines.send(reply))
            return False
        tally.bad += not is_right
        return True


def run(clients: Sequence[Client], *, rate: float = 0.0, stop: int | None = None) -> Result:
    """Let all clients say their scripts to their ends, or until the descriptor `stop` can be read.

    With a `rate`, so many operations a second in all begin, as far as clients are idle.
    """
    tally, is_over = Tally(), False
    by_descriptor = {client.socket.fileno(): client for client in clients}
    with select.epoll() as poller:
        for descriptor in (*by_descriptor, *([] if stop is None else [stop])):
            poller.register(descriptor, select.EPOLLIN)
        tally.first_ns = perf_counter_ns()
        idle = deque(clients)
        while (idle and not is_over) or tally.outstanding:
            now_ns = perf_counter_ns()
            due = int((now_ns - tally.first_ns) / _NS_A_S * rate) + 1 - tally.asked if rate else len(clients)
            while idle and due > 0 and not is_over:
                due -= 1
                tally.asked += idle.popleft().begin(now_ns)
            for descriptor, _ in poller.poll(_PACE_S if rate else None if tally.outstanding else 0):
                if descriptor == stop:
                    is_over = True
                    poller.unregister(descriptor)
                elif by_descriptor[descriptor].hear(tally):
                    tally.last_ns = perf_counter_ns()
                    tally.latencies_ns.append(tally.last_ns - by_descriptor[descriptor].begun_ns)
                    idle.append(by_descriptor[descriptor])
    return tally.result()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one load from the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.administer", description=__doc__)
    parser.add_argument("kind", type=Kind, help="create, resolve, open or challenged")
    parser.add_argument("--host", default="127.0.0.1", help="loopback address of the server")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key", type=Path, required=True, help="PEM of the administrator's private key")
    parser.add_argument("--name", required=True, help="names this run: its handles are no other run's")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--count", type=int, default=4_000, help="operations in all")
    parser.add_argument("--rate", type=float, default=0.0, help="operations a second; as many as can be by default")
    parser.add_argument("--requests", type=Path, help="resolutions of the handles to resolve, one behind the other")
    chosen = parser.parse_args(arguments)
    key = from_pem(chosen.key.read_bytes())
    if not isinstance(key, PrivateKey):
        parser.error(f"{chosen.key} holds no private key")
    owner = Owner(Reference(ADMIN_INDEX, b"0.NA/" + PREFIX.encode()), key)
    handles = [] if chosen.requests is None else _handles(chosen.requests)
    count = -(-chosen.count // chosen.clients)
    clients = []
    for number in range(chosen.clients):
        link = Link(chosen.host, chosen.port)
        wanted = handles[number * count :] or handles
        part = Part(link=link, owner=owner, name=f"{chosen.name}-{number}", count=count, handles=wanted)
        clients.append(Client(link, script(chosen.kind, part)))
    gc.freeze()
    gc.disable()  # A collection in the midst of a run would show up as latency of the server.
    print("ready", flush=True)
    if os.read(sys.stdin.fileno(), 1):
        print(json.dumps(run(clients, rate=chosen.rate, stop=sys.stdin.fileno()).to_json()))


def _handles(path: Path) -> list[bytes]:
    bodies = [codec.read_request(codec.Message.read(octets)) for octets in cut(path.read_bytes())]
    return [body.handle for body in bodies if isinstance(body, ResolutionRequest)]


if __name__ == "__main__":
    main()
