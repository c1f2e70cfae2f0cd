"""Over which handles the permissions of a certificate reach.

Source: spec, records: section 8 (perms), section 1.1 (derived prefixes).
"""

from collections.abc import Iterable

from protocol.identifier import PREFIX_HANDLES, folded, prefix_folded, prefix_handle
from protocol.trust.claims import DERIVED_PREFIXES, EVERYTHING, HANDLES_UNDER_THIS_PREFIX, THIS_HANDLE, Grant


def permits(grants: Iterable[Grant], handle: bytes) -> bool:
    """Whether one of the permissions reaches over the handle. One that is not known reaches nowhere."""
    return any(_reaches(grant, handle) for grant in grants)


def same_handle(one: bytes, other: bytes) -> bool:
    """Whether two handles are one, compared as authorisation does: the prefix without case (behaviours 10)."""
    return prefix_folded(one) == prefix_folded(other)


def _reaches(grant: Grant, handle: bytes) -> bool:
    if grant.permission == EVERYTHING:
        return True
    if grant.permission == THIS_HANDLE:
        return same_handle(handle, grant.handle) or _is_under(handle, grant.handle)
    if grant.permission == DERIVED_PREFIXES:
        return _is_derived(handle, grant.handle) or _is_derived(prefix_handle(handle), grant.handle)
    return grant.permission == HANDLES_UNDER_THIS_PREFIX and _is_under(handle, grant.handle)


def _is_under(handle: bytes, prefix: bytes) -> bool:
    """Whether the handle's prefix is the one that the prefix handle names."""
    return prefix_handle(handle) == folded(prefix)


def _is_derived(handle: bytes, prefix: bytes) -> bool:
    """Whether the handle names a prefix, at any depth, below the one that the other names."""
    parent = folded(prefix)
    return parent.startswith(PREFIX_HANDLES) and folded(handle).startswith(parent + b".")
