"""The identifiers of the benchmark and the requests that ask for them. Deterministic: one seed is one data set.

A few large firms make most of the identifiers (Zipf). Every record has three values and, like every handle, the same
number of octets, so that all answers have one size and a baseline can give answers of just that size.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Final

from protocol import codec
from protocol.codes import DEFAULT_REQUEST_FLAGS, KEEP_CONNECTION, OpCode
from protocol.requests import ResolutionRequest
from protocol.value import HandleValue, value_list

PREFIX: Final = "88.131"
FIRMS_MAX: Final = 1_000
EXPIRATION: Final = 2_000_000_000  # In 2033: requests are made beforehand, and nobody checks it.

_PRODUCTS: Final = ("锂电池冲击扳手", "无刷直流电动机", "精密滚珠轴承座", "液压缸密封组件", "数控铣床主轴箱")
_NAME_TYPE: Final = "产品名称"
_BATCH_TYPE: Final = "生产信息"

_LINE: Final = (
    '{"handle":"%(handle)s","values":['
    '{"index":1,"type":"URL","data":{"format":"string","value":"%(url)s"},"ttl":86400},'
    '{"index":2,"type":"' + _NAME_TYPE + '","data":{"format":"string","value":"%(name)s"},"ttl":86400},'
    '{"index":3,"type":"' + _BATCH_TYPE + '","data":{"format":"string","value":"%(batch)s"},"ttl":86400}]}\n'
)


class Order(Enum):
    """How the lines of the import file follow each other: firm after firm, or as the identifiers came to be."""

    SEQUENTIAL = "sequential"
    INTERLEAVED = "interleaved"


def _fields(firm: int, serial: int) -> dict[str, str]:
    day = serial % 28 + 1
    handle = f"{PREFIX}.{1000 + firm}/A{serial:09d}"
    return {
        "handle": handle,
        "url": f"https://id.example.com/passport/{handle}",
        "name": _PRODUCTS[serial % len(_PRODUCTS)],
        "batch": f"B202511{day:02d}-{serial // 500:06d};2025-11-{day:02d};L{firm % 9 + 1}",
    }


def handle(firm: int, serial: int) -> bytes:
    """The handle of a firm's identifier."""
    return _fields(firm, serial)["handle"].encode()


def values(firm: int, serial: int) -> tuple[HandleValue, ...]:
    """The three values of a firm's identifier, without a timestamp."""
    fields = _fields(firm, serial)
    typed = ((b"URL", "url"), (_NAME_TYPE.encode(), "name"), (_BATCH_TYPE.encode(), "batch"))
    return tuple(
        [
            HandleValue(index=index, type=name, data=fields[field].encode())
            for index, (name, field) in enumerate(typed, start=1)
        ]
    )


@dataclass(frozen=True, slots=True)
class Workload:
    """A set of identifiers: for each, in the order in which they came to be, the number of its firm."""

    firms: "array[int]"

    @classmethod
    def drawn(cls, count: int, seed: int) -> "Workload":
        """That many identifiers over a thousand firms: the k-th firm makes 1/k of what the first one makes."""
        weights = list(accumulate(1 / rank for rank in range(1, FIRMS_MAX + 1)))
        return cls(array("H", Random(seed).choices(range(FIRMS_MAX), cum_weights=weights, k=count)))

    def identifiers(self, order: Order) -> Iterator[tuple[int, int]]:
        """Firm and serial number of each identifier; the same set in either order."""
        made = [0] * FIRMS_MAX
        for firm in sorted(self.firms) if order is Order.SEQUENTIAL else self.firms:
            yield firm, made[firm]
            made[firm] += 1

    def write_lines(self, path: Path, order: Order) -> None:
        """The import file: a JSON object a line."""
        with path.open("w", encoding="utf-8") as lines:
            lines.writelines(_LINE % _fields(firm, serial) for firm, serial in self.identifiers(order))

    @property
    def encoded_octets(self) -> int:
        """Octets of all handles and of their value lists as the wire carries them."""
        one = len(handle(0, 0)) + len(value_list(values(0, 0)))
        return one * len(self.firms)

    def sample(self, count: int, seed: int) -> list[bytes]:
        """Handles drawn evenly and without repetition (all, where there are fewer), in an order of chance.

        Even draws are the hardest for a store: a load that follows Zipf would find most of its pages in the caches.
        """
        wanted = set(Random(seed).sample(range(len(self.firms)), min(count, len(self.firms))))
        found = [
            handle(*identifier)
            for place, identifier in enumerate(self.identifiers(Order.INTERLEAVED))
            if place in wanted
        ]
        Random(seed).shuffle(found)
        return found


def resolution(handle: bytes, *, keep: bool = False, types: Sequence[bytes] = (), request_id: int = 0) -> bytes:
    """A whole message that asks for the public values of a handle; `keep` asks to keep the connection, too."""
    flags = DEFAULT_REQUEST_FLAGS | (KEEP_CONNECTION if keep else 0)
    body = ResolutionRequest(handle=handle, types=tuple(types))
    message = codec.request(body, opcode=OpCode.RESOLUTION, request_id=request_id, flags=flags, expiration=EXPIRATION)
    return message.to_bytes()
