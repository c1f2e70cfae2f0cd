"""`hnode cache …`: what a node remembers of others' answers, and the order to forget it. Works while the node runs."""

import click

from admin.context import CommandContext
from admin.errors import ExitCode
from admin.output import note, output_option, print_object, say


@click.group(name="cache")
def command() -> None:
    """Look into what is remembered of other nodes' answers, and forget it."""


@command.command(name="stats", epilog="Example:  hnode cache stats -o json")
@output_option
@click.pass_obj
def stats(context: CommandContext) -> int:
    """Print what is remembered, and what the workers counted since their start, all of them together.

    Exit code 5 where no node runs: the counts are those of the last one.
    """
    from contextlib import closing

    from admin.serve import counters_path
    from admin.shared_cache import expected
    from resolver.counters import Counter, readings
    from storage.locking import is_served

    config = context.load()
    with closing(expected(config)) as answers:
        facts = answers.facts()
    counts = readings(counters_path(config))
    names = [counter for counter in Counter if counter.name.startswith(("CACHE_", "WALKS"))]
    shown: dict[str, object] = {
        "shared_handles": facts.handles,
        "shared_octets": facts.size,
        "shared_octets_max": facts.size_max,
    }
    shown |= {counter.name.lower(): sum(worker[counter] for worker in counts) for counter in names}
    hits, walks = (sum(worker[counter] for worker in counts) for counter in (Counter.CACHE_HITS, Counter.WALKS))
    shown["hit_rate"] = round(hits / (hits + walks), 4) if hits + walks else None
    print_object(context, shown)
    if is_served(config.node.data_dir):
        return ExitCode.OK
    note(context, "no node runs: these are the counts of the last one. Start it: hnode serve")
    return ExitCode.UNREACHABLE


@command.command(name="flush", epilog="Example:  hnode cache flush 88.100/1 && hnode cache flush --all")
@click.argument("handles", nargs=-1, metavar="[HANDLE]...")
@click.option("--all", "everything", is_flag=True, help="Forget all handles. So does a call that names none.")
@output_option
@click.pass_obj
def flush(context: CommandContext, handles: tuple[str, ...], everything: bool) -> None:
    """Forget what is remembered of the handles named, or of all. Workers of a running node do so within 0.2 s."""
    from contextlib import closing

    from admin.local_store import named_handle
    from admin.shared_cache import expected
    from resolver.cache.cache import cache_key

    if everything and handles:
        raise click.UsageError("name handles, or --all, not both")
    keys = [cache_key(named_handle(handle)) for handle in handles]
    with closing(expected(context.load())) as answers:
        count = sum(answers.forget(key) for key in keys) if keys else answers.forget(None)
    if context.is_table:
        noun = "handle" if count == 1 else "handles"
        say(context, f"forgotten: {count:,} {noun} here, and whatever workers have of them")
    else:
        print_object(context, {"forgotten": count})
