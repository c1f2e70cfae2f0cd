"""The certificate that new TLS connections are met with, and the change to another one while the node runs.

Connections that stand keep what they began with. A new certificate that cannot be used changes nothing but the log.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from protocol.trust.keys import PrivateKey, UnusableKey, public_of
from resolver.certificate import BadCertificate, doubts, read_certificate
from resolver.config import TlsSection
from resolver.tls import own_context, server_context
from resolver.tls_connection import TlsConnection

log = logging.getLogger(__name__)

HANDSHAKE_THREADS: Final = 2
"""As many as compute proofs: a handshake is one signature, 1.4 ms with RSA-2048, in which the loop does other things.

What waits for them is bounded by the connections that a node takes: each has one step of its handshake under way.
"""

_OLDEST: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class ServerTls:
    """TLS of one process, by its configuration. `server_key` is the node's own; `now_s` seconds since 1970.

    `BadCertificate` where no TLS can be spoken with what is configured.
    """

    def __init__(self, section: TlsSection, server_key: PrivateKey, *, now_s: Callable[[], float]) -> None:
        self._section = section
        self._server_key = server_key
        self._now_s = now_s
        self._context = self._made()
        self._threads = ThreadPoolExecutor(HANDSHAKE_THREADS, thread_name_prefix="handshake")

    @property
    def context(self) -> ssl.SSLContext:
        """What a connection that comes now is met with."""
        return self._context

    def wrapped(self, inner: asyncio.Protocol) -> TlsConnection:
        """TLS around what a new connection shall carry."""
        return TlsConnection(inner, self._context, self._threads)

    def reload(self) -> bool:
        """Read the files again; whether new connections are met with what they hold now. Never raises."""
        if self._section.cert is None:
            log.info("no certificate to load: [tls] names none, and the server key's own never changes")
            return False
        try:
            self._context = self._made()
        except BadCertificate as error:
            log.error("the certificate is not changed, the old one goes on: %s", error)
            return False
        log.info("new TLS connections are met with the certificate that %s holds now", self._section.cert)
        return True

    def _made(self) -> ssl.SSLContext:
        section, oldest = self._section, _OLDEST[self._section.min_version]
        if section.cert is None or section.key is None:
            try:
                return own_context(self._server_key, oldest)
            except UnusableKey as error:
                raise BadCertificate(f"the server key makes no certificate: {error}", "name one under [tls]") from error
        found = read_certificate(section.cert, section.key)
        try:
            context = server_context(found.chain, found.key, oldest)
        except ssl.SSLError as error:
            why = error.reason or error
            raise BadCertificate(f"TLS cannot be spoken with {section.cert}: {why}", "hnode doctor") from error
        for doubt in doubts(found, public_of(self._server_key), self._now_s()):
            log.warning("%s", doubt)
        return context
