"""Printing: tables for people, JSON for programs, notes on standard error. Decides nothing but how things look.

Data of a stranger is shown without control characters and without markup; only a terminal gets colour.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TextIO, TypeVar

import click

from admin.context import JSON, JSONL, OUTPUTS, CommandContext

_Command = TypeVar("_Command", bound=Callable[..., Any])
_PIPE_WIDTH: Final = 10_000  # Nothing is cut or wrapped where a program or a file reads the table.


def printable(value: object) -> str:
    """The text of a value with control characters shown as escapes, so that no stored octet can steer a terminal."""
    shown = "" if value is None else str(value)
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


def has_color(context: CommandContext, stream: TextIO) -> bool:
    """Whether colour may be used on a stream: a terminal, and neither `--no-color` nor NO_COLOR forbids it."""
    return context.color and not context.environment.get("NO_COLOR") and stream.isatty()


def print_rows(context: CommandContext, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows under named columns: a table, one JSON array of objects, or one JSON object a line (as they come)."""
    if context.output == JSONL:
        for row in rows:
            print_line(dict(zip(columns, row, strict=True)))
    elif context.output == JSON:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        _print_table(context, columns, rows)


def print_object(context: CommandContext, fields: Mapping[str, object]) -> None:
    """One thing with named fields: two columns, indented JSON, or JSON on one line."""
    if context.output == JSONL:
        print_line(fields)
    elif context.output == JSON:
        print_json(fields)
    else:
        _print_table(context, ("", ""), [(name, _plain(value)) for name, value in fields.items()], heading=False)


def print_json(value: object) -> None:
    """Indented JSON on standard output."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def print_line(value: object) -> None:
    """JSON on one line of standard output."""
    click.echo(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def say(context: CommandContext, line: str) -> None:
    """A line for a person on standard output; nothing under `-q` or where a program reads the output."""
    if context.is_table and not context.is_quiet:
        click.echo(line)


def note(context: CommandContext, line: str) -> None:
    """A line on standard error that is no result; nothing under `-q`."""
    if not context.is_quiet:
        click.echo(context.to_type(line), err=True)


def styled(context: CommandContext, line: str, **style: Any) -> str:
    """The line with colour, where standard output may have it."""
    return click.style(line, **style) if has_color(context, sys.stdout) else line


def padded(line: str, width: int) -> str:
    """The line filled with spaces up to a width in terminal cells: a Chinese sign takes two."""
    from rich.cells import cell_len

    return line + " " * max(0, width - cell_len(line))


def output_option(command: _Command) -> _Command:
    """Give a command the option `-o/--output`, which the program also takes before the noun; the later one counts."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(OUTPUTS),
        expose_value=False,
        callback=_set_output,
        help="How the answer is printed.",
    )(command)


def _set_output(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.ensure_object(CommandContext).output = value


def _plain(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return ", ".join(str(item) for item in value)
    return value


def _print_table(
    context: CommandContext, columns: Sequence[str], rows: Iterable[Sequence[object]], *, heading: bool = True
) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    console = Console(
        file=sys.stdout,
        width=None if terminal else _PIPE_WIDTH,
        no_color=not has_color(context, sys.stdout),
        highlight=False,
        markup=False,
        emoji=False,
    )
    table = Table(box=None, show_header=heading, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(value)) for value in row))
    with console.capture() as capture:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))
