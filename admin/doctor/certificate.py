"""The certificate of [tls]: whether TLS can be spoken with it, for how long, and whether a running node shows it."""

import socket
import ssl
import time
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from admin.doctor.findings import Finding, Level, worst
from admin.errors import Failure
from admin.setup.initialise import public_half
from protocol.errors import HandleError
from protocol.trust.keys import PublicKey, RsaPublicKey
from resolver.certificate import BadCertificate, doubts, has_expired, read_certificate
from resolver.client_tls import certified_key
from resolver.config import Config
from resolver.config_units import Endpoint

_RENEW: Final = "renew it, then send the node SIGHUP"
_TIMEOUT_S: Final = 3.0


def certificate(config: Config, now_s: float | None = None) -> Finding:
    """Whether what [tls] names can be used, and what clients may say of it."""
    section = config.tls
    try:
        key = public_half(config.node.server_key)
        if section.cert is None or section.key is None:
            return _own(key)
        found = read_certificate(section.cert, section.key)
    except BadCertificate as error:
        return Finding("tls", Level.FAIL, str(error), error.then)
    except (Failure, HandleError, OSError) as error:
        return Finding("tls", Level.FAIL, f"the server key cannot be read: {error}", "hnode doctor")
    now = time.time() if now_s is None else now_s
    level = Level.FAIL if has_expired(found, now) else Level.WARN
    told = [Finding("tls", level, doubt, _RENEW) for doubt in doubts(found, key, now)]
    return worst("tls", told, f"{section.cert}, until {found.leaf.not_valid_after_utc:%Y-%m-%d}")


def _own(key: PublicKey) -> Finding:
    if isinstance(key, RsaPublicKey):
        return Finding("tls", Level.OK, "a certificate of the server key, made by the node")
    return Finding("tls", Level.FAIL, "a DSA server key makes no certificate", "cert = … and key = … under [tls]")


def tls_behind(endpoint: Endpoint, config: Config) -> Finding | None:
    """What a TLS server there shows: the certificate that is configured, or another; None where there is none."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(endpoint.host, endpoint.host)  # noqa: S104 - compared, not bound
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # It is looked at below, key by key.
    started = time.perf_counter()
    try:
        with (
            socket.create_connection((host, endpoint.port), timeout=_TIMEOUT_S) as plain,
            context.wrap_socket(plain) as secure,
        ):
            shown = secure.getpeercert(binary_form=True)
    except OSError:  # `ssl.SSLError` is one.
        return None
    name, took_ms = f"tls {endpoint}", (time.perf_counter() - started) * 1000
    if shown is not None and _is_configured(shown, config):
        return Finding("ports", Level.OK, f"{name} answers in {took_ms:.1f} ms")
    said = f"{name} shows another certificate than is configured"
    return Finding("ports", Level.WARN, said, "send the node SIGHUP, if it is this one")


def _is_configured(shown: bytes, config: Config) -> bool:
    section = config.tls
    try:
        if section.cert is None or section.key is None:
            return certified_key(shown) == public_half(config.node.server_key)
        return read_certificate(section.cert, section.key).leaf.public_bytes(Encoding.DER) == shown
    except (BadCertificate, Failure, HandleError, OSError):
        return False
