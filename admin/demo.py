"""The demonstration: a real node on loopback with real data, told as a story. `hnode demo` runs it; nothing remains."""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from admin.demo_asking import Asker, rates
from admin.demo_texts import said
from admin.errors import Failure
from admin.setup.sample import SAMPLE_HANDLE, SAMPLE_PREFIX, TEMPLATES, sample_folder
from protocol.codec import Message
from protocol.codes import ResponseCode
from protocol.limits import DATAGRAM_SIZE_MAX
from resolver.client import resolution

READY_S: Final = 20.0
STOP_S: Final = 15.0
SILENCE_S: Final = 0.3  # How long nothing must come to call it silence: a reply takes less than a millisecond.
UNKNOWN_OPCODE: Final = 77
ZEROS: Final = 10

WAY: Final = (
    "associatedBoxCode",
    "associatedBottleCode",
    "associatedPackagingBatch",
    "associatedBlendingBatch",
    "associatedBrewingBatches",
    "relatedKojiMakingBatches",
    "relatedRawMaterialBatches",
    "relatedSuppliers",
)
"""The references that lead from a bottle to its box, back, and on to the supplier of its grain."""


class Story:
    """Tells in one language, on standard output."""

    def __init__(self, lang: str) -> None:
        self._lang = lang

    def tell(self, key: str, **fields: object) -> None:
        """A chapter's first sentence, with a blank line before it."""
        click.echo(f"\n{said(key, self._lang, **fields)}")

    def line(self, text: str) -> None:
        """A line that belongs to the chapter."""
        click.echo(f"   {text}")

    def note(self, key: str, **fields: object) -> None:
        """A sentence that belongs to the chapter."""
        self.line(said(key, self._lang, **fields).strip())


def run_demo(lang: str) -> int:
    """The whole story; 0 where all went as told, else an error that says what did not."""
    story = Story(lang)
    story.tell("intro")
    with tempfile.TemporaryDirectory(prefix="hnode-demo-") as folder:
        config = Path(folder) / "node" / "hnode.toml"
        _prepare(story, config)
        story.tell("serve")
        with _serving(story, config) as (port, node):
            asker = Asker("127.0.0.1", port)
            _resolve(story, config, asker)
            _refusals(story, config, asker)
            _rates(story, asker)
            code = _stopped(node)
            story.tell("stop", code=code)
    story.tell("end")
    for line in (
        "source .venv/bin/activate",
        "hnode init ./node --prefix 88.100",
        "hnode --config node/hnode.toml serve",
    ):
        story.line(line)
    return code


def _command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "admin", *map(str, arguments)]


def _environment() -> dict[str, str]:
    """Nothing that is configured elsewhere is touched; the checkout's own code is what runs."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("HNODE_")}
    return kept | {"PYTHONPATH": str(Path(__file__).parent.parent)}


def _shown(story: Story, *arguments: str | Path, codes: Sequence[int] = (0,), quiet: bool = False) -> str:
    """Run a command and show it with the first lines of what it prints; its output."""
    done = subprocess.run(
        _command(*arguments), capture_output=True, text=True, env=_environment(), check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode not in codes:
        raise Failure(f"hnode {' '.join(map(str, arguments))} ended with {done.returncode}", done.stderr.strip())
    if not quiet:
        story.line(f"$ hnode {' '.join(_short(argument) for argument in arguments)}")
        for line in (done.stdout + done.stderr).rstrip().splitlines():
            if line.strip():
                story.line(f"  {line.rstrip().replace(str(_folder_of(arguments)), 'node')}")
    return done.stdout


def _short(argument: str | Path) -> str:
    """An argument as a person would write it: paths without the temporary folder."""
    if not isinstance(argument, Path):
        return argument
    return "node/hnode.toml" if argument.suffix == ".toml" else argument.name


def _folder_of(arguments: Sequence[str | Path]) -> Path:
    """The node's folder, which a command is given as such or by its configuration."""
    found = next(argument for argument in arguments if isinstance(argument, Path))
    return found.parent if found.suffix == ".toml" else found


def _prepare(story: Story, config: Path) -> None:
    story.tell("init", prefix=SAMPLE_PREFIX)
    listen = ("--listen", "127.0.0.1", "--port", "0")
    _shown(story, "init", config.parent, "--prefix", SAMPLE_PREFIX, *listen)
    files = sorted(sample_folder().glob("*.csv"))
    story.tell("import", files=len(files))
    records = 0
    for path in files:
        output = _shown(
            story, "--config", config, "-o", "json", "import", path, "--template", path.parent / TEMPLATES, quiet=True
        )
        rows = int(json.loads(output)["rows"])
        records += rows
        story.line(f"$ hnode import {path.name} --template {TEMPLATES}".ljust(64) + f"{rows:3} rows")
    story.note("imported", records=records)


@contextmanager
def _serving(story: Story, config: Path) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """A node that serves meanwhile: its port and its process, ended whatever happens."""
    story.line("$ hnode --config node/hnode.toml serve")
    node = subprocess.Popen(
        _command("--config", config, "serve"), stderr=subprocess.PIPE, text=True, env=_environment()
    )
    try:
        yield _port_when_ready(story, node), node
    finally:
        if node.poll() is None:
            node.kill()
        node.communicate()


def _port_when_ready(story: Story, node: "subprocess.Popen[str]") -> int:
    assert node.stderr is not None
    end = time.monotonic() + READY_S
    while time.monotonic() < end:
        line = node.stderr.readline()
        found = re.match(r"ready udp \S+:(\d+)", line)
        if found:
            story.line(f"  {line.strip()}")
            return int(found[1])
        if not line:
            break
        story.line(f"  {line.strip()}")
    raise Failure("the node did not start", "it never said that it is ready", "hnode doctor")


def _stopped(node: "subprocess.Popen[str]") -> int:
    node.terminate()
    return node.wait(STOP_S)


def _resolve(story: Story, config: Path, asker: Asker) -> None:
    story.tell("resolve", handle=SAMPLE_HANDLE)
    _shown(story, "--config", config, "resolve", SAMPLE_HANDLE, "--udp")
    story.tell("follow")
    seen = asker.ask(SAMPLE_HANDLE)
    for place, kind in enumerate(WAY):
        target = seen.first(kind)
        seen = asker.ask(target, by_tcp=place % 2 == 0)
        story.line(f"{seen.way} {seen.milliseconds:5.2f} ms  {kind:26} → {target:32} {seen.summary}")
    found, dangling = _references(asker)
    story.note("references", all=found + dangling, found=found, dangling=dangling)
    story.tell("filter", kind="product")
    _shown(story, "--config", config, "resolve", SAMPLE_HANDLE, "--type", "product", "--tcp", "-o", "json")


def _references(asker: Asker) -> tuple[int, int]:
    """How many references of all records lead to a record, and how many to none."""
    waiting, known = [SAMPLE_HANDLE], {SAMPLE_HANDLE: asker.ask(SAMPLE_HANDLE)}
    found = dangling = 0
    while waiting:
        for target in known[waiting.pop()].references:
            if target not in known:
                known[target] = asker.ask(target)
                waiting.append(target)
            if known[target].code == ResponseCode.SUCCESS:
                found += 1
            else:
                dangling += 1
    return found, dangling


def _refusals(story: Story, config: Path, asker: Asker) -> None:
    story.tell("missing")
    _shown(story, "--config", config, "resolve", f"{SAMPLE_PREFIX}/NO-SUCH-BOTTLE", codes=(3,))
    _shown(story, "--config", config, "resolve", "77.7/ELSEWHERE", codes=(3,))
    story.tell("malformed")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((asker.host, asker.port))
        sock.settimeout(SILENCE_S)
        sock.send(bytes(ZEROS))
        try:
            sock.recv(DATAGRAM_SIZE_MAX)
        except TimeoutError:
            story.note("silence", sent=ZEROS)
        else:
            raise Failure("the node answered what is no message")
        question = resolution(SAMPLE_HANDLE.encode(), now_s=int(time.time()))
        strange = replace(question, header=replace(question.header, opcode=UNKNOWN_OPCODE)).to_bytes()
        sock.send(strange)
        reply = sock.recv(DATAGRAM_SIZE_MAX)
    story.note("refused", sent=len(strange), size=len(reply), code=Message.read(reply).header.code)


def _rates(story: Story, asker: Asker) -> None:
    story.tell("rates")
    for way, rate, p50_ms in rates(asker):
        story.note("rate", way=way, rate=rate, p50=p50_ms)
