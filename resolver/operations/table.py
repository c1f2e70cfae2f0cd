"""The table of administrators' operations: opcode → its stages. A new operation is a row here."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from protocol.codes import OpCode
from resolver.authority import Authority
from resolver.operations.changing import Add, Delete, Modify, Remove
from resolver.operations.creating import Create
from resolver.operations.listing import ListHandles, ListHomed
from resolver.operations.reading import Reading
from resolver.operations.rules import RecordLimits, Rules
from resolver.operations.serving import Homing, ListedRules
from storage.base import HomePrefix, UnhomePrefix


def rules(authority: Authority, limits: RecordLimits) -> Mapping[OpCode, Rules[Any]]:
    """The rows of one node; those that are `ChangeRules` change its store."""
    replication: Rules[Any] = ListedRules("replication")
    return MappingProxyType(
        {
            OpCode.RESOLUTION: Reading(authority),
            OpCode.CREATE_HANDLE: Create(authority, limits),
            OpCode.DELETE_HANDLE: Delete(authority, limits),
            OpCode.ADD_VALUE: Add(authority, limits),
            OpCode.REMOVE_VALUE: Remove(authority, limits),
            OpCode.MODIFY_VALUE: Modify(authority, limits),
            OpCode.LIST_HANDLES: ListHandles(),
            OpCode.HOME_NA: Homing(authority, HomePrefix),
            OpCode.UNHOME_NA: Homing(authority, UnhomePrefix),
            OpCode.LIST_HOMED_NAS: ListHomed(),
            OpCode.RETRIEVE_TXN_LOG: replication,
            OpCode.DUMP_HANDLES: replication,
            OpCode.BACKUP_SERVER: ListedRules("backup"),
        }
    )
