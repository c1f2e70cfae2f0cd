"""What workers and the writer say to each other: a stream of frames ⇄ changes and outcomes. Opens nothing.

A frame is the size of its body and a number, both big-endian, and the body: a pickled change, or a pickled list of
answers (number, journal number, existed, error). Only processes that one supervisor forked hold the ends of such a
stream: what comes is as good as our own memory, and what cannot be read is our own mistake.
"""

import pickle
from collections.abc import Iterable
from io import BytesIO
from struct import Struct
from typing import Any, Final, cast, get_args

from storage.base import Change, Outcome, Record, StoreError

FRAME_SIZE_MAX: Final = 16 << 20
"""Octets of a body: a change carries a record twice at most, and none is longer than some messages of 256 KiB."""

_HEAD: Final = Struct(">IQ")


def _reduced(change: Any) -> tuple[type[Any], tuple[Any, ...]]:
    return type(change), tuple([getattr(change, name) for name in change.__slots__])


_REDUCERS: Final = dict.fromkeys((Record, *get_args(Change)), _reduced)
"""Changes as calls of their types: half the work that pickling a frozen dataclass takes by itself."""


class BadFrame(StoreError):
    """What came is no frame, or one that is too long."""


def change_frame(number: int, change: Change) -> bytes:
    """A change under a number; `StoreError` where it is too long, `PicklingError` and the like for our own mistake."""
    octets = BytesIO()
    pickler = pickle.Pickler(octets, pickle.HIGHEST_PROTOCOL)
    pickler.dispatch_table = _REDUCERS
    pickler.dump(change)
    body = octets.getvalue()
    if len(body) > FRAME_SIZE_MAX:
        raise StoreError(f"a change of {len(body):,} octets: at most {FRAME_SIZE_MAX:,} are taken. Write less at once")
    return _HEAD.pack(len(body), number) + body


def read_change(body: bytes) -> Change:
    """The change of a frame; `StoreError` where it cannot be read."""
    try:
        return cast(Change, pickle.loads(body))  # noqa: S301 - from our own process: see above
    except Exception as error:
        raise StoreError(f"a change cannot be read ({error}): nothing was changed. This is a fault of hnode") from error


def answers_frame(answers: Iterable[tuple[int, Outcome | Exception]]) -> bytes:
    """What became of changes, by their numbers. No answers at all are the writer's welcome."""
    body = pickle.dumps([_answer(number, found) for number, found in answers], pickle.HIGHEST_PROTOCOL)
    return _HEAD.pack(len(body), 0) + body


def _answer(number: int, found: Outcome | Exception) -> tuple[int, int, bool, Exception | None, bool]:
    """Number, journal number, existed, error, and whether that is the outcome's own."""
    if isinstance(found, Outcome):
        return number, found.number, found.existed, found.error, True
    return number, 0, False, _carried(found), False


def _carried(error: Exception) -> Exception:
    """The error, or a `StoreError` of the same words where it cannot be carried to another process."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - made right here
    except Exception:
        return StoreError(f"{type(error).__name__}: {error}")
    return error


def read_answers(body: bytes) -> list[tuple[int, Outcome | Exception]]:
    """What became of changes; `BadFrame` where that cannot be read."""
    try:
        answers: list[tuple[int, int, bool, Any, bool]] = pickle.loads(body)  # noqa: S301 - from our own process
        return [
            (number, Outcome(journal_number, existed, error) if is_outcome else error)
            for number, journal_number, existed, error, is_outcome in answers
        ]
    except Exception as error:
        raise BadFrame(f"the writer's answer cannot be read: {error}") from error


class Frames:
    """Puts frames together from the octets of one stream, in order."""

    def __init__(self) -> None:
        self._octets = bytearray()

    def fed(self, octets: bytes) -> list[tuple[int, bytes]]:
        """Number and body of each frame that these octets complete; `BadFrame` where one announces too much."""
        kept, found = self._octets, []
        kept += octets
        start, end = 0, len(kept)
        while end - start >= _HEAD.size:
            size, number = _HEAD.unpack_from(kept, start)
            if size > FRAME_SIZE_MAX:
                raise BadFrame(f"a frame of {size:,} octets")
            stop = start + _HEAD.size + size
            if stop > end:
                break
            found.append((number, bytes(kept[start + _HEAD.size : stop])))
            start = stop
        del kept[:start]
        return found
