"""Files that appear whole or not at all: written beside their place, made durable, then moved there."""

import glob
import os
import secrets
from pathlib import Path
from typing import Final

from admin.errors import Failure

PRIVATE: Final = 0o600
"""Mode of a file with a private key or a secret: its owner alone."""

PUBLIC: Final = 0o644
PRIVATE_FOLDER: Final = 0o700
_UNFINISHED: Final = ".part"


def write_whole(path: Path, octets: bytes, *, mode: int, replace: bool = False) -> None:
    """Write a file so that no reader and no crash ever sees a part of it; its mode is `mode` from the first moment.

    `FileExistsError` where it stands already and `replace` is not said; other `OSError`s leave nothing behind.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_UNFINISHED}")
    # O_EXCL: no link that somebody laid there is followed.
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)  # Whatever the process's umask takes away.
            file.write(octets)
            file.flush()
            os.fsync(descriptor)
        if replace:
            beside.rename(path)
        else:
            os.link(beside, path)  # Unlike a rename it fails where the name is taken.
            beside.unlink()
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def remove_unfinished(path: Path) -> None:
    """Remove what runs left behind that were killed while they wrote this file. No run may be writing it now."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.????????{_UNFINISHED}"):
        left.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path, *, mode: int = 0o755) -> None:
    """The folder, its parents as needed; a `Failure` that names the file in the way where there is one."""
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        in_the_way = next((part for part in (folder, *folder.parents) if part.is_file()), folder)
        raise Failure(
            f"the folder {folder} cannot be made", f"{in_the_way} is a file", "choose another folder"
        ) from error
    except OSError as error:
        raise Failure(f"the folder {folder} cannot be made", error.strerror or str(error)) from error
