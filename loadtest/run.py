"""The load test: a node of its own on loopback, and Locust against it without a browser. `python -m loadtest.run`.

Ends with 0 where every request was answered as it should be, with 1 otherwise. Keeps nothing.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from loadtest.processes import HOST, PROJECT, Server, completed, environment, hnode, serving
from loadtest.report import table
from loadtest.workload import PREFIX, Order, Workload

_SEED: Final = 20_261_124
_LOCUSTFILE: Final = Path("loadtest") / "locustfile.py"
_BIG_COUNT: Final = 50
_BIG_SIZE: Final = 2_000  # Octets of a big value: an answer of five datagrams.
_PERCENTILES: Final = (50, 95, 99)


def big_handle(number: int) -> str:
    """The handle of a big record, under the largest firm's prefix."""
    return f"{PREFIX}.1000/BIG{number:04d}"


def write_data(folder: Path, count: int) -> None:
    """`records.jsonl` for the import and `handles.txt` for the users: in the order of birth, big ones behind a `+`."""
    workload = Workload.drawn(count, _SEED)
    workload.write_lines(folder / "records.jsonl", Order.INTERLEAVED)
    big = [big_handle(number) for number in range(_BIG_COUNT)]
    with (folder / "records.jsonl").open("a", encoding="utf-8") as lines:
        for name in big:
            value = {"index": 1, "type": "DESC", "data": {"format": "string", "value": "x" * _BIG_SIZE}, "ttl": 86400}
            lines.write(json.dumps({"handle": name, "values": [value]}) + "\n")
    stored = workload.sample(count, _SEED)
    (folder / "handles.txt").write_bytes(b"\n".join(stored + [b"+" + name.encode() for name in big]) + b"\n")


def locust_command(server: Server, folder: Path, *, users: int, duration: str, processes: int) -> list[str]:
    """Locust without a browser; every listener it could open is on loopback."""
    spread = ["--processes", str(processes)] if processes > 1 else []
    return [
        *(sys.executable, "-m", "locust", "-f", str(_LOCUSTFILE), "--headless", "--only-summary"),
        *("--loglevel", "WARNING", "--web-host", HOST, "--master-bind-host", HOST, *spread),
        *("--users", str(users), "--spawn-rate", str(users), "--run-time", duration, "--stop-timeout", "3"),
        *("--json-file", str(folder / "locust"), "--exit-code-on-error", "1"),
        *("--udp-port", str(server.udp_port), "--tcp-port", str(server.tcp_port)),
        *("--handles", str(folder / "handles.txt")),
    ]


def percentile_ms(times: dict[str, int], percent: float) -> float:
    """The response time in ms below which that share lies, from Locust's counts by time; 0.0 without counts."""
    wanted, seen = sum(times.values()) * percent / 100, 0
    for time_ms, requests in sorted((float(time_ms), requests) for time_ms, requests in times.items()):
        seen += requests
        if seen >= wanted:
            return time_ms
    return 0.0


def summary(entries: Sequence[dict[str, Any]]) -> str:
    """A table of Locust's statistics with fractions of milliseconds, which its own table rounds away."""
    rows = []
    for entry in sorted(entries, key=lambda entry: (entry["method"], entry["name"])):
        seconds = max((entry["last_request_timestamp"] or 0) - entry["start_time"], 1e-3)
        times = [f"{percentile_ms(entry['response_times'], percent):.2f}" for percent in _PERCENTILES]
        requests = entry["num_requests"]
        name = f"{entry['method']} {entry['name']}"
        rows.append([name, f"{requests:,}", str(entry["num_failures"]), f"{requests / seconds:,.0f}", *times])
    return table(["", "requests", "failures", "req/s", *[f"p{percent} ms" for percent in _PERCENTILES]], rows)


def load(folder: Path, *, users: int, duration: str, processes: int, identifiers: int) -> int:
    """Make the node, load it, print what was found; the exit code."""
    completed([*hnode(), "init", folder / "node", "--prefix", PREFIX, "--listen", HOST, "--port", "0"])
    config = folder / "node" / "hnode.toml"
    write_data(folder, identifiers)
    completed([*hnode(config), "import", folder / "records.jsonl", "--home-prefixes"])
    with serving("node", [*hnode(config), "serve"], folder / "node.log") as server:
        command = locust_command(server, folder, users=users, duration=duration, processes=processes)
        done = subprocess.run(  # noqa: S603 - our own program
            command, cwd=PROJECT, env=environment(), check=False, capture_output=True, text=True
        )
    found = folder / "locust.json"
    entries = json.loads(found.read_text()) if found.exists() else []
    if done.returncode or not entries:
        print(f"locust ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    print(summary(entries))
    return 1 if done.returncode or not entries else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the load test from the command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.run", description=__doc__)
    parser.add_argument("--users", type=int, default=20, help="of whom three of four use UDP")
    parser.add_argument("--time", default="10s", help="how long, as Locust reads it")
    parser.add_argument("--processes", type=int, default=1, help="of Locust; more than one where cores are free")
    parser.add_argument("--identifiers", type=int, default=10_000, help="in the node")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="hnode-load-") as folder:
        return load(
            Path(folder),
            users=chosen.users,
            duration=chosen.time,
            processes=chosen.processes,
            identifiers=chosen.identifiers,
        )


if __name__ == "__main__":
    sys.exit(main())
