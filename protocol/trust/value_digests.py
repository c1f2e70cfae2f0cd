"""Digests over handle values, as signed claims carry them, and values held against them.

Source: spec, records: section 8; the encoded value: section 2.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import new as new_hash
from types import MappingProxyType
from typing import Final, Self

from protocol.codes import ADMIN_READ, ADMIN_WRITE, PUBLIC_READ, PUBLIC_WRITE
from protocol.errors import Malformed
from protocol.trust.keys import SHA256, SHA384, SHA512
from protocol.value import HandleValue

_UNDIGESTED_SIZE: Final = 8  # Index and timestamp stand in front of what a digest covers.
_PERMISSION_BITS: Final = ADMIN_READ | ADMIN_WRITE | PUBLIC_READ | PUBLIC_WRITE
_HASHES: Final[Mapping[str, str]] = MappingProxyType({SHA256: "sha256", SHA384: "sha384", SHA512: "sha512"})


@dataclass(frozen=True, slots=True)
class Digests:
    """The digests of values by index, in the order of the claims; no index stands twice.

    `algorithm` is a name of `hashlib`'s family with its dash, known (SHA-256, SHA-384, SHA-512) or not.
    """

    algorithm: str
    digests: tuple[tuple[int, bytes], ...]

    def __post_init__(self) -> None:
        if len({index for index, _ in self.digests}) != len(self.digests):
            raise Malformed("digests of one value stand twice")

    @classmethod
    def of(cls, values: Iterable[HandleValue], algorithm: str = SHA256) -> Self:
        """The digests of the values; the algorithm is a known one."""
        return cls(algorithm, tuple([(value.index, value_digest(value, algorithm)) for value in values]))

    @property
    def is_known(self) -> bool:
        """Whether the algorithm is one of those that can be checked. Broken ones (MD5, SHA-1) are not among them."""
        return self.algorithm in _HASHES


@dataclass(frozen=True, slots=True)
class Comparison:
    """The values of a record held against digests, as indexes in ascending order."""

    same: tuple[int, ...]
    changed: tuple[int, ...]
    undigested: tuple[int, ...]
    missing: tuple[int, ...]


def value_digest(value: HandleValue, algorithm: str = SHA256) -> bytes:
    """The hash of the encoded value without index and timestamp; `KeyError` for an algorithm that is not known.

    Only the four known permission bits count: deployed software drops the others before it computes.
    """
    encoded = replace(value, permissions=value.permissions & _PERMISSION_BITS).to_bytes()
    return new_hash(_HASHES[algorithm], encoded[_UNDIGESTED_SIZE:]).digest()


def compared(digests: Digests, values: Sequence[HandleValue]) -> Comparison:
    """Which values are as they were digested. With an unknown algorithm none is, nor one that shares its index."""
    claimed = dict(digests.digests)
    present: dict[int, list[HandleValue]] = {}
    for value in values:
        present.setdefault(value.index, []).append(value)
    common = claimed.keys() & present.keys()
    same = sorted(index for index in common if digests.is_known and _is_just(claimed[index], present[index], digests))
    return Comparison(
        same=tuple(same),
        changed=tuple(sorted(set(common) - set(same))),
        undigested=tuple(sorted(present.keys() - claimed.keys())),
        missing=tuple(sorted(claimed.keys() - present.keys())),
    )


def _is_just(digest: bytes, found: Sequence[HandleValue], digests: Digests) -> bool:
    """Whether one value alone stands there, with that digest: two at one index would let one hide behind the other."""
    return len(found) == 1 and value_digest(found[0], digests.algorithm) == digest
