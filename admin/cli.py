"""The command `hnode`: options before the noun, the table of commands, and the end of every run as an exit code.

A command's module is imported when it is called, so that `hnode --help` loads neither validator, engine nor
cryptography. A command returns None or an exit code; what it raises becomes a sentence and a code in `admin.errors`.
"""

import difflib
import errno
import os
import select
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from admin.context import OUTPUTS, TABLE, CommandContext
from admin.errors import ExitCode, explained
from admin.texts import LANGUAGES, language, text

COMMANDS: Final = MappingProxyType(
    {
        "init": "admin.commands.init:command",
        "serve": "admin.commands.serve:command",
        "dev": "admin.commands.dev:command",
        "demo": "admin.commands.demo:command",
        "playground": "admin.commands.playground:command",
        "resolve": "admin.commands.resolve:command",
        "handle": "admin.commands.handle:command",
        "prefix": "admin.commands.prefix:command",
        "upstream": "admin.commands.upstream:command",
        "session": "admin.commands.session:command",
        "batch": "admin.commands.batch:command",
        "import": "admin.commands.import_:command",
        "export": "admin.commands.export:command",
        "config": "admin.commands.config:command",
        "doctor": "admin.commands.doctor:command",
        "status": "admin.commands.status:command",
        "cache": "admin.commands.cache:command",
        "key": "admin.commands.key:command",
        "store": "admin.commands.store:command",
        "version": "admin.commands.version:command",
        "completion": "admin.commands.completion:command",
    }
)
"""Name of a command, in the order of the help: the module and attribute that hold it."""

PROGRAM: Final = "hnode"


def _lang_of(context: click.Context) -> str:
    found = context.find_object(CommandContext)
    return found.lang if found else language(None, os.environ) or "en"


class _Formatter(click.HelpFormatter):
    """Help with its headings in the language of the run."""

    lang = "en"

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """The line that begins with `Usage:`."""
        super().write_usage(prog, args, prefix or text("usage", self.lang))

    def write_heading(self, heading: str) -> None:
        """A heading; those that the catalogue does not know stay as they are."""
        super().write_heading(text(heading, self.lang) if heading in ("Options", "Commands") else heading)


class _LocalContext(click.Context):
    """click's context whose help speaks the language of the run."""

    def make_formatter(self) -> click.HelpFormatter:
        """A formatter of as many columns as the terminal has, within reason."""
        formatter = _Formatter(width=self.terminal_width, max_width=self.max_content_width or 100)
        formatter.lang = _lang_of(self)
        return formatter


def _localised(command: click.Command) -> click.Command:
    command.context_class = _LocalContext
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        _localised(below)
    return command


class LazyGroup(click.Group):
    """The commands of `COMMANDS`, each imported when it is called; their help lines come from the catalogue."""

    context_class = _LocalContext

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, its module imported now, or None."""
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        return _localised(getattr(import_module(module), attribute))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. A reader of our output that left (`hnode export | head`) was in its right: code 0."""
        try:
            outcome = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as error:
            if not _reader_left():  # A peer of ours went away; click would take that for a closed output.
                raise ConnectionResetError(errno.ECONNRESET, error.strerror) from error
            # What is still buffered must not meet the closed pipe again while Python shuts down.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return ExitCode.OK
        return outcome

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names; for a word that names none, a usage error with the near one."""
        name = args[0]
        if name in COMMANDS or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        lang = _lang_of(ctx)
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        said = [text("usage.unknown", lang, name=name), *(text("usage.near", lang, name=n) for n in near)]
        raise click.UsageError(" — ".join(said), ctx)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One line about the program, and an example."""
        lang = _lang_of(ctx)
        formatter.write_paragraph()
        formatter.write_text(text("help.hnode", lang))
        formatter.write_paragraph()
        formatter.write_text(text("help.example", lang) + "  hnode init ./node --prefix 88.100")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The names with their help lines, none of them imported."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text(f"help.{name}", _lang_of(ctx))) for name in COMMANDS])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The names that begin so, none of them imported, and the options."""
        names = [name for name in COMMANDS if name.startswith(incomplete) and not incomplete.startswith("-")]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [CompletionItem(name, help=text(f"help.{name}", "en")) for name in names] + options


def _reader_left() -> bool:
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)  # A pipe without a reader reports an error, asked for or not.
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except OSError:  # Standard output is no file.
        return False


def _take_language(context: click.Context, _: click.Parameter, value: str | None) -> None:
    context.ensure_object(CommandContext).choose_language(value)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--lang",
    type=click.Choice(LANGUAGES),
    is_eager=True,
    expose_value=False,
    callback=_take_language,
    help="The language of texts.  [default: as LANG says, else the configuration]",
)
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    envvar="HNODE_CONFIG",
    help="The configuration file.  [env: HNODE_CONFIG; default: ./hnode.toml]",
)
@click.option("-o", "--output", type=click.Choice(OUTPUTS), default=TABLE, help="How answers are printed.")
@click.option("-q", "--quiet", is_flag=True, help="Only results and errors.")
@click.option("-v", "--verbose", count=True, help="Say more: the causes of an error.")
@click.option("--no-color", is_flag=True, help="No colour, as with NO_COLOR in the environment.")
@click.pass_context
def hnode(
    context: click.Context, config_path: Path | None, output: str, quiet: bool, verbose: int, no_color: bool
) -> None:
    """Keep what stood before the noun for the command that follows."""
    kept = context.ensure_object(CommandContext)
    kept.config_path, kept.output, kept.color = config_path, output, not no_color
    kept.verbosity = -1 if quiet else verbose


def run(arguments: Sequence[str] | None = None, program: click.Command = hnode) -> int:
    """Run one command line (default: the process's own) and give its exit code. It raises nothing."""
    kept = CommandContext()
    kept.choose_language(None)
    try:
        outcome: Any = program.main(arguments, prog_name=PROGRAM, standalone_mode=False, obj=kept)
    except click.Abort:
        return _ended(KeyboardInterrupt(), kept)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, Exception) as error:
        if os.environ.get("HNODE_DEBUG"):
            raise
        return _ended(error, kept)
    return outcome if isinstance(outcome, int) else ExitCode.OK


def _ended(error: BaseException, context: CommandContext) -> int:
    explanation = explained(error, context.lang)
    for line in explanation.lines:
        click.echo(context.to_type(line), err=True)
    while context.verbosity > 0 and error.__cause__ is not None:
        error = error.__cause__
        click.echo(f"  caused by {type(error).__name__}: {error}", err=True)
    return explanation.code


def main() -> int:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # A locale without our signs shows them escaped and does not end the run.
            stream.reconfigure(errors="backslashreplace")
    return run()
