"""The table of operations: opcode → how its bodies are read, whether it changes data, where it may be asked.

A new operation is a row here and, where its body is new, a class in `requests` or `responses`; there is no `elif`.
Sources: spec, protocol: sections 4 and 8.5.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

from protocol import requests, responses
from protocol.codes import OpCode
from protocol.errors import NotSupported
from protocol.requests import Body
from protocol.version import Version
from protocol.wire import Reader

ReadBody = Callable[[Reader, Version], Body]


class Interface(Enum):
    """Which interfaces of a server may carry an operation."""

    QUERY = "query"
    ADMIN = "admin"
    EITHER = "either"


@dataclass(frozen=True, slots=True)
class Operation:
    """One row. `mutates`: a mirror refuses it. `needs_connection`: its answer is more than one message."""

    opcode: OpCode
    request: ReadBody
    response: ReadBody
    interface: Interface
    mutates: bool = False
    needs_connection: bool = False


_HANDLE: Final = requests.HandleRequest.read
_VALUES: Final = requests.ValuesRequest.read
_EMPTY: Final = responses.EmptyResponse.read
_LIST: Final = responses.HandleListResponse.read
_QUERY: Final = Interface.QUERY
_ADMIN: Final = Interface.ADMIN
_EITHER: Final = Interface.EITHER
_STREAM: Final = responses.TransactionStreamResponse.read

_ROWS: Final = (
    Operation(OpCode.RESOLUTION, requests.ResolutionRequest.read, responses.ResolutionResponse.read, _QUERY),
    Operation(OpCode.GET_SITE_INFO, _HANDLE, responses.SiteResponse.read, _EITHER),
    Operation(OpCode.CREATE_HANDLE, _VALUES, responses.CreateResponse.read, _ADMIN, mutates=True),
    Operation(OpCode.DELETE_HANDLE, _HANDLE, _EMPTY, _ADMIN, mutates=True),
    Operation(OpCode.ADD_VALUE, _VALUES, _EMPTY, _ADMIN, mutates=True),
    Operation(OpCode.REMOVE_VALUE, requests.RemoveValuesRequest.read, _EMPTY, _ADMIN, mutates=True),
    Operation(OpCode.MODIFY_VALUE, _VALUES, _EMPTY, _ADMIN, mutates=True),
    Operation(OpCode.LIST_HANDLES, _HANDLE, _LIST, _ADMIN, needs_connection=True),
    Operation(OpCode.RESPONSE_TO_CHALLENGE, requests.ChallengeAnswer.read, _EMPTY, _EITHER),
    Operation(OpCode.VERIFY_CHALLENGE, requests.VerifyChallengeRequest.read, responses.VerifyResponse.read, _EITHER),
    Operation(OpCode.HOME_NA, _HANDLE, _EMPTY, _ADMIN, mutates=True),
    Operation(OpCode.UNHOME_NA, _HANDLE, _EMPTY, _ADMIN, mutates=True),
    Operation(OpCode.LIST_HOMED_NAS, _HANDLE, _LIST, _ADMIN, needs_connection=True),
    Operation(OpCode.SESSION_SETUP, requests.SessionSetupRequest.read, responses.SessionSetupResponse.read, _EITHER),
    Operation(OpCode.SESSION_TERMINATE, _HANDLE, _EMPTY, _EITHER),
    Operation(OpCode.SESSION_EXCHANGEKEY, requests.ExchangeKeyRequest.read, _EMPTY, _EITHER),
    Operation(OpCode.GET_NEXT_TXN_ID, _HANDLE, responses.NextTransactionResponse.read, _ADMIN),
    Operation(
        OpCode.RETRIEVE_TXN_LOG, requests.RetrieveTransactionsRequest.read, _STREAM, _ADMIN, needs_connection=True
    ),
    Operation(OpCode.DUMP_HANDLES, requests.DumpRequest.read, _EMPTY, _ADMIN, needs_connection=True),
    Operation(OpCode.BACKUP_SERVER, _HANDLE, _EMPTY, _ADMIN),
    Operation(OpCode.LOGIN_ID_SYSTEM, requests.LoginRequest.read, _EMPTY, _EITHER),
)

OPERATIONS: Final[Mapping[int, Operation]] = MappingProxyType({row.opcode: row for row in _ROWS})

assert len(OPERATIONS) == len(_ROWS) == len(OpCode), "each opcode stands in one row"


def operation(opcode: int) -> Operation:
    """The row for a raw opcode, as the header carried it; `NotSupported` where there is none."""
    found = OPERATIONS.get(opcode)
    if found is None:
        raise NotSupported(f"opcode {opcode}", told=f"Operation {opcode} is not supported by this server")
    return found
