"""`hnode status`: whether the node runs, and what its workers have counted since its start."""

import click

from admin.context import CommandContext
from admin.errors import ExitCode, Failure
from admin.output import note, output_option, print_rows
from resolver.counters import Counter, readings


@click.command(name="status", epilog="Example:  hnode --config node/hnode.toml status -o json")
@output_option
@click.pass_obj
def command(context: CommandContext) -> int:
    """Print each worker's counts, and whether its node runs. Exit code 5 where it does not: the counts are its last."""
    from admin.serve import counters_path
    from storage.locking import is_served

    config = context.load()
    found = readings(counters_path(config))
    if not found:
        raise Failure(
            "no counts", f"no node has run with {config.node.data_dir}", "hnode serve", code=ExitCode.UNREACHABLE
        )
    runs = is_served(config.node.data_dir)
    columns = ["worker", "running", *(counter.name.lower() for counter in Counter)]
    rows = [[number, runs, *counts.values()] for number, counts in enumerate(found)]
    if context.is_table:
        names = columns[1:]
        print_rows(
            context,
            ["count", *(f"worker {row[0]}" for row in rows)],
            [[name, *(row[place + 1] for row in rows)] for place, name in enumerate(names)],
        )
    else:
        print_rows(context, columns, rows)
    if not runs:
        note(context, "no node runs: these are the counts of the last one. Start it: hnode serve")
    return ExitCode.OK if runs else ExitCode.UNREACHABLE
