"""What `0.SITE/status` tells server administrators: the state of the process, and that of replication.

Source: spec, resolution: section 6.4.
"""

import json
import resource

from resolver.clock import Clock
from resolver.counters import Counter, Counters
from storage.base import HandleStore

_KIB = 1_024


class StateText:
    """The texts of one process; `numreqs` and `runtime` (ms) count from its start."""

    def __init__(self, store: HandleStore, counters: Counters, clock: Clock) -> None:
        self._store = store
        self._counters = counters
        self._clock = clock
        self._started = clock.monotonic()

    def __call__(self) -> tuple[bytes, bytes]:
        """The state as `name=number; …`, and replication as JSON."""
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB
        counts = self._counters.counts
        asked = int(counts[Counter.UDP_DATAGRAMS] + counts[Counter.TCP_MESSAGES])
        runtime = int((self._clock.monotonic() - self._started) * 1000)
        state = f"freemem=0; totalmem={used}; maxmem={used}; runtime={runtime}; numreqs={asked}"
        with self._store.view() as view:
            last = view.facts().last_number
        return state.encode(), json.dumps({"latestTxnId": last, "replicationStatus": {}}).encode()
