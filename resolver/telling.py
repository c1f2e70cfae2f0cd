"""What one who is allowed hears of an operation that changes nothing: values, lists, the status, streams.

Sources: behaviours 13, 25, 34 and 36; spec, resolution: sections 6.4 and 7.
"""

from typing import Any, Final, cast

from protocol.codes import DEFAULT_TTL_S, OpCode, ResponseCode
from protocol.requests import ANONYMOUS, HandleRequest, ResolutionRequest
from protocol.responses import EmptyResponse, ResolutionResponse, TransactionStreamResponse
from protocol.value import HandleValue, Reference
from protocol.version import Version
from resolver.authority import Said
from resolver.operations.listing import pages
from resolver.operations.reading import Reading, is_status
from resolver.operations.rules import Rules
from resolver.trust import Trust, Turn

_SIGNED_STREAM: Final = Version(2, 7)  # The newest whose streams are signed and not in TLS of their own.


def told(trust: Trust, turn: Turn, rules: Rules[Any], identity: Reference | None) -> Said:
    """What one who is allowed hears of an operation that changes nothing."""
    asked = turn.asked
    opcode, body = asked.row.opcode, asked.body
    if isinstance(rules, Reading):
        request = cast(ResolutionRequest, body)
        if is_status(request):
            return _status(trust, request)
        with trust.store.view() as view:
            return rules.answer(view, request)
    if opcode == OpCode.LIST_HANDLES:
        name = cast(HandleRequest, body).handle
        turn.pages = pages(trust.store, name)
    elif opcode == OpCode.LIST_HOMED_NAS:
        turn.pages = pages(trust.store, None)
    elif opcode in (OpCode.RETRIEVE_TXN_LOG, OpCode.DUMP_HANDLES):
        version = min(asked.version, _SIGNED_STREAM) if asked.peer.is_secure else asked.version
        begin: Any = trust.source.dump if opcode == OpCode.DUMP_HANDLES else trust.source.transactions
        turn.stream = begin(body, version=version, requester=identity or ANONYMOUS)
        if opcode == OpCode.RETRIEVE_TXN_LOG:
            return Said(ResponseCode.SUCCESS, TransactionStreamResponse())
    return Said(ResponseCode.SUCCESS, EmptyResponse())


def _status(trust: Trust, request: ResolutionRequest) -> Said:
    state, replication = trust.status()
    values = (
        HandleValue(index=1, type=b"CNRI.SERVER_STATUS", data=state, permissions=0x08, ttl=DEFAULT_TTL_S),
        HandleValue(index=3, type=b"CNRI.REPLICATION_STATUS", data=replication, permissions=0x08, ttl=DEFAULT_TTL_S),
    )
    return Said(ResponseCode.SUCCESS, ResolutionResponse(handle=request.handle, values=values))
