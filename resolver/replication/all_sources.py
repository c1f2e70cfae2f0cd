"""The form of a request for transactions that names every source: how far the asker is with ours, and our own name.

We take no changes from others, so our queue is the only one that is told. Sources: spec, protocol: sections 6.17 and
10; spec, resolution: section 8.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from protocol.errors import Malformed
from protocol.site import Site
from protocol.value import read_values
from protocol.wire import Reader
from storage.base import StoreView

_SITE_TYPE: Final = b"HS_SITE"
_I64_MAX: Final = 0x7FFFFFFFFFFFFFFF
_HOMED_LOOKED_AT: Final = 64  # Prefix records in which the site's own value is looked for: it stands in each of them.


@dataclass(frozen=True, slots=True)
class Position:
    """How far somebody followed a queue: the last transaction that it has and its last date, in ms since 1970."""

    number: int = 0
    date_ms: int = 0


def position_in(state: bytes, queue: bytes) -> Position:
    """The position in the queue of that name, the start where it is not named; `Malformed` for what is no such text."""
    try:
        found = json.loads(state)
        servers = found["replicationServerStates"]
        entry = servers.get(queue.decode(errors="replace"), {})
        number, date_ms = entry.get("lastTxnId", 0), entry.get("lastTimestamp", 0)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Malformed(f"a replication state that cannot be read: {type(error).__name__}") from error
    return Position(_number(number), _number(date_ms))


def _number(found: Any) -> int:
    if not isinstance(found, int) or isinstance(found, bool) or abs(found) > _I64_MAX:
        raise Malformed("a replication state without numbers")
    return found


def queue_name(view: StoreView, site: Site, server_number: int) -> bytes:
    """`<server number>:<index>:<handle>` of the value that holds this site, in a record of a homed prefix.

    Where no record tells it yet, index 1 of the first homed prefix stands for it.
    """
    octets, homed = site.to_bytes(), sorted(view.homed())
    for handle in homed[:_HOMED_LOOKED_AT]:
        record = view.get(handle)
        for value in () if record is None else read_values(Reader(record.values)):
            if value.type.upper() == _SITE_TYPE and value.data == octets:
                return b"%d:%d:%s" % (server_number, value.index, handle)
    return b"%d:1:%s" % (server_number, homed[0] if homed else b"0.NA/0.NA")
