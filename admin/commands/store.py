"""`hnode store …`: what the local store holds, how large it is, and whether every record in it can be read."""

import click

from admin.context import CommandContext
from admin.errors import ExitCode
from admin.output import output_option, print_object, printable, say


@click.group(name="store")
def command() -> None:
    """Look into the store, and verify it."""


@command.command(name="stat", epilog="Example:  hnode store stat -o json")
@output_option
@click.pass_obj
def stat(context: CommandContext) -> None:
    """Print counts and sizes in octets, and what an identifier takes of the disk."""
    from admin.local_store import opened_store

    with opened_store(context, read_only=True) as store, store.view() as view:
        facts = view.facts()
    shown: dict[str, object] = {
        "records": facts.records,
        "homed": facts.homed,
        "journal_rows": facts.journal_rows,
        "last_number": facts.last_number,
        "map_size": facts.map_size,
        "used_size": facts.used_size,
        "file_size": facts.file_size,
        "octets_per_record": round(facts.used_size / facts.records, 1) if facts.records else None,
    }
    print_object(context, shown | facts.details)


@command.command(name="verify", epilog="Example:  hnode store verify && echo sound")
@output_option
@click.pass_obj
def verify(context: CommandContext) -> int:
    """Read every record and journal row, and say what is wrong with them. Exit code 1 where something is."""
    from admin.local_store import opened_store

    with opened_store(context, read_only=True) as store:
        problems = store.verify()
        with store.view() as view:
            facts = view.facts()
    if context.is_table:
        for problem in problems:
            click.echo(printable(problem))
        if not problems:
            say(context, f"sound: {facts.records:,} records, {facts.journal_rows:,} journal rows")
    else:
        print_object(context, {"records": facts.records, "journal_rows": facts.journal_rows, "problems": problems})
    return ExitCode.FAILED if problems else ExitCode.OK
