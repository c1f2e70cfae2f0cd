"""`hnode init`: make a node, or complete one, without a question."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from admin.context import CommandContext
from admin.output import output_option, padded, print_json, print_line, say, styled
from admin.texts import text

if TYPE_CHECKING:
    from admin.setup.initialise import Made
    from protocol.trust.keys import PublicKey

_NAME_WIDTH = 16
ROLES = ("root", "national", "secondary", "enterprise", "recursive")
_PORT = click.IntRange(0, 65535)


@click.command(name="init", epilog="Example:  hnode init ./node --prefix 88.100 --listen 127.0.0.1 --port 0")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--role", type=click.Choice(ROLES), help="Set what nodes of that role have by default.")
@click.option("--prefix", "prefixes", metavar="P", multiple=True, help="A prefix to serve; may be given again.")
@click.option(
    "--bootstrap",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The folder that names the root: see hnode upstream bootstrap.",
)
@click.option("--listen", metavar="ADDR", multiple=True, help="An IP address to listen at.  [default: 0.0.0.0 and ::]")
@click.option("--port", type=_PORT, default=2641, show_default=True, help="For UDP and TCP; 0 picks a free one.")
@click.option("--http-port", type=_PORT, help="Write a listener for the public JSON API; 0 picks a free port.")
@click.option("--admin-port", type=_PORT, help="Write a loopback listener for the console; 0 picks a free port.")
@output_option
@click.pass_obj
def command(
    context: CommandContext,
    folder: Path,
    role: str | None,
    prefixes: tuple[str, ...],
    bootstrap: Path | None,
    listen: tuple[str, ...],
    port: int,
    http_port: int | None,
    admin_port: int | None,
) -> None:
    """Make a node in DIR: configuration, server key, store, and the records and keys of its prefixes.

    What is there already is kept; another --prefix in a second run homes that one as well.
    """
    from admin.setup.initialise import Wish, initialise

    wish = Wish(
        folder=folder,
        prefixes=prefixes,
        listen=listen,
        port=port,
        http_port=http_port,
        admin_port=admin_port,
        role=role,
        bootstrap=bootstrap,
    )
    made = initialise(wish, context.environment, now_s=int(time.time()))
    if context.is_table:
        _tell(context, made)
    else:
        print_line(_as_json(made)) if context.output == "jsonl" else print_json(_as_json(made))


def _tell(context: CommandContext, made: "Made") -> None:
    from resolver.config_units import size_text

    lang, config, path = context.lang, made.config, made.loaded.path
    facts = text("init.store.facts", lang, map=size_text(config.store.map_size), records=made.records)
    _line(context, "init.config", str(path), text("init.config.hint", lang), made.config_is_new)
    short = f"{made.fingerprint[:15]}…{made.fingerprint[-4:]}"
    key = config.node.server_key
    _line(context, "init.key", str(key), f"{_kind(made.key)}  {short}  ({_mode(key)})", made.key_is_new)
    _line(context, "init.store", str(config.node.data_dir), facts, made.store_is_new)
    for prefix in made.prefixes:
        homed = text("init.prefix.new", lang, prefix=prefix.prefix)
        _line(context, "init.prefix", homed, "", prefix.is_new)
        if prefix.key is not None:
            admin = f"300:0.NA/{prefix.prefix.upper()}"
            _line(context, "init.admin", str(prefix.key), f"{admin}  ({_mode(prefix.key)})", prefix.is_new)
    if config.node.role == "root":
        _line(
            context,
            "init.root",
            str(path.parent / "keys" / "root.pem"),
            text("init.root.hint", lang),
            made.store_is_new,
        )
    if not made.homed and config.node.role != "recursive":
        say(context, text("init.no_prefix", lang, folder=path.parent))
    say(context, f"{text('init.next', lang)}  hnode --config {path} serve")


def _kind(key: "PublicKey") -> str:
    from protocol.trust.keys import RsaPublicKey

    return f"RSA-{key.modulus.bit_length()}" if isinstance(key, RsaPublicKey) else "DSA"


def _mode(path: Path) -> str:
    return f"{path.stat().st_mode & 0o777:04o}"


def _line(context: CommandContext, key: str, what: str, facts: str, is_new: bool) -> None:
    mark = styled(context, "✓", fg="green")
    kept = "" if is_new else "  " + text("init.kept", context.lang)
    name = padded(text(key, context.lang), _NAME_WIDTH)
    say(context, f"{mark} {name}{padded(what, 32)}  {facts}{kept}".rstrip())


def _as_json(made: "Made") -> dict[str, object]:
    config = made.config
    return {
        "config": str(made.loaded.path),
        "role": config.node.role,
        "store": str(config.node.data_dir),
        "serverKey": str(config.node.server_key),
        "fingerprint": made.fingerprint,
        "listen": {
            name: [str(endpoint) for endpoint in getattr(config, name).listen]
            for name in ("udp", "tcp", "http", "admin")
        },
        "prefixes": [
            {"prefix": p.prefix, "new": p.is_new, "adminKey": str(p.key) if p.key else None} for p in made.prefixes
        ],
    }
