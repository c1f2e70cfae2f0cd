"""Whether a signed record is older than the one that is known: a signature says who, and nothing of since when.

Whoever has the key of one server can tell a record of years ago, which the root truly signed then. So what is signed
must not have been signed before what is known of the same values, nor may a site's serial number fall. The spec asks
for neither, only that serial numbers rise with each change (records: section 5.3) and that what comes is signed
(resolution: section 2.3; records: section 8).
"""

from collections.abc import Iterable, Mapping
from typing import Final

from protocol.errors import Malformed
from protocol.site import Site
from protocol.trust.chains import is_of_type
from protocol.trust.claims import HS_SIGNATURE, SignedClaims
from protocol.value import HandleValue
from resolver.bootstrap.sites import SITE_TYPES

_SERIALS: Final = 1 << 16  # They begin anew behind 65,535.


def older(known: Iterable[HandleValue], told: Iterable[HandleValue], *, now_s: float) -> str:
    """Why what is told of a handle is older than what is known of it; empty where nothing shows that it is.

    Both are taken for truly signed. `now_s`, seconds since 1970: a known signature that claims to be issued later than
    that compares with nothing, so that one wrong clock does not keep out all that follows.
    """
    known, told = tuple(known), tuple(told)
    signed, before = _issued(told), _issued(known)
    times = {index: issued for index, issued in before.items() if issued <= now_s}
    for index, issued in times.items():
        if index in signed and signed[index] < issued:
            return f"the value at {index} was signed before what is known of it"
    if times and max(signed.values(), default=0) < max(times.values()):
        return "it was signed before what is known of it"
    serials, known_serials = _serials(told), _serials(known)
    for index, serial in known_serials.items():
        if index in serials and is_serial_below(serials[index], serial):
            return f"the site at {index} has serial {serials[index]}, and {serial} is known"
    return ""


def is_serial_below(serial: int, known: int) -> bool:
    """Whether a site's serial number stands before another one, of 16 bits as of a circle (RFC 1982).

    Of two that are half the circle apart neither stands before the other.
    """
    return 0 < (known - serial) % _SERIALS < _SERIALS // 2


def _issued(values: tuple[HandleValue, ...]) -> Mapping[int, int]:
    """Index of a signed value → when it was signed last, seconds since 1970; 0 where the signature does not say."""
    found: dict[int, int] = {}
    for value in values:
        if is_of_type(value, HS_SIGNATURE):
            try:
                claims = SignedClaims.read(value.data).claims
            except Malformed:
                continue
            for index, _ in claims.digests.digests if claims.digests is not None else ():
                found[index] = max(found.get(index, 0), claims.issued_at or 0)
    return found


def _serials(values: tuple[HandleValue, ...]) -> Mapping[int, int]:
    found: dict[int, int] = {}
    for value in values:
        if value.type in SITE_TYPES:
            try:
                found[value.index] = Site.from_bytes(value.data).serial
            except Malformed:
                continue
    return found
