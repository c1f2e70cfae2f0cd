"""TLS between a connection and what it carries: octets of the net on one side, octets in the clear on the other.

To the event loop it is a protocol, to what it carries a transport. The loop's own TLS tells nobody of a connection
before its handshake is over; here it counts for the limits of its source, and has a deadline, from its first moment.

The steps of the handshake are made by threads, since one of them signs with the server's key. While a step is under way
nothing is read, and nothing else touches what it works on.
"""

import asyncio
import logging
import ssl
from concurrent.futures import Executor
from typing import Any, Final, cast

log = logging.getLogger(__name__)

READ_SIZE: Final = 65_536  # Octets in the clear that one read may give; a record has 16,384 at most.


class TlsConnection(asyncio.Protocol, asyncio.Transport):
    """One connection, this side as the TLS server. `inner` gets a transport, namely this, as soon as there is one.

    What `inner` writes before the handshake is over is lost: it has heard nothing yet that it could answer.
    """

    def __init__(self, inner: asyncio.Protocol, context: ssl.SSLContext, threads: Executor) -> None:
        super().__init__()
        self._inner = inner
        self._threads = threads
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._transport: asyncio.Transport | None = None
        self._is_open = False  # Whether the handshake is over.
        self._is_shaking = False  # Whether a thread makes a step of it.
        self._early = b""  # What came meanwhile.
        self._is_paused = False  # Whether `inner` wants to read no more.
        self._is_closing = False
        self._has_ended = False  # Whether the peer will send no more.

    # As a protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The peer is there; the handshake begins with its first octets."""
        self._transport = cast(asyncio.Transport, transport)
        self._inner.connection_made(self)

    def data_received(self, data: bytes) -> None:
        """Octets of the net: go on with the handshake, or hand over what they say."""
        if self._has_ended or self.is_closing():
            return
        if self._is_shaking:
            self._early += data
            return
        self._incoming.write(data)
        if self._is_open:
            self._hand_over()
        else:
            self._shake()

    def _shake(self) -> None:
        """Begin a step of the handshake."""
        assert self._transport is not None
        self._is_shaking = True
        self._transport.pause_reading()
        step = asyncio.get_running_loop().run_in_executor(self._threads, _is_over, self._tls)
        step.add_done_callback(self._on_step)

    def _on_step(self, step: "asyncio.Future[bool]") -> None:
        self._is_shaking = False
        if step.cancelled() or self.is_closing():
            return
        assert self._transport is not None
        try:
            self._is_open = step.result()
        except (ssl.SSLError, OSError) as error:
            self._fail(error)
            return
        self._flush()
        early, self._early = self._early, b""
        if not self._is_paused:
            self._transport.resume_reading()
        if early:
            self.data_received(early)
        elif self._is_open:
            self._hand_over()

    def _hand_over(self) -> None:
        try:
            clear, self._has_ended = self._clear()
        except ssl.SSLError as error:
            self._fail(error)
            return
        self._flush()
        if clear:
            self._inner.data_received(clear)
        if self._has_ended and not self.is_closing() and not self._inner.eof_received():
            self.close()

    def _clear(self) -> tuple[bytes, bool]:
        """All that can be decrypted now, and whether the peer has told its end."""
        parts = []
        try:
            while part := self._tls.read(READ_SIZE):
                parts.append(part)
        except ssl.SSLWantReadError:
            return b"".join(parts), False
        return b"".join(parts), True

    def _fail(self, error: OSError) -> None:
        """Say so in TLS, as far as it can be said, and end: nothing that comes now can be believed."""
        log.debug("TLS with %s ended: %s", self.get_extra_info("peername"), getattr(error, "reason", None) or error)
        self._has_ended = True
        self._flush()
        self._end()

    def eof_received(self) -> bool:
        """The peer's last octet has come, with a word of TLS before or without. Messages tell their own lengths."""
        if self._has_ended:
            return True  # `inner` has heard it, and ends the connection when it has answered.
        self._has_ended = True
        return self._is_open and bool(self._inner.eof_received())

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell it."""
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """The peer does not take what it is sent."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """It took it."""
        self._inner.resume_writing()

    # As a transport

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send octets, encrypted."""
        if not data or not self._is_open or self.is_closing():
            return
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._tls.write(rest) :]
        except ssl.SSLError as error:
            self._fail(error)
            return
        self._flush()

    def close(self) -> None:
        """Send what is written and the end, and close."""
        if self.is_closing():
            return
        if self._is_open:
            try:
                self._tls.unwrap()
            except ssl.SSLError:  # The peer has not told its own end yet, and need not.
                pass
            self._flush()
        self._end()

    def _end(self) -> None:
        assert self._transport is not None
        self._is_closing = True
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._is_closing = True
        if self._transport is not None:
            self._transport.abort()

    def is_closing(self) -> bool:
        """Whether no more can be sent."""
        return self._is_closing or self._transport is None or self._transport.is_closing()

    def _flush(self) -> None:
        octets = self._outgoing.read()
        if octets and self._transport is not None and not self._transport.is_closing():
            self._transport.write(octets)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`ssl_object`, and all that the connection below knows."""
        if name == "ssl_object":
            return self._tls
        return default if self._transport is None else self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Take no more octets of the net."""
        self._is_paused = True
        if self._transport is not None and not self.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take them again."""
        self._is_paused = False
        if self._transport is not None and not self.is_closing() and not self._is_shaking:
            self._transport.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Bounds of octets, encrypted, that the peer has not taken."""
        if self._transport is not None:
            self._transport.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Octets, encrypted, that the peer has not taken."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()


def _is_over(tls: ssl.SSLObject) -> bool:
    """Make a step of the handshake; whether it was the last, or the peer has to say more."""
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
