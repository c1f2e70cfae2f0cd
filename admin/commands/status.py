"""`hnode status`: what the workers of the node have counted since its start."""

import os

import click

from admin.context import CommandContext
from admin.errors import Failure
from admin.output import output_option, print_rows
from resolver.counters import Counter, readings


@click.command(name="status", epilog="Example:  hnode --config node/hnode.toml status -o json")
@output_option
@click.pass_obj
def command(context: CommandContext) -> None:
    """Print each worker's counts, and whether it lives."""
    from admin.serve import counters_path

    config = context.load()
    found = readings(counters_path(config))
    if not found:
        raise Failure("no counts", f"no node has run with {config.node.data_dir}", "hnode serve")
    columns = ["worker", "alive", *(counter.name.lower() for counter in Counter)]
    rows = [[number, _lives(counts[Counter.PROCESS_ID]), *counts.values()] for number, counts in enumerate(found)]
    if context.is_table:
        names = columns[1:]
        print_rows(
            context,
            ["count", *(f"worker {row[0]}" for row in rows)],
            [[name, *(row[place + 1] for row in rows)] for place, name in enumerate(names)],
        )
    else:
        print_rows(context, columns, rows)


def _lives(process_id: int) -> bool:
    if not process_id:
        return False
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
