"""Short-lived sockets watched for the event loop by one epoll of their own.

To have the loop itself watch a socket costs some ten times as much as a question that is sent by it (measured with
uvloop: 100 µs for a datagram endpoint, 10 µs for a reader), and a question has a socket of its own.
"""

import asyncio
import select
from collections.abc import Callable
from typing import Final

from resolver.log_limits import limited

log = limited(__name__)

EVENTS_MAX: Final = 16
"""Sockets that one wake-up serves, some 100 µs each: answers to clients get their turn between two."""

READABLE: Final = select.EPOLLIN
WRITABLE: Final = select.EPOLLOUT

Ready = Callable[[], None]


class Watch:
    """Sockets and whom to call when something happens to them; an error counts as something to be read."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._ready: dict[int, Ready] = {}
        self._is_closed = False
        loop.add_reader(self._epoll.fileno(), self._serve)

    def __len__(self) -> int:
        return len(self._ready)

    def add(self, descriptor: int, events: int, ready: Ready) -> None:
        """Call `ready`, which must not raise, whenever one of the events stands."""
        self._epoll.register(descriptor, events)
        self._ready[descriptor] = ready

    def change(self, descriptor: int, events: int) -> None:
        """Watch for other events."""
        self._epoll.modify(descriptor, events)

    def forget(self, descriptor: int) -> None:
        """Watch no longer. The socket is to be closed at once: that takes it out of the epoll."""
        self._ready.pop(descriptor, None)

    def _serve(self) -> None:
        for descriptor, _ in self._epoll.poll(0, EVENTS_MAX):
            ready = self._ready.get(descriptor)
            if ready is not None:  # Else it was closed by one before it in this very round.
                try:
                    ready()
                except Exception:  # One fault must not stop the sockets of all others.
                    log.exception("fault while reading an answer")

    def close(self) -> None:
        """Watch nothing any more."""
        if not self._is_closed:
            self._is_closed = True
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._ready.clear()
