"""Which permissions a change of values takes: the table of modifications, and records compared value by value.

Source: spec, security: section 9.2.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from protocol.administrator import Permission
from protocol.codes import PUBLIC_WRITE
from protocol.value import HandleValue
from resolver.authorization import is_admin_value

NO_PERMISSION: Final = Permission(0)


def adding(value: HandleValue) -> Permission:
    """What a value that was not there takes."""
    return Permission.ADD_ADMIN if is_admin_value(value) else Permission.ADD_VALUE


def removing(value: HandleValue) -> Permission:
    """What a value that goes takes."""
    return Permission.REMOVE_ADMIN if is_admin_value(value) else Permission.REMOVE_VALUE


def modifying(old: HandleValue, new: HandleValue) -> Permission:
    """What one value in place of another takes; nothing where everybody may write it and no administrator is meant."""
    if is_admin_value(old):
        if is_admin_value(new):
            return Permission.MODIFY_ADMIN
        return Permission.REMOVE_ADMIN | Permission.MODIFY_VALUE
    if is_admin_value(new):
        return Permission.MODIFY_VALUE | Permission.ADD_ADMIN
    return NO_PERMISSION if old.permissions & PUBLIC_WRITE else Permission.MODIFY_VALUE


def is_same(old: HandleValue, new: HandleValue) -> bool:
    """Whether two values are equal apart from their timestamps."""
    return replace(old, timestamp=new.timestamp) == new


def merging(old: Sequence[HandleValue], new: Sequence[HandleValue]) -> Permission:
    """What it takes to write values into a record, over those with their indexes; equal ones take nothing."""
    coming = {value.index: value for value in new}
    needed = NO_PERMISSION
    for value in old:
        replacement = coming.get(value.index)
        if replacement is not None and not is_same(value, replacement):
            needed |= modifying(value, replacement)
    there = {value.index for value in old}
    for value in new:
        if value.index not in there:
            needed |= adding(value)
    return needed


def overwriting(old: Sequence[HandleValue], new: Sequence[HandleValue]) -> Permission:
    """What it takes to put new values in place of all old ones.

    Another order of values that stay takes what modifying one does: the order is what everybody sees first.
    """
    needed = merging(old, new)
    coming = {value.index for value in new}
    for value in old:
        if value.index not in coming:
            needed |= removing(value)
    there = {value.index for value in old}
    kept = [value.index for value in old if value.index in coming]
    if kept != [value.index for value in new if value.index in there]:
        needed |= Permission.MODIFY_VALUE
    return needed
