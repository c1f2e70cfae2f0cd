"""What a role gives a new node: prefixes and markers to home, and a root's records. Defaults, and nothing else.

Source: spec, resolution: section 6.1.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from admin.errors import ExitCode, Failure
from protocol.identifier import PREFIX_HANDLES, ROOT_PREFIX_HANDLE, folded
from resolver.bootstrap.deriving import faults_of
from resolver.bootstrap.files import NAMES, read_files

ROOT: Final = "root"
NATIONAL: Final = "national"
ROLES: Final = (ROOT, NATIONAL, "secondary", "enterprise", "recursive")

ROOT_PREFIXES: Final = ("0.NA", "0.0")
"""What a root homes: all prefix handles, and the handle whose keys end every chain of signatures."""


def role_prefixes(role: str, wished: Sequence[str]) -> tuple[str, ...]:
    """The prefixes to home: those of the role, then those wished for, each once."""
    own = ROOT_PREFIXES if role == ROOT else ()
    return tuple({prefix.upper(): prefix for prefix in (*own, *wished)}.values())


def role_markers(role: str, prefixes: Sequence[str]) -> tuple[bytes, ...]:
    """The markers to home: a national node says that the prefixes derived from its own are kept here."""
    if role != NATIONAL:
        return ()
    return tuple([folded(ROOT_PREFIX_HANDLE + b"/" + prefix.encode()) for prefix in prefixes])


def expect_role(wished: str | None, configured: str, path: object) -> None:
    """A `Failure` where a node that stands already has another role than the one that was asked for."""
    if wished is not None and wished != configured:
        why = f"{path} says role = {configured!r}, and what stands is kept"
        raise Failure(f"the node cannot become {wished!r}", why, f'write role = "{wished}" there', code=ExitCode.USAGE)


assert all(not prefix.encode().startswith(PREFIX_HANDLES) for prefix in ROOT_PREFIXES)


def expect_bootstrap(wished: Path | None, configured: Path | None, path: object) -> None:
    """A `Failure` where a node that stands already learns of the root from another folder than the one named."""
    if wished is not None and (configured is None or configured.resolve() != wished.resolve()):
        says = "names none" if configured is None else f"names {configured}"
        why = f"[upstream] bootstrap_dir in {path} {says}, and what stands is kept"
        then = f'write bootstrap_dir = "{wished.absolute()}" there'
        raise Failure(f"the node cannot learn of the root from {wished}", why, then, code=ExitCode.USAGE)


def expect_readable(folder: Path | None) -> None:
    """A `Failure` where a folder that shall name the root has a file that cannot be used.

    An empty one may be filled later: before that nobody is asked.
    """
    if folder is None or not any((folder / name).exists() for name in NAMES):
        return
    for fault in faults_of(read_files(folder)):
        what = f"the root is not known by {folder}"
        raise Failure(what, f"{fault.path}: {fault.why}", fault.then, code=ExitCode.CONFIG)
