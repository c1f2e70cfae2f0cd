"""Messages → replies, a batch at a time: bytes to bytes, synchronous, one view of the store for all.

Most of what arrives asks for all values of one handle that is stored here and public. Such a question is answered from
its octets: a header, the handle as the client spelled it, and a copy of the stored list. All else goes to the engine.
"""

import logging
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Final

from protocol.codes import (
    AUTHORITATIVE,
    CERTIFY,
    ENCRYPT,
    KEEP_CONNECTION,
    OVERWRITE,
    REQUEST_DIGEST,
    OpCode,
    ResponseCode,
)
from protocol.limits import ENVELOPE_SIZE, HEADER_SIZE, MESSAGE_SIZE_MAX
from protocol.site import Site
from protocol.version import NEWEST
from resolver.counters import Counter, Counters
from resolver.engine import ANSWER_LIFETIME_S, Answer, Engine, failure
from storage.base import HandleStore, StoreError, StoreView
from storage.keys import PLAIN_KEY_SIZE_MAX
from storage.records import PLAIN_PUBLIC_HEAD

log = logging.getLogger(__name__)

# Envelope, header and the count of the handle, in one step: the whole fixed part of a plain question.
_QUESTION: Final = Struct(">BBBBIIII IIIHBBiI I")
_REPLY: Final = Struct(">BBBBIIII IIIHBBiI I")
_FIXED: Final = ENVELOPE_SIZE + HEADER_SIZE + 4
_NO_LISTS_NO_CREDENTIAL: Final = bytes(12)  # No indexes, no types, no credential.
_TAIL_SIZE: Final = len(_NO_LISTS_NO_CREDENTIAL)
_SMALLEST: Final = _FIXED + _TAIL_SIZE  # A question for an empty handle.
_COUNTS_SIZE: Final = 12  # Of the handle and of two empty lists.
_NO_CREDENTIAL: Final = bytes(4)
_NEEDS_THE_ENGINE: Final = CERTIFY | ENCRYPT | REQUEST_DIGEST
_CLEARED: Final = 0xFFFFFFFF & ~OVERWRITE
_HEAD_SIZE: Final = len(PLAIN_PUBLIC_HEAD)
_PREFIX_AT: Final = len(b"0.NA/")
_RESOLUTION: Final = int(OpCode.RESOLUTION)
_SUCCESS: Final = ResponseCode.SUCCESS
_MAJOR: Final = NEWEST.major
_MINOR: Final = NEWEST.minor

_COUNTED: Final = {
    ResponseCode.SUCCESS: Counter.ANSWERED_SUCCESS,
    ResponseCode.HANDLE_NOT_FOUND: Counter.ANSWERED_NOT_FOUND,
    ResponseCode.VALUES_NOT_FOUND: Counter.ANSWERED_NOT_FOUND,
    ResponseCode.AUTHENTICATION_NEEDED: Counter.ANSWERED_CHALLENGE,
    ResponseCode.PREFIX_REFERRAL: Counter.ANSWERED_REFERRAL,
    ResponseCode.PROTOCOL_ERROR: Counter.ANSWERED_PROTOCOL_ERROR,
    ResponseCode.OPERATION_NOT_SUPPORTED: Counter.ANSWERED_PROTOCOL_ERROR,
}

NOT_UNDERSTOOD: Final = frozenset((ResponseCode.PROTOCOL_ERROR, ResponseCode.OPERATION_NOT_SUPPORTED))
"""Codes of replies to what was wrong: over UDP these are never larger than what caused them."""


_Plain = tuple[int, bytes, bytes, int, int, int, int]
"""A plain question, read: position in the batch, key, handle, request id, minor version, flags, recursion count."""


class Service:
    """Answers batches. `fold` is the store's key rule for short handles (all folded, or the prefix alone)."""

    def __init__(
        self, *, engine: Engine, store: HandleStore, site: Site, counters: Counters, fold: Callable[[bytes], bytes]
    ) -> None:
        self._engine = engine
        self._store = store
        self._counters = counters
        self._fold = fold
        self._serial = site.serial
        self._authoritative = AUTHORITATIVE if site.is_primary else 0
        self._is_alone = len(site.servers) <= 1  # Of several servers each must look at a handle's hash first.
        self._homed: frozenset[bytes] = frozenset()
        self._prefixes: frozenset[bytes] = frozenset()

    def answers(self, messages: Sequence[bytes], *, admin: bool, now_s: int) -> list[Answer | None]:
        """The reply to each whole message, in order; None where silence is right. Never raises."""
        answers: list[Answer | None] = [None] * len(messages)
        try:
            with self._store.view() as view:
                self._answer_batch(messages, answers, view, admin=admin, now_s=now_s)
        except StoreError:
            log.exception("the store cannot be read")
            self._counters.add(Counter.FAULTS)
            return [
                answer or failure(octets, "The store cannot be read", now_s=now_s)
                for octets, answer in zip(messages, answers, strict=True)
            ]
        return answers

    def _answer_batch(
        self,
        messages: Sequence[bytes],
        answers: list[Answer | None],
        view: StoreView,
        *,
        admin: bool,
        now_s: int,
    ) -> None:
        homed = view.homed()
        if homed is not self._homed:
            self._homed = homed
            self._prefixes = frozenset(handle[_PREFIX_AT:] for handle in homed) if self._is_alone else frozenset()
        plain, others = self._sorted(messages)
        if plain:
            others += self._answer_plain(plain, answers, view, now_s)
        for position in others:
            answer = answers[position] = self._engine.answer(messages[position], view, admin=admin, now_s=now_s)
            if answer is not None:
                answers[position] = _within_bounds(answer, messages[position], now_s)
                self._counters.add(_COUNTED.get(answer.code, Counter.ANSWERED_OTHER))

    def _sorted(self, messages: Sequence[bytes]) -> tuple[list[_Plain], list[int]]:
        """The plain questions: all values of one handle of a homed prefix, no session, proof or digest; and the rest.

        One loop with nothing called but what must be: this is where a node spends its life.
        """
        plain: list[_Plain] = []
        others: list[int] = []
        read, fold, prefixes = _QUESTION.unpack_from, self._fold, self._prefixes
        for position, octets in enumerate(messages):
            length = len(octets)
            if length > _SMALLEST:
                (_, _, mixed, minor, session, request_id, _, size, opcode, code, flags, _, recursion_count, _, _,
                 body_size, handle_size) = read(octets)  # fmt: skip
                if (
                    mixed == _MAJOR
                    and opcode == _RESOLUTION
                    and not (code or session or flags & _NEEDS_THE_ENGINE)
                    and size == length - ENVELOPE_SIZE
                    and body_size == handle_size + _COUNTS_SIZE
                    and length == handle_size + _SMALLEST
                    and octets.endswith(_NO_LISTS_NO_CREDENTIAL)
                    and handle_size <= PLAIN_KEY_SIZE_MAX
                ):
                    handle = octets[_FIXED:-_TAIL_SIZE]
                    key = fold(handle)
                    if key[: key.find(b"/")] in prefixes:  # Without a slash that drops an octet: looked at again.
                        plain.append(
                            (
                                position,
                                key,
                                handle,
                                request_id,
                                minor if minor < _MINOR else _MINOR,
                                flags,
                                recursion_count,
                            )
                        )
                        continue
            others.append(position)
        return plain, others

    def _answer_plain(
        self, plain: list[_Plain], answers: list[Answer | None], view: StoreView, now_s: int
    ) -> list[int]:
        """Answer what is stored and wholly public; the positions of the rest."""
        stored = view.stored([question[1] for question in plain])
        others: list[int] = []
        expiration = now_s + ANSWER_LIFETIME_S
        write, serial, authoritative = _REPLY.pack, self._serial, self._authoritative
        for position, key, handle, request_id, minor, flags, recursion_count in plain:
            record = stored.get(key)
            if record is None or record[:_HEAD_SIZE] != PLAIN_PUBLIC_HEAD or len(record) > MESSAGE_SIZE_MAX // 2:
                others.append(position)
                continue
            handle_size = len(handle)
            body_size = 4 + handle_size + len(record) - _HEAD_SIZE
            head = write(
                _MAJOR, minor, _MAJOR, _MINOR, 0, request_id, 0, HEADER_SIZE + body_size + 4,
                _RESOLUTION, 1, flags & _CLEARED | authoritative, serial, recursion_count, 0, expiration,
                body_size, handle_size,
            )  # fmt: skip
            answers[position] = Answer(_SUCCESS, b"".join((head, handle, record[_HEAD_SIZE:], _NO_CREDENTIAL)))
        self._counters.add(Counter.ANSWERED_SUCCESS, len(plain) - len(others))
        return others


def wishes_to_keep(octets: bytes) -> bool:
    """Whether the client of a message asks to keep the connection open (RFC 3652, section 2.2.2.3)."""
    flags_at = ENVELOPE_SIZE + 8
    return len(octets) > flags_at and bool(octets[flags_at] & KEEP_CONNECTION >> 24)


def _within_bounds(answer: Answer, octets: bytes, now_s: int) -> Answer | None:
    """The answer, or, where no client could read it for its size, an error that says what to do."""
    if len(answer.octets) - ENVELOPE_SIZE <= MESSAGE_SIZE_MAX:
        return answer
    return failure(octets, "Record too large for one message: ask for single indexes or types", now_s=now_s)
