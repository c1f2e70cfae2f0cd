"""The process beside the workers that writes the store: the node's one writer, behind a door that all knock at."""

import logging
import os
import signal
import socket
from collections.abc import Callable

from admin.local_store import now_ms, open_store
from resolver.config import Config
from storage.writer_server import WriterServer

log = logging.getLogger(__name__)


def write(config: Config, door: socket.socket, ready: Callable[[], None]) -> int:
    """The life of the process: until SIGTERM, and until those who still have a connection have gone."""
    told, tells = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.set_wakeup_fd(tells)
    with open_store(config) as store:
        server = WriterServer(store, door, now_ms)
        ready()
        server.run(told)
    if server.commits:
        log.info("%d changes were made in %d commits", server.changes, server.commits)
    return 0
