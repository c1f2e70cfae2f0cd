"""`hnode completion`: the script with which a shell completes our words."""

import click

from admin.errors import Failure


@click.command(name="completion", epilog='Example:  eval "$(hnode completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the completion script for SHELL."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise Failure(f"there is no completion for {shell}")
    root = context.find_root()
    click.echo(found(root.command, {}, "hnode", "_HNODE_COMPLETE").source())
