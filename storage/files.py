"""The files of a store before the engine opens them: folder, table of readers, what a failed start left."""

import os
import sys
from pathlib import Path
from typing import Final

_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_MAGIC: Final = 0xBEEFC0DE.to_bytes(4, sys.byteorder)
_MAGIC_AT: Final = 16
_TABLE_FILE: Final = "lock.mdb"
_TABLE_ENTRY: Final = 64  # Octets of the table that the engine keeps for a reader.
_TABLE_HEAD: Final = 2  # Entries that its own head takes.


def prepared(path: Path, data_file: str, *, readers_max: int) -> None:
    """Have all that a new store needs before it is opened; one that stands is left alone. `OSError` where it fails."""
    path.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    _clear_of_unfinished(path / data_file)
    _reserve_reader_table(path / _TABLE_FILE, readers_max)


def _clear_of_unfinished(data: Path) -> None:
    """Empty a file of the engine that is too short for the two pages that it begins with: its disk was full then."""
    try:
        size = data.stat().st_size
    except FileNotFoundError:
        return
    if 0 < size < 2 * os.sysconf("SC_PAGE_SIZE") and data.read_bytes()[_MAGIC_AT:].startswith(_MAGIC):
        os.truncate(data, 0)


def _reserve_reader_table(table: Path, readers: int) -> None:
    """Have the disk give the room of the engine's table of readers, where there is none yet.

    The engine writes the table through memory, in a file with holes: where the disk had no room for them, the process
    would end by a signal. A table that is there is not touched: to close it would give up the locks of this process.
    """
    if table.exists() and table.stat().st_size:
        return
    descriptor = os.open(table, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
    try:
        os.posix_fallocate(descriptor, 0, (readers + _TABLE_HEAD) * _TABLE_ENTRY)
    finally:
        os.close(descriptor)


def extended(data: Path, size: int) -> None:
    """Have a file of the engine reach as far as its pages are counted; what lies in it is not touched.

    The engine reads the file through memory: behind the end of one that was cut short, by a copy that broke off, the
    process would end by a signal. Pages of zeros it tells as damaged. It may also have counted pages at the end which
    it then did not need to write, and such a file is sound: its length alone says nothing.
    """
    short = size - data.stat().st_size
    if short <= 0:
        return
    descriptor = os.open(data, os.O_RDWR | os.O_CLOEXEC)
    try:
        # Never shorter, should another process write meanwhile; a hole but for the last octet.
        os.posix_fallocate(descriptor, size - 1, 1)
    finally:
        os.close(descriptor)


def synced(path: Path) -> None:
    """Have the disk keep the names of a new folder and of the files in it."""
    for folder in (path, path.parent):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
