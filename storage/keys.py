"""Handle → storage key: at most 511 octets, ordered like the folded handles as far as a key can hold them.

A short handle's key is the folded handle itself. A longer one keeps a head and a digest of the whole, and is then
longer than any short key can be: no two handles share a key.
"""

from hashlib import sha256
from typing import Final

from protocol.errors import InvalidHandle
from protocol.identifier import folded, is_utf8, prefix_folded
from protocol.limits import HANDLE_SIZE_MAX

KEY_SIZE_MAX: Final = 511
"""The longest key that LMDB takes."""

DIGEST_SIZE: Final = 32
PLAIN_KEY_SIZE_MAX: Final = KEY_SIZE_MAX - DIGEST_SIZE
"""The longest handle whose key is the folded handle itself."""

assert PLAIN_KEY_SIZE_MAX + DIGEST_SIZE == KEY_SIZE_MAX > PLAIN_KEY_SIZE_MAX


def storage_key(handle: bytes, *, case_sensitive: bool = False) -> bytes:
    """The key of a handle; `InvalidHandle` where it is empty or longer than 2,048 octets."""
    if not 0 < len(handle) <= HANDLE_SIZE_MAX:
        raise InvalidHandle(f"a handle of {len(handle)} octets", told=f"A handle has 1 to {HANDLE_SIZE_MAX} octets")
    key = prefix_folded(handle) if case_sensitive else folded(handle)
    return key if len(key) <= PLAIN_KEY_SIZE_MAX else key[:PLAIN_KEY_SIZE_MAX] + sha256(key).digest()


def writable_key(handle: bytes, *, case_sensitive: bool = False) -> bytes:
    """The key of a handle that is to be written: it must be UTF-8, too (spec, records: section 1)."""
    if not is_utf8(handle):
        raise InvalidHandle("a handle that is not UTF-8", told="Invalid UTF8 encoding")
    return storage_key(handle, case_sensitive=case_sensitive)


def is_short(key: bytes) -> bool:
    """Whether the key is a folded handle; otherwise the record itself tells its handle."""
    return len(key) <= PLAIN_KEY_SIZE_MAX


def scan_start(prefix: bytes) -> bytes:
    """Where handles that begin with a folded prefix begin among the keys."""
    return prefix[:PLAIN_KEY_SIZE_MAX]
