"""Handles as octets: prefix and suffix, the case rule, prefix handles, and which server of a site holds one.

Segments are text, never numbers: `0042` and `42` are two names.
Sources: RFC 3651, section 2; spec, records: sections 1 and 5.5.
"""

from hashlib import md5
from typing import Final

PREFIX_HANDLES: Final = b"0.NA/"
"""What the handle of a prefix begins with."""

ROOT_PREFIX_HANDLE: Final = b"0.NA/0.NA"
"""The prefix handle of all prefix handles."""

PLACEHOLDER: Final = b"/"
"""Stands where a body needs a handle and none is meant."""

HASH_BY_PREFIX: Final = 0
HASH_BY_SUFFIX: Final = 1
HASH_BY_HANDLE: Final = 2


def folded(handle: bytes) -> bytes:
    """The handle with ASCII a-z raised to A-Z and every other octet as it was (behaviours 10)."""
    return handle.upper()  # bytes.upper() knows ASCII alone: just the rule.


def prefix_folded(handle: bytes) -> bytes:
    """Only the prefix folded; all of a handle under `0.`, and all of a handle without a slash (behaviours 10)."""
    slash = handle.find(b"/")
    if slash < 0 or handle.startswith(b"0."):
        return handle.upper()
    return handle[:slash].upper() + handle[slash:]


def split(handle: bytes) -> tuple[bytes, bytes]:
    """Prefix and suffix, cut at the first slash. Without a slash the prefix is `0.NA` and all is suffix."""
    prefix, slash, suffix = handle.partition(b"/")
    return (prefix, suffix) if slash else (b"0.NA", handle)


def full(handle: bytes) -> bytes:
    """The handle that a string names: one without a slash names the prefix handle `0.NA/<it>` (behaviours 11)."""
    return handle if b"/" in handle else PREFIX_HANDLES + handle


def prefix_handle(handle: bytes) -> bytes:
    """The handle, folded, of the prefix that the handle stands under; `0.NA/0.NA` for prefix handles themselves."""
    return PREFIX_HANDLES + split(handle)[0].upper()


def is_prefix_handle(handle: bytes) -> bool:
    """Whether the handle names a prefix: under `0.NA/`, in any case, or without a slash."""
    return b"/" not in handle or handle[:5].upper() == PREFIX_HANDLES


def parent_prefix_handle(handle: bytes) -> bytes | None:
    """The prefix handle one label up (`0.NA/88.100.1` gives `0.NA/88.100`), or None where the handle is not derived."""
    head, dot, _ = handle[len(PREFIX_HANDLES) :].rpartition(b".")
    return handle[: len(PREFIX_HANDLES)] + head if dot and head else None


def is_utf8(octets: bytes) -> bool:
    """Whether the octets are UTF-8: what the spec asks of a handle."""
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True


def site_hash(handle: bytes, hash_option: int) -> int:
    """A number of at most 31 bits that spreads handles over a site's servers; folded first, by the option's part.

    `-2**31` alone stays negative, as the absolute value of the software in service does (behaviours 37).
    """
    prefix, suffix = split(handle)
    part = {HASH_BY_PREFIX: prefix, HASH_BY_SUFFIX: suffix}.get(hash_option, handle)
    number = int.from_bytes(md5(part.upper(), usedforsecurity=False).digest()[12:], "big", signed=True)
    return number if number == -(2**31) else abs(number)


def server_of(handle: bytes, hash_option: int, server_count: int) -> int:
    """The position, from 0, of the server that holds the handle. `server_count` is at least 1."""
    return position_of(site_hash(handle, hash_option), server_count)


def position_of(number: int, server_count: int) -> int:
    """The remainder as deployed clients take it: towards zero, so that -2**31 falls on a server, too."""
    return number % server_count if number >= 0 else -(-number % server_count) % server_count
