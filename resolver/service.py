"""Messages → replies, a batch at a time: bytes to bytes, synchronous, one view of the store for all.

Most of what arrives asks for all values of one handle that is stored here and public. Such a question is answered from
its octets: a header, the handle as the client spelled it, and a copy of the stored list. All else goes to the engine.
"""

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Final

from protocol.codes import (
    AUTHORITATIVE,
    CERTIFY,
    CONTINUOUS,
    ENCRYPT,
    OVERWRITE,
    PUBLIC_ONLY,
    RECURSIVE,
    REQUEST,
    REQUEST_DIGEST,
    OpCode,
    ResponseCode,
)
from protocol.limits import ENVELOPE_SIZE, HEADER_SIZE, MESSAGE_SIZE_MAX
from protocol.site import Site
from protocol.version import NEWEST
from resolver.counters import Counter, Counters
from resolver.engine import Engine
from resolver.log_limits import limited
from resolver.peer import Peer
from resolver.pending import Pending
from resolver.recursing import Recursing
from resolver.replies import Answer, expiration, failure
from storage.base import HandleStore, StoreError, StoreView
from storage.keys import PLAIN_KEY_SIZE_MAX
from storage.records import PLAIN_PUBLIC_HEAD, public_values

log = limited(__name__)

# The fixed part of a plain question, in one step and without what is not looked at: suggested version and session,
# request id; size; operation and code as one number; flags; recursion count; sizes of body and handle as one number.
_QUESTION: Final = Struct(">2x 6s 4s 4x I Q I 2x B x 4x Q")
# That of its reply: four octets of versions and an empty session; request id; size; operation and code; flags, serial,
# recursion count, expiration; sizes of the body and of the handle.
_REPLY: Final = Struct(">8s 4s 4x I 8s I H B x i I I")
_FIXED: Final = ENVELOPE_SIZE + HEADER_SIZE + 4
_NO_LISTS_NO_CREDENTIAL: Final = bytes(12)  # No indexes, no types, no credential.
_TAIL_SIZE: Final = len(_NO_LISTS_NO_CREDENTIAL)
_SMALLEST: Final = _FIXED + _TAIL_SIZE  # A question for an empty handle.
_LARGEST: Final = _SMALLEST + PLAIN_KEY_SIZE_MAX  # A longer handle has another key.
_COUNTS_SIZE: Final = 12  # Of the handle and of two empty lists.
_SIZES: Final = tuple(
    (length - _SMALLEST + _COUNTS_SIZE) << 32 | length - _SMALLEST if length > _SMALLEST else 0
    for length in range(_LARGEST + 1)
)
"""Octets of a plain question → sizes of its body and of its handle, as the one number that the question has there."""

_NO_CREDENTIAL: Final = bytes(4)
_NEEDS_THE_ENGINE: Final = CERTIFY | ENCRYPT | REQUEST_DIGEST
_CLEARED: Final = 0xFFFFFFFF & ~(OVERWRITE | CONTINUOUS | AUTHORITATIVE)  # A reply says these of itself.
_HEAD_SIZE: Final = len(PLAIN_PUBLIC_HEAD)
_COUNT_SIZE: Final = 4  # Of the handle, which a body begins with.
_MESSAGE_MORE: Final = HEADER_SIZE + 4  # A message is header, body, and the size of no credential.
# A longer body no client could read: the engine says so.
_COPIED_MAX: Final = MESSAGE_SIZE_MAX - _MESSAGE_MORE - _COUNT_SIZE
_SUCCESSES: Final = int(Counter.ANSWERED_SUCCESS)
_COMPUTED: Final = frozenset((b"0.SITE",))  # Of this prefix the engine computes a handle.
_NEVER_CACHED: Final = _COMPUTED | {b"0.NA"}  # Prefix handles may be kept here though `0.NA/0.NA` is not homed.
_FOR_ALL: Final = RECURSIVE | PUBLIC_ONLY  # Such a question may be answered from what others said ...
_OF_FLAGS: Final = _FOR_ALL | AUTHORITATIVE  # ... unless it is meant for the primary.
_HITS: Final = int(Counter.CACHE_HITS)
_PREFIX_AT: Final = len(b"0.NA/")
_ASKED: Final = OpCode.RESOLUTION << 32 | REQUEST
_ANSWERED: Final = (OpCode.RESOLUTION << 32 | ResponseCode.SUCCESS).to_bytes(8, "big")
_BEGINS: Final = {
    bytes((NEWEST.major, minor)) + bytes(4): bytes((NEWEST.major, min(minor, NEWEST.minor), *NEWEST)) + bytes(4)
    for minor in range(256)
}
"""Suggested version and no session → how the reply begins: its version, ours, and no session."""

_COUNTED: Final[dict[int, Counter]] = {
    ResponseCode.SUCCESS: Counter.ANSWERED_SUCCESS,
    ResponseCode.HANDLE_NOT_FOUND: Counter.ANSWERED_NOT_FOUND,
    ResponseCode.VALUES_NOT_FOUND: Counter.ANSWERED_NOT_FOUND,
    ResponseCode.AUTHENTICATION_NEEDED: Counter.ANSWERED_CHALLENGE,
    ResponseCode.PREFIX_REFERRAL: Counter.ANSWERED_REFERRAL,
    ResponseCode.PROTOCOL_ERROR: Counter.ANSWERED_PROTOCOL_ERROR,
    ResponseCode.OPERATION_NOT_SUPPORTED: Counter.ANSWERED_PROTOCOL_ERROR,
}

NOT_UNDERSTOOD: Final = frozenset(
    (
        ResponseCode.PROTOCOL_ERROR,
        ResponseCode.OPERATION_NOT_SUPPORTED,
        ResponseCode.SESSION_FAILED,
        ResponseCode.SESSION_TIMEOUT,
    )
)
"""Codes of replies to what was wrong: over UDP these are never larger than what caused them."""


Whole = Callable[[int, bytes], bytes | None]

Reply = bytes | Answer | Pending | None
"""Octets of a success; else the answer with its code, one to come, or None where silence is right."""

PeerOf = Callable[[int], Peer]
"""Who sent the message at a place of the batch."""


def as_it_came(_: int, octets: bytes) -> bytes:
    """The message itself: no transport but UDP cuts messages."""
    return octets


class Service:
    """Answers batches. `fold` is the store's key rule for short handles (all folded, or the prefix alone).

    `recursing` knows what was found elsewhere, and who may hear of it.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        store: HandleStore,
        site: Site,
        counters: Counters,
        fold: Callable[[bytes], bytes],
        recursing: Recursing | None = None,
    ) -> None:
        self.recursing = recursing
        self._ready = None if recursing is None or recursing.access.is_closed else recursing.ready.get
        self._allows = (lambda _: False) if recursing is None else recursing.access.allows
        self.engine = engine
        self._store = store
        self._counters = counters
        self._fold = fold
        self._serial = site.serial
        self._authoritative = AUTHORITATIVE if site.is_primary else 0
        self._is_alone = len(site.servers) <= 1  # Of several servers each must look at a handle's hash first.
        self._homed: frozenset[bytes] = frozenset()
        self._prefixes: frozenset[bytes] = frozenset()
        self._kept_here: frozenset[bytes] = _NEVER_CACHED

    def answers(self, messages: Sequence[bytes], *, peer: PeerOf, now_s: int, whole: Whole = as_it_came) -> list[Reply]:
        """The reply to each message, in order. Never raises.

        `whole` gives the whole message of one that is no plain question, or None where it is a piece of one that is not
        complete yet: only a transport knows that.
        """
        replies: list[Reply] = [None] * len(messages)
        try:
            with self._store.view() as view:
                self._learn_homed(view)
                others = self._answer_plain(messages, replies, view.lookup(), peer, now_s)
                for position in others:
                    octets = whole(position, messages[position])
                    if octets is not None:
                        replies[position] = self._answer_other(octets, view, peer(position), now_s)
        except StoreError:
            log.exception("the store cannot be read")
            self._counters.add(Counter.FAULTS)
            told = "The store cannot be read"
            return [
                reply or failure(octets, told, now_s=now_s) for octets, reply in zip(messages, replies, strict=True)
            ]
        return replies

    def _learn_homed(self, view: StoreView) -> None:
        homed = view.homed()
        if homed is not self._homed:
            self._homed = homed
            if self.recursing is not None:
                self.recursing.recursion.memory.own.note_homed(homed)
            self._kept_here = frozenset(handle[_PREFIX_AT:] for handle in homed) | _NEVER_CACHED
            self._prefixes = (
                frozenset(handle[_PREFIX_AT:] for handle in homed) - _COMPUTED if self._is_alone else frozenset()
            )

    def _answer_other(self, octets: bytes, view: StoreView, peer: Peer, now_s: int) -> Answer | Pending | None:
        answer = self.engine.answer(octets, view, peer=peer, now_s=now_s)
        if answer is None or isinstance(answer, Pending):
            return answer
        self.count(answer.code)
        if len(answer.octets) - ENVELOPE_SIZE <= MESSAGE_SIZE_MAX:
            return answer
        # No client could read it for its size: an error says what to do instead.
        return failure(octets, "Record too large for one message: ask for single indexes or types", now_s=now_s)

    def count(self, code: int) -> None:
        """Count a reply of that code."""
        self._counters.add(_COUNTED.get(code, Counter.ANSWERED_OTHER))

    def _answer_plain(
        self,
        messages: Sequence[bytes],
        replies: list[Reply],
        lookup: Callable[[bytes], bytes | None],
        peer: PeerOf,
        now_s: int,
    ) -> list[int]:
        """Answer plain questions whose record is stored or was found elsewhere, and wholly public; the other places.

        A plain question wants all values of one handle, with no session, proof or digest. One loop with nothing called
        but what must be: this is where a node spends its life.
        """
        hits, others = 0, list[int]()
        read, write, begin_of, sizes_of = _QUESTION.unpack_from, _REPLY.pack, _BEGINS.get, _SIZES
        fold, prefixes, serial, authoritative = self._fold, self._prefixes, self._serial, self._authoritative
        ready, kept_here, allows = self._ready, self._kept_here, self._allows
        expires = expiration(now_s)
        for position, octets in enumerate(messages):
            length = len(octets)
            if _SMALLEST < length <= _LARGEST:
                addressed, request_id, size, asked, flags, recursion_count, sizes = read(octets)
                begin = begin_of(addressed)
                if (
                    begin is not None
                    and asked == _ASKED
                    and sizes == sizes_of[length]
                    and size == length - ENVELOPE_SIZE
                    and octets[-_TAIL_SIZE:] == _NO_LISTS_NO_CREDENTIAL
                    and not flags & _NEEDS_THE_ENGINE
                ):
                    handle = octets[_FIXED:-_TAIL_SIZE]
                    key = fold(handle)
                    prefix, slash, _ = key.partition(b"/")
                    values = None
                    if slash and prefix in prefixes:
                        record = lookup(key)
                        if record is not None:
                            is_plain = record[:_HEAD_SIZE] == PLAIN_PUBLIC_HEAD
                            values = record[_HEAD_SIZE:] if is_plain else public_values(record)
                            flags = flags & _CLEARED | authoritative
                    elif ready is not None and slash and flags & _OF_FLAGS == _FOR_ALL and prefix not in kept_here:
                        kept = ready(handle)
                        if kept is not None and kept.is_quick(now_s) and allows(peer(position).host):
                            flags &= _CLEARED
                            values = kept.used()
                            hits += 1
                    handle_size = len(handle)
                    if values is not None and handle_size + len(values) <= _COPIED_MAX:
                        body_size = handle_size + len(values) + _COUNT_SIZE
                        head = write(
                            begin, request_id, body_size + _MESSAGE_MORE, _ANSWERED, flags, serial,
                            recursion_count, expires, body_size, handle_size,
                        )  # fmt: skip
                        replies[position] = head + handle + values + _NO_CREDENTIAL
                        continue
            others.append(position)
        self._counters.counts[_SUCCESSES] += len(messages) - len(others)
        self._counters.counts[_HITS] += hits
        return others
