"""`hnode playground` from its start to its end: for people until Ctrl-C, or the tour with an exit code."""

import signal
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

import click

from admin.errors import ExitCode, Failure
from admin.playground.building import expect_empty
from admin.playground.plan import FAILING, SEATS
from admin.playground.running import Playground, playing
from admin.playground.show import follow, map_lines, try_lines
from admin.playground.texts import said
from admin.playground.tour import STEPS, Missed, Step, Tour

UP_S: Final = 20.0
SILENT_S: Final = 10.0
"""The failing node answers and is silent by turns, so long."""

WATCH_S: Final = 0.5  # How often is looked whether a node has gone.


def play(lang: str, keep: Path | None) -> int:
    """Start all, show all, and run until Ctrl-C."""
    with _home(keep) as folder:
        started = time.monotonic()
        click.echo(said("building", lang, count=len(SEATS)))
        with playing(folder) as playground:
            try:
                fields = {"count": len(SEATS), "records": playground.built.records}
                click.echo(said("ready", lang, seconds=time.monotonic() - started, **fields) + "\n")
                _show(playground, lang)
                click.echo("\n" + (said("end.kept", lang, folder=folder) if keep else said("end", lang)))
                _run(playground, lang)
            except KeyboardInterrupt:
                click.echo("\n" + said("stopping", lang))
        click.echo(said("stopped", lang, count=len(SEATS)))
    return ExitCode.OK


def _show(playground: Playground, lang: str) -> None:
    for line in map_lines(playground, lang):
        click.echo(f"  {line}")
    click.echo()
    follow(playground, lang)
    click.echo("\n" + said("try", lang))
    for line in try_lines(playground, lang):
        click.echo(line)


def _run(playground: Playground, lang: str) -> NoReturn:
    """Until Ctrl-C: the failing node fails now and then, and who has gone is told once."""
    failing = playground.nodes[FAILING]
    turn_at, gone = time.monotonic() + UP_S, set()
    while True:
        time.sleep(WATCH_S)
        for node in playground.nodes.values():
            if node.has_died() and node.name not in gone:
                gone.add(node.name)
                click.echo(said("died", lang, name=node.name))
        if time.monotonic() >= turn_at and failing.name not in gone:
            if failing.is_paused:
                failing.resume()
                click.echo(said("back", lang, name=failing.name))
            else:
                failing.pause()
                click.echo(said("silent", lang, name=failing.name, seconds=SILENT_S))
            turn_at = time.monotonic() + (SILENT_S if failing.is_paused else UP_S)


def check(lang: str, keep: Path | None) -> int:
    """The tour: one line a step; exit code 0 where every step saw what it should, else 1."""
    started = time.monotonic()
    with _home(keep) as folder, playing(folder) as playground:
        failed = tour(Tour(playground), STEPS, lang)
    seconds = time.monotonic() - started
    if failed:
        click.echo(said("failed", lang, count=len(STEPS), failed=failed))
        return ExitCode.FAILED
    click.echo(said("passed", lang, count=len(STEPS), seconds=seconds))
    return ExitCode.OK


def tour(what: Tour, steps: Sequence[tuple[str, Step]], lang: str) -> int:
    """Take the steps, each with its line; how many saw something else than they should."""
    failed = 0
    for number, (key, step) in enumerate(steps, 1):
        try:
            mark, seen = "ok  ", step(what)
        except (Missed, Failure, OSError) as error:
            mark, seen = "FAIL", str(error)
            failed += 1
        click.echo(f"{mark} {number:2} {said(f'step.{key}', lang)}: {seen}")
    return failed


@contextmanager
def _home(keep: Path | None) -> Generator[Path]:
    """The folder: the one to keep, else a temporary one that is gone behind the block. SIGTERM ends us like Ctrl-C."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if keep is not None:
            expect_empty(keep.absolute())
            yield keep
        else:
            with tempfile.TemporaryDirectory(prefix="hnode-playground-") as folder:
                yield Path(folder)
    finally:
        signal.signal(signal.SIGTERM, before)
