"""What a person sees of the playground: its map, lines to copy, and a resolution followed. Prints; decides nothing."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from typing import Final

import click
from rich.cells import cell_len

from admin.playground.asking import Guide
from admin.playground.goods import FREIGHT, PACK, PART, STOCK, STOCK_TYPE
from admin.playground.plan import DELEGATED, MIRROR_A, NATIONAL, RECURSIVE, ROOT, children_of
from admin.playground.processes import command, environment
from admin.playground.running import Playground
from admin.playground.texts import said
from admin.setup.initialise import LOOPBACK
from admin.setup.sample import SAMPLE_HANDLE

_NAME_CELLS: Final = 24
_TRACE_S: Final = 60.0
_PLACE: Final = re.compile(re.escape(LOOPBACK) + r":(\d+)")


def map_lines(playground: Playground, lang: str) -> list[str]:
    """The nodes as a tree: name, place, process, and what each is there for."""
    return list(_below(playground, "", "", lang))


def _below(playground: Playground, parent: str, indent: str, lang: str) -> Iterator[str]:
    names = children_of(parent)
    for name in names:
        is_last = name == names[-1]
        branch, deeper = ("", "") if not parent else ("└─ ", "   ") if is_last else ("├─ ", "│  ")
        node = playground.nodes[name]
        head = f"{indent}{branch}{name}"
        about = said(f"seat.{name}", lang)
        place = f"{LOOPBACK}:{node.port}"
        yield f"{_filled(head, _NAME_CELLS)} {place:15}  pid {node.process_id:<7}  {about}"
        yield from _below(playground, name, indent + deeper, lang)


def _filled(text: str, cells: int) -> str:
    return text + " " * max(0, cells - cell_len(text))


def try_lines(playground: Playground, lang: str) -> list[str]:
    """Commands to copy, each under a line that says what it shows."""

    def at(name: str) -> str:
        return f"{LOOPBACK}:{playground.nodes[name].port}"

    def config(name: str) -> str:
        return shlex.quote(str(playground.built.nodes[name].config))

    bootstrap = shlex.quote(str(playground.built.bootstrap))
    rows = (
        ("trace", f"hnode resolve {PART} --bootstrap {bootstrap} --trace"),
        ("recursive", f"hnode resolve {FREIGHT}/EVENT-0001 --at {at(RECURSIVE)}"),
        ("referral", f"hnode resolve 0.NA/88.608.7 --at {at(NATIONAL)}"),
        ("mirror", f"hnode resolve {SAMPLE_HANDLE} --at {at(MIRROR_A)} --type product"),
        ("failing", f"hnode resolve {PACK} --at {at(RECURSIVE)}"),
        ("write", f"hnode --config {config(DELEGATED)} handle set-value {STOCK} 1 {STOCK_TYPE} 99"),
        ("status", f"hnode --config {config(DELEGATED)} upstream status"),
        ("cache", f"hnode --config {config(RECURSIVE)} cache stats"),
        ("kill", f"kill {playground.nodes[ROOT].process_id}"),
    )
    lines = []
    for key, line in rows:
        lines += [f"  # {said(f'try.{key}', lang)}", f"  {line}"]
    return lines


def follow(playground: Playground, lang: str) -> None:
    """One resolution from the root down, with its times, by the command that anybody would give."""
    click.echo(said("follow", lang))
    arguments = ("--lang", lang, "resolve", PART, "--bootstrap", playground.built.bootstrap, "--trace")
    shown = " ".join(str(word) for word in ("hnode", "resolve", PART, "--bootstrap", "…/bootstrap", "--trace"))
    click.echo(f"  $ {shown}")
    done = subprocess.run(  # noqa: S603 - this very program
        command(*arguments),
        cwd=playground.built.folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=_TRACE_S,
    )
    names = {str(node.port): node.name for node in playground.nodes.values()}
    for line in done.stdout.splitlines():
        found = _PLACE.search(line)
        click.echo(f"  {line.rstrip()}" + (f"  ← {names[found[1]]}" if found and found[1] in names else ""))
    guide = Guide(playground.built.bootstrap, playground.nodes[RECURSIVE].port)
    first, second = guide.recursive(PART), guide.recursive(PART)
    click.echo(f"  {said('follow.recursive', lang, first=first.ms, second=second.ms)}")
