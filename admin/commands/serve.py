"""`hnode serve`: run the node in the foreground."""

import click

from admin.context import CommandContext


@click.command(name="serve", epilog="Example:  hnode --config node/hnode.toml serve")
@click.pass_obj
def command(context: CommandContext) -> int:
    """Serve until SIGTERM or Ctrl-C. Prints one line beginning `ready` once every socket is bound."""
    from admin.serve import serve

    return serve(context.load())
