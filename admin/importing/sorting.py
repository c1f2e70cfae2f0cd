"""The rows of a file in the order of their storage keys, in bounded memory. Reads no file of rows and no store.

A store that is filled in key order has full pages and touches each of them once. Few rows are sorted in memory; of
more, sorted runs go to a temporary folder (that of the system, or what TMPDIR names) and are merged.
"""

import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Final, Self

from admin.importing.rows import FileRefused, Row
from admin.importing.runs import Entry, merged, write_run
from storage.base import StoreError
from storage.keys import storage_key

RUN_ROWS: Final = 20_000
RUN_OCTETS: Final = 16 * 1024 * 1024  # Of handles and values: where rows are large, a run holds fewer of them.
RUNS_OPEN_MAX: Final = 100  # Runs that are merged at a time: each takes a file and the memory of a block.


class SortedRows:
    """Takes rows in any order, and gives them in that of their keys, as often as asked. A context manager.

    `case_sensitive` as of the store.
    """

    def __init__(self, *, case_sensitive: bool) -> None:
        self.count = 0
        self._case_sensitive = case_sensitive
        self._entries: list[Entry] = []
        self._octets = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._runs: list[Path] = []
        self._runs_made = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, rows: Sequence[Row]) -> None:
        """Take rows; `FileRefused` where the temporary folder does not hold them."""
        case_sensitive = self._case_sensitive
        for row in rows:
            _, handle, values = row
            if len(self._entries) >= RUN_ROWS or self._octets >= RUN_OCTETS:
                self._put_down()
            self._entries.append((storage_key(handle, case_sensitive=case_sensitive), row))
            self._octets += len(handle) + len(values)
        self.count += len(rows)

    def finished(self) -> Iterator[None]:
        """Bring the runs down to as many as can be merged at a time: to be run to its end behind the last `add`.

        A long work where there are very many rows, it gives way now and then.
        """
        self._entries.sort()
        if self._runs and self._entries:
            self._put_down()
        while (surplus := len(self._runs) - RUNS_OPEN_MAX) > 0:
            yield
            joined = self._runs[: min(RUNS_OPEN_MAX, surplus + 1)]
            self._write_run(chain.from_iterable(merged(joined)))
            self._runs = self._runs[len(joined) :]
            for path in joined:
                path.unlink()

    def pieces(self) -> Iterator[list[Entry]]:
        """All entries in order, some at a time; `StoreError` where the temporary folder cannot be read."""
        if not self._runs:
            yield self._entries
            return
        pieces = merged(self._runs)
        while True:
            try:
                piece = next(pieces, None)
            except OSError as error:
                raise StoreError(f"sorted rows cannot be read again: {error}. Look at the temporary folder") from error
            if piece is None:
                return
            yield piece

    def _put_down(self) -> None:
        """Write what is in memory as a run."""
        self._entries.sort()
        self._write_run(self._entries)
        self._entries, self._octets = [], 0

    def _write_run(self, entries: Iterator[Entry] | list[Entry]) -> None:
        with self._told_as_refusal():
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="hnode-import-", ignore_cleanup_errors=True)
            self._runs_made += 1
            path = Path(self._folder.name) / str(self._runs_made)
            write_run(path, entries)
            self._runs.append(path)

    @contextmanager
    def _told_as_refusal(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            where = "the temporary folder" if self._folder is None else self._folder.name
            said = f"{where} does not take the sorted rows: {error.strerror}: nothing was written"
            raise FileRefused(f"{said}. Make room there, or name another folder in the environment's TMPDIR") from error
