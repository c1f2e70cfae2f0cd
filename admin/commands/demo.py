"""`hnode demo`: see what a node does, on real data, in under a minute."""

import click

from admin.context import CommandContext


@click.command(name="demo", epilog="Example:  hnode demo")
@click.pass_obj
def command(context: CommandContext) -> int:
    """Make a node on loopback, fill it, resolve from it, and tell the story. Nothing remains of it."""
    from admin.demo import run_demo

    return run_demo(context.lang)
