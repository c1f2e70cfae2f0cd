"""`hnode version`: the versions of the program and of what it stands on."""

import platform
from importlib import metadata

import click

from admin.context import JSON, CommandContext
from admin.output import output_option, print_object

_LIBRARIES = ("lmdb", "uvloop", "cryptography", "pydantic", "msgpack", "click")


@click.command(name="version", epilog="Example:  hnode version --json")
@click.option("--json", "as_json", is_flag=True, help="The same as -o json.")
@output_option
@click.pass_obj
def command(context: CommandContext, as_json: bool) -> None:
    """Print versions: program, protocol, store format, Python and libraries."""
    from protocol.version import NEWEST, OLDEST
    from storage.layout import FORMAT_VERSION

    if as_json:
        context.output = JSON
    fields = {
        "hnode": metadata.version("hnode"),
        "protocol": str(NEWEST),
        "protocol_oldest": str(OLDEST),
        "store_format": FORMAT_VERSION,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in _LIBRARIES},
    }
    print_object(context, fields)
