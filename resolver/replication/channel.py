"""A mirror's connection to its source: octets in the clear, and from a point that the stream tells, within TLS.

TLS is laid over octets in memory. So whatever was read too far goes into the handshake, and nothing is lost at the
border. Source: spec, resolution: sections 7.1 and 10.5.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final, Self, TypeVar

_Result = TypeVar("_Result")

READ_SIZE: Final = 65_536
CONNECT_S: Final = 20.0
"""How long a source may take to accept a connection."""

SILENCE_S: Final = 300.0
"""How long a source may send nothing: it may look through many records of which none is for us."""


class Cut(ConnectionError):
    """The source cannot be reached, was silent for too long, broke the connection, or no TLS came about."""


class Unreachable(Cut):
    """The source takes no connection."""


class Channel:
    """One connection. Use as an async context manager; `silence_s` bounds each wait for octets."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, silence_s: float = SILENCE_S
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._silence_s = silence_s
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None

    @classmethod
    async def opened(cls, host: str, port: int, *, silence_s: float = SILENCE_S) -> Self:
        """A connection to that place; `Unreachable` where there is none within `CONNECT_S`."""
        try:
            async with asyncio.timeout(CONNECT_S):
                return cls(*await asyncio.open_connection(host, port), silence_s=silence_s)
        except TimeoutError as error:
            raise Unreachable(f"no connection within {CONNECT_S:g} s") from error
        except OSError as error:
            raise Unreachable(f"no connection: {error.strerror or error}") from error

    async def send(self, octets: bytes) -> None:
        """Send octets in the clear."""
        self._writer.write(octets)
        try:
            async with asyncio.timeout(self._silence_s):
                await self._writer.drain()
        except OSError as error:  # A timeout is one, too.
            raise Cut(f"nothing more could be sent: {error.strerror or 'it does not read'}") from error

    async def read(self) -> bytes:
        """The next octets, at most `READ_SIZE` of them; none at the end. `Cut` where none come in time."""
        if self._tls is None:
            return await self._arrived()
        tls = self._tls
        try:
            return await self._through(lambda: tls.read(READ_SIZE))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):  # That nothing is missing, the stream's own end tells.
            return b""

    async def secure(self, context: ssl.SSLContext, begun: bytes) -> ssl.SSLObject:
        """Shake hands as the TLS client; `begun` is what was read already of the other side's part."""
        self._incoming.write(begun)
        tls = context.wrap_bio(self._incoming, self._outgoing, server_side=False)
        await self._through(tls.do_handshake)
        self._tls = tls
        return tls

    async def _through(self, step: Callable[[], _Result]) -> _Result:
        """What a step of TLS gives, with octets carried in and out for as long as it wants some."""
        while True:
            try:
                found = step()
            except ssl.SSLWantReadError:
                await self._flush()
                octets = await self._arrived()
                if octets:
                    self._incoming.write(octets)
                else:
                    self._incoming.write_eof()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                raise
            except ssl.SSLError as error:
                raise Cut(f"TLS failed: {error.reason or error}") from error
            else:
                await self._flush()
                return found

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self.send(self._outgoing.read())

    async def _arrived(self) -> bytes:
        try:
            async with asyncio.timeout(self._silence_s):
                return await self._reader.read(READ_SIZE)
        except TimeoutError as error:
            raise Cut(f"nothing came for {self._silence_s:g} s") from error
        except OSError as error:
            raise Cut(f"the connection broke: {error.strerror or error}") from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.transport.abort()  # Nobody waits for the last octets: what was wanted has come.
        await asyncio.sleep(0)
