"""`hnode config`: check the configuration, show what is in force, print an example."""

import click

from admin.context import CommandContext
from admin.output import output_option, print_json, print_line, say
from admin.texts import text


@click.group(name="config")
def command() -> None:
    """Check and show the configuration."""


@command.command(epilog="Example:  hnode --config node/hnode.toml config check")
@output_option
@click.pass_obj
def check(context: CommandContext) -> int:
    """List everything that is wrong, each with its place and a hint. Exit code 78 where something is."""
    from resolver.config_loading import file_problems
    from resolver.config_problems import ConfigError

    path = context.found_config()
    try:
        loaded = context.loaded()
        problems = tuple(file_problems(loaded))
        if problems:
            raise ConfigError(path, problems)
    except ConfigError as error:
        if context.is_table:
            raise
        rows = [{"key": p.key, "problem": p.text, "hint": p.hint, "origin": p.origin} for p in error.problems]
        _print({"path": str(path), "valid": False, "problems": rows}, context)
        return 78
    say(context, text("config.good", context.lang, path=path))
    if not context.is_table:
        _print({"path": str(path), "valid": True, "problems": []}, context)
    return 0


@command.command(epilog="Example:  hnode --config node/hnode.toml config show --origin")
@click.option("--origin", is_flag=True, help="Say where each value came from: a line, a variable, or the default.")
@output_option
@click.pass_obj
def show(context: CommandContext, origin: bool) -> None:
    """Print every key with the value in force. As a table it is TOML that can be read again."""
    from admin.config_text import in_force
    from resolver.config import SECTIONS, as_texts

    loaded = context.loaded()
    if context.is_table:
        click.echo(in_force(loaded.config, loaded.origins if origin else None))
        return
    shown: dict[str, object] = {name: as_texts(getattr(loaded.config, name)) for name in SECTIONS}
    if origin:
        shown["origins"] = dict(loaded.origins)
    _print(shown, context)


@command.command(epilog="Example:  hnode config example > hnode.toml")
def example() -> None:
    """Print every key with its default and what it means, all commented."""
    from admin.config_text import example as example_text

    click.echo(example_text().rstrip())


def _print(value: object, context: CommandContext) -> None:
    print_line(value) if context.output == "jsonl" else print_json(value)
