"""Real nodes with the keys and the records of the captured messages, and what their log says."""

import json
import os
import re
import select
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from protocol.trust.keys import private_pem, public_key_octets, public_of
from protocol.value import HandleValue, value_list
from resolver.config_loading import load_config
from resolver.identity import identity_change, new_identity
from storage.base import Change, HomePrefix, PutRecord
from storage.lmdb_store import LmdbStore
from tests.support.running import RunningNode
from tests.support.trust_vectors import SEEN_AT, server_key_seen

LOG_S = 5.0
Records = Mapping[bytes, Sequence[HandleValue]]


class VectorNode(RunningNode):
    """A node of two workers with the captured server's key, and just these records and homed prefixes."""

    def __init__(
        self, folder: Path, records: Records, *, homed: Sequence[bytes], env: dict[str, str] | None = None
    ) -> None:
        keys = folder / "keys"
        keys.mkdir(parents=True, mode=0o700)
        (keys / "server.pem").touch(mode=0o600)
        (keys / "server.pem").write_bytes(private_pem(server_key_seen()))
        named = {"HNODE_NODE__NAME": "CNRI 9.3.1 local peer", **(env or {})}
        super().__init__(folder, prefixes=(), env=named, workers=2)
        config = load_config(self.config, self.env).config
        identity = new_identity(config, public_key_octets(public_of(server_key_seen())), now_s=SEEN_AT)
        self._apply(identity_change(identity), *[HomePrefix(prefix) for prefix in homed])
        self.put(records)

    def put(self, records: Records) -> None:
        """Write whole records as they are, beside the protocol; the node may be running."""
        self._apply(*[PutRecord(handle, value_list(values)) for handle, values in records.items()])

    def _apply(self, *changes: Change) -> None:
        store = LmdbStore.open(self.folder / "store")
        try:
            outcomes = store.apply(changes, now_ms=SEEN_AT * 1000)
        finally:
            store.close()
        assert not any(outcome.error for outcome in outcomes)

    def heard(self) -> int:
        """Where the log is by now: what is told after comes behind it."""
        return len(self.log)

    def told(self, pattern: str, *, after: int = 0, timeout_s: float = LOG_S) -> str:
        """The text of the first line of the log behind that place that matches; fails where none comes in time."""
        end = time.monotonic() + timeout_s
        while True:
            for line in self.log[after:].decode(errors="replace").splitlines():
                if line.startswith("{") and line.endswith("}"):
                    text: str = json.loads(line)["text"]
                    if re.search(pattern, text):
                        return text
            left = end - time.monotonic()
            assert left > 0, f"no {pattern!r} in: {self.log[after:].decode(errors='replace')}"
            self.read_log(min(left, 0.2))

    def read_log(self, timeout_s: float = 0) -> None:
        """Take what the log has brought."""
        assert self.process is not None
        assert self.process.stderr is not None
        readable, _, _ = select.select([self.process.stderr], [], [], timeout_s)
        if readable:
            self.log += os.read(self.process.stderr.fileno(), 65_536)

    def processes(self) -> list[int]:
        """The supervisor and its workers."""
        assert self.process is not None
        return [self.process.pid, *self.worker_pids()]

    def memory(self) -> int:
        """Octets that all processes hold for themselves: what no file backs."""
        found = 0
        for process in self.processes():
            status = Path(f"/proc/{process}/status").read_text()
            held = re.search(r"RssAnon:\s+(\d+) kB", status)
            assert held
            found += int(held[1]) * 1024
        return found
