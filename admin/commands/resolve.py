"""`hnode resolve`: ask a node for a handle, as a client would, and print what it says."""

import asyncio
import time
from typing import Any

import click

from admin.context import CommandContext
from admin.errors import ExitCode, Failure, exit_code_of
from admin.output import note, output_option, print_json, print_line, print_rows

_TRANSPORT_NAMES = ("udp", "tcp")


@click.command(
    name="resolve",
    epilog="Example:  hnode resolve 88.608.24061301/BTL001 --at 127.0.0.1:2641 --type product",
)
@click.argument("handle")
@click.option("--at", metavar="HOST:PORT", help="The node to ask.  [default: the configured node]")
@click.option("--udp", "transport", flag_value="udp", help="Only over UDP.")
@click.option("--tcp", "transport", flag_value="tcp", help="Only over TCP.")
@click.option(
    "--index",
    "indexes",
    type=click.IntRange(-(2**31), 2**31 - 1),
    multiple=True,
    help="Only the values at these indexes.",
)
@click.option("--type", "types", multiple=True, help="Only values of these types; one ending in a dot takes subtypes.")
@click.option("--trace", is_flag=True, help="Show on standard error what was sent and what came back.")
@output_option
@click.pass_obj
def command(
    context: CommandContext,
    handle: str,
    at: str | None,
    transport: str | None,
    indexes: tuple[int, ...],
    types: tuple[str, ...],
    trace: bool,
) -> int:
    """Resolve HANDLE. Exit code 3 where it, or its values, are not found; 5 where no node answers."""
    from protocol.errors import Malformed
    from resolver.client import Transport, ask, resolution

    host, port = place(at) if at else configured_place(context, transport)
    way = {None: Transport.EITHER, "udp": Transport.UDP, "tcp": Transport.TCP}[transport]
    try:
        question = resolution(
            handle.encode(), indexes=indexes, types=[wanted.encode() for wanted in types], now_s=int(time.time())
        )
    except (UnicodeEncodeError, OverflowError, ValueError) as error:
        raise Failure("that cannot be asked", str(error), "hnode resolve --help", code=ExitCode.USAGE) from error
    if trace:
        _trace_octets("→", question.to_bytes(), host, port)
    try:
        answered = asyncio.run(ask(question, host, port, transport=way))
    except Malformed as error:
        raise Failure(f"{host} port {port} sent what is no message", str(error), code=ExitCode.UNREACHABLE) from error
    if trace:
        _trace_octets("←", answered.message.to_bytes(), host, port)
    code = _shown(context, handle, answered.message)
    note(
        context,
        f"{answered.transport.value} {host}:{port} · {answered.seconds * 1000:.2f} ms · "
        f"{answered.message.header.code} · {answered.size} octets",
    )
    return code


def place(at: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, `[IPv6]:PORT` or `HOST` (port 2641)."""
    has_port = at.count(":") == 1 or (at.startswith("[") and "]:" in at)
    host, _, port = at.rpartition(":") if has_port else (at, "", "2641")
    host = host.strip("[]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise Failure(f"{at!r} is no place to ask", "it has the form HOST:PORT", code=ExitCode.USAGE)
    return host, int(port)


def configured_place(context: CommandContext, transport: str | None) -> tuple[str, int]:
    """Where the configured node listens, reached from this machine."""
    config = context.load()
    listeners = (config.tcp if transport == "tcp" else config.udp).listen or config.tcp.listen
    if not listeners:
        raise Failure(
            "the configured node listens nowhere", "its [udp] and [tcp] listen are empty", "hnode config show"
        )
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listeners[0].host, listeners[0].host)  # noqa: S104 - compared
    return host, listeners[0].port


def _shown(context: CommandContext, handle: str, message: Any) -> int:
    from protocol import codec
    from protocol.codes import ResponseCode
    from protocol.json_form.values import record_to_json, value_to_json
    from protocol.responses import ErrorResponse, ReferralResponse, ResolutionResponse

    _, body = codec.read_response(message)
    code = message.header.code
    told: dict[str, Any] = {"responseCode": code}
    if isinstance(body, ResolutionResponse):
        told = record_to_json(body.handle, body.values)
    elif isinstance(body, ReferralResponse):
        told["values"] = [value_to_json(value) for value in body.values or ()]
    elif isinstance(body, ErrorResponse) and body.message:
        told["message"] = body.message.decode(errors="replace")
    if not isinstance(body, ResolutionResponse):
        if code == ResponseCode.VALUES_NOT_FOUND:
            told["values"] = []
        told["handle"] = handle
    if context.output == "json":
        print_json(told)
    elif context.output == "jsonl":
        print_line(told)
    else:
        _print_table(context, told, code)
    return exit_code_of(code)


def _print_table(context: CommandContext, told: dict[str, Any], code: int) -> None:
    from protocol.codes import ResponseCode

    values = told.get("values")
    if values:
        rows = [[v["index"], v["type"], v["ttl"], _text_of(v["data"])] for v in values]
        print_rows(context, ("index", "type", "ttl", "data"), rows)
        return
    known = {member.value: member.name.replace("_", " ").lower() for member in ResponseCode}
    reason = f": {told['message']}" if told.get("message") else ""
    click.echo(f"{told['handle']}: {code} {known.get(code, 'unknown code')}{reason}")


def _text_of(data: dict[str, Any]) -> str:
    import json

    value = data["value"]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _trace_octets(sign: str, octets: bytes, host: str, port: int) -> None:
    click.echo(f"{sign} {host}:{port} {len(octets)} octets", err=True)
    for start in range(0, len(octets), 16):
        line = octets[start : start + 16]
        text = "".join(chr(octet) if 32 <= octet < 127 else "." for octet in line)
        click.echo(f"  {start:06x}  {line.hex(' '):47}  {text}", err=True)
