"""`hnode playground`: a whole hierarchy on this machine, to look at, to try, and to break."""

from pathlib import Path

import click

from admin.context import CommandContext


@click.command(name="playground", epilog="Example:  hnode playground --check")
@click.option("--check", is_flag=True, help="Run the fixed tour instead: one line a step, exit code 0 or 1.")
@click.option(
    "--keep",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Make everything in DIR, an empty or new folder, and leave it there.",
)
@click.pass_obj
def command(context: CommandContext, check: bool, keep: Path | None) -> int:
    """Run a root, a national node, two secondary nodes, a mirror, enterprises and a recursive node until Ctrl-C.

    Each is a process of its own on loopback, with its own store and keys. HNODE_ variables are not read: nothing that
    is configured elsewhere is touched.
    """
    from admin.playground import session

    return session.check(context.lang, keep) if check else session.play(context.lang, keep)
