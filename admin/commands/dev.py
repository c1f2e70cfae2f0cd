"""`hnode dev`: a node for a look around, with sample data, gone without a trace at its end."""

import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from resolver.config import Config


@click.command(name="dev", epilog="Example:  hnode dev --port 2641")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="For UDP and TCP on loopback.  [default: free]")
def command(port: int) -> int:
    """Make a node in a temporary folder, fill it, print lines to copy, and serve on loopback until Ctrl-C.

    HNODE_ variables are not read: nothing that is configured elsewhere is touched.
    """
    from admin.serve import serve

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # Until the node serves, both signals end us tidily.
    with tempfile.TemporaryDirectory(prefix="hnode-dev-") as folder:
        config, lines = _prepared(Path(folder), port)

        def announce(ready: str) -> None:
            click.echo("\n".join(lines))
            click.echo(ready, err=True)

        return serve(config, announce=announce)


def _prepared(folder: Path, port: int) -> "tuple[Config, list[str]]":
    from admin.local_store import open_store
    from admin.setup.initialise import LOOPBACK, Wish, initialise
    from admin.setup.sample import SAMPLE_HANDLE, SAMPLE_PREFIX, load_sample

    wish = Wish(folder=folder, prefixes=(SAMPLE_PREFIX,), listen=(LOOPBACK,), port=port)
    made = initialise(wish, {}, now_s=int(time.time()))
    config, path = made.config, made.loaded.path
    store = open_store(config)
    try:
        records = load_sample(store)
    finally:
        store.close()
    at = str(config.udp.listen[0])
    return config, [
        f"A throw-away node with {records} records of a liquor's way from grain to bottle. Try in another terminal:",
        "",
        f"  hnode resolve {SAMPLE_HANDLE} --at {at}",
        f"  hnode resolve {SAMPLE_HANDLE} --at {at} --tcp --trace",
        f"  hnode resolve 0.NA/{SAMPLE_PREFIX} --at {at} --type HS_SITE -o json",
        f"  hnode --config {path} handle create {SAMPLE_PREFIX}/HELLO URL=https://example.com/",
        f"  hnode --config {path} doctor",
        "",
        "Ctrl-C ends it and removes everything.",
    ]
