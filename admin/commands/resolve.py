"""`hnode resolve`: ask a node for a handle, as a client would, and print what it says."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from admin.context import CommandContext
from admin.errors import ExitCode, Failure, exit_code_of
from admin.output import note, output_option, print_json, print_line, print_rows
from admin.remote import AUTH_OPTIONS, Remote, collected, place, unreachable

_TRANSPORT_NAMES = ("udp", "tcp")
_PATH = click.Path(path_type=Path)


@click.command(
    name="resolve",
    epilog="Example:  hnode resolve 88.608.24061301/BTL001 --at 127.0.0.1:2641 --type product",
)
@click.argument("handle")
@click.option("--at", metavar="HOST:PORT", help="The node to ask.  [default: the configured node]")
@click.option("--bootstrap", type=_PATH, metavar="DIR", help="Ask from the root down, as DIR's files tell it.")
@click.option("--aliases", is_flag=True, help="With --bootstrap: follow an HS_ALIAS.")
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
@click.option("--trace", is_flag=True, help="Show on standard error what was asked and what came.")
@click.option("--certified", is_flag=True, help="Only an answer that the server signed, held against --server-key.")
@collected(*AUTH_OPTIONS)
@output_option
@click.pass_obj
def command(
    context: CommandContext,
    handle: str,
    at: str | None,
    bootstrap: Path | None,
    aliases: bool,
    transport: str | None,
    indexes: tuple[int, ...],
    types: tuple[str, ...],
    trace: bool,
    certified: bool,
    remote: Remote,
) -> int:
    """Resolve HANDLE. Exit code 3 where it, or its values, are not found; 5 where no node answers.

    With --auth the values too that only administrators may read. With --bootstrap no node of yours is asked: the
    search begins at the root, and --trace draws it as a tree.
    """
    if bootstrap is not None:
        if at or transport or remote != Remote():
            why = "--bootstrap finds the server itself: leave out --at, --udp, --tcp and who you are"
            raise Failure("that cannot be asked from the root", why, code=ExitCode.USAGE)
        return _from_the_root(
            context, handle, bootstrap, indexes, types, certified=certified, aliases=aliases, trace=trace
        )
    if aliases:
        raise Failure("--aliases belongs to --bootstrap", "one server follows none", code=ExitCode.USAGE)
    from resolver.client import Transport, resolution

    host, port = place(at) if at else configured_place(context, transport)
    if certified or remote != Remote():
        if trace:
            why = "it shows one question and its answer: leave out --certified, --auth, --tls and --session"
            raise Failure("--trace shows no conversation", why, code=ExitCode.USAGE)
        asking = replace(remote, at=_written(host, port), udp=transport == "udp")
        return _proven(context, handle, asking, indexes, types, certified)
    way = {None: Transport.EITHER, "udp": Transport.UDP, "tcp": Transport.TCP}[transport]
    try:
        question = resolution(
            handle.encode(), indexes=indexes, types=[wanted.encode() for wanted in types], now_s=int(time.time())
        )
    except (UnicodeEncodeError, OverflowError, ValueError) as error:
        raise Failure("that cannot be asked", str(error), "hnode resolve --help", code=ExitCode.USAGE) from error
    if trace:
        _trace_octets("→", question.to_bytes(), host, port)
    answered = _answered(question, host, port, way, is_named=at is not None)
    if trace:
        _trace_octets("←", answered.message.to_bytes(), host, port)
    code = _shown(context, handle, answered.message)
    note(
        context,
        f"{answered.transport.value} {host}:{port} · {answered.seconds * 1000:.2f} ms · "
        f"{answered.message.header.code} · {answered.size} octets",
    )
    return code


def _answered(question: Any, host: str, port: int, way: Any, *, is_named: bool) -> Any:
    """The answer of a node; `is_named` says that it was named by --at, and need not be the configured one."""
    from protocol.errors import Malformed
    from resolver.client import NoAnswer, ask

    try:
        return asyncio.run(ask(question, host, port, transport=way))
    except NoAnswer as error:
        if not is_named:
            raise
        raise unreachable(error) from error
    except Malformed as error:
        raise Failure(f"{host} port {port} sent what is no message", str(error), code=ExitCode.UNREACHABLE) from error


def _written(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _proven(
    context: CommandContext,
    handle: str,
    remote: Remote,
    indexes: tuple[int, ...],
    types: tuple[str, ...],
    certified: bool,
) -> int:
    """Resolve as somebody, or with the server's signature checked."""
    from admin.remote import asked, refused
    from protocol.codes import ResponseCode
    from protocol.json_form.values import record_to_json
    from resolver.client_errors import Refused

    async def work(client: Any) -> Any:
        if certified and client.calls.opening is None and not client.calls.asking.keys:
            from resolver.client_proof import keys_of

            client.calls.asking.keys = keys_of(await client.site_info())
            note(context, "the server told its key itself: --server-key FILE proves more")
        wanted = [item.encode(errors="surrogateescape") for item in types]
        restricted = client.calls.identity is not None
        name = handle.encode(errors="surrogateescape")
        return await client.resolve(name, indexes=indexes, types=wanted, restricted=restricted, certified=certified)

    try:
        found = asked(remote, work)
    except Refused as error:
        if error.code not in (ResponseCode.HANDLE_NOT_FOUND, ResponseCode.VALUES_NOT_FOUND):
            raise refused(remote, error) from error
        told: dict[str, Any] = {"responseCode": error.code}
        if error.code == ResponseCode.VALUES_NOT_FOUND:
            told["values"] = []
        _print_told(context, told | {"handle": handle}, error.code)
        return exit_code_of(error.code)
    _print_told(context, record_to_json(found.handle, found.values), ResponseCode.SUCCESS)
    return ExitCode.OK


def _from_the_root(
    context: CommandContext,
    handle: str,
    folder: Path,
    indexes: tuple[int, ...],
    types: tuple[str, ...],
    *,
    certified: bool,
    aliases: bool,
    trace: bool,
) -> int:
    """Resolve by asking from the root down."""
    from admin.local_store import named_handle
    from admin.output import printable
    from admin.root_resolving import resolved, tree, world_in

    named_handle(handle)
    world, faults = world_in(folder)
    for fault in faults:
        note(context, f"of the root's files: {printable(fault)}")
    wanted = [item.encode(errors="surrogateescape") for item in types]
    ended = resolved(world, handle.encode(), indexes=indexes, types=wanted, certified=certified, aliases=aliases)
    if trace:
        for line in tree(handle, ended):
            click.echo(printable(line), err=True)
    if ended.is_failure:
        raise Failure(f"{printable(handle)} cannot be found", printable(ended.told), code=ExitCode.UNREACHABLE)
    return _told(context, handle, ended.code, ended.body)


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

    return _told(context, handle, message.header.code, codec.read_response(message)[1])


def _told(context: CommandContext, handle: str, code: int, body: Any) -> int:
    from protocol.codes import ResponseCode
    from protocol.json_form.values import record_to_json, value_to_json
    from protocol.responses import ErrorResponse, ReferralResponse, ResolutionResponse

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
    _print_told(context, told, code)
    return exit_code_of(code)


def _print_told(context: CommandContext, told: dict[str, Any], code: int) -> None:
    if context.output == "json":
        print_json(told)
    elif context.output == "jsonl":
        print_line(told)
    else:
        _print_table(context, told, code)


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
