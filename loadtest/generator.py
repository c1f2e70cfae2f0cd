"""The raw generator: one blocking epoll loop that asks as fast as its windows allow. No asyncio, no retransmits.

`python -m loadtest.generator --help` runs it as a process of its own and prints the result as one JSON object. It sends
whole request messages that were made beforehand: nothing is encoded between an answer and the next request.
"""

import argparse
import gc
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from time import perf_counter_ns, process_time
from typing import Final

from loadtest.lanes import KeptLane, Lane, OnceLane, UdpLane, Watch
from loadtest.plan import Match, Plan, Questions, Result, Tally, Transport, cut, numbered

_TICK_S: Final = 0.02  # How often time-outs are looked for.
_NS_A_S: Final = 1_000_000_000
_LANES: Final[Mapping[Transport, Callable[[Plan, Questions, Tally, Watch], Lane]]] = {
    Transport.UDP: UdpLane,
    Transport.TCP_KEPT: KeptLane,
    Transport.TCP_ONCE: OnceLane,
}


def run(plan: Plan, requests: Sequence[bytes]) -> Result:
    """Send the request messages in turn, again from the start at the end, until the plan is done.

    `OSError` where nothing listens at the target, or a connection that was to be kept is closed.
    """
    if not requests:
        raise ValueError("a run needs a request to send")
    tally = Tally()
    questions = numbered(requests, plan.requests_max)
    with ExitStack() as opened:
        watch = opened.enter_context(closing(Watch()))
        lanes: list[Lane] = []
        for _ in range(plan.sockets):
            lane = _LANES[plan.transport](plan, questions, tally, watch)
            opened.callback(lane.close)
            lanes.append(lane)
        begun = process_time()
        _drive(plan, lanes, tally, watch, questions)
        used = process_time() - begun
    return replace(tally.result(), cpu_s=used)


def _drive(plan: Plan, lanes: Sequence[Lane], tally: Tally, watch: Watch, questions: Questions) -> None:
    tally.first_ns = perf_counter_ns()
    deadline_ns = tally.first_ns + int(plan.seconds_max * _NS_A_S)
    timeout_ns, tick_ns = int(plan.timeout_s * _NS_A_S), int(_TICK_S * _NS_A_S)
    sweep_ns = tally.first_ns + tick_ns
    for lane in lanes:
        lane.fill()
    while tally.outstanding:
        watch.wait(_TICK_S)
        now_ns = perf_counter_ns()
        if now_ns >= sweep_ns:
            sweep_ns = now_ns + tick_ns
            if now_ns >= deadline_ns:
                questions.close()
            for lane in lanes:
                lane.expire(now_ns - timeout_ns)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one plan from the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.generator", description=__doc__)
    parser.add_argument("requests", type=Path, help="file of request messages, one behind the other")
    parser.add_argument("--host", default="127.0.0.1", help="loopback address of the server")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--transport", type=Transport, default=Transport.UDP, help="udp, tcp-kept or tcp-once")
    parser.add_argument("--sockets", type=int, default=4, help="sockets or connections")
    parser.add_argument("--window", type=int, default=16, help="requests under way on each")
    parser.add_argument("--count", type=int, default=100_000, help="requests at most")
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds at most")
    parser.add_argument("--timeout", type=float, default=1.0, help="seconds after which a request is given up")
    parser.add_argument("--match", type=Match, default=Match.ID, help="id or order (fixed-answer servers)")
    parser.add_argument("--core", type=int, help="stay on that processor core")
    chosen = parser.parse_args(arguments)
    if chosen.core is not None:
        os.sched_setaffinity(0, {chosen.core})
    plan = Plan(
        host=chosen.host,
        port=chosen.port,
        transport=chosen.transport,
        sockets=chosen.sockets,
        window=chosen.window,
        requests_max=chosen.count,
        seconds_max=chosen.seconds,
        timeout_s=chosen.timeout,
        match=chosen.match,
    )
    requests = cut(chosen.requests.read_bytes())
    gc.freeze()
    gc.disable()  # A collection in the midst of a run would show up as latency of the server.
    print(json.dumps(run(plan, requests).to_json()))


if __name__ == "__main__":
    main()
