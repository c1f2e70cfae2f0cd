"""TLS with the short keys of servers in service: OpenSSL's level of security is lowered for them, and for no others.

Keys of 1,024 bits are deployed, and OpenSSL refuses all below 2,048 at its usual level. The levels: OpenSSL's manual,
SSL_CTX_set_security_level.
"""

import ssl
from typing import Final

USUAL_BITS_MIN: Final = 2_048  # What level 2, the usual one, takes.
_LEVEL_1_BITS_MIN: Final = 1_024


def admit_key(context: ssl.SSLContext, bits: int) -> None:
    """Let a context take a certificate with an RSA key of so many bits; what it offers stays what it was."""
    if bits >= USUAL_BITS_MIN:
        return
    names = [cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] != "TLSv1.3"]  # Those are fixed.
    context.set_ciphers(f"{':'.join(names)}:@SECLEVEL={1 if bits >= _LEVEL_1_BITS_MIN else 0}")
