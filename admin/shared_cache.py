"""The answers of other nodes that a node's processes share: made at the start, opened by workers and by commands."""

from pathlib import Path
from typing import Final

from admin.errors import ExitCode, Failure
from resolver.config import Config
from storage.answers import Answers
from storage.base import StoreError

CACHE_FOLDER: Final = Path("run") / "cache"
"""Where they are, in the node's data folder."""


def prepare(config: Config) -> None:
    """Have them ready for workers: what a node of before left stays good. A `Failure` where they cannot be made."""
    if not config.cache.shared_size:
        return
    try:
        Answers.prepare(config.node.data_dir / CACHE_FOLDER, config.cache.shared_size).close()
    except StoreError as error:
        raise Failure("the shared cache cannot be used", str(error), 'shared_size = "0B" under [cache]') from error


def opened(config: Config) -> Answers | None:
    """The shared answers of a node that has prepared them; None where it is configured to have none."""
    if not config.cache.shared_size:
        return None
    return Answers(config.node.data_dir / CACHE_FOLDER, config.cache.shared_size)


def expected(config: Config) -> Answers:
    """The shared answers for a command; a `Failure` where there are none."""
    if not config.cache.shared_size:
        why = "[cache] shared_size is 0: each worker remembers for itself alone"
        raise Failure("there is no shared cache", why, "restart the node to forget everything", code=ExitCode.CONFIG)
    folder = config.node.data_dir / CACHE_FOLDER
    if not (folder / "data.mdb").exists():
        why = f"no node has run with {config.node.data_dir}"
        raise Failure("there is no shared cache", why, "hnode serve", code=ExitCode.UNREACHABLE)
    return Answers(folder, config.cache.shared_size)
