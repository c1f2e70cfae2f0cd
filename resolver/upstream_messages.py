"""What goes to another server and what comes back, as octets: a request written, an answer recognised and proven.

Holds no socket. Sources: spec, protocol: sections 2 and 8.2; behaviours 32 and 35.
"""

import socket
from struct import Struct
from typing import Final

from protocol.codec import Message
from protocol.codes import CERTIFY, REQUEST, REQUEST_DIGEST, TRUNCATED
from protocol.errors import Malformed
from protocol.limits import ENVELOPE_SIZE, HEADER_SIZE
from protocol.requests import ResolutionRequest
from protocol.version import NEWEST, V_DIGEST_IN_FRONT
from protocol.wire import Writer
from resolver.client import REQUEST_LIFETIME_S
from resolver.client_errors import TOLD_WITHOUT_PROOF, NotProven
from resolver.client_proof import expect_fresh, expect_signed
from resolver.log_limits import limited
from resolver.walk.events import Ask

log = limited(__name__)

# Envelope and header of a request in one step, with zeros for session, piece and the octets that are not used: a walk
# writes one for each question. `protocol.codec` says the same in values, and a test holds this against it.
_HEAD: Final = Struct(">4B 4x I 4x I I I I H B x i I")
_NO_CREDENTIAL: Final = bytes(4)
_NO_LISTS: Final = bytes(8)  # A question for everything: no indexes, no types.
_LATEST_S: Final = 0x7FFFFFFF  # The greatest time that the header's field can tell: in January 2038.
_FLAGS_AT: Final = 2
_SIZE_AT: Final = slice(16, 20)
_MORE: Final = HEADER_SIZE + len(_NO_CREDENTIAL)

assert _HEAD.size == ENVELOPE_SIZE + HEADER_SIZE


def request_octets(ask: Ask, request_id: int, now_s: int) -> bytes:
    """The whole request. With keys to check by it asks for a signature and its own digest. Below 2.1 there is none."""
    flags, version = ask.flags, ask.version
    if ask.keys:
        flags |= CERTIFY | REQUEST_DIGEST
    if not version.at_least(V_DIGEST_IN_FRONT):
        flags &= ~REQUEST_DIGEST
    asked = ask.body
    if isinstance(asked, ResolutionRequest) and not (asked.indexes or asked.types):
        body = len(asked.handle).to_bytes(4, "big") + asked.handle + _NO_LISTS
    else:
        written = Writer()
        asked.write(written, version)
        body = written.to_bytes()
    suggested = NEWEST if version.at_least(NEWEST) else version
    head = _HEAD.pack(
        *version, *suggested, request_id, len(body) + _MORE,
        ask.opcode, REQUEST, flags, ask.site_serial, ask.recursion_count,
        min(now_s + REQUEST_LIFETIME_S, _LATEST_S), len(body),
    )  # fmt: skip
    return head + body + _NO_CREDENTIAL


def is_piece(octets: bytes) -> bool:
    """Whether a datagram is a piece: some servers cut their answers and do not say so (behaviours 32)."""
    return len(octets) >= ENVELOPE_SIZE and bool(
        octets[_FLAGS_AT] & TRUNCATED or int.from_bytes(octets[_SIZE_AT], "big") > len(octets) - ENVELOPE_SIZE
    )


def answer_of(octets: bytes, opcode: int) -> Message | None:
    """The message, where it can be an answer to a question: readable, in the clear, of its operation."""
    try:
        message = Message.read(octets)
    except Malformed:
        return None
    if message.header.is_request or message.header.opcode not in (opcode, 0):  # 0: it could not be read there.
        return None
    return message


def is_proven(message: Message, asked: Message, ask: Ask, now_s: int) -> bool:
    """Whether a reply is signed by one of the keys, fresh, and the reply to just this request."""
    header = message.header
    if not message.credential and header.code in TOLD_WITHOUT_PROOF:
        return True
    if not header.flags & REQUEST_DIGEST and message.envelope.version.at_least(V_DIGEST_IN_FRONT):
        return False
    try:
        expect_signed(message, ask.keys)
        expect_fresh(message, asked, now_s)
    except NotProven as error:
        log.info("%s: %s", ask.place, error)
        return False
    return True


def is_address(host: str) -> bool:
    """Whether a host is an address as text: with anything else (999.9.9.9) the system would ask DNS, and we wait."""
    try:
        socket.inet_pton(family_of(host), host)
    except (OSError, ValueError):
        return False
    return True


def address_of(name: str) -> str:
    """The first address of a name, or the empty text. Waits for the system's look-up."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return ""
    return str(found[0][4][0])


def family_of(host: str) -> socket.AddressFamily:
    """The family of an address as text."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET
