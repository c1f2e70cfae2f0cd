"""A node's folder without keys and sockets: a configuration and a store with two homed prefixes, for local commands."""

from pathlib import Path
from typing import Any

from protocol.value import HandleValue, read_values
from protocol.wire import Reader
from storage.base import HomePrefix, JournalRow
from storage.lmdb_store import LmdbStore
from tests.support.command import Ended, hnode


class LocalNode:
    """The folder, and `hnode` commands on it. Prefixes 88.100 and 88.200 are homed."""

    def __init__(self, folder: Path, *, settings: str = "", map_size: int = 1 << 30) -> None:
        self.folder = folder
        self.config = folder / "hnode.toml"
        self.config.write_text(f'[node]\ndata_dir = "store"\n{settings}')
        store = LmdbStore.create(folder / "store", map_size=map_size)
        store.apply([HomePrefix(b"0.NA/88.100"), HomePrefix(b"0.NA/88.200")], now_ms=1)
        store.close()

    def run(self, *arguments: object) -> Ended:
        """One command line with this configuration."""
        return hnode("--config", self.config, *arguments)

    def json(self, *arguments: object) -> Any:
        """What a command that succeeds prints as JSON."""
        ended = self.run(*arguments, "-o", "json")
        assert ended.code == 0, ended
        return ended.json

    def values(self, handle: bytes) -> tuple[HandleValue, ...] | None:
        """The stored values, or None."""
        store = LmdbStore.open(self.folder / "store")
        try:
            with store.view() as view:
                record = view.get(handle)
        finally:
            store.close()
        return None if record is None else read_values(Reader(record.values))

    def texts(self, handle: bytes) -> dict[int, str] | None:
        """The stored data as text by index, or None."""
        values = self.values(handle)
        return None if values is None else {value.index: value.data.decode(errors="replace") for value in values}

    def journal(self) -> list[JournalRow]:
        """All journal rows but the two of the homed prefixes."""
        store = LmdbStore.open(self.folder / "store")
        try:
            with store.view() as view:
                return view.journal(after=2, limit=10_000)
        finally:
            store.close()
